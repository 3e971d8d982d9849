"""The bundled example competitions: complete, honest, reproducible, and worth fine-tuning."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from rdagent.competition import examples_dir, list_competitions, load_competition

ROOT = examples_dir()
TARGETS = {
    "breast-cancer": "malignant",
    "diabetes-progression": "progression",
    "digits-finetune": "digit",
    "digits-torch": "digit",
}
FINETUNE = ("digits-finetune", "digits-torch")


@cache
def tables(name: str) -> tuple[pd.DataFrame, pd.DataFrame, pd.Series]:
    """Train, test and the true values of the test rows in test's order."""
    train, test = (pd.read_csv(ROOT / name / f"{part}.csv") for part in ("train", "test"))
    answers = pd.read_csv(ROOT / "eval" / name / "submission_test.csv").set_index("id")
    return train, test, answers.loc[test["id"], TARGETS[name]].reset_index(drop=True)


def pixels(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    train, test, truth = tables(name)
    columns = list(test.columns[1:])
    X, T = (part[columns].to_numpy(np.float32) for part in (train, test))
    return X, train["digit"].to_numpy(), T, truth.to_numpy()


def test_the_four_examples_are_understood() -> None:
    assert list_competitions(ROOT) == sorted(TARGETS)
    wanted = {
        "breast-cancer": ("binary", "roc_auc", "probability"),
        "diabetes-progression": ("regression", "rmse", "value"),
        "digits-finetune": ("multiclass", "accuracy", "label"),
        "digits-torch": ("multiclass", "accuracy", "label"),
    }
    for name, expected in wanted.items():
        c = load_competition(name, ROOT, finetune=name in FINETUNE)
        assert (c.task, c.metric, c.output) == expected
        assert c.prediction_columns == (TARGETS[name],)
        if name in FINETUNE:
            assert c.prev_model is not None
            assert c.prev_model.trained_on_train == "no"
    assert load_competition("digits-finetune", ROOT, finetune=True).prev_model is not None


@pytest.mark.parametrize("name", TARGETS)
def test_ids_are_unique_and_shared_by_test_sample_and_answers(name: str) -> None:
    train, test, truth = tables(name)
    assert list(train.columns) == [*test.columns, TARGETS[name]]
    ids = pd.concat([train["id"], test["id"]])
    assert ids.is_unique
    answers = pd.read_csv(ROOT / "eval" / name / "submission_test.csv")
    assert list(answers["id"]) == list(test["id"])
    assert truth.notna().all()
    sample = ROOT / name / "sample_submission.csv"
    assert sample.exists() == (name != "breast-cancer")
    if sample.exists():
        assert list(pd.read_csv(sample)["id"]) == list(test["id"])
        assert list(pd.read_csv(sample).columns) == list(answers.columns)
    # Neither id nor row order says anything about the target.
    for clue in (train["id"], pd.Series(train.index)):
        assert abs(clue.corr(train[TARGETS[name]], method="spearman")) < 0.2


def test_everything_is_small() -> None:
    sizes = [p.stat().st_size for p in ROOT.rglob("*") if p.is_file()]
    assert sum(sizes) < 1_500_000


# ------------------------------------------------------------------ scripts that travel along


def run_script(script: Path, folder: Path, submission: pd.DataFrame) -> tuple[int, str]:
    """As the grader does: the script, the answers and a submission in a fresh folder."""
    folder.mkdir()
    shutil.copy(script, folder)
    shutil.copy(script.parent / "submission_test.csv", folder)
    submission.to_csv(folder / "submission.csv", index=False)
    command = [sys.executable, script.name, script.parent.name]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_grade_py_prints_the_accuracy(tmp_path: Path) -> None:
    script = ROOT / "eval" / "digits-finetune" / "grade.py"
    answers = pd.read_csv(script.parent / "submission_test.csv")
    code, printed = run_script(script, tmp_path / "right", answers.sample(frac=1, random_state=0))
    wanted = {"competition_id": "digits-finetune", "score": 1.0, "is_lower_better": False}
    assert (code, json.loads(printed)) == (0, wanted)

    zeros = answers.assign(digit=0)
    _, printed = run_script(script, tmp_path / "zeros", zeros)
    assert json.loads(printed)["score"] == pytest.approx((answers["digit"] == 0).mean())


def test_valid_py_names_what_is_wrong(tmp_path: Path) -> None:
    script = ROOT / "eval" / "digits-finetune" / "valid.py"
    sample = pd.read_csv(ROOT / "digits-finetune" / "sample_submission.csv")
    cases = {
        "valid": sample,
        "columns must be": sample.rename(columns={"digit": "label"}),
        "occur twice": pd.concat([sample, sample.head(1)]),
        "1 ids are missing": sample.iloc[1:],
        "whole number": sample.assign(digit=0.5),
    }
    for number, (words, submission) in enumerate(cases.items()):
        code, printed = run_script(script, tmp_path / str(number), submission)
        assert words in printed
        assert (code == 0) == (words == "valid")


def test_sample_py_makes_a_smaller_competition(tmp_path: Path) -> None:
    source, target = ROOT / "diabetes-progression", tmp_path / "debug"
    given = {"dataset_path": str(source), "output_path": str(target)}
    exec((source / "sample.py").read_text(), given)
    whole, small = pd.read_csv(source / "train.csv"), pd.read_csv(target / "train.csv")
    assert len(small) == 60
    assert set(small["id"]) < set(whole["id"])
    assert small["progression"].std() > 0.7 * whole["progression"].std()
    assert (target / "test.csv").read_bytes() == (source / "test.csv").read_bytes()


# ------------------------------------------------------------------ fine-tuning pays


def scratch_scores(name: str) -> dict[str, float]:
    """Test accuracy of what a data scientist would train on the new rows alone."""
    X, y, T, truth = pixels(name)
    models = {
        "linear": make_pipeline(StandardScaler(), LogisticRegression(C=0.05, max_iter=500)),
        "svc": SVC(C=3),
        "forest": RandomForestClassifier(200, random_state=0),
        "extra trees": ExtraTreesClassifier(200, random_state=0),
        "boosting": HistGradientBoostingClassifier(max_iter=60, random_state=0),
        "network": make_pipeline(
            StandardScaler(), MLPClassifier((96, 48), alpha=1, max_iter=200, random_state=0)
        ),
    }
    return {key: model.fit(X, y).score(T, truth) for key, model in models.items()}


def finetune_sklearn(seed: int) -> float:
    """Test accuracy after 30 more epochs on the new rows, as prev_model's docstring says."""
    import joblib

    X, y, T, truth = pixels("digits-finetune")
    (checkpoint,) = (ROOT / "digits-finetune" / "prev_model" / "models").glob("*.joblib")
    network = joblib.load(checkpoint)["network"].set_params(batch_size=32)
    scaler = StandardScaler().fit(X)
    rng = np.random.default_rng(seed)
    for _ in range(30):
        order = rng.permutation(len(X))
        network.partial_fit(scaler.transform(X)[order], y[order])
    return float(network.score(scaler.transform(T), truth))


def test_finetuning_beats_the_old_network_and_training_anew() -> None:
    import joblib

    _, _, T, truth = pixels("digits-finetune")
    (checkpoint,) = (ROOT / "digits-finetune" / "prev_model" / "models").glob("*.joblib")
    pipeline = joblib.load(checkpoint)
    assert isinstance(pipeline, Pipeline)
    as_it_is = pipeline.score(T, truth)
    anew = max(scratch_scores("digits-finetune").values())
    tuned = [finetune_sklearn(seed) for seed in range(3)]
    assert as_it_is == pytest.approx(0.53, abs=0.04)
    assert anew == pytest.approx(0.68, abs=0.04)
    assert min(tuned) > anew + 0.06 > as_it_is + 0.06


def test_finetuning_the_torch_network_beats_both_too(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    shutil.copy(ROOT / "digits-torch" / "prev_model" / "main.py", tmp_path / "old_digits.py")
    sys.path.insert(0, str(tmp_path))
    try:
        import old_digits  # type: ignore[import-not-found]
    finally:
        sys.path.remove(str(tmp_path))
    train, test, truth = tables("digits-torch")
    (checkpoint,) = (ROOT / "digits-torch" / "prev_model" / "models").glob("*.pt")

    def accuracy(network: object) -> float:
        network.eval()  # type: ignore[attr-defined]
        with torch.no_grad():
            digits = network(old_digits.to_pictures(test)).argmax(1)  # type: ignore[operator]
        return float((digits.numpy() == truth.to_numpy()).mean())

    torch.manual_seed(0)
    network = old_digits.DigitNet()
    network.load_state_dict(torch.load(checkpoint, weights_only=True))
    as_it_is = accuracy(network)
    labels = torch.tensor(train["digit"].to_numpy())
    old_digits.train(network, old_digits.to_pictures(train), labels, epochs=30, batch=32)
    anew = max(scratch_scores("digits-torch").values())
    assert accuracy(network) > anew + 0.06 > as_it_is + 0.06


def test_prev_model_trains_as_a_script_of_its_own(tmp_path: Path) -> None:
    shutil.copy(ROOT / "digits-finetune" / "prev_model" / "main.py", tmp_path)
    script, table = tmp_path / "main.py", ROOT / "digits-finetune" / "train.csv"
    done = subprocess.run(
        [sys.executable, script, table], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert "30 updates" in done.stdout
    assert (tmp_path / "models" / "digits-step-30.joblib").is_file()


# ------------------------------------------------------------------ made by the script beside them


def test_the_script_makes_the_same_tables_again(tmp_path: Path) -> None:
    copy = tmp_path / "ds_data_example"
    shutil.copytree(ROOT, copy)
    made = sorted(copy.rglob("*.csv"))
    for path in made:
        path.unlink()
    command = [sys.executable, ROOT / "make_examples.py", "--tables", "--out", copy]
    subprocess.run(command, check=True, capture_output=True)
    for path in made:
        here, there = pd.read_csv(ROOT / path.relative_to(copy)), pd.read_csv(path)
        assert list(here.columns) == list(there.columns)
        numbers = here.select_dtypes("number")
        # Another processor may round a last digit the other way.
        same = np.isclose(numbers, there[numbers.columns], atol=1e-9, equal_nan=True)
        assert same.mean() > 0.999


@pytest.mark.long
def test_the_script_makes_an_equal_checkpoint_again(tmp_path: Path) -> None:
    import joblib

    copy = tmp_path / "ds_data_example"
    shutil.copytree(ROOT, copy)
    command = [sys.executable, ROOT / "make_examples.py", "--out", copy]
    subprocess.run(command, check=True, capture_output=True)
    _, _, T, truth = pixels("digits-finetune")
    here, there = (
        joblib.load(next((root / "digits-finetune" / "prev_model" / "models").iterdir()))
        for root in (ROOT, copy)
    )
    assert here.score(T, truth) == pytest.approx(there.score(T, truth), abs=0.03)
