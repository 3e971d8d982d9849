"""Programs on this machine: in a bubblewrap sandbox where one works, else as plain processes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from functools import cache
from pathlib import Path
from typing import Literal

import psutil
from pydantic import BaseModel, ConfigDict

from rdagent.errors import SetupError
from rdagent.records import Execution, Job, Resources, Sandbox
from rdagent.runners import bubblewrap, disk, interpreter, output, workspace
from rdagent.runners.supervisor import Outcome, Supervisor

_THREADS = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS", "LOKY_MAX_CPU_COUNT", "POLARS_MAX_THREADS", "RAYON_NUM_THREADS",
    "PYTHON_CPU_COUNT",
)  # fmt: skip
_MARK = "DS_JOB"


class LocalRunner(BaseModel):
    """Runs programs with this machine's Python, isolated by bubblewrap where that works."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["local"] = "local"
    python: Path = Path(sys.executable)
    """Interpreter that runs programs (`DS_PYTHON`)."""
    isolate: bool | None = None
    """None: where a probe succeeds; True: or not at all; False: never."""
    read_only: tuple[Path, ...] = ()
    """Further folders that programs may read, under their own names (`DS_PRETRAINED_PATH`)."""
    hide: tuple[Path, ...] = ()
    """Folders kept out of sight even inside what is shown, such as data below /usr/share."""

    @property
    def warning(self) -> str | None:
        """One sentence to print once where programs run without isolation; else None."""
        reason = _obstacle(self)
        if reason is None:
            return None
        return (
            f"Programs run without isolation ({reason}): they can read your files and use the "
            "network, and their scores are marked unprotected; `rdagent doctor` says how to mend it"
        )

    def probe(self) -> Sandbox:
        """What programs find; asked once per process.

        Raises SetupError when the interpreter does not start, or isolation was demanded and
        does not work.
        """
        reason = _obstacle(self)
        if self.isolate and reason:
            raise SetupError(
                f"programs cannot be isolated here ({reason}): `rdagent doctor` says how to mend it"
            )
        return _look_inside(self, protected=reason is None)

    def run(self, job: Job) -> Execution:
        """Run a program to its end or its limits, and leave none of its processes.

        Whatever the program does is data. Raises SetupError when the sandbox itself fails, and
        whatever interrupts it (Ctrl-C), after the whole process tree was killed.
        """
        protected = self.probe().protected
        outcome = self._run(job, isolated=protected)
        text = outcome.output.text()
        workspace.write_log(job.workdir, text)
        if not outcome.started:
            line = next(iter(text.strip().splitlines()), "no message")
            raise SetupError(f"bubblewrap could not start a program: {line[:300]}")
        return Execution(
            kind=job.kind,
            fold=job.fold,
            seed=job.seed,
            exit_code=outcome.exit_code,
            seconds=outcome.seconds,
            timed_out=outcome.timed_out,
            terminated=outcome.terminated,
            limit=outcome.limit,
            peak_memory=outcome.peak_memory,
            log=output.shorten(text),
            protected=protected,
        )

    def _run(self, job: Job, *, isolated: bool) -> Outcome:
        python = interpreter.ask(self.python)
        first, *rest = job.command
        arguments = [str(python.executable) if first == "python" else first, *rest]
        workspace.lay_out(job, linked=not isolated)
        environment = _environment(job, python)
        try:
            if isolated:
                return Supervisor(job, isolated=True, mark="", temporary=None).run(
                    lambda status, refused: bubblewrap.command(
                        job, python, arguments, status_fd=status, filter_fd=refused,
                        read_only=self.read_only, hide=self.hide,
                    ),
                    environment, Path("/"),
                )  # fmt: skip
            return _run_plain(job, arguments, environment)
        finally:
            disk.mend(job.workdir)


