"""Tells which powers it has: ids, capabilities, new namespaces, mounts, signals to strangers."""

import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)
print("uid", os.getuid(), os.geteuid())
for line in open("/proc/self/status").readlines():
    if line.startswith(("CapEff", "CapBnd", "NoNewPrivs")):
        print(*line.split())
print("mount", libc.mount(b"none", b"/tmp", b"tmpfs", 0, None))
print("namespaces", libc.unshare(0x10000000), libc.unshare(0x40000000))
print("hidden memory", libc.shmget(0, 4096, 0o1600))
print("hidden process", libc.prctl(4, 0))
print("keys", libc.syscall({"x86_64": 250, "aarch64": 219}[os.uname().machine], 0, -3, 0))
print("processes", sum(name.isdigit() for name in os.listdir("/proc")) < 8)
try:
    print("terminal", open("/dev/tty"))
except OSError:
    print("no terminal")
