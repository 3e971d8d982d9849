"""The delivered program on new rows."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from small_run import command, make_competition, play

from rdagent.errors import SetupError
from rdagent.predict import predict as predict_new_rows
from rdagent.settings import load_settings

NEW = "id,x\nb,2.0\na,1.0\nc,5.5\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs: one delivered a refit, the other its fold models."""
    base = tmp_path_factory.mktemp("made")
    make_competition(base / "data")
    play(base / "data", base / "log", rounds=1).rename(base / "log/refit")
    play(base / "data", base / "log", rounds=1, limit=60).rename(base / "log/members")
    return base


@pytest.fixture
def base(made: Path, tmp_path: Path) -> Path:
    base = tmp_path / "b"
    shutil.copytree(made, base, symlinks=True)
    (base / "new").mkdir()
    (base / "new/test.csv").write_text(NEW)
    return base


def predict(base: Path, *words: str, run: str = "refit") -> subprocess.CompletedProcess[str]:
    return command(
        "rdagent", "predict", run, "--data", "new", *words,
        cwd=base, DS_LOCAL_DATA_PATH=base / "data",
    )  # fmt: skip


def refused(base: Path, run: str = "refit", output: str = "submission.csv") -> str:
    """The sentence of a refusal, asked in this process: a command takes a second to start."""
    settings = load_settings({"local_data_path": base / "data", "trace_path": base / "log"}, {})
    with pytest.raises(SetupError) as error:
        predict_new_rows(Path(run), base / "new", base / output, settings)
    assert not (base / "submission.csv").exists()
    return str(error.value)


@pytest.mark.parametrize("run", ["refit", "members"])
def test_new_rows_are_predicted_in_their_own_order(base: Path, run: str) -> None:
    assert (base / f"log/{run}/best/members").is_dir() == (run == "members")
    done = predict(base, run=run)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "3 predictions written to submission.csv\n"
    frame = pd.read_csv(base / "submission.csv")
    assert list(frame.columns) == ["id", "y"]
    assert list(frame["id"]) == ["b", "a", "c"]
    assert list(frame["y"]) == pytest.approx([6.0, 3.0, 16.5], abs=1.0)


def test_members_are_averaged(base: Path) -> None:
    import json

    lines = [
        json.loads(p.read_text())
        for p in (base / "log/members/best").glob("members/*/workspace_input/models/line.json")
    ]
    assert len(lines) == 5
    predict(base, run="members")
    mean = sum(slope * 5.5 + level for slope, level in lines) / 5
    assert pd.read_csv(base / "submission.csv")["y"][2] == pytest.approx(mean)


def test_a_run_can_be_named_by_path_and_the_output_chosen(base: Path) -> None:
    (base / "mine.csv").write_text("old")
    done = predict(base, "--output", "mine.csv", run=str(base / "log/refit"))
    assert done.returncode == 0, done.stderr
    assert len(pd.read_csv(base / "mine.csv")) == 3
    assert not (base / "submission.csv").exists()


def test_the_test_set_of_the_competition_gives_the_delivered_submission(base: Path) -> None:
    shutil.copy(base / "data/tiny/test.csv", base / "new/test.csv")
    assert predict(base).returncode == 0
    delivered = pd.read_csv(base / "log/refit/best/submission.csv")
    pd.testing.assert_frame_equal(pd.read_csv(base / "submission.csv"), delivered)


def test_what_is_missing_is_named(base: Path) -> None:
    assert "there is no run nowhere" in refused(base, run="nowhere")
    (base / "new/test.csv").write_text("id,z\na,1\n")
    assert "lack columns that the program was trained with: x" in refused(base)
    for text, sentence in {
        "": "is empty",
        "id,x\n": "holds no rows",
        "x\n1\n": "no column id",
    }.items():
        (base / "new/test.csv").write_text(text)
        assert sentence in refused(base)
    (base / "new/test.csv").unlink()
    assert "holds no test.csv: put the rows to predict there" in refused(base)
    (base / "new").rmdir()
    assert "there is no folder" in refused(base)


def test_the_output_must_be_writable(base: Path) -> None:
    assert "give --output a file" in refused(base, output="absent/mine.csv")
    assert "give --output a file" in refused(base, output="new")


def test_a_run_that_delivered_nothing_says_so_in_one_sentence(base: Path) -> None:
    (base / "log/refit/best").unlink()
    done = predict(base)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("refit has delivered nothing yet: ")
    assert done.stderr.count("\n") == 1


def test_a_program_that_would_train_again_fails(base: Path) -> None:
    (base / "log/refit/best/workspace_input/models/line.json").unlink()
    assert "the delivered program ended with exit code 1 on these rows" in refused(base)


def test_a_program_that_changes_its_model_is_refused(base: Path) -> None:
    main = base / "log/refit/best/workspace_input/main.py"
    main.write_text(main.read_text() + "\nmodel.write_text('[0, 0]')\n")
    assert "changed its models/" in refused(base)
    # The delivered model itself is a copy's original: untouched.
    assert (base / "log/refit/best/workspace_input/models/line.json").read_text() != "[0, 0]"


def test_invalid_predictions_are_refused(base: Path) -> None:
    main = base / "log/refit/best/workspace_input/main.py"
    main.write_text("open('submission.csv', 'w').write('id,y\\nb,nan\\na,1\\nc,1\\n')")
    assert "the delivered program's predictions are invalid" in refused(base)
