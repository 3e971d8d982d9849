"""Metrics: plain values, their vectorised bootstrap, and the names people write."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics as sk

from rdagent.errors import SetupError
from rdagent.metrics import METRICS, default_metric, find_metric, get_metric
from rdagent.metrics.resampling import Array, bootstrap_weights


def data(metric: str, n: int = 60, seed: int = 0, classes: int = 2) -> tuple[Array, Array]:
    """Labels and predictions full of ties, in the form that the metric needs."""
    rng = np.random.default_rng(seed)
    needs = get_metric(metric).needs
    if needs == "value":
        y = rng.integers(0, 8, n).astype(float)
        return y, np.round(np.abs(y + rng.normal(0, 2, n)) * 2) / 2
    y = rng.integers(0, classes, n)
    if needs == "label":
        return y, np.where(rng.random(n) < 0.6, y, rng.integers(0, classes, n))
    if needs == "ranking":
        true = np.array([{f"l{k}"} if k else {"l0", "l3", "l9"} for k in y], dtype=object)
        ranked = np.empty(n, dtype=object)
        ranked[:] = [[f"l{k}" for k in rng.integers(0, 4, 6)] for _ in range(n)]
        return true, ranked
    if classes == 2:
        return y, np.round(np.clip(y * 0.2 + rng.random(n) * 0.8, 0, 1), 1)
    p = np.round(rng.random((n, classes)), 1) + 0.1 + 0.5 * np.eye(classes)[y]
    return y, p / p.sum(axis=1, keepdims=True)


SINGLE = [m for m in METRICS if not m.startswith("mean columnwise")] + [
    "pinball@0.9", "map@3", "ndcg@5", "ndcg@2"
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "classes"), [(n, k) for n in SINGLE for k in (2, 5) if (n, k) != ("f1", 5)]
)
def test_bootstrap_equals_plain_value_on_repeated_rows(name: str, classes: int) -> None:
    metric = get_metric(name)
    y, p = data(name, classes=classes)
    strata = np.arange(len(y)) % 3
    weights = bootstrap_weights(strata, seed=1, resamples=25)
    values = metric.resampled(y, p, weights)
    assert values.shape == (25,)
    for w, value in zip(weights, values, strict=True):
        rows = np.repeat(np.arange(len(y)), w.astype(int))
        assert value == pytest.approx(
            metric.score(y[rows], p[rows]), rel=1e-9, abs=1e-9, nan_ok=True
        )
    ones = np.ones((1, len(y)))
    assert metric.resampled(y, p, ones)[0] == pytest.approx(metric.score(y, p))
    assert values.std() > 0


def test_plain_values_equal_scikit_learn() -> None:
    y, p = data("roc_auc")
    assert get_metric("roc_auc").score(y, p) == sk.roc_auc_score(y, p)
    assert get_metric("average_precision").score(y, p) == sk.average_precision_score(y, p)
    assert get_metric("log_loss").score(y, p) == pytest.approx(sk.log_loss(y, p))
    assert get_metric("brier").score(y, p) == pytest.approx(sk.brier_score_loss(y, p))
    y, p = data("roc_auc", classes=4)
    assert get_metric("roc_auc").score(y, p) == pytest.approx(
        sk.roc_auc_score(y, p, multi_class="ovr", average="macro")
    )
    assert get_metric("log_loss").score(y, p) == pytest.approx(sk.log_loss(y, p))
    each = [sk.average_precision_score(y == k, p[:, k]) for k in range(4)]
    assert get_metric("average_precision").score(y, p) == pytest.approx(np.mean(each))
    labels, guesses = data("accuracy", classes=4)
    for name, value in {
        "accuracy": sk.accuracy_score(labels, guesses),
        "balanced_accuracy": sk.balanced_accuracy_score(labels, guesses),
        "f1_macro": sk.f1_score(labels, guesses, average="macro"),
        "f1_weighted": sk.f1_score(labels, guesses, average="weighted"),
        "mcc": sk.matthews_corrcoef(labels, guesses),
        "quadratic_kappa": sk.cohen_kappa_score(labels, guesses, weights="quadratic"),
    }.items():
        assert get_metric(name).score(labels, guesses) == pytest.approx(value), name


@pytest.mark.parametrize("name", ["rmse", "mae", "mse", "mape", "rmsle", "r2", "pinball@0.9"])
def test_bootstrap_equals_scikit_learn_with_sample_weight(name: str) -> None:
    y, p = data(name)
    y += 1
    weights = bootstrap_weights(np.zeros(len(y)), seed=3, resamples=5)
    functions = {
        "rmse": sk.root_mean_squared_error, "mae": sk.mean_absolute_error,
        "mse": sk.mean_squared_error, "mape": sk.mean_absolute_percentage_error,
        "rmsle": sk.root_mean_squared_log_error, "r2": sk.r2_score,
        "pinball@0.9": lambda a, b, **k: sk.mean_pinball_loss(a, b, alpha=0.9, **k),
    }  # fmt: skip
    expected = [functions[name](y, p, sample_weight=w) for w in weights]
    assert get_metric(name).resampled(y, p, weights) == pytest.approx(expected)


def test_known_values_of_what_scikit_learn_lacks() -> None:
    assert get_metric("smape").score(np.array([1.0, 0.0]), np.array([3.0, 0.0])) == 50.0
    true = np.array([{"a"}, {"a"}, {"a", "b"}, {"z"}], dtype=object)
    ranked = np.empty(4, dtype=object)
    ranked[:] = [["a", "b"], ["b", "b", "a"], ["b", "c", "a"], ["a"]]
    # 1, 1/3, (1 + 2/3) / 2, 0; a repeated label holds its place but counts once
    expected = (1 + 1 / 3 + 5 / 6 + 0) / 4
    assert get_metric("map@3").score(true, ranked) == pytest.approx(expected)
    assert get_metric("map@1").score(true, ranked) == pytest.approx(2 / 4)
    one = 1 / np.log2(4)
    assert get_metric("ndcg@3").score(true[1:2], ranked[1:2]) == pytest.approx(one)
    assert get_metric("ndcg@3").score(true[2:3], ranked[2:3]) == pytest.approx(
        (1 + 1 / np.log2(4)) / (1 + 1 / np.log2(3))
    )


def test_ndcg_equals_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    relevance = rng.integers(0, 2, (30, 8))
    relevance[:, 0] = 1
    scores = rng.random((30, 8))
    true, ranked = np.empty(30, dtype=object), np.empty(30, dtype=object)
    true[:] = [{str(j) for j in np.flatnonzero(row)} for row in relevance]
    ranked[:] = [[str(j) for j in np.argsort(-row)] for row in scores]
    for k in (1, 3, 8):
        expected = sk.ndcg_score(relevance, scores, k=k)
        assert get_metric(f"ndcg@{k}").score(true, ranked) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["f1_macro", "f1_micro", "f1_weighted"])
def test_f1_of_several_indicator_columns(name: str) -> None:
    rng = np.random.default_rng(0)
    y, p = rng.integers(0, 2, (40, 6)), rng.integers(0, 2, (40, 6))
    y[:, 5] = 0
    metric = get_metric(name)
    average = name.removeprefix("f1_")
    assert metric.score(y, p) == pytest.approx(sk.f1_score(y, p, average=average, zero_division=0))
    weights = bootstrap_weights(np.zeros(40), seed=0, resamples=10)
    for w, value in zip(weights, metric.resampled(y, p, weights), strict=True):
        expected = sk.f1_score(y, p, average=average, sample_weight=w, zero_division=0)
        assert value == pytest.approx(expected)


@pytest.mark.parametrize("name", ["roc_auc", "log_loss", "mcrmse", "rmsle", "r2", "accuracy"])
def test_several_targets_are_the_mean_over_columns(name: str) -> None:
    pairs = [data(name, seed=s) for s in range(3)]
    y = np.column_stack([pair[0] for pair in pairs])
    p = np.column_stack([pair[1] for pair in pairs])
    weights = bootstrap_weights(np.zeros(len(y)), seed=0, resamples=8)
    wanted = f"mean columnwise {name}" if name != "mcrmse" else name
    metric = get_metric(wanted)
    assert metric.name == wanted
    assert metric.score(y, p) == pytest.approx(np.mean([metric.score(*pair) for pair in pairs]))
    each = [metric.resampled(*pair, weights) for pair in pairs]
    assert metric.resampled(y, p, weights) == pytest.approx(np.mean(each, axis=0))


def test_missing_classes_leave_auc_of_the_others() -> None:
    y, p = data("roc_auc", n=200, classes=30)
    y[y == 7] = 8
    metric = get_metric("roc_auc")
    present = [k for k in range(30) if k != 7]
    expected = np.mean([sk.roc_auc_score(y == k, p[:, k]) for k in present])
    assert metric.score(y, p) == pytest.approx(expected)
    assert np.isfinite(metric.resampled(y, p, bootstrap_weights(np.zeros(200), 0, 50))).all()
    single = np.zeros(5, dtype=int)
    assert np.isnan(metric.score(single, np.linspace(0, 1, 5)))
    assert np.isnan(metric.resampled(single, np.linspace(0, 1, 5), np.ones((2, 5)))).all()
    assert metric.score(np.array([True, False]), np.array([0.9, 0.1])) == 1.0


def test_gap_in_ratings_counts_as_a_distance() -> None:
    y, p = np.array([0, 0, 1, 4, 4, 1]), np.array([0, 1, 1, 4, 0, 4])
    expected = sk.cohen_kappa_score(y, p, labels=range(5), weights="quadratic")
    assert get_metric("qwk").score(y, p) == pytest.approx(expected)
    assert get_metric("qwk").resampled(y, p, np.ones((1, 6)))[0] == pytest.approx(expected)


def test_constant_predictions() -> None:
    y, p = np.arange(10.0), np.ones(10)
    assert get_metric("spearman").score(y, p) == 0
    assert (get_metric("spearman").resampled(y, p, np.ones((2, 10))) == 0).all()
    assert np.isnan(get_metric("spearman").score(p, y))
    assert np.isnan(get_metric("r2").resampled(p * 0.1, y, np.ones((2, 10)))).all()
    assert get_metric("mcc").score(np.array([0, 1, 1]), np.array([1, 1, 1])) == 0
    codes = np.ones(4, dtype=int)
    assert np.isnan(get_metric("quadratic_kappa").score(codes, codes))


def test_log_loss_normalises_rows_and_survives_certainty() -> None:
    y, p = np.array([0, 1, 2]), np.array([[2.0, 1, 1], [0, 3, 1], [0, 0, 0]])
    expected = -(np.log(0.5) + np.log(0.75) + np.log(1 / 3)) / 3
    assert get_metric("log_loss").score(y, p) == pytest.approx(expected)
    assert np.isfinite(get_metric("log_loss").score(np.array([0, 1]), np.array([1.0, 0.0])))


def test_bootstrap_weights_keep_strata_and_groups() -> None:
    strata = np.array([0] * 10 + [1] * 5 + [2])
    weights = bootstrap_weights(strata, seed=0)
    assert weights.shape == (200, 16)
    for s, size in ((0, 10), (1, 5), (2, 1)):
        assert (weights[:, strata == s].sum(axis=1) == size).all()
    assert weights.std(axis=0)[:15].min() > 0
    assert weights.mean() == pytest.approx(1)
    shuffled = np.random.default_rng(0).permutation(16)
    again = bootstrap_weights(strata[shuffled], seed=5)
    assert (again[:, strata[shuffled] == 1].sum(axis=1) == 5).all()
    units = np.array([3, 3, 3, 1, 1, 9, 9, 9, 9, 5, 5, 5, 5, 5, 0, 0])
    grouped = bootstrap_weights(np.zeros(16), seed=0, units=units)
    for unit in np.unique(units):
        rows = grouped[:, units == unit]
        assert (rows == rows[:, :1]).all()
    assert grouped.sum(axis=1).std() > 0


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Accuracy", "accuracy"), ("RMSE", "rmse"), ("root mean squared error", "rmse"),
        ("Area under the ROC curve", "roc_auc"), ("ROC-AUC", "roc_auc"), ("AUROC", "roc_auc"),
        ("area under the receiver operating characteristic curve", "roc_auc"),
        ("AUC", "roc_auc"), ("rocauc", "roc_auc"), ("roc_auc_ovr", "roc_auc"),
        ("Area under the precision-recall curve", "average_precision"),
        ("PR-AUC", "average_precision"), ("quadratic weighted kappa", "quadratic_kappa"),
        ("QWK", "quadratic_kappa"), ("Quadratic Cohen's Kappa", "quadratic_kappa"),
        ("macro F1", "f1_macro"), ("F1-macro", "f1_macro"), ("F1 score", "f1"), ("f1", "f1"),
        ("Macro-averaged F1 score", "f1_macro"), ("weighted F1-score", "f1_weighted"),
        ("f1_micro", "f1_micro"), ("LogLoss", "log_loss"), ("multi-class log loss", "log_loss"),
        ("cross entropy", "log_loss"), ("Brier score", "brier"), ("R^2", "r2"), ("R²", "r2"),
        ("R-squared", "r2"), ("MCC", "mcc"), ("Matthews correlation coefficient", "mcc"),
        ("RMSLE", "rmsle"), ("Root Mean Squared Logarithmic Error", "rmsle"),
        ("mean absolute error", "mae"), ("Median Absolute Error", "medae"), ("MAPE", "mape"),
        ("SMAPE", "smape"), ("symmetric mean absolute percentage error", "smape"),
        ("Spearman's rank correlation", "spearman"), ("MAP@5", "map@5"), ("map @ 12", "map@12"),
        ("mean average precision at 3", "map@3"), ("NDCG@10", "ndcg@10"), ("ndcg", "ndcg"),
        ("pinball@0.9", "pinball@0.9"), ("pinball loss at quantile 0.25", "pinball@0.25"),
        ("mean columnwise roc_auc", "mean columnwise roc_auc"), ("MCRMSE", "mcrmse"),
        ("mean column-wise RMSE", "mcrmse"), ("balanced accuracy", "balanced_accuracy"),
        ("mean column-wise ROC AUC", "mean columnwise roc_auc"), ("MSE", "mse"),
        ("column-wise root mean squared logarithmic error", "mean columnwise rmsle"),
        ("mean columnwise pinball@0.1", "mean columnwise pinball@0.1"),
    ],
)  # fmt: skip
def test_names_as_people_write_them(text: str, name: str) -> None:
    assert get_metric(text).name == name
    assert find_metric(f"## Evaluation\n\nThe metric is {text}.\n") == name


def test_canonical_names_name_themselves() -> None:
    for name, metric in METRICS.items():
        assert get_metric(name) is metric
        assert metric.name == name
        assert get_metric(name.upper().replace("_", "-")).kernel is metric.kernel


@pytest.mark.parametrize("bad", ["acuracy", "", "pinball@1.5", "map@0", "rmse of ranks", "map@0.5"])
def test_unknown_names_list_the_known(bad: str) -> None:
    with pytest.raises(SetupError, match="quadratic_kappa") as caught:
        get_metric(bad)
    assert "\n" not in str(caught.value)
    if bad == "acuracy":
        assert "did you mean accuracy" in str(caught.value)


DESCRIPTIONS = {
    "accuracy": """# Ship wreck
