"""Works out what a competition asks: id, targets, task, metric; a note for every guess."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import pandas as pd

from rdagent.competition.outcome import Asked, decide, labels_of, match_classes
from rdagent.competition.structure import find_group, find_time
from rdagent.competition.tables import canonical_ids, columns_of, names_of, read_table
from rdagent.errors import SetupError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Evidence", "labels_of", "understand"]

_ID_NAME = re.compile(
    r"^(id|.*[_\- ]id|.*[a-z]I[dD]|index|key|uuid|guid|row_?(id|number)|image(_name|_file)?"
    r"|file_?(name|path)?|unnamed: 0)$"
)
_TARGET_NAME = re.compile(r"^(target|label|labels|class|y|outcome|response)$", re.I)


@dataclass
class Evidence:
    """What lies in a competition folder and what its `competition.toml` says."""

    folder: Path
    train_file: str
    test_file: str
    sample_file: str | None
    said: dict[str, Any]
    """competition.toml."""
    description: str
    has_grader: bool
    """eval/<id>/grade.py exists."""
    notes: list[str] = field(default_factory=list)

    def columns(self, name: str | None) -> tuple[str, ...]:
        return columns_of(self.folder / name) if name else ()

    def table(self, name: str, text: tuple[str, ...]) -> pd.DataFrame:
        return read_table(self.folder / name, text)


def understand(e: Evidence) -> dict[str, Any]:
    """The fields of a Competition that files alone do not give. Raises SetupError."""
    train_columns = e.columns(e.train_file)
    _check_columns(e, train_columns)
    id_column, text = _find_id(e, train_columns)
    train, test = e.table(e.train_file, text), e.table(e.test_file, text)
    sample = e.table(e.sample_file, text) if e.sample_file else None
    _check_rows(e, train, test)
    if sample is not None:
        _check_pairing(e, test, sample, id_column)
    predictions = _find_predictions(e, train, test, sample, id_column)
    targets = _find_targets(e, train, test, predictions, id_column)
    labelled = train[list(targets)].dropna(how="all")
    _check_targets(e, train, targets, id_column, len(labelled))
    outcome = decide(
        Asked(
            target=labelled,
            predictions=predictions,
            sample=None if sample is None else sample[list(predictions)],
            classes=e.said.get("classes"),
            metric=e.said.get("metric"),
            higher_is_better=e.said.get("higher_is_better"),
            description=e.description,
            has_grader=e.has_grader,
            notes=e.notes,
        )
    )
    features = [
        x for x in names_of(train) if x in test and x not in {*targets, *predictions, id_column}
    ]
    time = find_time(train, test, features, e.said.get("time"), e.notes)
    group = find_group(train, test, [x for x in features if x != time], e.said.get("group"),
                       e.notes)  # fmt: skip
    return {
        **outcome,
        "id_column": id_column,
        "target_columns": targets,
        "time_column": time,
        "group_column": group,
        "notes": tuple(e.notes),
    }


def _check_columns(e: Evidence, columns: tuple[str, ...]) -> None:
    """Columns that competition.toml names have to exist."""
    target = e.said.get("target", [])
    names = [target] if isinstance(target, str) else list(target)
    wanted = [("target", x) for x in names]
    wanted += [(key, e.said[key]) for key in ("group", "time") if e.said.get(key)]
    for key, name in wanted:
        if name not in columns:
            near = get_close_matches(str(name), columns, 1, 0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {_some(columns)}"
            raise SetupError(
                f"competition.toml: {key} {name!r} is no column of {e.train_file}: {hint}"
            )


def _find_id(e: Evidence, train: tuple[str, ...]) -> tuple[str | None, tuple[str, ...]]:
    """The id column (None: rows pair by position) and the columns to be read as text."""
    test, sample = e.columns(e.test_file), e.columns(e.sample_file)
    said = e.said.get("id")
    if said == "":
        e.notes.append("No id column, as competition.toml says: rows pair by position.")
        return None, ()
    if said:
        if said not in test or (sample and said not in sample):
            where = e.test_file if said not in test else e.sample_file
            raise SetupError(f"competition.toml: id {said!r} is no column of {where}")
        candidates = [said]
    elif sample:
        if e.test_file == e.sample_file:
            candidates = list(sample[:1])
            e.notes.append(f"No test table: the rows of {e.sample_file} are the test rows.")
        else:
            candidates = [x for x in sample if x in test]
            _check_spelling(e, sample[0], test)
    else:
        candidates = [x for x in test if _ID_NAME.match(x)]
    for name in candidates:
        ids = e.table(e.test_file, (name,))[name]
        repeats_in_train = (
            not sample
            and name in train
            and not e.table(e.train_file, (name,))[name].is_unique
            and name.lower() != "id"
        )
        if ids.is_unique and ids.notna().all() and not repeats_in_train:
            if not said:
                why = "shared with the sample submission" if sample else "named so"
                e.notes.append(f"Id column: {name} (unique in {e.test_file}, {why}).")
            return name, (name,)
    strict = [x for x in candidates if said or sample or x.lower() == "id"]
    strict = [x for x in strict if said or x not in _label_like(e, train, strict)]
    if strict:
        _refuse_ids(e, strict[0])
    e.notes.append("No id column: rows of the submission pair with test rows by position.")
    return None, ()


def _check_spelling(e: Evidence, first: str, test: tuple[str, ...]) -> None:
    """The sample's first column names rows; `ID` for `id` would be taken for a prediction."""
    near = [x for x in test if x.strip().casefold() == first.strip().casefold()]
    if first not in test and near:
        raise SetupError(
            f"{e.sample_file} has {first!r} where {e.test_file} has {near[0]!r}: "
            "give both the same name"
        )


