"""Looks for whatever it must not see, everywhere it can; prints what it found."""

import importlib.util
import os

TOKENS = [token.encode() for token in os.environ["TOKENS"].split()]
FORBIDDEN = {".env", "submission_test.csv", "ds_data_example", "digits.csv.gz", "folds.csv"}
FORBIDDEN |= {"breast_cancer.csv", "diabetes_data_raw.csv.gz", "events.jsonl"}


def report(what, path):
    print(f"FOUND {what} {path}")


def read(path, size=1_000_000):
    try:
        with open(path, "rb") as file:
            return file.read(size)
    except OSError:
        return b""


for process in filter(str.isdigit, os.listdir("/proc")):
    for name in ("environ", "cmdline"):
        if any(token in read(f"/proc/{process}/{name}") for token in TOKENS):
            report(name, process)

for folder, folders, files in os.walk("/"):
    if folder in ("/proc", "/sys", "/dev"):
        folders.clear()
        continue
    if folder.startswith("/workspace"):
        continue
    if folder in ("/usr", "/usr/lib"):  # documentation and headers take long and hold nothing
        folders[:] = [name for name in folders if name.startswith(("lib", "local", "python"))]
    for name in (*folders, *files):
        path = os.path.join(folder, name)
        # A hidden folder leaves its name behind and nothing in it.
        if name in FORBIDDEN and (os.path.isfile(path) or os.listdir(path)):
            report("name", path)
    if not folder.startswith(("/usr", "/lib")):
        for name in files:
            if name.endswith((".csv", ".env", ".txt", ".json", ".pth")):
                content = read(os.path.join(folder, name))
                if any(token in content for token in TOKENS):
                    report("content", os.path.join(folder, name))

for guess in os.environ["GUESSES"].split():
    try:
        print("FOUND guess", guess, os.listdir(guess) or 1 / 0)
    except (OSError, ZeroDivisionError):
        pass
specification = importlib.util.find_spec("rdagent")
if specification and specification.origin:
    report("package", specification.origin)
print("looked everywhere")
