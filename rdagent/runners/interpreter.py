"""The Python that runs programs: where it lies and what it brings."""

from __future__ import annotations

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path

from rdagent.errors import SetupError
from rdagent.records import Record


class Interpreter(Record):
    """Facts that the interpreter tells about itself, asked once per process."""

    executable: Path
    version: str
    prefixes: tuple[Path, ...]
    """Its environment and the installation behind it, as written and resolved."""
    user_base: Path | None = None
    """Set where it also reads packages from the user's own folder (`pip install --user`)."""


_QUESTION = """
import json, os, platform, site, sys
prefixes = [sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix]
user = site.ENABLE_USER_SITE and os.path.isdir(site.getusersitepackages())
print(json.dumps({
    "executable": sys.executable,
    "version": platform.python_version(),
    "prefixes": sorted(set(prefixes)),
    "user_base": site.getuserbase() if user else None,
}))
"""

# Runs inside the sandbox: what a program can import there. Names only, no import of them.
LIST_PACKAGES = """
import json, platform
from importlib.metadata import distributions
packages = {}
for found in distributions():
    name = found.metadata["Name"]
    if name:
        packages.setdefault(name.lower(), found.version)
with open("sandbox.json", "w") as file:
    json.dump({"python": platform.python_version(), "packages": packages}, file)
"""


@cache
def ask(python: Path) -> Interpreter:
    """Start `python` and have it tell where it lies. Raises SetupError if it does not start."""
    # A bare name is looked up on PATH; shims and links answer with the interpreter behind them.
    found = shutil.which(python)
    if not found:
        raise SetupError(
            f"there is no Python at {python}: set DS_PYTHON to the interpreter that runs programs"
        )
    try:
        answer = subprocess.run(
            [found, "-E", "-c", _QUESTION],
            capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, cwd="/",
        )  # fmt: skip
        facts = json.loads(answer.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise SetupError(
            f"{python} does not start as a Python ({type(error).__name__}): "
            "set DS_PYTHON to the interpreter that runs programs"
        ) from None
    prefixes = [Path(p) for p in facts["prefixes"]]
    facts["prefixes"] = tuple(dict.fromkeys([*prefixes, *(p.resolve() for p in prefixes)]))
    return Interpreter(**facts)
