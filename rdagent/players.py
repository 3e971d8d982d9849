"""Who has the ideas of a run: a researcher, and the playbook where an LLM is gone."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rdagent.errors import LimitError, ProviderError, RDAgentError, SetupError
from rdagent.interfaces import Policy, Researcher
from rdagent.journal import Journal
from rdagent.playbook.search import plan_of
from rdagent.policies import GreedyPolicy
from rdagent.records import Operator

if TYPE_CHECKING:
    from rdagent.llm import Ledger

DEFAULT_ROUNDS = 5
"""Rounds of a run without an LLM; the playbook has said most of what it knows by then."""
UNUSABLE = 3
"""Experiments in a row without a usable reply, or any program, until an LLM counts as gone."""


@dataclass
class Players:
    """The researcher and whoever stands in for it."""

    researcher: Researcher
    fallback: Researcher | None = None
    """The playbook where an LLM is the researcher: it plays the floor and the warm-up."""
    drafts: int = 0
    """Rounds of the warm-up."""
    go_on: bool = True
    """Whether the fallback plays on when the provider is gone."""
    ledger: Ledger | None = None
    """What the LLM has cost; None: there is none."""
    answered: bool = field(default=False, init=False)
    """Whether the LLM has answered since the command started."""
    stopped: str | None = field(default=None, init=False)
    """Why nobody has further ideas."""
    gone: bool = field(default=False, init=False)
    """The provider is gone and the fallback plays."""
    _unusable: int = field(default=0, init=False)
    _until: int | None = field(default=None, init=False)
    """Rounds of the whole run at which the fallback ends."""

    @property
    def now(self) -> Researcher:
        """Who has the ideas now."""
        return self.fallback if self.gone and self.fallback else self.researcher

    def limit_reached(self, rounds: int) -> str | None:
        """Why none of them may have another idea after so many rounds; None while one may."""
        if self.stopped:
            return self.stopped
        if self.gone:
            over = self._until is not None and rounds >= self._until
            return f"the playbook played {DEFAULT_ROUNDS} rounds without the LLM" if over else None
        return self.ledger.exhausted() if self.ledger else None

    def refuse_setup(self, trouble: BaseException | None, run: Path) -> None:
        """A wrong key or name shows at the first question: the user mends it and goes on."""
        if isinstance(trouble, ProviderError) and trouble.setup and not self.answered:
            raise SetupError(
                f"{str(trouble).rstrip('.')}. What was found so far is in best/; mend that, "
                f"then go on with --resume {run}"
            ) from trouble

    def heed(self, trouble: BaseException | None, *, empty: bool, journal: Journal) -> str | None:
        """Stop, or hand over, when the LLM cannot be asked any more; returns a warning if any.

        `empty`: the experiment failed for want of a usable reply, or has no program at all.
        """
        self._unusable = self._unusable + 1 if empty else 0
        if isinstance(trouble, LimitError):
            self.stopped = str(trouble)
        if self.gone or not (isinstance(trouble, ProviderError) or self._unusable >= UNUSABLE):
            return None
        reason = said(trouble).rstrip(".")
        if self.fallback is None or not self.go_on:
            self.stopped = reason
            return None
        self.gone = True
        if journal.budget.loop_n is None:
            self._until = journal.rounds + DEFAULT_ROUNDS
        return f"{reason}. The playbook goes on without the LLM"

    def choose(self, policy: Policy, journal: Journal) -> tuple[Operator, tuple[int, ...]]:
        """What to do next. The fallback follows its own lines, as if there were no others."""
        if not self.gone:
            return policy.choose(journal.for_search())
        mine = [
            e.model_copy(update={"warm_up": False})
            for e in journal.finished
            if e.id == 0 or plan_of(e)
        ]
        until = self._until if journal.budget.loop_n is None else journal.budget.loop_n
        left = until - journal.rounds if until is not None else 0
        return GreedyPolicy().choose(journal.only(mine, len(mine) - 1 + left))


def said(error: BaseException | None) -> str:
    """What went wrong, for a reader of the journal."""
    return str(error) if isinstance(error, RDAgentError) else f"{type(error).__name__}: {error}"


def totals(ledger: Ledger) -> str:
    """One line about all calls of a run."""
    used = ledger.total
    cached = f" ({used.cached / used.input:.0%} cached)" if used.input else ""
    money = f"${used.money:.2f}" if used.money is not None else "price unknown"
    return f"{ledger.calls} calls, {used.input:,} tokens in{cached}, {used.output:,} out, {money}"


def cost_table(ledger: Ledger) -> str:
    """What each stage took, as Markdown; the dearest first."""
    heads = ("stage", "calls", "asked again", "tokens in", "cached", "out", "reasoning", "$")
    rows = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    stages = sorted(ledger.account.stages.items(), key=lambda s: -s[1].usage.tokens)
    for name, t in [*stages, ("all", ledger.account.tally)]:
        u = t.usage
        money = "?" if u.money is None else f"{u.money:.4f}"
        rows.append(
            f"| {name} | {t.calls} | {t.corrections} | {u.input:,} | {u.cached:,} | {u.output:,} "
            f"| {u.reasoning:,} | {money} |"
        )
    return "\n".join(rows) if stages else ""
