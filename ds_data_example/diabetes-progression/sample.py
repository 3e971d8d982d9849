"""Make the debug sample: the same files with 60 of the train rows.

Runs with two globals: `dataset_path` (the competition's files) and `output_path` (an empty
folder that receives the same files, smaller).
"""

import shutil
from pathlib import Path

import pandas as pd

source, target = Path(dataset_path), Path(output_path)  # noqa: F821  given by whoever runs this
target.mkdir(parents=True, exist_ok=True)
for path in source.iterdir():
    if path.name == "train.csv":
        train = pd.read_csv(path)
        # Every few rows along the sorted target: low and high progressions are all there.
        ranks = train["progression"].sort_values(kind="stable").index
        chosen = ranks[:: max(1, len(train) // 60)][:60]
        train.loc[sorted(chosen)].to_csv(target / path.name, index=False)
    elif path.is_dir():
        shutil.copytree(path, target / path.name)
    else:
        shutil.copy(path, target / path.name)
