"""Tells which powers it has: ids, capabilities, new namespaces, mounts, signals to strangers."""

import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)
print("uid", os.getuid(), os.geteuid())
for line in open("/proc/self/status").readlines():
    if line.startswith(("CapEff", "CapBnd", "NoNewPrivs")):
        print(*line.split())
print("mount", libc.mount(b"none", b"/tmp", b"tmpfs", 0, None))
print("unshare", libc.unshare(0x10000000))
print("processes", sum(name.isdigit() for name in os.listdir("/proc")) < 8)
try:
    print("terminal", open("/dev/tty"))
except OSError:
    print("no terminal")
