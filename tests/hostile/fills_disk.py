"""Fills the disk: plainly, in files without a name, in locked folders, or with empty files."""

import os
import time

BLOCK = b"x" * 2**20
how = os.environ["HOW"]
kept = []
if how == "locked":
    os.mkdir("locked")
    os.chdir("locked")
    os.chmod(".", 0o300)  # it can write there, and nobody can list it
for number in range(400):
    if how == "empty":
        for part in range(100):
            open(f"{number}-{part}", "w").close()
        continue
    try:
        file = open(f"{number}.bin", "wb")
        kept.append(file)
        if how == "unlinked":
            os.unlink(f"{number}.bin")
        file.write(BLOCK)
        file.flush()
    except OSError as error:
        print(error)
        break
    time.sleep(0.002)
print("nobody stopped me")
time.sleep(60)
