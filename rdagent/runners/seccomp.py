"""System calls that a data-science program never needs, refused inside the sandbox.

They are the ones that hide memory or files from our limits (System V shared memory, a
process that cannot be looked at) and the rarely used parts of the kernel where most escapes
were found (namespaces, mounts, bpf, io_uring, keyrings ...).
"""

from __future__ import annotations

import errno
import platform
import struct
from functools import cache

# Name: number on x86_64, number on aarch64 (which shares those of the generic table).
_REFUSED = {
    "shmget": (29, 194), "msgget": (68, 186), "add_key": (248, 217), "request_key": (249, 218),
    "keyctl": (250, 219), "bpf": (321, 280), "perf_event_open": (298, 241),
    "userfaultfd": (323, 282), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427), "unshare": (272, 97), "setns": (308, 268),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "open_tree": (428, 428),
    "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431),
    "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "init_module": (175, 105),
    "finit_module": (313, 273), "delete_module": (176, 106), "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265), "fanotify_init": (300, 262), "acct": (163, 89),
    "swapon": (167, 224), "swapoff": (168, 225), "reboot": (169, 142), "quotactl": (179, 60),
    "syslog": (103, 116), "kcmp": (312, 272),
}  # fmt: skip
_CLONE3 = 435
_MACHINES = {
    # Index into the table above, audit number of the architecture, numbers of clone and prctl.
    "x86_64": (0, 0xC000003E, 56, 157),
    "aarch64": (1, 0xC00000B7, 220, 167),
}
_NAMESPACES = 0x7E020000
"""Every CLONE_NEW* flag."""
_SET_DUMPABLE = 4
_X32 = 0x40000000
"""x86_64 calls from this number on are another ABI's, with numbers of its own."""

_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16


@cache
def program() -> bytes | None:
    """The filter as bwrap's `--seccomp` takes it (classic BPF); None on other machines."""
    if platform.machine() not in _MACHINES:
        return None
    column, architecture, clone, prctl = _MACHINES[platform.machine()]
    refuse, allow, unknown = "refuse", "allow", "unknown"
    # (operation, operand, where to go if true, where to go if false; "" is the next line)
    lines: list[tuple[int, int, str, str]] = [
        (_LOAD, _ARCHITECTURE, "", ""),
        (_EQUAL, architecture, "", refuse),
        (_LOAD, _NUMBER, "", ""),
        (_AT_LEAST, _X32, refuse, ""),
        *((_EQUAL, numbers[column], refuse, "") for numbers in _REFUSED.values()),
        # Its flags lie behind a pointer; told that it is unknown, the C library uses clone.
        (_EQUAL, _CLONE3, unknown, ""),
        (_EQUAL, clone, "flags", ""),
        (_EQUAL, prctl, "", allow),
        (_LOAD, _FIRST_ARGUMENT, "", ""),
        (_EQUAL, _SET_DUMPABLE, refuse, allow),
    ]
    labels = {"flags": len(lines)}
    lines += [(_LOAD, _FIRST_ARGUMENT, "", ""), (_ANY_BIT, _NAMESPACES, refuse, allow)]
    for label, answer in ((refuse, errno.EPERM), (unknown, errno.ENOSYS), (allow, 0)):
        labels[label] = len(lines)
        lines.append((_RETURN, _ERRNO | answer if answer else _ALLOW, "", ""))

    def distance(here: int, label: str) -> int:
        return labels[label] - here - 1 if label else 0

    return b"".join(
        struct.pack("<HBBI", operation, distance(here, true), distance(here, false), operand)
        for here, (operation, operand, true, false) in enumerate(lines)
    )
