"""Programs that Python itself would not take."""

from __future__ import annotations

import sys
import warnings

from rdagent.records import Program


def broken(program: Program, python: str) -> str | None:
    """`main.py line 3: invalid syntax (...)`; None where it compiles.

    `python` is the version (3.11.7) of the interpreter that would run it.
    """
    version = tuple(int(part) for part in python.split(".")[:2] if part.isdigit())
    if version > sys.version_info[:2]:
        return None  # a newer one may read what this one cannot
    for name, source in sorted(program.files.items()):
        if not name.endswith(".py"):
            continue
        try:
            with warnings.catch_warnings(action="ignore"):
                compile(source, name, "exec", dont_inherit=True)
        except SyntaxError as error:
            shown = f" ({error.text.strip()[:80]})" if error.text and error.text.strip() else ""
            return f"{name} line {error.lineno}: {error.msg}{shown}"
        except ValueError as error:  # a null byte
            return f"{name}: {error}"
        except (RecursionError, MemoryError, OverflowError):
            return f"{name} nests too deeply to be compiled: write it flat"
    return None
