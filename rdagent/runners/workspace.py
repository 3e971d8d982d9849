"""The folder a program works in: laid out before a run, cleaned up after it."""

from __future__ import annotations

import os
from pathlib import Path

from rdagent.errors import SetupError
from rdagent.records import Job
from rdagent.runners.disk import remove

_PROGRAMS_OWN = ("models", "main.py")
"""Names in `workspace_input/` that a view cannot take."""


def view_entries(job: Job) -> dict[str, Path]:
    """Names in `workspace_input/` -> what lies there, links resolved on the host.

    Raises SetupError where the view holds a link to nothing.
    """
    entries = {}
    for entry in sorted(job.view.iterdir()):
        if entry.name not in _PROGRAMS_OWN:
            try:
                entries[entry.name] = entry.resolve(strict=True)
            except OSError:
                raise SetupError(f"{entry} points to nothing: remove it and start again") from None
    return entries


def lay_out(job: Job, *, linked: bool) -> None:
    """Put mount points (`linked`: symbolic links) for the view into `workspace_input/`.

    An earlier program may have worked in this folder: nothing in it is followed.
    """
    folder = job.workdir / "workspace_input"
    for needed in (job.workdir, folder, folder / "models"):
        if needed.is_symlink() or not needed.is_dir():
            remove(needed)
            needed.mkdir(parents=True)
    for name, target in view_entries(job).items():
        place = folder / name
        if linked:
            remove(place)
            place.symlink_to(target)
        elif target.is_dir():
            if place.is_symlink() or not place.is_dir():
                remove(place)
                place.mkdir()
        elif place.is_symlink() or not place.is_file():
            remove(place)
            place.touch()


def write_log(workdir: Path, text: str) -> None:
    """`output.log`, whatever the program may have put in its place."""
    path = workdir / "output.log"
    remove(path)
    # O_EXCL: if something could not be removed, the host writes nowhere rather than through it.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with os.fdopen(os.open(path, flags, 0o644), "w", encoding="utf-8") as file:
        file.write(text)
