"""Families of models: their defaults, and the steps by which later rounds tune them."""

from __future__ import annotations

from typing import Any

PARAMS: dict[str, dict[str, Any]] = {
    "linear": {"C": [1.0, 0.03, 0.3, 10.0], "alpha": [1.0, 0.1, 10.0, 50.0, 200.0]},
    "naive_bayes": {"alpha": [0.3, 0.1, 1.0], "characters": False},
    "kernel": {"C": [1.0, 10.0], "gamma": ["scale"], "epsilon": 0.1, "topics": 64},
    "gaussian_process": {"length": [5.0, 2.0, 10.0], "topics": 16},
    "neighbours": {"n": [5, 1, 3, 10, 25], "topics": 64},
    "network": {"alpha": [1.0, 0.1], "layers": "64, 32", "epochs": 100, "rate": 0.002,
                "topics": 64},
    "boosting": {"leaves": [7], "trees": 120, "rate": 0.06, "min_leaf": 10, "l2": 1.0,
                 "features": 0.5},
    "extra_trees": {"min_leaf": [1], "trees": 200, "features": 0.5},
    "forest": {"min_leaf": [1], "trees": 200, "features": 0.5},
    "lightgbm": {"leaves": [7, 15], "trees": 200, "rate": 0.05, "min_leaf": 10, "l2": 1.0,
                 "features": 0.6},
    "xgboost": {"depth": [3, 5], "trees": 200, "rate": 0.05, "l2": 1.0, "features": 0.6},
    "catboost": {"depth": [5], "trees": 300, "rate": 0.06, "l2": 3.0},
    "as_it_is": {"rescale": False},
    "finetuned": {"rescale": [True, False], "epochs": [30, 10], "rate": 0.001, "keep": 0.2,
                  "trees": [60, 20, 150], "target": "plain"},
    "on_top": {"C": [0.1, 0.01, 1.0]},
    "torch": {"rate": 0.001, "head": 5, "moves": False},
}  # fmt: skip
"""Defaults by family; a list is a grid that the program searches itself, first value preferred."""

LARGE_PARAMS: dict[str, dict[str, Any]] = {
    "boosting": {"leaves": [31], "trees": 300, "rate": 0.08, "min_leaf": 20, "features": 0.7},
    "lightgbm": {"leaves": [31, 63], "trees": 400, "rate": 0.05, "min_leaf": 20},
    "xgboost": {"depth": [6], "trees": 400},
    "catboost": {"depth": [6], "trees": 500, "rate": 0.08},
    "network": {"alpha": [0.001], "layers": "128, 64", "epochs": 20},
    "extra_trees": {"min_leaf": [2], "trees": 120},
    "forest": {"min_leaf": [2], "trees": 120, "features": "sqrt"},
    "linear": {"C": [1.0], "alpha": [1.0, 10.0]},
}
"""What differs above `LARGE` rows."""

MOVES: dict[str, dict[str, list[Any]]] = {
    "linear": {"scale": ["standard", "quantile"], "interactions": [False, True],
               "balanced": [False, True], "target": ["plain", "log", "power"],
               "C": [[0.003, 0.01, 0.03], [1.0, 0.03, 0.3, 10.0], [30.0, 100.0, 300.0]]},
    "naive_bayes": {"characters": [False, True]},
    "kernel": {"gamma": [["scale"], ["scale", 0.01, 0.03, 0.1]], "shifts": [0, 4, 8],
               "C": [[0.1, 0.3], [1.0, 10.0], [3.0, 10.0, 30.0], [100.0]],
               "scale": ["standard", "quantile", "none"], "balanced": [False, True],
               "target": ["standard", "log", "power"]},
    "gaussian_process": {"scale": ["standard", "quantile"], "target": ["plain", "power"]},
    "neighbours": {"shifts": [0, 4, 8], "scale": ["standard", "quantile", "none"]},
    "network": {"shifts": [0, 4, 8], "alpha": [[0.01, 0.1], [1.0, 0.1], [1.0, 10.0]],
                "layers": ["32", "64, 32", "128", "256, 64"], "epochs": [20, 40, 100, 200],
                "scale": ["standard", "quantile"], "target": ["standard", "log", "power"]},
    "boosting": {"features": [1.0, 0.7, 0.5, 0.3], "trees": [60, 120, 240, 500],
                 "rate": [0.02, 0.03, 0.06, 0.08, 0.12], "min_leaf": [3, 10, 20, 50],
                 "leaves": [[4], [7], [15], [31], [31, 63]], "l2": [0.0, 1.0, 10.0],
                 "balanced": [False, True], "target": ["plain", "log"]},
    "extra_trees": {"features": ["sqrt", 0.5, 1.0], "min_leaf": [[1], [2], [3], [5]],
                    "trees": [80, 200, 500], "balanced": [False, True],
                    "target": ["plain", "log"]},
    "lightgbm": {"features": [1.0, 0.6, 0.3], "rate": [0.02, 0.05, 0.1],
                 "trees": [100, 200, 400, 800], "min_leaf": [3, 10, 20, 50], "l2": [0.0, 1.0, 10.0],
                 "leaves": [[4], [7, 15], [31, 63], [127]], "target": ["plain", "log"]},
    "xgboost": {"depth": [[2], [3, 5], [6], [8]], "trees": [100, 200, 400, 800],
                "rate": [0.02, 0.05, 0.1], "l2": [0.1, 1.0, 10.0], "target": ["plain", "log"]},
    "catboost": {"depth": [[3], [5], [6], [8]], "rate": [0.03, 0.06, 0.08], "l2": [1.0, 3.0, 10.0],
                 "target": ["plain", "log"]},
    "as_it_is": {"rescale": [False, True]},
    "finetuned": {"shifts": [0, 4, 8], "epochs": [[3, 6], [30, 10], [60, 120]],
                  "keep": [0.0, 0.2, 0.4], "rate": [0.0003, 0.001, 0.003],
                  "trees": [[10, 20], [60, 20, 150], [150, 300]]},
    "on_top": {"C": [[0.001, 0.003], [0.1, 0.01, 1.0]], "shifts": [0, 4, 8]},
    "torch": {"moves": [False, True], "epochs": [10, 30, 60], "rate": [0.0003, 0.001, 0.003],
              "head": [0, 5]},
}  # fmt: skip
"""Ladders by family, the most promising first; a round takes one step up or down one of them."""
MOVES["forest"] = MOVES["extra_trees"]

NAMES = {"torch": "tuned_network"}
"""Names of members in programs, where the family's own would hide a library."""

PLAN_MOVES: dict[str, list[Any]] = {"seeds": [1, 5], "row_stats": [False, True]}
"""The same for what belongs to the program as a whole."""

WORDS: dict[str, str] = {
    "C": "penalty", "alpha": "penalty", "interactions": "products of columns",
    "scale": "scaling of the numbers", "balanced": "class weights", "target": "target transform",
    "gamma": "kernel width", "shifts": "moved copies of the pictures", "layers": "size of layers",
    "rescale": "input scaling fitted anew",
    "epochs": "passes over the rows", "features": "share of columns a cut may use",
    "trees": "number of trees", "rate": "step size", "min_leaf": "rows a leaf needs",
    "leaves": "leaves a tree", "l2": "shrinking of leaves", "depth": "depth of trees",
    "keep": "share of the old weights that is kept", "characters": "parts of words",
    "seeds": "fits averaged over seeds", "row_stats": "statistics of a row as columns",
    "n": "number of neighbours", "moves": "moved copies of the pictures",
    "head": "epochs for the head alone",
}  # fmt: skip
"""What a parameter is called in a sentence."""
