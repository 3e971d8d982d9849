"""A competition folder -> Competition: finds its files and refuses bad input.

What the folder does not say is worked out in `inference`; each guess leaves a note.
"""

from __future__ import annotations

import filecmp
import os
import re
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rdagent.competition import inference
from rdagent.competition.prev_model import find_prev_model
from rdagent.competition.tables import SUFFIXES, columns_of, read_table, stem_of, suffix_of
from rdagent.errors import SetupError
from rdagent.records import Competition

if TYPE_CHECKING:
    import pandas as pd

RESERVED = {"eval", "source_data", "zip_files", "sample"}
"""Folders of the data root that are no competitions."""

_KEYS: dict[str, tuple[type, ...]] = {
    "metric": (str,),
    "target": (str, list),
    "id": (str,),
    "higher_is_better": (bool,),
    "group": (str,),
    "time": (str,),
    "classes": (dict,),
    "prev_model_code": (str, list),
    "prev_model_trained_on_train": (bool, str),
}
_KINDS: dict[type, str] = {
    str: "a text", bool: "true or false", list: "a list of texts", dict: "a table (column = label)",
}  # fmt: skip


def examples_dir() -> Path:
    """The bundled example competitions: beside the package, or inside it in a wheel."""
    package = Path(__file__).parent.parent
    inside = package / "ds_data_example"
    return inside if inside.is_dir() else package.parent / "ds_data_example"


def list_competitions(root: Path) -> list[str]:
    """Names of the competition folders in `root`; empty where there is no such folder."""
    if not root.is_dir():
        return []
    return sorted(
        p.name
        for p in root.iterdir()
        if p.is_dir() and p.name not in RESERVED and not p.name.startswith((".", "_"))
    )


def load_competition(competition_id: str, root: Path, *, finetune: bool = False) -> Competition:
    """Understand `root/competition_id`. Raises SetupError with one sentence on bad input.

    `finetune` demands a usable `prev_model/`; without it `prev_model` is None.
    """
    folder = _find_folder(competition_id, root.absolute())
    competition_id = folder.name
    answers = folder.parent / "eval" / competition_id
    _refuse_files(folder, answers)
    said = _read_toml(folder)
    description = _read_description(folder, competition_id)
    train, test, sample = _find_tables(folder)
    evidence = inference.Evidence(
        folder=folder,
        train_file=train,
        test_file=test,
        sample_file=sample,
        said=said,
        description=description,
        has_grader=(answers / "grade.py").is_file(),
    )
    found = inference.understand(evidence)
    prev_model = find_prev_model(folder, said) if finetune else None
    return Competition(
        id=competition_id,
        description=description,
        data_dir=folder,
        train_file=train,
        test_file=test,
        sample_file=sample,
        eval_dir=answers if answers.is_dir() else None,
        prev_model=prev_model,
        **found,
    )


def read_train(c: Competition) -> pd.DataFrame:
    """All rows of the train file, the id as text; row position = RangeIndex."""
    return read_table(c.data_dir / c.train_file, c.id_columns)


def read_test(c: Competition) -> pd.DataFrame:
    """All rows of the test file, the id as text, without label columns it may hold."""
    table = read_table(c.data_dir / c.test_file, c.id_columns)
    hidden = set(c.target_columns) | set(c.prediction_columns)
    # Hidden rows join the test rows later; a label column there would show their labels.
    return table[[x for x in table.columns if x not in hidden]]


def read_sample(c: Competition) -> pd.DataFrame:
    """The sample submission, the id as text; made here (ids and a constant) where none lies."""
    if c.sample_file:
        return read_table(c.data_dir / c.sample_file, c.id_columns)
    test = read_test(c)
    sample = test[list(c.id_columns)].copy()
    for column in c.prediction_columns:
        if c.output == "probability":
            sample[column] = 1 / len(c.prediction_columns) if c.exclusive else 0.5
        elif c.output == "value":
            sample[column] = 0.0
        else:
            position = c.prediction_columns.index(column)
            target = c.target_columns[min(position, len(c.target_columns) - 1)]
            sample[column] = inference.labels_of(read_train(c)[target])[0]
    return sample


