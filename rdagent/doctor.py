"""What works on this machine, what does not, and the one command that mends it.

rdagent doctor
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from rdagent import cli
from rdagent.errors import SetupError

if TYPE_CHECKING:
    from rdagent.records import Sandbox
    from rdagent.settings import Settings

GB = 2**30
_BOOSTING = ("lightgbm", "xgboost", "catboost")
_NEEDED = ("numpy", "pandas", "scikit-learn")
_COLOURS = {"ok": "green", "note": "yellow", "FAIL": "bold red"}


class Check(NamedTuple):
    """One line of the report."""

    name: str
    state: Literal["ok", "note", "FAIL"]
    """note: a run can start all the same; FAIL: it cannot."""
    finding: str
    mend: str = ""
    """The one command or setting that mends it."""


def examine(
    environment: Mapping[str, str] = os.environ, dotenv: Path = Path(".env")
) -> Iterator[Check]:
    """Check everything that a run needs or can use; nothing is changed.

    A model that is named is asked for one word, with the keys of the process's environment and
    of `dotenv`: litellm looks nowhere else.
    """
    from rdagent.settings import Settings, load_settings, misspelt

    version = ".".join(map(str, sys.version_info[:3]))
    new_enough = sys.version_info >= (3, 11)
    yield Check("Python", "ok" if new_enough else "FAIL", version, "" if new_enough else "3.11+")
    try:
        settings = load_settings(None, environment, dotenv)
    except SetupError as error:
        yield Check("settings", "FAIL", str(error), "set it to a value that fits, or unset it")
        settings = Settings.model_validate({})
    for sentence in misspelt(environment, dotenv):
        yield Check("settings", "note", sentence)
    yield from _data(settings)
    yield from _sandbox(settings)
    yield from _folder("log folder", settings.trace_path, "LOG_TRACE_PATH")
    if settings.workspace_path:
        yield from _folder("workspaces", settings.workspace_path, "WORKSPACE_PATH")
    yield _machine(settings)
    yield from _llm(settings, dotenv)
    for name, question in (
        ("Docker", ("docker", "version", "--format", "client and daemon {{.Server.Version}}")),
        ("conda", ("conda", "--version")),
    ):
        yield _unused(name, question)


def _data(settings: Settings) -> Iterator[Check]:
    from rdagent.competition import examples_dir, list_competitions

    for name, root in (("data", settings.local_data_path), ("examples", examples_dir())):
        if root is None:
            yield Check(name, "note", "your own: not set", "DS_LOCAL_DATA_PATH=<data folder>")
            continue
        try:
            found = list_competitions(root)
        except (SetupError, OSError) as error:
            found, finding = [], str(error)
        else:
            finding = f"{root}: {', '.join(found[:8])}{', ...' if len(found) > 8 else ''}"
        if found:
            yield Check(name, "ok", finding)
        elif name == "examples":
            yield Check(name, "note", f"none in {root}", "install rdagent anew")
        else:
            inside = (root / "train.csv").exists()
            finding = f"{root} is itself a competition" if inside else f"{root} holds none"
            parent = root.parent if inside else "<the folder that holds your competition folders>"
            yield Check(name, "FAIL", finding, f"DS_LOCAL_DATA_PATH={parent}")


def _sandbox(settings: Settings) -> Iterator[Check]:
    from rdagent.settings import make_runner

    python = settings.python or Path(sys.executable)
    try:
        sandbox = make_runner(settings).probe()
    except SetupError as error:
        yield Check("sandbox", "FAIL", str(error), "unset DS_PYTHON" if settings.python else "")
        return
    where = f"programs run by {python} (Python {sandbox.python})"
    if sandbox.protected:
        yield Check("sandbox", "ok", f"{where}, isolated by bubblewrap")
    else:
        finding = f"{where}, not isolated: their scores will be marked unprotected"
        yield Check("sandbox", "note", finding, _mend_isolation(settings))
    yield from _packages(sandbox, python)
    yield _gpu(sandbox, settings)


def _mend_isolation(settings: Settings) -> str:
    """What is in the way of bubblewrap, as the command that removes it."""
    if settings.env_type == "subprocess":
        return "unset DS_CODER_COSTEER_ENV_TYPE"
    if not shutil.which("bwrap"):
        return "sudo apt-get install bubblewrap"
    kernel = Path("/proc/sys/kernel")
    for name, wrong, right in (
        ("apparmor_restrict_unprivileged_userns", "1", "0"),
        ("unprivileged_userns_clone", "0", "1"),
    ):
        switch = kernel / name
        if switch.exists() and switch.read_text().strip() == wrong:
            return f"sudo sysctl -w kernel.{name}={right}"
    return "start this container with --privileged (it may not make namespaces)"


def _packages(sandbox: Sandbox, python: Path) -> Iterator[Check]:
    lacking = [name for name in _NEEDED if name not in sandbox.packages]
    if lacking:
        yield Check(
            "packages",
            "FAIL",
            f"programs need {', '.join(lacking)}",
            f"{python} -m pip install {' '.join(lacking)}",
        )
    optional = (*_BOOSTING, "torch")
    there = [f"{name} {sandbox.packages[name]}" for name in optional if name in sandbox.packages]
    absent = [name for name in optional if name not in sandbox.packages]
    finding = ", ".join(there + [f"no {name}" for name in absent])
    mend = f"{python} -m pip install {' '.join(absent)}" if absent else ""
    yield Check("optional packages", "note" if absent else "ok", finding, mend)


def _gpu(sandbox: Sandbox, settings: Settings) -> Check:
    if not sandbox.gpus:
        return Check("GPU", "ok", "none found by nvidia-smi: programs run on the CPU")
    finding = ", ".join(sandbox.gpus)
    if not settings.resources.gpus:
        return Check("GPU", "note", f"{finding}; programs of this version do not use it")
    return Check("GPU", "ok", finding)


def _folder(name: str, path: Path, setting: str) -> Iterator[Check]:
    """Can a run write below `path`, and how much? Nothing is created there."""
    path = path.absolute()
    there = next(p for p in (path, *path.parents) if p.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        finding = f"cannot write {path}: {error.strerror}"
        yield Check(name, "FAIL", finding, f"{setting}=<a folder you can write>")
        return
    free = shutil.disk_usage(there).free / GB
    state: Literal["ok", "note", "FAIL"] = "ok" if free > 10 else "note" if free > 1 else "FAIL"
    mend = "" if state == "ok" else f"{setting}=<a folder on a larger disk>"
    yield Check(name, state, f"{path}: {free:.1f} GB free", mend)


def _machine(settings: Settings) -> Check:
    resources = settings.resources
    return Check(
        "machine",
        "ok",
        f"a program may use {resources.cpus} cores and {resources.memory / GB:.1f} GB of memory",
    )


def _llm(settings: Settings, dotenv: Path) -> Iterator[Check]:
    """Whether each model answers: first what costs nothing, then one word; keys stay unseen."""
    if not settings.chat_model:
        yield Check("LLM", "ok", "CHAT_MODEL is not set: the playbook has the ideas")
        return
    from rdagent.errors import RDAgentError
    from rdagent.llm.secrets import redact
    from rdagent.llm.trial import try_model
    from rdagent.prompts import Prompts
    from rdagent.settings import make_provider

    otherwise = "mend that, or unset CHAT_MODEL: the playbook needs no LLM"
    try:
        Prompts(settings.prompts)
        provider = make_provider(settings, dotenv=dotenv)
        provider.check()
    except SetupError as error:
        yield Check("LLM", "FAIL", redact(str(error)), otherwise)
        return
    for model in provider.models:
        try:
            trial = try_model(provider, model)
        except RDAgentError as error:
            yield Check("LLM", "FAIL", redact(str(error)), otherwise)
            continue
        used = trial.usage
        finding = f"{model} answers in {trial.seconds:.1f} s"
        finding += f" ({used.input} tokens in, {used.output} out"
        if used.money is None:
            mend = "DS_PRICE_INPUT and DS_PRICE_OUTPUT, in dollars per million tokens"
            yield Check("LLM", "note", f"{finding}, its price is not known)", mend)
        else:
            yield Check("LLM", "ok", f"{finding}, ${used.money:.6f})")


def _unused(name: str, question: tuple[str, ...]) -> Check:
    """What a later version will run programs in; nobody need install it for this one."""
    if not shutil.which(question[0]):
        finding = "not installed"
    else:
        finding = _answer(*question) or "installed, but it does not answer"
    return Check(name, "ok", f"{finding}; not used by this version, programs run locally")


def _answer(*command: str) -> str:
    """What a tool prints; nothing when it is absent, fails or hangs."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


@cli.main
def main(argv: Sequence[str] | None = None) -> int:
    """Print the report; 0 when a run could start here, else 1."""
    cli.Parser(
        "rdagent doctor",
        "Say what works on this machine, what does not, and the one command that mends it. "
        "Exit code 0: a run can start; 1: it cannot.",
    ).parse_args(argv)
    from rich.table import Table
    from rich.text import Text

    table = Table("", "what", "found", "to mend it")
    checks = []
    console = cli.console()
    with console.status("Looking ..."):
        for check in examine():
            checks.append(check)
            state = Text(check.state, style=_COLOURS[check.state])
            table.add_row(state, check.name, check.finding, check.mend)
    console.print(table)
    if any(check.state == "FAIL" for check in checks):
        console.print("No run can start yet: mend the lines that say FAIL.")
        return 1
    console.print("A run can start: python -m rdagent.finetune --competition digits-finetune")
    return 0


if __name__ == "__main__":
    sys.exit(main())