def _label_like(e: Evidence, train: tuple[str, ...], shared: list[str]) -> set[str]:
    """Columns of the sample that test holds empty or constant: dummies of the target."""
    test = e.table(e.test_file, ())
    return {x for x in shared if x in train and test[x].nunique() <= 1}


def _refuse_ids(e: Evidence, name: str) -> None:
    ids = e.table(e.test_file, (name,))[name]
    if ids.isna().any():
        row = int(ids.isna().to_numpy().argmax())
        raise SetupError(f"{e.test_file} has no {name} in row {row + 1}: every row needs an id")
    twice = ids[ids.duplicated()]
    if len(twice):
        raise SetupError(
            f"{e.test_file} has the {name} {twice.iloc[0]!r} more than once: "
            "ids must be unique, or name another column as `id` in competition.toml"
        )


def _check_rows(e: Evidence, train: pd.DataFrame, test: pd.DataFrame) -> None:
    for name, table in ((e.train_file, train), (e.test_file, test)):
        if not len(table):
            raise SetupError(f"{name} has no rows: put some below its header")


def _check_pairing(
    e: Evidence, test: pd.DataFrame, sample: pd.DataFrame, id_column: str | None
) -> None:
    """Rows of the sample submission and of test have to be the same ones."""
    if id_column is None:
        if len(sample) != len(test):
            raise SetupError(
                f"{e.sample_file} has {len(sample)} rows and {e.test_file} {len(test)}, and no id "
                "column joins them: name it as `id` in competition.toml"
            )
        return
    ours, theirs = test[id_column], sample[id_column]
    if set(ours) != set(theirs):
        ours, theirs = canonical_ids(ours), canonical_ids(theirs)
    lacking, unknown = ~ours.isin(theirs), ~theirs.isin(ours)
    if lacking.any() or unknown.any():
        here, there = e.sample_file, e.test_file
        first = test.loc[lacking, id_column].iloc[0] if lacking.any() else None
        if first is None:
            here, there, first = there, here, sample.loc[unknown, id_column].iloc[0]
        raise SetupError(
            f"ids do not match: {here} lacks {id_column} {first!r} of {there} "
            f"({int(lacking.sum() + unknown.sum())} such ids): make both hold the same ids"
        )
    if not theirs.is_unique:
        twice = theirs[theirs.duplicated()].iloc[0]
        raise SetupError(f"{e.sample_file} has the {id_column} {twice!r} more than once")


