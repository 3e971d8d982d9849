"""Kernel limits on memory and processes, where this user may set them.

They hold between two looks of the watcher: a fork bomb or a greedy allocation cannot win
the race. Version 2 needs a delegated group, version 1 needs root; elsewhere there are none.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Literal

ROOT = Path("/sys/fs/cgroup")
_count = itertools.count()


class Cgroup:
    """One program's group: a folder in version 2, one a controller in version 1."""

    def __init__(self, folders: tuple[Path, ...]) -> None:
        self.folders = folders

    def add(self, pid: int) -> None:
        for folder in self.folders:
            (folder / "cgroup.procs").write_text(str(pid))

    def pids(self) -> set[int]:
        """Members, wherever they hid; a member cannot leave without being root."""
        with contextlib.suppress(OSError):
            return {int(pid) for f in self.folders for pid in _read(f / "cgroup.procs").split()}
        return set()

    def exceeded(self) -> Literal["memory", "processes"] | None:
        """The limit that the kernel had to enforce, if any."""
        for folder in self.folders:
            for name in ("memory.events", "memory.oom_control"):
                if _counter(folder / name, "oom_kill"):
                    return "memory"
            if _counter(folder / "pids.events", "max"):
                return "processes"
        return None

    def remove(self) -> None:
        """Kill who is left and remove the group; the kernel may need a moment for it."""
        for folder in self.folders:
            for _ in range(100):
                try:
                    folder.rmdir()
                    break
                except FileNotFoundError:
                    break
                except OSError:
                    for pid in self.pids():
                        with contextlib.suppress(OSError):
                            os.kill(pid, signal.SIGKILL)
                    time.sleep(0.005)


def create(memory: int, tasks: int) -> Cgroup | None:
    """A fresh group limited to `memory` bytes and `tasks` threads; None where we may not."""
    folders: list[Path] = []
    name = f"rdagent-{os.getpid()}-{next(_count)}"
    try:
        for parent, controllers in _parents():
            _sweep(parent)
            folder = parent / name
            folder.mkdir()
            folders.append(folder)
            _limit(folder, controllers, memory, tasks)
    except OSError:
        Cgroup(tuple(folders)).remove()
        return None
    return Cgroup(tuple(folders)) if folders else None


def _limit(folder: Path, controllers: str, memory: int, tasks: int) -> None:
    if "pids" in controllers:
        (folder / "pids.max").write_text(str(tasks))
    if "memory" not in controllers:
        return
    if (folder / "memory.max").exists():
        (folder / "memory.max").write_text(str(memory))
        swap, most = folder / "memory.swap.max", 0
    else:
        (folder / "memory.limit_in_bytes").write_text(str(memory))
        swap, most = folder / "memory.memsw.limit_in_bytes", memory
    if swap.exists():  # absent where the kernel does not count swap
        swap.write_text(str(most))


@cache
def _parents() -> tuple[tuple[Path, str], ...]:
    """Folders in which we may make groups, with the controllers that they offer."""
    for candidates in _candidates():
        try:
            for parent, controllers in candidates:
                trial = parent / f"rdagent-{os.getpid()}-trial"
                trial.mkdir()
                try:
                    if not os.access(parent / "cgroup.procs", os.W_OK):
                        raise PermissionError(trial)
                    _limit(trial, controllers, 2**40, 2**15)
                finally:
                    trial.rmdir()
        except OSError:
            continue
        return candidates
    return ()


def _candidates() -> Iterator[tuple[tuple[Path, str], ...]]:
    """Below our own group first; version 2 also beside it, where systemd delegates."""
    own: dict[str, str] = {}
    for line in _read(Path("/proc/self/cgroup")).splitlines():
        _, names, path = line.split(":", 2)
        own |= dict.fromkeys(names.split(","), path)
    if (ROOT / "cgroup.controllers").exists() and "" in own:
        group = ROOT / own[""].strip("/")
        for parent in (group, group.parent):
            if parent.is_relative_to(ROOT):
                yield ((parent, "memory pids"),)
    else:
        yield tuple((ROOT / name / own[name].strip("/"), name) for name in own if name in _V1)


_V1 = ("memory", "pids")


def _sweep(parent: Path) -> None:
    """Remove what a killed process of ours left behind."""
    for folder in parent.glob("rdagent-*-*"):
        pid = folder.name.split("-")[1]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            with contextlib.suppress(OSError):
                folder.rmdir()


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _counter(path: Path, name: str) -> int:
    for line in _read(path).splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return 0
