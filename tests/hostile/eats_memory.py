"""Allocates for ever: own memory, memory of many workers, or files in memory."""

import os
import sys
import time

BLOCK = b"x" * 2**20
kept = []
if os.environ["HOW"] == "workers":
    for _ in range(5):
        os.fork()
if os.environ["HOW"] == "memfd":
    file = os.fdopen(os.memfd_create("hidden"), "wb")
for _ in range(2**10 if os.environ["HOW"] != "workers" else 2**5):
    if os.environ["HOW"] == "memfd":
        file.write(BLOCK)
    else:
        kept.append(bytearray(BLOCK))
    time.sleep(0.001)
print("nobody stopped me")
time.sleep(60)
sys.exit(0)
