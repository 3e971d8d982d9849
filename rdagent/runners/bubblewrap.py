"""The bubblewrap command line: what a program can see, and nothing else.

New user, process, network, IPC, host-name and mount namespaces, no capabilities. Inside, the
program is uid 65534, which the namespace maps to the caller: what it writes belongs to the
caller. When the caller is root, the kernel's own files in /proc/sys would then be the
program's to write (core_pattern: code as root on the host), so all of /proc is read-only.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from rdagent.records import Job
from rdagent.runners.interpreter import Interpreter
from rdagent.runners.workspace import view_entries

WORKSPACE = Path("/workspace")
"""Where the working directory lies inside, whatever its name on the host."""
TEMPORARY = (Path("/tmp"), Path("/dev/shm"))
"""Private folders in memory, each limited to half of the program's memory."""

_UNSHARE = (
    "--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts",
    "--unshare-cgroup-try", "--uid", "65534", "--gid", "65534", "--hostname", "sandbox",
    "--die-with-parent", "--new-session", "--cap-drop", "ALL",
)  # fmt: skip
# Of a prefix only what an installation consists of: it may be a project's root folder, hold
# further environments (conda) or lie beside data (/usr/src, /usr/local/src).
_PARTS = (
    "bin", "sbin", "lib", "lib32", "lib64", "libx32", "libexec", "include", "share",
    "pyvenv.cfg", "nvvm", "targets", "cuda*",
)  # fmt: skip
_SYSTEM = (Path("/usr"), Path("/usr/local"))
_TOP = ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "nix/store", "gnu/store")
_FILES = (
    "/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime",
    "/sys/devices/system/cpu", "/sys/devices/system/node",
)  # fmt: skip
_GPU_DEVICES = ("nvidia*", "dxg")
# Inside any folder of packages: ourselves with the examples' answers, and data sets that
# competitions may have been made from.
_HIDDEN = (
    "rdagent", "rdagent-*", "*rdagent*.pth", "__editable__*rdagent*",
    "sklearn/datasets/data", "sklearn/datasets/images",
)  # fmt: skip


@cache
def program() -> str | None:
    """Path of `bwrap`, if it is installed."""
    return shutil.which("bwrap")


@cache
def _extras() -> tuple[str, ...]:
    """Options that newer versions have: no further namespaces inside (0.8 and later)."""
    answer = subprocess.run(
        [program() or "bwrap", "--help"], capture_output=True, text=True, check=False
    )
    return ("--disable-userns",) if "--disable-userns" in answer.stdout + answer.stderr else ()


def command(
    job: Job,
    interpreter: Interpreter,
    arguments: list[str],
    *,
    status_fd: int,
    filter_fd: int | None,
    read_only: tuple[Path, ...] = (),
    hide: tuple[Path, ...] = (),
) -> list[str]:
    """`bwrap` with all its mounts, ending in the program's own `arguments`.

    `status_fd`: where bwrap writes the pid of the sandbox; `filter_fd`: where it reads the
    filter of system calls; `read_only`: further folders shown under their own names; `hide`:
    folders that stay empty where a mount would show them.
    """
    size = str(max(min(job.resources.memory // 2, job.resources.disk), 2**20))
    line = [program() or "bwrap", *_UNSHARE, *_extras(), "--json-status-fd", str(status_fd)]
    if filter_fd is not None:
        line += ["--seccomp", str(filter_fd)]
    line += ["--proc", "/proc", "--dev", "/dev"]
    for folder in TEMPORARY:
        line += ["--size", size, "--tmpfs", str(folder)]
    if job.resources.gpus:
        for pattern in _GPU_DEVICES:
            for device in sorted(Path("/dev").glob(pattern)):
                line += ["--dev-bind-try", str(device), str(device)]
    line += _system(interpreter, read_only, hide)
    inputs = job.workdir / "workspace_input"
    line += ["--bind", str(job.workdir), str(WORKSPACE)]
    line += ["--ro-bind", str(inputs), str(WORKSPACE / "workspace_input")]
    line += ["--bind", str(inputs / "models"), str(WORKSPACE / "workspace_input/models")]
    for name, target in view_entries(job).items():
        line += ["--ro-bind", str(target), str(WORKSPACE / "workspace_input" / name)]
    for folder in (Path("/proc"), Path("/dev"), Path("/")):
        line += ["--remount-ro", str(folder)]
    return [*line, "--chdir", str(WORKSPACE), "--", *arguments]


@cache
def _system(
    interpreter: Interpreter, read_only: tuple[Path, ...], hide: tuple[Path, ...]
) -> list[str]:
    """Read-only system and interpreter, with empty folders over what must not be seen."""
    shown: dict[Path, Path] = {}  # path inside -> path on the host
    links: list[str] = []
    for name in _TOP:
        path = Path("/", name)
        if path.is_symlink():
            links += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            shown[path] = path
    for prefix in dict.fromkeys([*_SYSTEM, *interpreter.prefixes]):
        if prefix != Path("/"):
            shown |= {p: p for part in _PARTS for p in sorted(prefix.glob(part))}
    shown |= {path: path for path in map(Path, _FILES) if path.exists()}
    shown |= {path: path for path in read_only}
    if interpreter.user_base:
        minor = ".".join(interpreter.version.split(".")[:2])
        libraries = interpreter.user_base / "lib" / f"python{minor}"
        shown[libraries] = libraries
    for hop in _hops(interpreter.executable):
        if not any(hop.is_relative_to(folder) for folder in shown):
            shown[hop] = hop
    mounts = {path: ["--ro-bind", str(source), str(path)] for path, source in shown.items()}
    for path in _hidden(list(shown), hide):
        empty = ["--tmpfs", str(path), "--remount-ro", str(path)]
        mounts[path] = empty if path.is_dir() else ["--ro-bind", "/dev/null", str(path)]
    # Outer folders first: an inner mount, shown or hidden, then lies on top of an outer one.
    ordered = sorted(mounts.items(), key=lambda item: len(item[0].parts))
    return links + [word for _, words in ordered for word in words]


def _hops(path: Path) -> Iterator[Path]:
    """Each link on the way from an interpreter to its binary, which comes last."""
    for _ in range(40):
        yield path
        if not path.is_symlink():
            return
        path = Path(os.path.normpath(path.parent / path.readlink()))


def _hidden(shown: list[Path], hide: tuple[Path, ...]) -> Iterator[Path]:
    """What must stay out of sight although it lies in a folder that is shown."""
    found = set(hide)
    package = importlib.util.find_spec("rdagent")
    for place in (package.submodule_search_locations or ()) if package else ():
        found.add(Path(place))
    for folder in shown:
        for libraries in (*folder.glob("python*/*-packages"), *folder.glob("*-packages")):
            found |= {path for pattern in _HIDDEN for path in libraries.glob(pattern)}
    hidden: list[Path] = []
    for path in sorted(found):  # parents first: nothing can be mounted inside a hidden one
        inside = any(path.is_relative_to(folder) for folder in shown)
        if inside and path.exists() and not any(path.is_relative_to(other) for other in hidden):
            hidden.append(path)
            yield path
