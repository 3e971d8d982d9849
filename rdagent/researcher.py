"""The researcher that asks an LLM; each stage is a module and a prompt file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rdagent import coder
from rdagent.briefing import Desk
from rdagent.errors import ReplyError
from rdagent.playbook import Playbook
from rdagent.propose import propose
from rdagent.review import plain, review
from rdagent.understand import understand

if TYPE_CHECKING:
    from rdagent.interfaces import LLM
    from rdagent.prompts import Prompts
    from rdagent.records import Card, Context, Experiment, Feedback, Hypothesis, Program


class PromptedResearcher:
    """Keeps nothing between calls: what it remembers is in the journal."""

    def __init__(self, llm: LLM, prompts: Prompts) -> None:
        self.desk = Desk(llm, prompts)

    def floor(self, context: Context) -> tuple[Hypothesis, Program]:
        """The playbook's: a valid submission does not wait for a provider."""
        return Playbook().floor(context)

    def understand(self, context: Context) -> tuple[Card, tuple[str, ...]]:
        return understand(self.desk, context)

    def propose(self, context: Context, parents: tuple[Experiment, ...]) -> Hypothesis:
        return propose(self.desk, context, parents)

    def write(
        self, context: Context, hypothesis: Hypothesis, parents: tuple[Experiment, ...]
    ) -> Program:
        return coder.write(self.desk, context, hypothesis, parents)

    def repair(self, context: Context, experiment: Experiment) -> Program | None:
        try:
            return coder.repair(self.desk, context, experiment)
        except ReplyError:
            return None  # the experiment ends with its own error, which says more

    def tune(self, context: Context, experiment: Experiment) -> Program | None:
        try:
            return coder.tune(self.desk, context, experiment)
        except ReplyError:
            return None  # what it scored stands

    def review(self, context: Context, experiment: Experiment) -> Feedback:
        try:
            return review(self.desk, context, experiment)
        except ReplyError:  # the outcome stands without an explanation
            return plain(experiment)
