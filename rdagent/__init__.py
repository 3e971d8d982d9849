"""An autonomous R&D agent for data-science competitions.

`run()` plays a competition, `load()` reads a run back. Everything else that users may
rely on is listed in `__all__`.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "run": "rdagent.play",
    "load": "rdagent.journal",
    **dict.fromkeys(
        (
            "Attempt", "Comparison", "Competition", "Context", "Execution", "Experiment",
            "Feedback", "Hypothesis", "Job", "Program", "Resources", "Sandbox", "Score",
        ),
        "rdagent.records",
    ),
    "Journal": "rdagent.journal",
    "SetupError": "rdagent.errors",
}  # fmt: skip
__all__ = sorted([*_HOME, "__version__"])


def __getattr__(name: str) -> Any:
    # Resolved on use, so that `import rdagent` stays free of pandas and pydantic.
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'rdagent' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
