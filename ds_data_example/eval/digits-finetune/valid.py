"""Check a submission: `python valid.py digits-finetune` beside submission_test.csv and
submission.csv. Exit code 0 for a valid file; otherwise it prints what is wrong."""

import sys

import pandas as pd

answers = pd.read_csv("submission_test.csv")
try:
    submission = pd.read_csv("submission.csv")
except (OSError, ValueError) as error:
    sys.exit(f"submission.csv cannot be read: {error}")

if list(submission.columns) != ["id", "digit"]:
    sys.exit(f"columns must be id and digit, not {', '.join(map(str, submission.columns))}")
if submission["id"].duplicated().any():
    sys.exit("some ids occur twice")
missing = set(answers["id"]) - set(submission["id"])
unknown = set(submission["id"]) - set(answers["id"])
if missing or unknown:
    sys.exit(f"{len(missing)} ids are missing and {len(unknown)} are unknown")
if not submission["digit"].isin(range(10)).all():
    sys.exit("digit must be a whole number from 0 to 9 in every row")
print("valid")