def _find_folder(competition_id: str, root: Path) -> Path:
    there = list_competitions(root)
    competition_id = competition_id.rstrip("/")  # shells complete folder names with it
    if not root.is_dir():
        raise SetupError(
            f"there is no data folder {root}: set DS_LOCAL_DATA_PATH to the folder that holds "
            f"your competitions, or unset it to play the examples ({_listed(examples_dir())})"
        )
    if not re.fullmatch(r"[^/\\\0]+", competition_id) or competition_id.startswith("."):
        raise SetupError(
            f"{competition_id!r} is no competition name: give the name of a folder in {root}"
        )
    if competition_id not in there:
        near = get_close_matches(competition_id.lower(), [x.lower() for x in there], 1, 0.5)
        hint = next((f" did you mean {x}?" for x in there if x.lower() in near), "")
        raise SetupError(f"no competition {competition_id} in {root}:{hint} {_listed(root)}")
    return root / competition_id


def _listed(root: Path) -> str:
    there = list_competitions(root)
    more = f" and {len(there) - 20} more" if len(there) > 20 else ""
    return (
        f"there are {', '.join(there[:20])}{more}"
        if there
        else (
            "it holds none; put a folder with train.csv there, or unset DS_LOCAL_DATA_PATH to play "
            "the examples"
        )
    )


def _refuse_files(folder: Path, answers: Path) -> None:
    """Programs read the competition folder: no answers may lie in it, and nothing unreadable."""
    known: dict[int, list[Path]] = {}
    if answers.is_dir():
        for path in answers.rglob("*"):
            if path.is_file() and path.suffix not in (".py", ".md") and path.stat().st_size:
                known.setdefault(path.stat().st_size, []).append(path)
    for where, folders, names in os.walk(folder):
        here = Path(where)
        for path in (here / name for name in names):
            shown = f"{path.relative_to(folder)} in {folder.name}"
            if not path.is_file():
                what = (
                    "is a link that leads nowhere"
                    if path.is_symlink()
                    else "is neither file nor folder"
                )
                raise SetupError(f"{shown} {what}: remove it, or put the file itself there")
            if stem_of(path.name) == "submission_test":
                raise SetupError(f"{shown} holds answers: move it to {answers}")
            for answer in known.get(path.stat().st_size, ()):
                if filecmp.cmp(path, answer, shallow=False):
                    raise SetupError(
                        f"{shown} is identical to the answers "
                        f"(eval/{folder.name}/{answer.name}): remove it from the competition folder"
                    )
        for path in (here / name for name in folders):
            _refuse_folder(path, answers, f"{path.relative_to(folder)} in {folder.name}")


def _refuse_folder(path: Path, answers: Path, shown: str) -> None:
    if path.is_symlink():
        target = path.resolve()
        if answers.exists() and answers.resolve().is_relative_to(target):
            raise SetupError(f"{shown} links to the answers: remove the link")
        if path.parent.resolve().is_relative_to(target):
            raise SetupError(f"{shown} links to a folder that it lies in: remove the link")
    table = suffix_of(path.name) and (
        stem_of(path.name) in ("train", "test") or _sample_rank(path.name)
    )
    if table:
        raise SetupError(f"{shown} is a folder: put the table itself there")


def _read_toml(folder: Path) -> dict[str, Any]:
    path = folder / "competition.toml"
    if not path.is_file():
        return {}
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise SetupError("competition.toml is not UTF-8: save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise SetupError(
            f'competition.toml cannot be read: {error}; lines look like metric = "rmse"'
        ) from error
    for key, value in said.items():
        if key not in _KEYS:
            near = get_close_matches(key.lower(), _KEYS, 1, 0.4)
            hint = f"did you mean {near[0]}?" if near else f"it may name {', '.join(_KEYS)}"
            raise SetupError(f"competition.toml has no key {key!r}: {hint}")
        if not isinstance(value, _KEYS[key]):
            kinds = " or ".join(_KINDS[kind] for kind in _KEYS[key])
            raise SetupError(f"competition.toml: {key} has to be {kinds}, not {value!r}")
    return said


