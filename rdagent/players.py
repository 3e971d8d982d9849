"""Who has the ideas of a run: a researcher, and the playbook while an LLM is gone."""

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
OUT_OF_ROUNDS = f"the playbook played {DEFAULT_ROUNDS} rounds without the LLM"


@dataclass
class Players:
    """The researcher and whoever stands in for it."""

    researcher: Researcher
    fallback: Researcher | None = None
    """The playbook where an LLM is the researcher: it plays the floor and the warm-up."""
    drafts: int = 0
    """Rounds of the warm-up."""
    go_on: bool = True
    """Whether the fallback plays on while the provider is gone."""
    ledger: Ledger | None = None
    """What the LLM has cost; None: there is none."""
    stopped: str | None = field(default=None, init=False)
    """Why nobody has further ideas."""
    gone: bool = field(default=False, init=False)
    """The LLM is gone: the fallback plays, and the LLM is asked again after each such round."""
    _for_good: bool = field(default=False, init=False)
    """Waiting does not help: it is not asked again."""
    _ask_again: bool = field(default=False, init=False)
    _unusable: int = field(default=0, init=False)
    _stood_in: int = field(default=0, init=False)
    """Rounds of the fallback since the LLM was gone."""
    _over: str | None = field(default=None, init=False)
    """Why the fallback has no further ideas."""

    @property
    def standing_in(self) -> bool:
        """Whether the next idea is the fallback's."""
        return self.gone and not self._ask_again

    @property
    def now(self) -> Researcher:
        """Who has the ideas now."""
        return self.fallback if self.standing_in and self.fallback else self.researcher

    def limit_reached(self) -> str | None:
        """Why none of them may have another idea; None while one may."""
        if self.stopped or self.standing_in:
            return self.stopped or self._over
        return self.ledger.exhausted() if self.ledger else None

    def refuse_setup(self, trouble: BaseException | None, run: Path) -> None:
        """A wrong key or name shows at a model's first question: the user mends it and goes on."""
        if self._wrong(trouble):
            raise SetupError(
                f"{str(trouble).rstrip('.')}. What was found so far is in best/; mend that, "
                f"then go on with --resume {run}"
            ) from trouble

    def _wrong(self, trouble: BaseException | None) -> bool:
        answered = self.ledger is not None and self.ledger.answered()
        return isinstance(trouble, ProviderError) and trouble.setup and not answered

    def in_vain(self, trouble: BaseException | None, *, proposed: bool) -> bool:
        """Whether a round that failed so leaves no experiment: its id is used again."""
        asked = self.gone or isinstance(trouble, LimitError)
        return self._wrong(trouble) or (asked and not proposed)

    def heed(self, trouble: BaseException | None, *, empty: bool) -> str | None:
        """Stop, hand over or take back by how asking the LLM went; returns a warning if any.

        `empty`: the experiment failed for want of a usable reply, or has no program at all.
        """
        self._unusable = self._unusable + 1 if empty else 0
        self._ask_again = False
        if isinstance(trouble, LimitError):
            self.stopped = str(trouble)
        down = isinstance(trouble, ProviderError)
        self._for_good = isinstance(trouble, ProviderError) and trouble.setup
        if self.gone:
            self.gone = down or empty or self.stopped is not None
            return None if self.gone else "The LLM answers again and plays on"
        if not down and self._unusable < UNUSABLE:
            return None
        reason = said(trouble).rstrip(".")
        if self.fallback is None or not self.go_on:
            self.stopped = reason
            return None
        self.gone, self._stood_in, self._over = True, 0, None
        again = "" if self._for_good else "; it is asked again after each round"
        return f"{reason}. The playbook goes on without the LLM{again}"

    def stood_in(self, error: str | None, *, endless: bool) -> None:
        """The fallback has played; with `error` it had no idea. `endless`: no limit of rounds."""
        self._stood_in += 1
        self._ask_again = not self._for_good
        if endless and self._stood_in >= DEFAULT_ROUNDS:
            self._over = OUT_OF_ROUNDS
        self._over = error or self._over

    def choose(self, policy: Policy, journal: Journal) -> tuple[Operator, tuple[int, ...]]:
        """What to do next. The fallback follows its own lines, as if there were no others."""
        if not self.standing_in:
            return policy.choose(journal.for_search())
        mine = [
            e.model_copy(update={"warm_up": False})
            for e in journal.finished
            if e.id == 0 or plan_of(e)
        ]
        loop_n = journal.budget.loop_n
        left = DEFAULT_ROUNDS - self._stood_in if loop_n is None else loop_n - journal.rounds
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
