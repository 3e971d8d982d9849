"""What the user's `prev_model` is, found out without loading it.

A checkpoint is a pickle, and unpickling runs code, so the host only looks at its bytes: class
names stand in them in plain text. The program itself loads it, inside the sandbox.
"""

from __future__ import annotations

import pickletools
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rdagent.competition.pickles import unpacked
from rdagent.playbook.module_code import Extracted, extract
from rdagent.records import Record

if TYPE_CHECKING:
    from rdagent.records import Competition

_EPOCHS = ("MLPClassifier", "MLPRegressor", "SGDClassifier", "SGDRegressor", "Perceptron",
           "PassiveAggressiveClassifier", "PassiveAggressiveRegressor", "GaussianNB",
           "MultinomialNB", "BernoulliNB", "ComplementNB")  # fmt: skip
_TREES = ("HistGradientBoostingClassifier", "HistGradientBoostingRegressor",
          "GradientBoostingClassifier", "GradientBoostingRegressor", "RandomForestClassifier",
          "RandomForestRegressor", "ExtraTreesClassifier", "ExtraTreesRegressor")  # fmt: skip
_NO_PROBABILITIES = ("SVC", "LinearSVC", "RidgeClassifier", "Perceptron", "SGDClassifier",
                     "PassiveAggressiveClassifier")  # fmt: skip
_BOOSTING = ("LGBMClassifier", "LGBMRegressor", "XGBClassifier", "XGBRegressor")
_OTHERS = ("LogisticRegression", "LogisticRegressionCV", "Ridge", "Lasso", "ElasticNet",
           "LinearRegression", "SVR", "KNeighborsClassifier", "KNeighborsRegressor",
           "DecisionTreeClassifier", "DecisionTreeRegressor", "GaussianProcessRegressor",
           "LinearDiscriminantAnalysis", "CatBoostClassifier", "CatBoostRegressor")  # fmt: skip


class Previous(Record):
    """The user's model as programs have to treat it."""

    checkpoint: str
    library: Literal["sklearn", "torch", "unknown"]
    kind: Literal["dict", "pipeline", "estimator"] = "estimator"
    how: Literal["epochs", "trees", "boosting", "none"] = "none"
    """Goes on by passes, more trees (`boosting`: LightGBM, XGBoost), or not at all."""
    estimator: str = ""
    network: bool = False
    """A scikit-learn MLP: its hidden layers can be read."""
    probabilities: bool = True
    code: str = ""
    """Classes and helpers of the user's code that loading needs."""
    imports: tuple[str, ...] = ()
    """What that code imports."""
    network_call: str = ""
    """Makes the `nn.Module` of a torch checkpoint."""
    prepare: str = ""
    """Function of that code that makes the network's input from a table."""


def read_previous(c: Competition) -> Previous | None:
    """Look at `c.prev_model`; None where there is none."""
    if c.prev_model is None:
        return None
    path = c.prev_model.path / c.prev_model.checkpoint
    code = tuple(str(c.prev_model.path / name) for name in c.prev_model.code)
    if not path.is_file():
        return Previous(checkpoint=c.prev_model.checkpoint, library="unknown")
    return _look(str(path), path.stat().st_mtime_ns, c.prev_model.checkpoint, code)


@lru_cache(maxsize=8)
def _look(path: str, _time: int, checkpoint: str, code: tuple[str, ...]) -> Previous:
    data = unpacked(Path(path))
    if data.startswith(b"PK"):  # torch saves zip archives
        found = extract([Path(name) for name in code])
        return Previous.model_validate({
            "checkpoint": checkpoint, "library": "torch" if found.network else "unknown",
            "code": found.source, "imports": found.imports, "network_call": found.network,
            "prepare": found.prepare,
        })  # fmt: skip
    named = [
        x for x in (*_BOOSTING, *_EPOCHS, *_TREES, *_NO_PROBABILITIES, *_OTHERS) if _has(data, x)
    ]
    if not named or b"sklearn" not in data:
        return Previous(checkpoint=checkpoint, library="unknown")
    estimator = named[0]
    own = None
    if b"__main__" in data:  # classes of its own code
        own = extract([Path(name) for name in code], everything=True)
    ways = {"epochs": _EPOCHS, "trees": _TREES, "boosting": _BOOSTING}
    how = next((way for way, estimators in ways.items() if estimator in estimators), "none")
    found = own or Extracted()
    return Previous.model_validate({
        "checkpoint": checkpoint, "library": "sklearn", "kind": _kind(data), "how": how,
        "estimator": estimator, "network": estimator.startswith("MLP"),
        "probabilities": estimator not in _NO_PROBABILITIES,
        "code": found.source, "imports": found.imports,
    })  # fmt: skip


def _has(data: bytes, name: str) -> bool:
    """The class name as a pickle spells it: its own string, or the end of a GLOBAL line."""
    word = name.encode()
    return bytes([len(word)]) + word in data or b"\n" + word + b"\n" in data


def _kind(data: bytes) -> str:
    for operation, argument, _ in pickletools.genops(data):
        if operation.name == "EMPTY_DICT":
            return "dict"
        if operation.name in ("SHORT_BINUNICODE", "GLOBAL"):
            return "pipeline" if "sklearn.pipeline" in str(argument) else "estimator"
    return "estimator"
