"""Leaves a workspace full of traps for whoever reads or deletes it."""

import os

os.symlink(os.environ["VICTIM"], "output.log")
os.symlink(os.environ["VICTIM"], "submission.csv")
os.symlink("/", "root")
os.mkfifo("fifo")
os.makedirs("locked/inner")
open("locked/inner/file.csv", "w").close()
os.chmod("locked/inner/file.csv", 0)
os.chmod("locked/inner", 0)
os.chmod("locked", 0)
for _ in range(int(os.environ["DEPTH"])):
    os.mkdir("d" * 20)
    os.chdir("d" * 20)
print("done", flush=True)
os._exit(0)
