"""Writes its submission when it is told that time is up; a worker inherits the handler."""

import os
import signal
import sys
import time


def finish(*_):
    with open(f"submission-{os.getpid() == main}.csv", "w") as file:
        file.write("id,y\n1,0\n")
    sys.exit(0)


main = os.getpid()
signal.signal(signal.SIGTERM, finish)
os.fork()
while True:
    time.sleep(60)