def _run_plain(job: Job, arguments: list[str], environment: dict[str, str]) -> Outcome:
    """Without a sandbox: own session, own temporary folder, orphans adopted."""
    temporary = Path(tempfile.mkdtemp(prefix="rdagent-"))
    mark = uuid.uuid4().hex
    environment |= {"HOME": str(temporary), "TMPDIR": str(temporary), _MARK: mark}
    try:
        supervisor = Supervisor(job, isolated=False, mark=f"{_MARK}={mark}", temporary=temporary)
        return supervisor.run(lambda *_: [*_restraint(), *arguments], environment, job.workdir)
    finally:
        disk.mend(temporary)
        shutil.rmtree(temporary, ignore_errors=True)


def _environment(job: Job, python: interpreter.Interpreter) -> dict[str, str]:
    """All that a program gets: built from nothing, so that no API key can be in it."""
    environment = {
        "PATH": f"{python.executable.parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": "/tmp",
        "USER": "nobody",  # libraries ask, and there is no list of users inside
        "LANG": "C.UTF-8",
        "DS_SEED": str(job.seed),
        "PYTHONUNBUFFERED": "1",  # what it printed before a kill is not lost
        "CUDA_VISIBLE_DEVICES": ",".join(job.resources.gpus),
        **dict.fromkeys(_THREADS, str(job.resources.cpus)),
    }
    if python.user_base:
        environment["PYTHONUSERBASE"] = str(python.user_base)
    return environment | job.env


@cache
def _restraint() -> tuple[str, ...]:
    """Words before a plain command: no sudo inside, and it ends when we are killed."""
    words = ("setpriv", "--no-new-privs", "--pdeathsig", "KILL")
    if shutil.which(words[0]):
        answer = subprocess.run([*words, "true"], capture_output=True, check=False)
        if answer.returncode == 0:
            return (str(shutil.which(words[0])), *words[1:])
    return ()


@cache
def _obstacle(runner: LocalRunner) -> str | None:
    """Why programs cannot be isolated here; None: they can. Starts the interpreter inside."""
    if runner.isolate is False:
        return "it was switched off"
    interpreter.ask(runner.python)
    if not bubblewrap.program():
        return "bubblewrap is not installed"
    try:
        _look_inside(runner, protected=True)
    except (SetupError, OSError) as error:
        return str(error)
    return None


@cache
def _look_inside(runner: LocalRunner, *, protected: bool) -> Sandbox:
    """Run the interpreter where programs run and have it list its packages."""
    with tempfile.TemporaryDirectory(prefix="rdagent-probe-") as folder:
        view, workdir = Path(folder, "view"), Path(folder, "work")
        for made in (view, workdir / "workspace_input/models"):
            made.mkdir(parents=True)
        job = Job(
            kind="debug", view=view, workdir=workdir, timeout=120.0,
            command=("python", "-c", interpreter.LIST_PACKAGES),
            resources=Resources(disk=2**28, processes=64),
        )  # fmt: skip
        outcome = runner._run(job, isolated=protected)
        text = output.shorten(outcome.output.text().strip(), 300)
        try:
            found = json.loads((workdir / "sandbox.json").read_text())
        except (OSError, ValueError):
            raise SetupError(
                f"{runner.python} does not start {'in bubblewrap' if protected else 'here'}: "
                f"{text.splitlines()[-1] if text else f'exit code {outcome.exit_code}'}"
            ) from None
    found["packages"].pop("rdagent", None)
    return Sandbox(
        **found,
        cpus=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1,
        memory=psutil.virtual_memory().total,
        gpus=_gpus(),
        protected=protected,
    )


@cache
def _gpus() -> tuple[str, ...]:
    """Names of the GPUs, as `nvidia-smi` lists them."""
    if not shutil.which("nvidia-smi"):
        return ()
    question = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        answer = subprocess.run(question, capture_output=True, text=True, timeout=20, check=False)
        if answer.returncode == 0:
            return tuple(line.strip() for line in answer.stdout.splitlines() if line.strip())
    return ()