def _read_description(folder: Path, competition_id: str) -> str:
    for name in ("description.md", "description.txt", f"{competition_id}.json"):
        path = folder / name
        if path.is_file():
            return path.read_text(encoding="utf-8-sig", errors="replace")
    return ""


def _find_tables(folder: Path) -> tuple[str, str, str | None]:
    """Train, test and sample file, relative to `folder`."""
    tables = [
        str(p.relative_to(folder))
        for where in (folder, folder / "train", folder / "test")
        if where.is_dir()
        for p in sorted(where.iterdir())
        if suffix_of(p.name) and p.is_file()
    ]
    top = [t for t in tables if "/" not in t]
    ranked = sorted((rank, t) for t in top if (rank := _sample_rank(t)))
    samples = [t for _, t in ranked]
    sample = samples[0] if samples else None
    tables = [t for t in tables if t not in samples]
    asked = columns_of(folder / sample) if sample else ()
    train = _pick(folder, tables, "train", asked)
    if train is None:
        train = _holds_labels(folder, tables, asked)
    if train is None:
        raise SetupError(f"{folder.name} has no train file: put train.csv in {folder}")
    # Without a table of test rows the sample's ids are the test rows.
    test = _pick(folder, [t for t in tables if t != train], "test", asked) or sample
    if test is None:
        raise SetupError(
            f"{folder.name} has neither a test file nor a sample submission: "
            f"put test.csv in {folder}"
        )
    return train, test, sample


def _sample_rank(name: str) -> tuple[int, int] | None:
    """How much a name sounds like a sample submission, best lowest; None: not at all."""
    stem = re.sub(r"[\W_]", "", stem_of(name))
    if stem == "samplesubmission":
        return 0, 0
    if "sample" in stem and "sub" in stem:
        return 1, len(stem)
    if "submission" in stem and stem != "submission":
        return 2, len(stem)
    return None


def _pick(folder: Path, tables: list[str], part: str, asked: tuple[str, ...]) -> str | None:
    """The table named after `part`: exactly, else the one with most of the sample's columns."""

    def order(name: str) -> int:
        return SUFFIXES.index(suffix_of(name) or ".csv")

    exact = [t for t in tables if "/" not in t and stem_of(t) == part]
    if exact:
        return min(exact, key=order)
    named = [t for t in tables if t.lower().startswith(part) or stem_of(t).endswith(f"_{part}")]
    if part == "train":
        named = [t for t in named if not t.startswith("test/")]
    if not named:
        return None
    return min(named, key=lambda t: (_misfit(folder / t, part, asked), len(t), order(t), t))


def _misfit(path: Path, part: str, asked: tuple[str, ...]) -> tuple[bool, int]:
    """Train needs the id and the sample's other columns; test needs the id and none of them."""
    held = set(columns_of(path))
    predictions = len(set(asked[1:]) & held)
    return not set(asked[:1]) <= held, predictions if part == "test" else -predictions


def _holds_labels(folder: Path, tables: list[str], asked: tuple[str, ...]) -> str | None:
    """A table under another name with the prediction columns and the id, or called labels."""
    rest = [t for t in tables if not stem_of(Path(t).name).startswith("test")]
    whole = [t for t in rest if len(asked) > 1 and set(asked) <= set(columns_of(folder / t))]
    labels = [
        t for t in rest if "label" in stem_of(t) and set(asked[:1]) <= set(columns_of(folder / t))
    ]
    return min(whole or labels, key=lambda t: (len(t), t), default=None)
