"""What the playbook knows: hypotheses, and when they apply.

`ENTRIES` is read from top to bottom by `search.next_draft`. An entry applies where all its
conditions hold; `small` and `large` are its places in the queue below and above 5,000 rows
(0 first; None: never). `params` override the defaults of the family (`families.py`), where a
parameter that is a list is chosen by the program itself, by cross-validation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from rdagent.playbook.families import LARGE_PARAMS, MOVES, NAMES, PARAMS
from rdagent.playbook.metric_code import base_name, quantile
from rdagent.playbook.previous import Previous
from rdagent.playbook.shape import Shape
from rdagent.records import Competition, Context

LARGE = 5000
"""Rows from which boosting comes before kernels."""


class Facts(NamedTuple):
    """What conditions ask."""

    c: Competition
    s: Shape
    previous: Previous | None
    packages: frozenset[str]


class Entry(NamedTuple):
    """One hypothesis."""

    name: str
    family: str
    statement: str
    reason: str
    when: tuple[str, ...] = ()
    small: int | None = 50
    large: int | None = 50
    component: str = "Model"
    params: dict[str, Any] = {}
    plan: dict[str, Any] = {}


def _metric(*wanted: str) -> Callable[[Facts], bool]:
    return lambda f: base_name(f.c.metric) in wanted


CONDITIONS: dict[str, Callable[[Facts], bool]] = {
    "classes": lambda f: f.s.problem != "value",
    "numbers out": lambda f: f.s.problem == "value",
    "columns": lambda f: bool(f.s.numeric or f.s.categorical or f.s.many or f.s.dates),
    "numeric": lambda f: len(f.s.numeric) + len(f.s.dates) > 0,
    "no text": lambda f: not f.s.text,
    "text": lambda f: bool(f.s.text),
    "image": lambda f: f.s.image is not None,
    "no image": lambda f: f.s.image is None,
    "dates": lambda f: bool(f.s.dates),
    "imbalanced": lambda f: f.s.problem == "class" and f.s.minority < 0.4,
    "skewed": lambda f: f.s.skewed,
    "label metric": lambda f: f.c.output == "label",
    "absolute": _metric("mae", "medae", "mape", "smape"),
    "quantile": _metric("pinball"),
    "squared": lambda f: not _metric("mae", "medae", "mape", "smape", "pinball")(f),
    "hundreds of rows": lambda f: f.s.rows <= 1000,
    "few columns": lambda f: 2 <= len(f.s.numeric) <= 12,
    "previous": lambda f: f.previous is not None and f.previous.library == "sklearn",
    "trainable on": lambda f: f.previous is not None and f.previous.how != "none",
    "torch model": lambda f: f.previous is not None and f.previous.library == "torch"
    and "torch" in f.packages,
    "lightgbm": lambda f: "lightgbm" in f.packages,
    "xgboost": lambda f: "xgboost" in f.packages,
    "catboost": lambda f: "catboost" in f.packages,
}  # fmt: skip

ENTRIES: tuple[Entry, ...] = (
    # --- a model that the user already has: as it is, trained on, then anew
    Entry("previous model as it is", "as_it_is",
          "The previous model needs no training for this task.",
          "It costs seconds, and says what fine-tuning has to beat.",
          ("previous",), 0, 0, params={"target": "plain"}),
    Entry("fine-tuned", "finetuned",
          "Going on from the previous model's weights in small steps beats starting anew.",
          "It has seen more than the new rows hold; a few epochs adapt it to their look, and "
          "cross-validation says how many and whether its scaling is fitted anew.",
          ("previous", "trainable on"), 1, 1, "Workflow"),
    Entry("torch model as it is", "torch",
          "The previous network needs no training for this task.",
          "It costs seconds, and says what fine-tuning has to beat.",
          ("torch model",), 0, 0, params={"epochs": 0, "target": "plain"}),
    Entry("fine-tuned torch model", "torch",
          "The previous network, its last layer trained first and then all of it in small "
          "steps, beats starting anew.",
          "A new last layer would send large errors through weights that are already good; "
          "early stopping on held-out rows ends training before it forgets.",
          ("torch model",), 1, 1, "Workflow", {"epochs": 30, "target": "plain"}),
    Entry("on top of the previous model", "on_top",
          "What the previous model sees in a row is all a linear model needs.",
          "Few new rows suffice for a few weights on features learnt from many.",
          ("previous",), 6, 6, "FeatureEng"),
    # --- words
    Entry("words", "linear",
          "Which words and word pairs a text holds decides; a linear model weighs them.",
          "tf-idf with a linear model is strong on texts and trains in seconds.",
          ("text",), 2, 2, "FeatureEng"),
    Entry("words by naive Bayes", "naive_bayes",
          "Words vote on the class independently of each other.",
          "With few texts the strong assumption is worth more than flexible weights.",
          ("text", "classes"), 4, 5),
    Entry("topics and columns", "boosting",
          "Texts' topics interact with the other columns.",
          "Trees on a few SVD topics find what a linear model on words cannot.",
          ("text", "columns"), 5, 4),
    # --- pictures as rows of pixels
    Entry("pictures by a kernel", "kernel",
          "A digit or object moved by one pixel is still the same one.",
          "Moved copies teach a kernel machine that, and moved tests are averaged.",
          ("image", "classes"), 2, 4, params={"shifts": 4, "scale": "none", "C": [3.0, 10.0]}),
    Entry("pictures by a network", "network",
          "A small network on moved copies of the pictures learns smoother features.",
          "Copies multiply few rows, and averaging over moves steadies the answer.",
          ("image", "classes"), 4, 3, params={"shifts": 4, "layers": "128", "epochs": 40}),
    Entry("pictures by neighbours", "neighbours",
          "The most similar pictures bear the same label.",
          "Moved copies make nearest neighbours forgiving.",
          ("image", "classes"), 8, None, params={"shifts": 4, "scale": "none"}),
    # --- what the target or the metric calls for
    Entry("absolute error", "boosting",
          "Boosting the absolute error itself beats boosting squares.",
          "The metric asks for the median, and squares chase outliers.",
          ("absolute",), 3, 2, "Workflow"),
    Entry("median plane", "linear",
          "The median is linear in the columns.",
          "Quantile regression optimises what the metric measures.",
          ("absolute", "hundreds of rows"), 4, None, "Workflow", {"loss": "absolute"}),
    Entry("quantile boosting", "boosting",
          "Boosting the pinball loss itself hits the asked quantile.",
          "A mean and a shift ignore that the spread differs between rows.",
          ("quantile",), 2, 2, "Workflow"),
    Entry("quantile plane", "linear",
          "The asked quantile is linear in the columns.",
          "Quantile regression optimises what the metric measures.",
          ("quantile", "hundreds of rows"), 3, None, "Workflow", {"loss": "quantile"}),
    Entry("logarithm of the target", "boosting",
          "The target's logarithm is easier to learn than the skewed target.",
          "Effects multiply, and large values no longer rule the loss.",
          ("skewed", "numbers out"), 6, 3, "FeatureEng", {"target": "log"}),
    Entry("power of the target", "linear",
          "After a power transform the target is linear in the columns.",
          "A symmetric target suits a linear model with even noise.",
          ("skewed", "numbers out", "squared"), 7, 8, "FeatureEng", {"target": "power"}),
    Entry("balanced classes", "linear",
          "Rare classes need a louder voice than their share of rows.",
          "Weights by class keep a linear model from ignoring them.",
          ("imbalanced", "label metric", "no image"), 5, 6, "Workflow", {"balanced": True}),
    Entry("balanced boosting", "boosting",
          "Boosting with class weights finds rare classes.",
          "Their errors count as much as those of common classes.",
          ("imbalanced", "label metric", "no image"), 6, 5, "Workflow", {"balanced": True}),
    # --- any table
    Entry("linear", "linear",
          "Scaled columns decide additively.",
          "A regularised linear model is hard to beat on few rows, and cheap.",
          ("no text",), 10, 12),
    Entry("Gaussian process", "gaussian_process",
          "The target is a straight line plus a smooth deviation.",
          "On hundreds of rows a likelihood finds how smooth and how noisy it is.",
          ("numbers out", "columns", "no text", "hundreds of rows"), 11, None),
    Entry("kernel", "kernel",
          "Rows that are near in all columns together have similar targets.",
          "An RBF kernel bends smoothly where a linear model cannot and trees are coarse.",
          ("columns", "no image"), 12, None),
    Entry("extra trees", "extra_trees",
          "Many trees with random cuts, averaged, find interactions without overfitting.",
          "Randomness is regularisation that needs no tuning.",
          ("columns",), 13, 14),
    Entry("LightGBM", "lightgbm", "Leaf-wise boosting on sampled rows and columns wins on tables.",
          "Sampling decorrelates its trees.", ("columns", "lightgbm"), 15, 10),
    Entry("boosting", "boosting",
          "Interactions and thresholds decide, which boosted trees find one by one.",
          "Small steps with small trees; missing values go their own way.",
          ("columns",), 14, 11),
    Entry("CatBoost", "catboost", "Symmetric trees in ordered boosting overfit less.",
          "Its defaults are strong on small tables.", ("columns", "catboost"), 14, 13),
    Entry("network", "network",
          "Smooth interactions of scaled columns decide.",
          "A small network errs differently from trees, which a later blend rewards.",
          ("columns", "no image"), 16, 16),
    Entry("XGBoost", "xgboost", "Depth-wise boosting finds what leaf-wise boosting misses.",
          "Another sampling, another penalty: it errs differently.", ("columns", "xgboost"),
          17, 15),
    Entry("forest", "forest",
          "Averaged trees with the best of random cuts are robust to noise.",
          "Bootstrap rows and columns decorrelate them.",
          ("columns",), 18, 17),
    Entry("products and ratios", "boosting",
          "Products and ratios of columns carry what single columns do not.",
          "Trees approximate a ratio only with many cuts.",
          ("few columns", "no image"), 20, 18, "FeatureEng", plan={"ratios": True}),
    Entry("neighbours", "neighbours",
          "The nearest rows bear the same answer.",
          "No assumption but distance: it errs unlike all other models.",
          ("numeric", "no image"), 22, None),
)  # fmt: skip


def facts_of(context: Context, s: Shape, previous: Previous | None) -> Facts:
    """What conditions ask, from a context."""
    used = previous if context.finetune else None
    return Facts(context.competition, s, used, frozenset(context.sandbox.packages))


def applicable(f: Facts) -> list[Entry]:
    """Entries that fit the data, in the order in which they are tried."""
    large = f.s.rows > LARGE

    def place(e: Entry) -> int | None:
        return e.large if large else e.small

    fitting = [
        e for e in ENTRIES if place(e) is not None and all(CONDITIONS[name](f) for name in e.when)
    ]
    return sorted(fitting, key=lambda e: place(e) or 0)


def member(entry: Entry, f: Facts) -> dict[str, Any]:
    """The member of a plan that an entry stands for, with every parameter set."""
    base = base_name(f.c.metric)
    loss = "absolute" if CONDITIONS["absolute"](f) else "squared"
    loss = "quantile" if base == "pinball" else loss
    params: dict[str, Any] = {"balanced": False, "loss": loss, "quantile": quantile(f.c.metric)}
    if entry.family == "linear":
        params["loss"] = "squared"
        params |= {"interactions": False}
    if f.s.problem == "value":
        smooth = entry.family in ("kernel", "network")
        params["target"] = "standard" if smooth else "plain"
        if base in ("rmsle", "mape", "smape") and f.s.nonnegative:
            params["target"] = "log"
    else:
        params["target"] = "plain"
    params |= PARAMS[entry.family]
    if f.s.rows > LARGE:
        params |= LARGE_PARAMS.get(entry.family, {})
    if len(f.s.labels) > 10 and "trees" in params and entry.family not in ("extra_trees", "forest"):
        params |= {"trees": 60, "rate": 0.12}  # a round grows one tree a class
    if loss == "absolute" and entry.family == "kernel":
        params["epsilon"] = 0.01
    if f.s.problem == "value" and entry.family in ("extra_trees", "forest"):
        params["min_leaf"] = [3]  # numbers are noisy: a leaf of one row repeats the noise
    params |= entry.params
    if f.s.problem != "value":
        params["target"] = "plain"
    for name, ladder in MOVES[entry.family].items():
        params.setdefault(name, ladder[0])  # spelt out, so that no step repeats a program
    for name in _not_meant(entry.family, f):
        params.pop(name, None)
    return {"name": NAMES.get(entry.family, entry.family), "family": entry.family, "params": params}


def _not_meant(family: str, f: Facts) -> tuple[str, ...]:
    """Parameters that a family has only for the other kind of target or of previous model."""
    value = f.s.problem == "value"
    if family == "linear":
        return ("C",) if value else ("alpha",)
    if family == "finetuned" and f.previous is not None:
        return ("trees",) if f.previous.how == "epochs" else ("epochs", "rescale", "keep")
    return ()
