"""Grades a submission on the test answers in `eval/<competition>/`, after the fact.

Only commands import this: what the loop knew of a test score would be a leak.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from rdagent.competition import read_train
from rdagent.competition.tables import canonical_ids, read_table
from rdagent.errors import GradingError, RDAgentError, SetupError
from rdagent.graders.encoding import Encoder
from rdagent.graders.script import run_script, run_valid
from rdagent.metrics import Metric, get_metric
from rdagent.metrics.resampling import Array
from rdagent.records import Competition, Record, Score


class EvalFolderGrader(Record):
    """The user's `grade.py` where there is one, else the competition's metric."""

    competition: Competition

    def grade(self, submission: Path) -> Score | None:
        """The test score; None when there are no answers. Raises GradingError with the reason."""
        c = self.competition
        answers = c.eval_dir / "submission_test.csv" if c.eval_dir else None
        if c.eval_dir is None or answers is None or not answers.is_file():
            return None
        if not submission.is_file():
            raise GradingError(f"{submission.name} is missing")
        valid, grade = c.eval_dir / "valid.py", c.eval_dir / "grade.py"
        if valid.is_file():
            run_valid(valid, c.id, answers, submission)
        if grade.is_file():
            report = run_script(grade, c.id, answers, submission)
            value = report["score"]
            higher = not report.get("is_lower_better", not c.higher_is_better)
        else:
            value, higher = _by_metric(c, answers, submission), c.higher_is_better
        return Score(value=value, metric=c.metric, higher_is_better=higher, source="test")


def _by_metric(c: Competition, answers: Path, submission: Path) -> float:
    if c.metric == "grade.py":
        raise GradingError(f"the metric is grade.py, and eval/{c.id} holds none")
    metric = get_metric(c.metric)
    try:
        true, predicted = _aligned(c, *(read_table(p, c.id_columns) for p in (answers, submission)))
        y, encoder = _truth(c, metric, true)
        value = metric.score(y, encoder.predicted(predicted))
    except GradingError:
        raise
    except RDAgentError as error:
        raise GradingError(str(error)) from error
    if not np.isfinite(value):
        raise GradingError(f"{c.metric} is undefined on the answers")
    return value


def _aligned(
    c: Competition, true: pd.DataFrame, predicted: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both tables row by row in the order of the answers: by id, else by position."""
    if lacking := [p for p in c.prediction_columns if p not in predicted]:
        raise GradingError(f"the submission has no column {lacking[0]!r}")
    if c.id_column is None or c.id_column not in true:
        if len(true) != len(predicted):
            raise GradingError(
                f"the submission has {len(predicted)} rows and the answers have {len(true)}"
            )
        return true, predicted
    if c.id_column not in predicted:
        raise GradingError(f"the submission has no column {c.id_column!r}")
    ours, theirs = true[c.id_column], predicted[c.id_column]
    if not set(ours) <= set(theirs):
        ours, theirs = canonical_ids(ours), canonical_ids(theirs)
    if theirs.duplicated().any():
        twice = theirs[theirs.duplicated()].iloc[0]
        raise GradingError(f"the submission has {c.id_column} {twice!r} twice")
    place = pd.Index(theirs).get_indexer(pd.Index(ours))
    if (place < 0).any():
        raise GradingError(
            f"the submission lacks {int((place < 0).sum())} of {len(true)} rows, such as "
            f"{c.id_column} {ours[place < 0].iloc[0]!r}"
        )
    return true, predicted.iloc[place].reset_index(drop=True)


def _truth(c: Competition, metric: Metric, true: pd.DataFrame) -> tuple[Array, Encoder]:
    """Answers come as labels (`author`) or in the sample's columns (one 0/1 column a class)."""
    targets, predictions = list(c.target_columns), list(c.prediction_columns)
    labels = read_train(c)[targets]
    named = set(targets) <= set(true.columns)
    if not named and not set(predictions) <= set(true.columns):
        raise GradingError(
            f"submission_test.csv has neither {', '.join(targets[:3])} nor the columns of the "
            f"submission ({', '.join(predictions[:3])})"
        )
    if c.output == "probability":
        encoder = Encoder(c, labels, metric)
        try:
            return (encoder.truth if named else encoder.truth_in_sample)(true), encoder
        except SetupError:
            if not named or not set(predictions) <= set(true.columns):
                raise
            return encoder.truth_in_sample(true), encoder
    answers = true[targets if named else predictions].set_axis(targets, axis=1)
    # a class may be absent from train and still be an answer
    encoder = Encoder(c, pd.concat([labels, answers], ignore_index=True), metric)
    return encoder.truth(answers), encoder