Predict who lived. Logging the AUC of your model helps.
## Goal
It is your job to predict survival.
### Metric
Your score is the percentage of passengers you correctly predict. This is known as accuracy.
### Submission File Format
""",
    "roc_auc": """Improve the accuracy of fraud detection.

**Evaluation**

Submissions are judged on area under the ROC curve between the predicted probability and the
observed target.

**Submission file**
""",
    "rmsle": """## Evaluation
Submissions are evaluated on Root-Mean-Squared-Error (RMSE) between the logarithm of the
predicted value and the logarithm of the observed price.
""",
    "log_loss": """We care about accuracy here.
Evaluation
Each row is labelled with one true class; submissions are evaluated using the multi-class
logarithmic loss.
""",
    "mean columnwise roc_auc": """## Evaluation metric
The mean column-wise ROC AUC: the average of the individual AUCs of each predicted column.
""",
    "mcrmse": "Submissions are scored by the RMSE, averaged over all target columns.",
    "map@3": """## Evaluation
Scored by Mean Average Precision. You may give up to three predictions for each row.
""",
    "map@5": "### Evaluation\nMean Average Precision @ 5 (MAP@5): ...",
    "quadratic_kappa": """# Essays
## Evaluation
Submissions are scored based on the quadratic weighted kappa, which measures agreement.
""",
    "f1_macro": "The leaderboard uses the F1 score with macro averaging, not accuracy.",
    "pinball@0.9": "## Scoring\nThe pinball loss for the 0.9 quantile.",
    "smape": "Forecasts are evaluated by the symmetric mean absolute percentage error (SMAPE).",
    "mae": "## Data\nMAPE of the old model: 3.\n## How submissions are scored\nMAE between both.",
    "spearman": "The dataset ... Results are ranked. The metric is Spearman's correlation.",
    "rmse": "Predict the progression of the disease; RMSE counts.",
    "balanced_accuracy": "Scored not by accuracy: the metric is balanced accuracy.",
}


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_metric_found_in_a_description(name: str) -> None:
    assert find_metric(DESCRIPTIONS[name]) == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Predict the species of a flower.",
        "A good model improves the accuracy of weather forecasts.",
        "Look at the heat map at home.",
    ],
)
def test_no_metric_in_a_description(text: str) -> None:
    assert find_metric(text) is None


def test_default_metrics_fit_their_task() -> None:
    assert default_metric("binary", "probability") == "roc_auc"
    assert default_metric("multiclass", "label") == "accuracy"
    for task, output in (
        ("binary", "probability"), ("binary", "label"), ("multiclass", "probability"),
        ("multilabel", "probability"), ("multilabel", "label"), ("regression", "value"),
        ("ranking", "label"),
    ):  # fmt: skip
        assert task in get_metric(default_metric(task, output)).tasks  # type: ignore[arg-type]
