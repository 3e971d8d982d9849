"""The researcher that needs no LLM."""

from rdagent.playbook.researcher import Playbook

__all__ = ["Playbook"]
