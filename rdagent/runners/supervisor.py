"""Starts a program, drains what it prints, holds it to its limits and leaves nobody behind."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from rdagent.records import Job
from rdagent.runners import cgroup, processes, seccomp
from rdagent.runners.limits import THREADS, Limits, apply_rlimits
from rdagent.runners.output import Output

GRACE = 10.0
"""Seconds between SIGTERM and the kill; a tenth of timeouts under 100 s."""
_PATIENCE = 5.0
"""Seconds to wait for killed processes to be gone."""
_FASTEST, _SLOWEST = 0.01, 0.1
"""Seconds between looks at the limits: short programs are seen too, long ones cost little."""
# Waits until limits are in place: the program cannot start a child before they hold. If we
# die meanwhile, it reads the end of the pipe and starts nothing.
_GATE = 'read -r _ || exit 125; exec "$@" </dev/null'

Command = Callable[[int, int | None], list[str]]
"""Makes a command line, given descriptors for bwrap's status lines and its filter."""


@dataclass
class Outcome:
    """How a program ended."""

    output: Output = field(default_factory=Output)
    exit_code: int | None = None
    """As a shell gives it (128 + signal); None: we killed it."""
    seconds: float = 0.0
    timed_out: bool = False
    terminated: bool = False
    limit: str | None = None
    peak_memory: int = 0
    started: bool = True
    """False: the sandbox itself failed before the program ran."""


