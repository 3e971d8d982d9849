"""Which experiments to extend next, and how: pure functions of the journal."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from rdagent.journal import Journal
from rdagent.records import Experiment, Operator


class GreedyPolicy(BaseModel):
    """A few drafts, then improve the best, merge near the end.

    When the best has not moved for `patience` rounds, the next best lines are improved in
    turn, and every `patience` rounds a new draft starts.
    """

    kind: Literal["greedy"] = "greedy"
    drafts: int = 3
    """Programs from scratch before anything is improved."""
    patience: int = 3
    """Rounds without a new best after which other lines get their turn."""
    merge_at: float = 0.8
    """Used share of the search budget from which the best lines are merged."""
    merged: int = 3
    """Lines that a merge joins at most."""
    debug_depth: int = 0
    """Rounds in a row that may go into mending a round that failed."""

    def choose(self, journal: Journal) -> tuple[Operator, tuple[int, ...]]:
        """The operator and the ids of the parents (none, one, or several for a merge)."""
        # The warm-up's programs are lines like others, but no drafts of the researcher's own.
        rounds = [e for e in journal.finished if e.id > 0 and not e.warm_up]
        lines = [e for e in journal.ranked() if e.id > 0]
        drafted = sum(1 for e in rounds if not e.parents)
        last = journal.budget.loop_n is not None and journal.budget.loop_n - len(rounds) <= 1
        if last or journal.progress >= self.merge_at:
            best_few = self._to_merge(journal, lines)
            merges = [e for e in rounds if len(e.parents) > 1]
            # Worth a round when the lines changed since the last merge.
            if len(best_few) > 1 and not (merges and merges[-1].parents == best_few):
                return "merge", best_few
        if rounds and self._mendable(journal, rounds[-1]):
            return "debug", (rounds[-1].id,)
        if drafted < self.drafts or not lines:
            return "draft", ()
        best = journal.best()
        # Drafts that did not beat the warm-up are no stall: its best was never improved.
        counted = rounds[self.drafts :] if best and best.warm_up else rounds
        stalled = sum(1 for e in counted if best is None or e.id > best.id)
        if stalled and stalled % self.patience == 0:
            return "draft", ()
        # Stalled once: the second line; twice: the third; a new best starts over.
        turn = min(stalled // self.patience, len(lines) - 1)
        return "improve", (lines[turn].id,)

    def _to_merge(self, journal: Journal, lines: list[Experiment]) -> tuple[int, ...]:
        """The best of each line: a program and its own child err on the same rows."""
        best: dict[int, int] = {}
        for e in lines:
            root = e
            while root.parents:
                root = journal.experiments[root.parents[0]]
            best.setdefault(root.id, e.id)
        few = list(best.values())[: self.merged]
        return tuple(few if len(few) > 1 else [e.id for e in lines[: self.merged]])

    def _mendable(self, journal: Journal, last: Experiment) -> bool:
        """It failed with a program, and not too many rounds went into mending it already."""
        depth, failed = 0, last
        while len(failed.parents) == 1 and journal.experiments[failed.parents[0]].error:
            failed, depth = journal.experiments[failed.parents[0]], depth + 1
        return bool(last.error) and last.program is not None and depth < self.debug_depth
