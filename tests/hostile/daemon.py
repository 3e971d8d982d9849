"""Leaves daemons behind that wiped their environment, left the session and closed all streams."""

import os
import sys
import time

BEAT = """
import time
n = 0
while True:
    n += 1
    with open("beat", "w") as file:
        file.write(str(n))
    time.sleep(0.02)
"""
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.closerange(0, 3)
        os.execve(sys.executable, [sys.executable, "-c", BEAT, os.environ["TOKEN"]], {})
    os._exit(0)
if os.environ["STAY"] == "yes":  # else the daemon outlives its parent at once
    time.sleep(60)
while not os.path.exists("beat"):
    time.sleep(0.01)
