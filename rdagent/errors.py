"""The exceptions that cross module borders.

A failed experiment is data (an `Execution`, an `Attempt`); only what stops a command or
one experiment is an exception.
"""


class RDAgentError(Exception):
    """Base of all errors raised on purpose."""


class SetupError(RDAgentError):
    """Something the user can fix: the command ends with this one sentence and exit code 2."""


class InvalidSubmissionError(RDAgentError):
    """A submission file breaks the contract; the message tells the coder what to mend."""


class GradingError(RDAgentError):
    """A grader could not produce a score; the message says why."""


class ReplyError(RDAgentError):
    """An LLM gave no usable answer after several tries: fails one experiment."""


class ProviderError(RDAgentError):
    """The LLM's provider is gone, refuses us, or does not know the model."""

    def __init__(self, message: str, *, setup: bool = False) -> None:
        super().__init__(message)
        self.setup = setup
        """The user can mend it (a key, a model's name); waiting cannot."""


class LimitError(RDAgentError):
    """The run's money or tokens are used up: no further question is asked."""
