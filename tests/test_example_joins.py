"""Joining the examples' test rows with scikit-learn's originals tells less than a model does."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from scipy.stats import rankdata
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.decomposition import PCA, FastICA
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeCV
from sklearn.metrics import roc_auc_score, root_mean_squared_error
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from rdagent.competition import examples_dir

Pair = tuple[np.ndarray, np.ndarray]
ROOT = examples_dir()


def tables(name: str, target: str) -> tuple[pd.DataFrame, pd.Series, pd.DataFrame, pd.Series]:
    """Train features and target, test features and true values, numbers without gaps."""
    train, test = (pd.read_csv(ROOT / name / f"{part}.csv") for part in ("train", "test"))
    truth = pd.read_csv(ROOT / "eval" / name / "submission_test.csv")[target]
    if "sex" in test:
        for part in (train, test):
            part["sex"] = (part["sex"] == "b") + 0.0
    X, T = train.drop(columns=["id", target]), test.drop(columns="id")
    filler = SimpleImputer(strategy="median").set_output(transform="pandas").fit(X)
    return filler.transform(X), train[target], filler.transform(T), truth


def standard(values: np.ndarray) -> np.ndarray:
    return (values - values.mean(axis=0)) / values.std(axis=0)


def skewed_right(values: np.ndarray) -> np.ndarray:
    """Turn each column so that its long tail points right: makes signs comparable."""
    return values * np.sign((standard(values) ** 3).mean(axis=0))


def joins(ours: np.ndarray, originals: np.ndarray) -> Iterator[tuple[str, Pair]]:
    """Ways to bring our rows and the originals into one space, without labels."""
    width = min(ours.shape[1], originals.shape[1])
    yield "as it is", (ours[:, :width], originals[:, :width])
    yield "standardised", (standard(ours)[:, :width], standard(originals)[:, :width])
    a, b = (rankdata(x, axis=0) / len(x) for x in (ours, originals))
    yield "ranked", (a[:, :width], b[:, :width])

    a, b = skewed_right(standard(ours)), skewed_right(standard(originals))
    levels = np.linspace(0.02, 0.98, 49)
    shapes = [np.quantile(x, levels, axis=0) for x in (a, b)]
    gaps = ((shapes[0][:, :, None] - shapes[1][:, None]) ** 2).sum(axis=0)
    mine, theirs = linear_sum_assignment(gaps)
    yield "columns matched by distribution", (a[:, mine], b[:, theirs])

    for whiten in (False, True):
        a, b = (
            skewed_right(PCA(width, whiten=whiten).fit_transform(standard(x)))
            for x in (ours, originals)
        )
        yield f"principal components, whiten={whiten}", (a, b)
    a, b = (
        skewed_right(FastICA(width, random_state=0, max_iter=500, tol=1e-3).fit_transform(x))
        for x in (standard(ours), standard(originals))
    )
    shapes = [np.quantile(standard(x), levels, axis=0) for x in (a, b)]
    gaps = ((shapes[0][:, :, None] - shapes[1][:, None]) ** 2).sum(axis=0)
    mine, theirs = linear_sum_assignment(gaps)
    yield "independent components", (standard(a)[:, mine], standard(b)[:, theirs])


def aligned_by_target(
    X: np.ndarray, y: np.ndarray, T: np.ndarray, originals: np.ndarray, labels: np.ndarray
) -> Pair:
    """Learn the way back to the originals from train rows and originals of similar target."""
    ranks, theirs = (rankdata(v) / len(v) for v in (y, labels))
    like = np.exp(-((ranks[:, None] - theirs[None]) ** 2) / 2 / 0.02**2)
    guess = like @ standard(originals) / like.sum(axis=1, keepdims=True)
    scaler = StandardScaler().fit(X)
    back = Ridge(1.0).fit(scaler.transform(X), guess)
    return back.predict(scaler.transform(T)), standard(originals)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_breast_cancer_joins_tell_less_than_a_linear_model() -> None:
    X, y, T, truth = tables("breast-cancer", "malignant")
    bunch = load_breast_cancer()
    labels = 1 - bunch.target
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1)).fit(X, y)
    honest = roc_auc_score(truth, model.predict_proba(T)[:, 1])
    assert 0.95 < honest < 0.995

    found = dict(joins(T.to_numpy(), bunch.data))
    found["target"] = aligned_by_target(
        X.to_numpy(), y.to_numpy(), T.to_numpy(), bunch.data, labels
    )
    for way, (ours, originals) in found.items():
        for neighbours in (1, 5, 25):
            join = KNeighborsClassifier(neighbours).fit(originals, labels)
            score = roc_auc_score(truth, join.predict_proba(ours)[:, 1])
            assert score <= honest, (way, neighbours)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_diabetes_joins_tell_less_than_a_linear_model() -> None:
    X, y, T, truth = tables("diabetes-progression", "progression")
    bunch = load_diabetes(scaled=False)
    sex = bunch.feature_names.index("sex")
    model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-1, 3, 17))).fit(X, y)
    honest = root_mean_squared_error(truth, model.predict(T))
    assert 0.7 < honest / truth.std() < 0.9

    originals = np.hstack([bunch.data[:, [sex]], np.delete(bunch.data, sex, axis=1)])
    found = dict(joins(T.to_numpy(), originals))
    found["target"] = aligned_by_target(
        X.to_numpy(), y.to_numpy(), T.to_numpy(), originals, bunch.target
    )
    for way, (ours, theirs) in found.items():
        for neighbours in (1, 5, 25):
            values = KNeighborsRegressor(neighbours).fit(theirs, bunch.target).predict(ours)
            # The best that rescaling could do, told by the answers themselves.
            scaled = LinearRegression().fit(values[:, None], truth).predict(values[:, None])
            # A join that worked would leave little but the blur, a tenth of this.
            score = root_mean_squared_error(truth, scaled)
            assert score > 0.97 * honest, (way, neighbours)


@pytest.mark.parametrize(("name", "tilt"), [("digits-finetune", 20), ("digits-torch", -15)])
def test_digit_joins_tell_less_than_a_finetuned_network(name: str, tilt: float) -> None:
    X, _, T, truth = tables(name, "digit")
    images, labels = load_digits(return_X_y=True)
    tilted = np.array(
        [ndimage.rotate(x, -tilt, reshape=False, order=1).ravel() for x in images.reshape(-1, 8, 8)]
    )
    seen = np.vstack([X, T])
    for theirs in (images, tilted):
        ways = {
            "as it is": (T.to_numpy(), theirs),
            "standardised": (standard(seen)[len(X) :], StandardScaler().fit_transform(theirs)),
            "ranked": (
                rankdata(seen, axis=0)[len(X) :] / len(seen),
                rankdata(theirs, axis=0) / 1797,
            ),
        }
        for way, (a, b) in ways.items():
            for neighbours in (1, 5):
                join = KNeighborsClassifier(neighbours).fit(np.nan_to_num(b), labels)
                score = join.score(np.nan_to_num(a), truth)
                assert score < 0.74, (way, neighbours)
