"""Ignores SIGTERM, lets a worker ignore it too, and sleeps for ever."""

import os
import signal
import time

signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.fork()
while True:
    time.sleep(60)
