"""Limits on memory, processes and disk over a whole process tree, looked at many times a second.

Kernel groups (`cgroup.py`) hold between two looks where they may be used; rlimits are a belt.
"""

from __future__ import annotations

import contextlib
import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path

from rdagent.records import Job
from rdagent.runners import disk
from rdagent.runners.bubblewrap import TEMPORARY
from rdagent.runners.processes import Process, table

THREADS = 8
"""Threads allowed for each process allowed: libraries start one a core."""
_WALK = 0.02
"""Seconds that one look may spend on measuring folders; the rest is left to the next."""


class Limits:
    """Measures a running program against its job's resources; keeps the peak of memory."""

    def __init__(self, job: Job, temporary: Path | None) -> None:
        """`temporary`: the program's private temporary folder where it is one on disk."""
        self.allowed = job.resources
        self.folders = [job.workdir, *([temporary] if temporary else [])]
        self.device = job.workdir.stat().st_dev
        self.peak = 0
        self.summed = 0
        self._walk: Iterator[int] = iter(())

    def exceeded(self, members: dict[int, Process], root: Path | None) -> str | None:
        """The limit that the tree is over, if any. `root`: a sandbox's `/`, seen from here."""
        count = len(members)
        if count > self.allowed.processes:
            return "processes"
        if sum(row.threads for row in members.values()) > THREADS * self.allowed.processes:
            return "processes"
        in_mounts = [_used(root, folder) for folder in TEMPORARY] if root else [0]
        hidden_disk, hidden_memory = disk.unlinked(list(members), self.device)
        if self._memory(members, sum(in_mounts) + hidden_memory) > self.allowed.memory:
            return "memory"
        written = hidden_disk + in_mounts[0]  # the first is /tmp
        return "disk" if self._disk_over(self.allowed.disk - written) else None

    def _memory(self, members: dict[int, Process], shared: int) -> int:
        """Bytes in use. Resident sizes count shared pages once a process: exact when it matters."""
        summed = sum(row.rss for row in members.values()) + shared
        if summed > 1.05 * self.summed or summed > self.allowed.memory:
            self.summed = max(summed, self.summed)
            own, mapped = _proportional(members)
            # Files in memory are counted once, whether mapped or not.
            summed = own + max(mapped, shared)
            self.peak = max(self.peak, summed)
        return summed if summed > self.allowed.memory else 0

    def _disk_over(self, allowed: int) -> bool:
        """Whether the folders hold more; a full measurement may take several looks."""
        end = time.monotonic() + _WALK
        try:
            for bytes_on_disk in self._walk:
                if bytes_on_disk > allowed:
                    return True
                if time.monotonic() > end:
                    return False
        except disk.TooDeepError:
            return True
        self._walk = self._sizes()
        return False

    def _sizes(self) -> Iterator[int]:
        before = 0
        for folder in self.folders:
            total = 0
            for total in disk.usage(folder):
                yield before + total
            before += total


def _used(root: Path, folder: Path) -> int:
    """Bytes in a sandbox's own folder in memory."""
    inside = root / folder.relative_to("/")
    try:
        if inside.stat().st_dev == folder.stat().st_dev:
            return 0  # the sandbox is still being built: this is the host's folder
        found = os.statvfs(inside)
    except OSError:  # not there yet, or no longer
        return 0
    return (found.f_blocks - found.f_bfree) * found.f_frsize


def _proportional(members: dict[int, Process]) -> tuple[int, int]:
    """Bytes of the tree with shared pages counted once: own and file pages, memory files."""
    total = mapped = 0
    for row in members.values():
        try:
            lines = Path(f"/proc/{row.pid}/smaps_rollup").read_text().splitlines()
        except OSError:  # ended, or locked against us: what we know is its resident size
            total += row.rss
            continue
        for line in lines:
            if line.startswith(("Pss:", "Pss_Shmem:")):
                name, number, _ = line.split()
                if name == "Pss:":
                    total += int(number) * 1024
                else:
                    mapped += int(number) * 1024
    return total - mapped, mapped


def apply_rlimits(pid: int, job: Job, *, kernel_group: bool) -> None:
    """The belt: inherited by everything that `pid` will start."""
    wanted = {resource.RLIMIT_CORE: 0, resource.RLIMIT_FSIZE: job.resources.disk}
    if os.getuid() and not kernel_group:
        # Counts all processes of this user, ours and the user's own, and never binds root.
        wanted[resource.RLIMIT_NPROC] = _own_tasks() + THREADS * job.resources.processes
    if hasattr(resource, "prlimit"):
        for kind, value in wanted.items():
            with contextlib.suppress(OSError, ValueError):
                hard = resource.prlimit(pid, kind)[1]
                value = value if hard == resource.RLIM_INFINITY else min(value, hard)
                resource.prlimit(pid, kind, (value, value))
    with contextlib.suppress(OSError):
        # If the machine runs out of memory all the same, the program goes first.
        Path(f"/proc/{pid}/oom_score_adj").write_text("1000")


def _own_tasks() -> int:
    total = 0
    for row in table().values():
        with contextlib.suppress(OSError):
            if Path(f"/proc/{row.pid}").stat().st_uid == os.getuid():
                total += row.threads
    return total
