"""`hints.md`: the user's advice in the competition folder, which may change during a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rdagent.records import Competition

HINTS = "hints.md"
"""Not data: programs never see it, and a run goes on when it was edited."""
LENGTH = 4_000
"""Characters of it that are read."""


def read_hints(c: Competition) -> str:
    """The advice, at most 4,000 characters; empty where there is none."""
    path = c.data_dir / HINTS
    if not path.is_file():
        return ""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        return file.read(LENGTH).strip()
