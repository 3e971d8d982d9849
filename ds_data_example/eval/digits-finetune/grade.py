"""Grade digits: `python grade.py digits-finetune` beside submission_test.csv and submission.csv."""

import json
import sys

import pandas as pd

answers = pd.read_csv("submission_test.csv").set_index("id")["digit"]
predictions = pd.read_csv("submission.csv").set_index("id")["digit"].reindex(answers.index)
score = float((predictions == answers).mean())
print(json.dumps({"competition_id": sys.argv[1], "score": score, "is_lower_better": False}))