class Supervisor:
    """One program, from start to the death of its last process."""

    def __init__(self, job: Job, *, isolated: bool, mark: str, temporary: Path | None) -> None:
        """`mark`: `NAME=value` from the environment of a program without a sandbox."""
        self.job = job
        self.isolated = isolated
        self.outcome = Outcome()
        self.limits = Limits(job, temporary)
        self.family = processes.Family(mark, job.resources.disk)
        self.group: cgroup.Cgroup | None = None
        self.child: subprocess.Popen[bytes] | None = None
        self.ended = False
        self.killed = False
        self.init: int | None = None
        """Pid, on the host, of process 1 inside: when it ends, all inside have ended."""
        self.init_handle: int | None = None
        self.status = b""
        self.selector = selectors.DefaultSelector()
        self.handles: set[int] = set()

    def run(self, command: Command, environment: dict[str, str], folder: Path) -> Outcome:
        """Run `command` in `folder` to its end or its limits; nothing of it is left then."""
        try:
            with contextlib.nullcontext() if self.isolated else processes.adopting_orphans():
                try:
                    self._start(command, environment, folder)
                    self._attend()
                finally:
                    try:
                        self._end()
                    except BaseException:  # a second Ctrl-C while we clear up
                        self._end()
                        raise
        finally:
            self.selector.close()
            for handle in self.handles:
                os.close(handle)
        return self.outcome

    def _pipe(self, read: Callable[[int], None]) -> int:
        """A pipe that we read with `read`; returns the end to be handed to the program."""
        reader, writer = os.pipe()
        self.handles |= {reader, writer}
        os.set_blocking(reader, False)
        self.selector.register(reader, selectors.EVENT_READ, lambda: read(reader))
        return writer

    def _start(self, command: Command, environment: dict[str, str], folder: Path) -> None:
        printed, status = self._pipe(self._drain), self._pipe(self._read_status)
        with contextlib.suppress(OSError, AttributeError):
            fcntl.fcntl(printed, fcntl.F_SETPIPE_SZ, 2**20)
        given = [printed, status]
        refused = self._filter() if self.isolated else None
        given += [refused] if refused is not None else []
        resources = self.job.resources
        self.group = cgroup.create(resources.memory, THREADS * resources.processes)
        self.child = child = subprocess.Popen(
            ["/bin/sh", "-c", _GATE, "sh", *command(status, refused)],
            stdin=subprocess.PIPE, stdout=printed, stderr=printed, env=environment, cwd=folder,
            start_new_session=True, pass_fds=given[1:] if self.isolated else (),
        )  # fmt: skip
        self.family.root = child.pid
        processes.ROOTS.add(child.pid)
        for handle in given:
            self.handles.discard(handle)
            os.close(handle)
        if self.group:
            with contextlib.suppress(OSError):
                self.group.add(child.pid)
        apply_rlimits(child.pid, self.job, kernel_group=bool(self.group))
        if hasattr(os, "pidfd_open"):
            self._watch(os.pidfd_open(child.pid), self._note_end)
        self.began = time.monotonic()
        assert child.stdin
        with contextlib.suppress(BrokenPipeError):
            child.stdin.write(b"\n")
            child.stdin.close()

    def _filter(self) -> int | None:
        """Descriptor from which bwrap reads the refused system calls."""
        program = seccomp.program()
        if program is None:
            return None
        reader, writer = os.pipe()
        self.handles.add(reader)
        with os.fdopen(writer, "wb") as file:
            file.write(program)  # a few hundred bytes: a pipe holds them
        return reader

    def _watch(self, handle: int, then: Callable[[], None]) -> None:
        self.handles.add(handle)
        self.selector.register(handle, selectors.EVENT_READ, then)

    def _note_end(self) -> None:
        self.ended = True

    def _attend(self) -> None:
        """Until it ends or must be ended: drain, look at the limits, watch the clock."""
        timeout = self.job.timeout
        deadline = self.began + timeout
        polite = deadline - (GRACE if timeout >= 10 * GRACE else timeout / 10)
        asked, pause, look = False, _FASTEST, self.began
        portable = not hasattr(os, "pidfd_open")
        while not self.ended:
            now = time.monotonic()
            if now >= deadline:
                self.outcome.timed_out = self.killed = True
                break
            if now >= polite and not asked:
                asked = True
                self._ask_to_end()
            if now >= look:
                self.outcome.limit = self._over_limit()
                if self.outcome.limit:
                    self.killed = True
                    break
                cost = time.monotonic() - now
                pause = min(pause * 1.5, _SLOWEST)
                look = now + cost + max(pause, 10 * cost)  # at most a tenth of one core
            wait = min(look, deadline, deadline if asked else polite) - time.monotonic()
            for key, _ in self.selector.select(max(0.0, min(wait, 0.02) if portable else wait)):
                key.data()
            if portable and self.child and self.child.poll() is not None:
                self.ended = True
        self.outcome.seconds = time.monotonic() - self.began
        self.outcome.terminated = asked and not self.killed

    def _over_limit(self) -> str | None:
        rows = processes.table()
        if not self.isolated:
            members = self.family.members(rows, self.group.pids() if self.group else set())
            self.family.reap(members)
            root = None
        else:
            members = processes.descendants(rows, {self.family.root})
            root = Path(f"/proc/{self.init}/root") if self.init else None
        over = self.limits.exceeded(members, root)
        return (self.group.exceeded() if self.group else None) or over

    def _ask_to_end(self) -> None:
        """SIGTERM to the program itself: its workers may have inherited its handler."""
        assert self.child
        if not self.isolated:
            self.child.send_signal(signal.SIGTERM)
            return
        inside = [row for row in processes.table().values() if row.parent == self.init]
        if inside:  # orphans come to the same parent, later
            first = min(inside, key=lambda row: (row.started, row.pid))
            with contextlib.suppress(OSError):
                os.kill(first.pid, signal.SIGTERM)

    def _drain(self, reader: int) -> None:
        try:
            chunk = os.read(reader, 2**20)
        except BlockingIOError:
            return
        if chunk:
            self.outcome.output.add(chunk)
        else:
            self.selector.unregister(reader)  # it closed its streams and may go on

    def _read_status(self, reader: int) -> None:
        try:
            chunk = os.read(reader, 2**16)
        except BlockingIOError:
            return
        if not chunk:
            self.selector.unregister(reader)
        self.status += chunk
        for line in self.status.splitlines():
            with contextlib.suppress(ValueError, OSError):
                if self.init is None and "child-pid" in (found := json.loads(line)):
                    self.init = int(found["child-pid"])
                    self.init_handle = os.pidfd_open(self.init)
                    self.handles.add(self.init_handle)

    def _end(self) -> None:
        """Kill and reap all that is left; a program that ended by itself may leave daemons."""
        child = self.child
        if child is None:
            if self.group:
                self.group.remove()
            return
        self._read_rest()
        if self.isolated:
            self._end_sandbox(child)
        else:
            self.family.kill(self.group.pids() if self.group else set(), _PATIENCE)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_PATIENCE)
        processes.ROOTS.discard(child.pid)
        self._read_rest()
        if self.group:
            if not self.outcome.timed_out:
                self.outcome.limit = self.outcome.limit or self.group.exceeded()
            self.group.remove()
            self.group = None
        self.outcome.peak_memory = self.limits.peak
        code = child.returncode
        if code is not None and not self.killed and not self.outcome.limit:
            self.outcome.exit_code = code if code >= 0 else 128 - code
        reported = b"exit-code" in self.status
        self.outcome.started = not self.isolated or self.killed or reported or code != 1

    def _end_sandbox(self, child: subprocess.Popen[bytes]) -> None:
        # All at once: were it left to process 1, that would first wait its turn on the CPU
        # among the hundreds that a fork bomb keeps busy.
        for row in processes.descendants(processes.table(), {child.pid}).values():
            processes.kill(row)
        if self.init_handle is not None:
            with contextlib.suppress(OSError):
                signal.pidfd_send_signal(self.init_handle, signal.SIGKILL)
        child.kill()
        if self.init_handle is not None:
            with selectors.DefaultSelector() as gone:
                gone.register(self.init_handle, selectors.EVENT_READ)
                gone.select(_PATIENCE)
        if self.init:
            with contextlib.suppress(OSError):
                os.waitpid(self.init, os.WNOHANG)  # ours if we are process 1 of a container

    def _read_rest(self) -> None:
        """What lies in the pipes; after the kill nobody can write more."""
        for _ in range(64):
            ready = [key for key, _ in self.selector.select(0) if key.data != self._note_end]
            for key in ready:
                key.data()
            if not ready:
                return
