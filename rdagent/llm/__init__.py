"""Questions to a large language model: dialogue, account, providers."""

from rdagent.llm.calls import Call, Completion, Provider, Usage
from rdagent.llm.ledger import Account, Ledger, Tally, read_account
from rdagent.llm.scripted import Scripted
from rdagent.llm.secrets import redact

__all__ = [
    "Account", "Call", "Completion", "Ledger", "Provider", "Scripted", "Tally", "Usage",
    "read_account", "redact",
]  # fmt: skip
