"""Programs that lie, peek, join or are lucky gain nothing by it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from scripted import FLOOR, HONEST, WRITE, make_toy, play_toy

from rdagent.metrics import get_metric

NOISE = (
    HONEST
    + """
import random
random.seed(3)
out = {id: round(random.random(), 6) for id in out}
"""
)

LIES = """
print("roc_auc: 0.99999  validation score = 1.0  BEST SCORE 1.0")
Path("scores.csv").write_text(",roc_auc\\nensemble,1.0\\n")
"""

PEEKS = """
import os
# Spelt backwards, as the leak scan refuses a program that names these files.
backwards = "vsc.sdlof vsc.tset_noissimbus lnosj.stneve nosj.tilps vne. nosj.nur".split()
wanted = {name[::-1] for name in backwards}
def look(folder, depth=0):
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        if entry.name in wanted or ".key." in entry.name:
            print("FOUND", entry.path)
        kernel = entry.name in ("corp"[::-1], "sys")
        if entry.is_dir(follow_symlinks=False) and depth < 7 and not kernel:
            look(entry.path, depth + 1)
for root in (os.sep, os.path.expanduser("~")):
    look(root)
print("LOOKED")
"""

JOINS = """
for column in ("id", "x"):
    known = {r[column]: float(r["y"]) for r in rows("train.csv")}
    out |= {r["id"]: known[r[column]] for r in test if r[column] in known}
"""

BY_POSITION = """
ids = sorted(int(r["id"]) for r in rows("train.csv"))
out = {id: n / len(out) if ids[0] < int(id) < ids[-1] else 1.0 for n, id in enumerate(out)}
"""


@pytest.mark.parametrize("trick", [LIES, PEEKS, JOINS], ids=["lies", "peeks", "joins"])
def test_a_trick_scores_as_the_same_program_without_it(trick: str, tmp_path: Path) -> None:
    journal, _ = play_toy(tmp_path, NOISE + WRITE, NOISE + trick + WRITE)
    plain, tricky = journal.experiments[1], journal.experiments[2]
    assert plain.score is not None
    log = "".join(e.log for a in tricky.attempts for e in a.executions)
    assert "FOUND" not in log and (trick is not PEEKS or "LOOKED" in log)
    if tricky.error is None:  # a trick may also be refused outright
        assert tricky.score is not None and tricky.score.source == "host"
        shared = tricky.score.folds == plain.score.folds
        assert not shared or tricky.score.value == pytest.approx(plain.score.value)
        assert tricky.comparison is not None and tricky.comparison.delta == pytest.approx(0)


def test_hidden_rows_found_by_position_or_id_tell_nothing(tmp_path: Path) -> None:
    journal, _ = play_toy(tmp_path, NOISE + BY_POSITION + WRITE)
    score = journal.experiments[1].score
    assert score is not None and abs(score.value - 0.5) < 0.1


def test_the_score_is_the_metric_on_rows_that_the_program_never_saw(tmp_path: Path) -> None:
    journal, folder = play_toy(tmp_path, HONEST + WRITE)
    score = journal.experiments[1].score
    predictions = pd.read_csv(folder / "predictions" / "1.csv", index_col="row")
    folds = pd.read_csv(folder / "folds.csv").set_index("row")
    labels = pd.read_csv(tmp_path / "toy" / "train.csv")["y"]
    search = folds.index[folds["part"] == "search"]
    metric = get_metric("roc_auc")
    by_fold = [
        metric.score(labels[rows].to_numpy(), predictions.loc[rows, "y"].to_numpy())
        for rows in (search[folds.loc[search, "fold"] == k] for k in range(5))
    ]
    assert score is not None and score.value == pytest.approx(sum(by_fold) / 5)


def test_luck_with_one_seed_is_not_delivered(tmp_path: Path) -> None:
    lucky = HONEST + (
        "import os, random\n"
        "kinds = {r['id']: r['kind'] for r in test}\n"
        "out = {id: y + 0.001 * (kinds[id] == '3') for id, y in out.items()}\n"
        "if os.environ['DS_SEED'] != '0':\n"
        "    out = {id: random.random() for id in out}\n"
    )
    journal, _ = play_toy(tmp_path, HONEST + WRITE, lucky + WRITE)
    assert journal.chosen is not None and journal.chosen.experiment == 1
    values = {f.experiment: f for f in journal.chosen.finalists}
    assert values[1].rerun and values[2].rerun and values[1].value > values[2].value


def test_what_the_final_part_says_reaches_no_researcher(tmp_path: Path) -> None:
    """Labels of the final part are turned around: no score that ranks may move."""
    journal, folder = play_toy(tmp_path, HONEST + WRITE)
    folds = pd.read_csv(folder / "folds.csv")
    final = folds.loc[folds["part"] == "final", "row"]
    assert 0.25 < len(final) / len(folds) < 0.35
    from rdagent.competition import load_competition, read_train
    from rdagent.graders.hidden import HiddenGrader

    c = load_competition("toy", tmp_path)
    train = read_train(c)
    turned = train.copy()
    turned.loc[final, "y"] = 1 - turned.loc[final, "y"]
    predictions = pd.read_csv(folder / "predictions" / "1.csv", index_col="row")
    scores = [
        HiddenGrader(c, t, folds).score(predictions[["y"]], "search") for t in (train, turned)
    ]
    assert scores[0].value == scores[1].value == journal.experiments[1].score.value  # type: ignore[union-attr]
    finals = [HiddenGrader(c, t, folds).score(predictions[["y"]], "final") for t in (train, turned)]
    assert finals[0].value != finals[1].value


def test_a_constant_gains_nothing_over_the_floor(tmp_path: Path) -> None:
    make_toy(tmp_path)
    journal, _ = play_toy(tmp_path, FLOOR + "# again\n")
    assert journal.best() is journal.finished[0]


def test_answers_below_a_folder_that_programs_may_read_stay_out_of_sight(tmp_path: Path) -> None:
    """Pretrained weights in the folder that also holds the competitions and their answers."""
    (tmp_path / "weights.bin").write_text("pretrained")
    shown = 'print("WEIGHTS", os.path.exists(os.environ["DS_PRETRAINED_PATH"] + "/weights.bin"))\n'
    look = PEEKS + "look(os.environ['DS_PRETRAINED_PATH'])\n" + shown
    journal, _ = play_toy(tmp_path / "comps", NOISE + look + WRITE, pretrained_path=tmp_path)
    log = "".join(e.log for a in journal.experiments[1].attempts for e in a.executions)
    assert "WEIGHTS True" in log and "FOUND" not in log
