"""The `rdagent` command: hands the rest of the line to one of the commands below.

rdagent finetune --competition digits-finetune
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from rdagent import __version__, cli
from rdagent.errors import SetupError

COMMANDS = {
    "data_science": "play a competition from scratch",
    "finetune": "play a competition, starting from the model in prev_model/",
    "predict": "predict new rows with a run's delivered program",
    "replay": "play a recorded run once more, in seconds",
    "mle_summary": "grade runs on test answers (grade) and print the result (show)",
    "doctor": "say what works on this machine, and how to mend what does not",
}
_HELP = "\n".join(
    [
        "usage: rdagent COMMAND ...",
        "",
        "An autonomous R&D agent for data-science competitions.",
        "",
        *(f"  {name:13} {what}" for name, what in COMMANDS.items()),
        "",
        "`rdagent COMMAND --help` explains the flags of a command; `rdagent --version`.",
    ]
)


@cli.main
def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help", "help"):
        print(_HELP)
        return 0 if words else 2
    if words[0] == "--version":
        print(__version__)
        return 0
    name = words[0].replace("-", "_")
    if name not in COMMANDS:
        raise SetupError(cli.unknown("command", words[0], COMMANDS))
    code: int = importlib.import_module(f"rdagent.{name}").main(words[1:])
    return code


if __name__ == "__main__":
    sys.exit(main())
