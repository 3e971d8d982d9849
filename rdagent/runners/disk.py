"""Folders that hostile programs wrote: measured, mended and removed without following a link."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

DEEPEST = 64
"""Folders inside folders; nobody needs more, and path names end at 4,096 characters."""
ENTRY = 4096
"""Bytes charged for any entry at least: a million empty files fill a disk too."""


def open_folder(name: str | Path, parent: int | None = None) -> int:
    """File descriptor of a real folder (no link), made accessible if its owner locked it.

    Raises OSError where it is not a folder or not ours.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(name, flags, dir_fd=parent)
        if os.fstat(fd).st_mode & stat.S_IRWXU != stat.S_IRWXU:
            with contextlib.suppress(OSError):
                os.fchmod(fd, stat.S_IRWXU)  # deleting needs write and search permission
        return fd
    except PermissionError:
        if not hasattr(os, "O_PATH"):
            raise
    # O_PATH needs no permission on the folder itself, and the descriptor cannot become a link.
    handle = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    try:
        Path(f"/proc/self/fd/{handle}").chmod(stat.S_IRWXU)
    finally:
        os.close(handle)
    return os.open(name, flags, dir_fd=parent)


class TooDeepError(Exception):
    """Folders are nested deeper than `DEEPEST`."""


def usage(folder: Path) -> Iterator[int]:
    """Bytes on disk below `folder`, yielded as they add up, one step an entry.

    Steps let the caller measure a million files between two looks at the clock. Raises
    TooDeepError. What vanishes meanwhile is not counted.
    """
    total = 0
    counted: set[tuple[int, int]] = set()
    fds: list[int] = []
    try:
        fds.append(open_folder(folder))
        walks = [os.scandir(fds[0])]
        while walks:
            entry = next(walks[-1], None)
            if entry is None:
                walks.pop().close()
                os.close(fds.pop())
                continue
            with contextlib.suppress(OSError):
                found = entry.stat(follow_symlinks=False)
                if found.st_nlink < 2 or (found.st_dev, found.st_ino) not in counted:
                    total += max(found.st_blocks * 512, ENTRY)
                if found.st_nlink > 1:
                    counted.add((found.st_dev, found.st_ino))
                if stat.S_ISDIR(found.st_mode):
                    if len(fds) > DEEPEST:
                        raise TooDeepError(folder)
                    fds.append(open_folder(entry.name, fds[-1]))
                    walks.append(os.scandir(fds[-1]))
            yield total
    except OSError:
        return
    finally:
        for fd in fds:
            os.close(fd)


def unlinked(pids: list[int], device: int) -> tuple[int, int]:
    """Bytes in files without a name that programs hold open: on `device`, and in memory.

    An open file keeps its blocks after `unlink`, and a memfd never had a name.
    """
    disk: dict[tuple[int, int], int] = {}
    memory: dict[tuple[int, int], int] = {}
    for pid in pids:
        try:
            handles = list(Path(f"/proc/{pid}/fd").iterdir())
        except OSError:
            continue
        for handle in handles[:4096]:
            with contextlib.suppress(OSError):
                found = handle.stat()
                if stat.S_ISREG(found.st_mode) and not found.st_nlink:
                    where = disk if found.st_dev == device else memory
                    where[found.st_dev, found.st_ino] = found.st_blocks * 512
    return sum(disk.values()), sum(memory.values())


def mend(folder: Path) -> None:
    """Make a finished program's folder one that its owner can read through and delete.

    Locked folders are opened up, files made readable, and what lies deeper than `DEEPEST`
    is removed: a plain `shutil.rmtree` fails on paths of more than 4,096 characters.
    """
    with contextlib.suppress(OSError):
        root = open_folder(folder)
        try:
            aside: list[str] = []
            _mend(root, root, aside, DEEPEST)
            for name in aside:  # grows while what was cut off is itself cut
                with contextlib.suppress(OSError):
                    inner = open_folder(name, root)
                    try:
                        _mend(inner, root, aside, DEEPEST)
                    finally:
                        os.close(inner)
        finally:
            os.close(root)
        for name in aside:
            remove(folder / name)


def _mend(fd: int, root: int, aside: list[str], levels: int) -> None:
    """Mend below `fd`; folders `levels` down are moved to `root` and their names noted."""
    with os.scandir(fd) as entries:
        found = list(entries)
    for entry in found:
        with contextlib.suppress(OSError):
            if entry.is_dir(follow_symlinks=False):
                inner = open_folder(entry.name, fd)
                try:
                    if levels:
                        _mend(inner, root, aside, levels - 1)
                    else:
                        name = f".too-deep-{secrets.token_hex(8)}"
                        os.rename(entry.name, name, src_dir_fd=fd, dst_dir_fd=root)
                        aside.append(name)
                finally:
                    os.close(inner)
            elif entry.is_file(follow_symlinks=False):
                mode = stat.S_IMODE(entry.stat(follow_symlinks=False).st_mode)
                if not mode & stat.S_IRUSR:
                    os.chmod(entry.name, mode | stat.S_IRUSR | stat.S_IWUSR, dir_fd=fd)


def remove(path: Path) -> None:
    """Delete whatever lies at `path` itself: a file, a link (not its target), a folder."""
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISDIR(path.lstat().st_mode):
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
