"""What all commands share: the flag parser, durations, and how a command ends.

Only the standard library is imported here, so that `--help` answers at once.
"""

from __future__ import annotations

import argparse
import difflib
import functools
import math
import os
import re
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NoReturn, ParamSpec

from rdagent.errors import SetupError

if TYPE_CHECKING:
    from rich.console import Console

P = ParamSpec("P")

_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_NUMBER = r"\d+(?:\.\d+)?"
_DURATION = re.compile("".join(rf"(?:({_NUMBER})\s*{unit})?\s*" for unit in _SECONDS))


def nearest(word: str, options: Iterable[str]) -> str | None:
    """The option that `word` was probably meant to be, or None; case, - and _ do not count."""
    plain = {option.lower().replace("_", "-"): option for option in options}
    found = difflib.get_close_matches(word.lower().replace("_", "-"), plain, n=1, cutoff=0.6)
    return plain[found[0]] if found else None


def unknown(kind: str, word: str, options: Iterable[str]) -> str:
    """Half a sentence such as `unknown flag --lop-n: did you mean --loop-n?`"""
    options = list(options)
    guess = nearest(word, options)
    rest = f"did you mean {guess}?" if guess else f"there are {', '.join(options)}"
    return f"unknown {kind} {word}: {rest}"


def duration(text: str) -> float:
    """Seconds in `12h`, `90m`, `1d`, `1h30m`, `45s` or a plain `3600`; more than zero.

    Raises:
        SetupError: it is not a duration; the sentence gives examples.
    """
    text = text.strip().lower()
    if re.fullmatch(_NUMBER, text):
        seconds = float(text)
    elif text and (match := _DURATION.fullmatch(text)):
        seconds = sum(
            float(n) * s for n, s in zip(match.groups(), _SECONDS.values(), strict=True) if n
        )
    else:
        seconds = 0.0
    if seconds <= 0 or math.isinf(seconds):
        raise SetupError(
            f"{text!r} is not a duration: write it as 12h, 90m, 1h30m, 1d, "
            "or in seconds as 3600, more than zero"
        )
    return seconds


def main(fn: Callable[P, int]) -> Callable[P, int]:
    """Decorate a command's `main(argv=None) -> exit code` so that it ends as users expect.

    A SetupError becomes one sentence on stderr and exit code 2; Ctrl-C exit code 130; a
    reader that goes away early (`| head`) is no error message but exit code 141.
    """

    @functools.wraps(fn)
    def run(*args: P.args, **kwargs: P.kwargs) -> int:
        try:
            code = fn(*args, **kwargs)
            sys.stdout.flush()
        except SetupError as error:
            print(_plain(str(error)), file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("Stopped.", file=sys.stderr)
            return 130
        except BrokenPipeError:
            # The interpreter flushes stdout once more at exit: that must not complain either.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 141
        return code

    return run


def _plain(text: str) -> str:
    """One line that a terminal shows as it is, whatever a file name or a header holds."""
    return "".join(x if x.isprintable() else repr(x)[1:-1] for x in text)


def console() -> Console:
    """Where tables go: as wide as the terminal, or as they need where there is none.

    Texts are printed as they are: names and errors may hold what looks like markup.
    """
    from rich.console import Console

    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 240
    return Console(width=width, markup=False, emoji=False, highlight=False)


class _Help(argparse.HelpFormatter):
    """States each flag's default, where it has one that says something."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = action.help
        plain = action.default in (None, False, argparse.SUPPRESS)
        if not text or plain or not action.option_strings or "default" in text:
            return text
        return f"{text} (default: %(default)s)"


class Parser(argparse.ArgumentParser):
    """Flags as users type them: --loop-n and --loop_n alike; errors are one sentence.

    Flags are defined with hyphens and never abbreviated; an unknown one names the nearest.
    """

    def __init__(self, prog: str, description: str) -> None:
        super().__init__(prog, description=description, formatter_class=_Help, allow_abbrev=False)

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]
        words = [self._spell(word) for word in (sys.argv[1:] if args is None else args)]
        return super().parse_known_args(words, namespace)

    def _spell(self, word: str) -> str:
        """The flag in `word` with hyphens; anything that is no flag as it is."""
        name, equals, value = word.partition("=")
        if not re.fullmatch(r"--?[A-Za-z][\w-]*", name):
            return word
        flag = name.replace("_", "-")
        if flag not in self._option_string_actions:
            self.error(
                unknown("flag", name, [f for f in self._option_string_actions if f[1] == "-"])
            )
        return flag + equals + value

    def error(self, message: str) -> NoReturn:
        message = message.removeprefix("argument ")
        missing = message.removeprefix("the following arguments are required: ")
        if missing != message:
            message = f"{missing} is missing"
        self.exit(2, _plain(f"{message} ({self.prog} --help explains every flag)") + "\n")