def _find_predictions(
    e: Evidence,
    train: pd.DataFrame,
    test: pd.DataFrame,
    sample: pd.DataFrame | None,
    id_column: str | None,
) -> tuple[str, ...]:
    """Columns that the submission asks for."""
    named = e.said.get("target", [])
    target = [named] if isinstance(named, str) else list(named)
    if sample is not None:
        rest = [x for x in names_of(sample) if x != id_column]
        # A column that test fills is a further key to copy, not a prediction.
        keys = [x for x in rest if x in test and x not in target and test[x].nunique() > 1]
        found = [x for x in rest if x not in keys] if e.test_file != e.sample_file else rest
        if not found:
            filled = f": {e.test_file} already holds {keys[0]!r}" if keys else ""
            raise SetupError(
                f"{e.sample_file} has no column to predict{filled}; "
                "it has to hold the id and the columns to predict, which test must not hold"
            )
        return tuple(found)
    if target:
        return tuple(target)
    only = [x for x in names_of(train) if x not in test and x != id_column]
    dummies = [
        x for x in names_of(train) if x in test and test[x].isna().all() and train[x].notna().any()
    ]
    found = only or dummies
    named_so = [x for x in found if _TARGET_NAME.match(x)]
    if len(found) > 1 and len(named_so) == 1:
        found = named_so
    if not found:
        raise SetupError(
            f"every column of {e.train_file} is in {e.test_file} too: "
            "name the one to predict as `target` in competition.toml"
        )
    e.notes.append(f"No sample submission: to predict is what {e.test_file} lacks, {_some(found)}.")
    return tuple(found)


def _find_targets(
    e: Evidence,
    train: pd.DataFrame,
    test: pd.DataFrame,
    predictions: tuple[str, ...],
    id_column: str | None,
) -> tuple[str, ...]:
    """Label columns of train: the prediction columns, else what only train has."""
    if named := e.said.get("target"):
        return (named,) if isinstance(named, str) else tuple(named)
    missing = [x for x in predictions if x not in train]
    if not missing:
        return predictions
    folded = {x.casefold().strip(): x for x in names_of(train) if x != id_column}
    if all(x.casefold().strip() in folded for x in predictions):
        return tuple(folded[x.casefold().strip()] for x in predictions)
    if len(missing) < len(predictions):
        raise SetupError(
            f"{e.sample_file} asks for {missing[0]!r}, which {e.train_file} lacks: "
            "name the label columns as `target` in competition.toml"
        )
    only = [x for x in names_of(train) if x not in test and x != id_column]
    found = [x for x in only if match_classes(predictions, labels_of(train[x]))]
    if not found and (len(predictions) == 1 or "classes" in e.said):
        found = only if len(only) == 1 else [x for x in only if _alike(x, predictions[0])]
    if len(found) == 1:
        e.notes.append(f"Labels are in {found[0]}; the submission asks for {_some(predictions)}.")
        return (found[0],)
    if not only:
        raise SetupError(
            f"the columns of {e.sample_file} ({_some(predictions)}) match nothing in {e.train_file}"
            f" ({_some(names_of(train))}): name the label as `target` in competition.toml"
        )
    raise SetupError(
        f"the columns of {e.sample_file} ({_some(predictions)}) match no column that only "
        f"{e.train_file} has ({_some(only)}): name `target`, and `classes` where a column stands "
        "for a label, in competition.toml"
    )


def _alike(name: str, prediction: str) -> bool:
    short, long = sorted((name.casefold(), prediction.casefold()), key=len)
    return bool(_TARGET_NAME.match(name)) or (len(short) > 2 and short in long)


def _check_targets(
    e: Evidence,
    train: pd.DataFrame,
    targets: tuple[str, ...],
    id_column: str | None,
    labelled: int,
) -> None:
    """Targets have to be no key of the rows, and to hold something that can be learnt."""
    for key in ("id", "group", "time"):
        name = id_column if key == "id" else e.said.get(key)
        if name in targets:
            raise SetupError(
                f"{name!r} cannot be both {key} and target: "
                f"name another column as `target` or `{key}` in competition.toml"
            )
    mend = "put labels into it, or name another column as `target` in competition.toml"
    for name in targets:
        column = train[name]
        values = column.nunique()
        if values == 0:
            raise SetupError(f"the target {name} of {e.train_file} is missing in every row: {mend}")
        if values == 1 and len(targets) == 1:
            only = labels_of(column)[0]
            raise SetupError(
                f"the target {name} of {e.train_file} is always {only!r}, "
                f"so that nothing can be learnt: {mend}"
            )
        if values == 1:
            e.notes.append(f"The target {name} has a single value: it teaches nothing.")
        if pd.api.types.is_float_dtype(column) and (infinite := column.abs() == math.inf).any():
            raise SetupError(
                f"the target {name} of {e.train_file} is infinite in row "
                f"{int(infinite.to_numpy().argmax()) + 1}: put a number there, or leave it empty"
            )
    if labelled < len(train):
        e.notes.append(
            f"{len(train) - labelled} of {len(train)} train rows have no {_some(targets)}: "
            "they stay in train and are never hidden."
        )


def _some(names: Any) -> str:
    names = [str(x) for x in names]
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
