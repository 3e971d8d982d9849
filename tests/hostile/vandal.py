"""Changes whatever it should only read: inputs, program, interpreter, kernel settings."""

import os
import sys
import sysconfig

site = sysconfig.get_paths()["purelib"]
for path in (
    "workspace_input/train.csv",
    "workspace_input/images/1.png",
    "workspace_input/main.py",
    "workspace_input/new.csv",
    f"{site}/sitecustomize.py",
    f"{os.path.dirname(sys.executable)}/python-of-mine",
    "/usr/bin/of-mine",
    "/etc/ld.so.preload",
    "/of-mine",
    "/dev/of-mine",
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/vm/overcommit_memory",
    "/proc/sysrq-trigger",
    "/sys/devices/system/cpu/cpu1/online",
):
    try:
        # Opened for writing and closed again: what succeeds is proof enough.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o644))
        print("WROTE", path)
    except OSError:
        pass
for path in ("workspace_input", "workspace_input/train.csv", "workspace_input/images"):
    try:
        os.rename(path, "stolen")
        print("MOVED", path)
    except OSError:
        pass
with open("workspace_input/models/weights.bin", "wb") as file:
    file.write(b"weights")
with open("submission.csv", "w") as file:
    file.write("id,y\n1,0\n")
