"""Programs that are refused before they cost anything: broken, leaking, or far too slow."""

from __future__ import annotations

from rdagent.gates.leaks import scan_program
from rdagent.gates.syntax import broken
from rdagent.records import Competition, Program
from rdagent.views import View

STARTUP = 3.0
"""Seconds that a program needs whatever the rows: the interpreter, its imports."""
SLACK = 3.0
"""An estimate from a sample may be wrong by so much before anybody is refused."""
ADAPTS = 0.5
"""Share of its deadline from which a program that reads it is taken to work until then."""


def refuse(program: Program, c: Competition, python: str) -> str | None:
    """Why a program need not be run at all, in a sentence; None: it may run.

    `python` is the version (3.11.7) of the interpreter that would run it.
    """
    return broken(program, python) or scan_program(program, c)


def too_slow(
    program: Program, seconds: float, told: float, debug: View, folds: list[View], limit: float
) -> str | None:
    """Why a program that took `seconds` on the debug rows cannot end its full run in time.

    Args:
        told: the deadline that the debug run was told.
        limit: seconds of the full run, all folds together.
    """
    rows = [view.train_rows for view in folds if view.train_rows]
    if not debug.train_rows or len(rows) < len(folds):
        return None
    reads = any("DS_DEADLINE" in text for text in program.files.values())
    if reads and seconds >= ADAPTS * told:
        return None  # it fills the time it has, on any number of rows
    estimate = max(seconds - STARTUP, 0.0) * sum(rows) / debug.train_rows
    if estimate <= SLACK * limit:
        return None
    return (
        f"it took {seconds:.0f} s on {debug.train_rows} rows, so a full run would take about "
        f"{estimate:.0f} s, and its limit is {limit:.0f} s: make it lighter"
    )
