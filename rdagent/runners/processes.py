"""Who belongs to a running program, and how to end them all.

A program may fork, start new sessions, orphan its children and clear their environment.
In a sandbox all of them stay below one process. Without one, orphans become ours (subreaper)
and are told from other children by marks that they inherit and cannot wipe.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil

PAGE = resource.getpagesize()
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER
_PROC = Path("/proc/self/stat").exists()


class Process(NamedTuple):
    """One row of the process table."""

    pid: int
    parent: int
    zombie: bool
    threads: int
    started: float
    """Tells a process from a later one with the same pid."""
    rss: int
    """Resident bytes, shared pages included."""


def table() -> dict[int, Process]:
    """All processes of this machine by pid; one cheap read each (about 10 microseconds)."""
    if not _PROC:
        return _table_elsewhere()
    found = (_row(int(entry.name)) for entry in os.scandir("/proc") if entry.name.isdigit())
    return {row.pid: row for row in found if row}


def _row(pid: int) -> Process | None:
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
    except OSError:
        return None
    try:
        raw = os.read(fd, 4096)
    except OSError:
        return None
    finally:
        os.close(fd)
    # The name in brackets may hold anything, brackets and blanks too: count from its end.
    fields = raw[raw.rfind(b")") + 2 :].split()
    if len(fields) < 22:
        return None
    state, parent, threads = fields[0], int(fields[1]), int(fields[17])
    return Process(pid, parent, state in b"ZX", threads, float(fields[19]), int(fields[21]) * PAGE)


def _table_elsewhere() -> dict[int, Process]:
    found = {}
    for p in psutil.process_iter(["ppid", "status", "num_threads", "create_time", "memory_info"]):
        seen = p.info
        found[p.pid] = Process(
            p.pid,
            seen["ppid"] or 0,
            seen["status"] == psutil.STATUS_ZOMBIE,
            seen["num_threads"] or 1,
            seen["create_time"] or 0.0,
            seen["memory_info"].rss if seen["memory_info"] else 0,
        )
    return found


def descendants(rows: dict[int, Process], roots: set[int]) -> dict[int, Process]:
    """The given processes and everything below them."""
    children: dict[int, list[int]] = {}
    for row in rows.values():
        children.setdefault(row.parent, []).append(row.pid)
    found: dict[int, Process] = {}
    waiting = [pid for pid in roots if pid in rows]
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found[pid] = rows[pid]
            waiting += children.get(pid, [])
    return found


def kill(row: Process) -> None:
    """SIGKILL this very process, not a later one that got its pid."""
    if not hasattr(os, "pidfd_open"):
        with contextlib.suppress(OSError):
            os.kill(row.pid, signal.SIGKILL)
        return
    with contextlib.suppress(OSError):
        handle = os.pidfd_open(row.pid)
        try:
            now = _row(row.pid)
            if now and now.started == row.started:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        finally:
            os.close(handle)


ROOTS: set[int] = set()
"""First processes of all programs that run now; each is its own supervisor's to reap."""


class Family:
    """All processes of one program that runs without a sandbox, orphans included."""

    def __init__(self, mark: str, file_limit: int) -> None:
        """`mark`: `NAME=value` in the program's environment; `file_limit`: its RLIMIT_FSIZE."""
        self.mark = mark.encode()
        self.name = self.mark.partition(b"=")[0] + b"="
        self.file_limit = file_limit
        # A hard limit is inherited for good: nobody below the program can raise it again.
        own = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        self.telling = own == resource.RLIM_INFINITY or own > file_limit
        self.before = {pid for pid, row in table().items() if row.parent == os.getpid()}
        self.seen: set[tuple[int, float]] = set()
        self.root = 0

    def members(self, rows: dict[int, Process], extra: set[int]) -> dict[int, Process]:
        """Living members and zombies; `extra`: pids known by other means (a cgroup)."""
        roots = {self.root} | extra
        roots |= {row.pid for row in rows.values() if self._is_orphan(row)}
        found = descendants(rows, roots)
        self.seen |= {(row.pid, row.started) for row in found.values()}
        return found

    def _is_orphan(self, row: Process) -> bool:
        if (row.pid, row.started) in self.seen:
            return True
        if row.parent != os.getpid() or row.pid in self.before or row.pid in ROOTS:
            return False
        return self._is_ours(row.pid)

    def _is_ours(self, pid: int) -> bool:
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            environment = []
        if self.mark in environment:
            return True
        if any(entry.startswith(self.name) for entry in environment):
            return False  # another program of ours, running beside this one
        try:
            hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
        except (OSError, AttributeError):
            return False
        return self.telling and 0 <= hard <= self.file_limit

    def kill(self, extra: set[int], patience: float = 5.0) -> None:
        """SIGKILL and reap until nobody is left: forks in between are met in the next turn."""
        end = time.monotonic() + patience
        if self.root:
            with contextlib.suppress(OSError):
                os.killpg(self.root, signal.SIGKILL)  # the group at once: no fork slips through
        while time.monotonic() < end:
            rows = self.members(table(), extra)
            self.reap(rows)
            living = [row for row in rows.values() if not row.zombie]
            if not living:
                return
            for row in living:
                kill(row)
            time.sleep(0.002)

    def reap(self, rows: dict[int, Process]) -> None:
        """Collect orphans that ended; the first process is left to its Popen object."""
        for row in rows.values():
            if row.zombie and row.parent == os.getpid() and row.pid != self.root:
                with contextlib.suppress(OSError):
                    os.waitpid(row.pid, os.WNOHANG)


_lock = threading.Lock()
_adopting = 0


@contextlib.contextmanager
def adopting_orphans() -> Iterator[None]:
    """Orphans below us become our children instead of those of process 1."""
    global _adopting
    try:
        prctl = ctypes.CDLL(None, use_errno=True).prctl
    except (OSError, AttributeError):  # not Linux: orphans are found by having been seen
        yield
        return
    with _lock:
        _adopting += 1
        prctl(_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        with _lock:
            _adopting -= 1
            if not _adopting:
                prctl(_SUBREAPER, 0, 0, 0, 0)
