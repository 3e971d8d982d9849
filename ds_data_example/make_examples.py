"""Make the example competitions from data sets that come with scikit-learn.

    python ds_data_example/make_examples.py [--tables] [--new-seed]

Writes every train.csv, test.csv, sample_submission.csv and eval/<id>/submission_test.csv
beside this script and runs each prev_model/main.py to make its checkpoint (the torch one
only where torch is installed). The rest (descriptions, prev_model/main.py, grade.py,
valid.py, sample.py) is written by hand. Origin, licences and what the transformations
protect are in README.md.

Everything random comes from eval/seed.txt, which lies with the answers because whoever has
it can make them again. `--new-seed` draws another one.
"""

from __future__ import annotations

import argparse
import importlib.util
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import ndimage
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits

HERE = Path(__file__).resolve().parent
PIXELS = [f"p{row}{column}" for row in range(8) for column in range(8)]
CENTRE = np.array([3.5, 3.5])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--new-seed", action="store_true", help="draw another eval/seed.txt")
    parser.add_argument("--tables", action="store_true", help="leave the checkpoints as they are")
    parser.add_argument("--out", type=Path, default=HERE, help="a copy of this folder to write to")
    options = parser.parse_args()
    root: Path = options.out
    seed_file = root / "eval" / "seed.txt"
    if options.new_seed:
        seed_file.write_text(f"{secrets.randbits(128)}\n")
    seed = int(seed_file.read_text())

    make_breast_cancer(root, seed)
    make_diabetes(root, seed)
    for name, angle in (("digits-finetune", 20.0), ("digits-torch", -15.0)):
        history = make_digits(root, name, seed, angle)
        if name == "digits-torch" and not importlib.util.find_spec("torch"):
            print("digits-torch/prev_model/models left as it is: torch is not installed")
        elif not options.tables:
            make_checkpoint(root / name / "prev_model" / "main.py", history())


def stream(seed: int, *names: str) -> np.random.Generator:
    """An independent random stream for each name."""
    return np.random.default_rng([seed, *(byte for name in names for byte in name.encode())])


# ---------------------------------------------------------------------------- images


class Camera:
    """How a camera sees: a tilt, and its own gain and offset at each of the 8 x 8 pixels."""

    def __init__(self, rng: np.random.Generator, angle: float, offset: float, gain: float):
        self.angle = angle
        self.offset = rng.normal(0, offset, (8, 8))
        self.gain = 1 - gain * rng.random((8, 8))

    def take(
        self, images: np.ndarray, labels: np.ndarray, n: int, rng: np.random.Generator
    ) -> pd.DataFrame:
        """`n` pictures: each mixes two originals of one digit, so that no original is its twin."""
        rows = []
        digits = rng.permutation(np.arange(n) % 10)
        for digit in digits:
            first, second = rng.choice(np.flatnonzero(labels == digit), 2, replace=False)
            share = rng.uniform(0.5, 0.8)
            image = self._move(share * images[first] + (1 - share) * images[second], rng)
            slope = rng.uniform(-1, 1, 2)
            ramp = np.linspace(-1, 1, 8)
            image = image + slope[0] * ramp[:, None] + slope[1] * ramp[None]
            image = (image * self.gain + self.offset) * rng.uniform(0.8, 1.1)
            image = image + rng.normal(0, 1, (8, 8))
            rows.append(np.clip(np.rint(image), 0, 16).astype(int).ravel())
        return pd.DataFrame(rows, columns=PIXELS).assign(digit=digits)

    def _move(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Turn, zoom and shift a little, differently each time."""
        turn = np.deg2rad(self.angle + rng.normal(0, 10))
        matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        matrix /= rng.normal(1, 0.06)
        offset = CENTRE - matrix @ (CENTRE + rng.uniform(-1, 1, 2))
        moved: np.ndarray = ndimage.affine_transform(image, matrix, offset, order=1)
        return moved


def make_digits(root: Path, name: str, seed: int, angle: float) -> Callable[[], pd.DataFrame]:
    """180 labelled and 500 test pictures of a new camera; gives the old camera's on demand.

    The originals are dealt out first: 60 % to the old camera, the rest to train and test, none
    to two of them.
    """
    rng = stream(seed, name)
    digits = load_digits()
    order = rng.permutation(len(digits.images))
    old, train, test = np.split(order, [1080, 1320])
    new_camera = Camera(rng, angle, offset=3.0, gain=0.4)
    old_camera = Camera(rng, 0.0, offset=0.0, gain=0.0)
    tables = [
        new_camera.take(digits.images[part], digits.target[part], n, rng)
        for part, n in ((train, 180), (test, 500))
    ]
    write(root, name, tables[0], tables[1], "digit", rng)
    return lambda: old_camera.take(digits.images[old], digits.target[old], 24000, rng)


def make_checkpoint(code: Path, history: pd.DataFrame) -> None:
    """Run prev_model/main.py on the old camera's pictures, in a folder that nobody keeps."""
    for checkpoint in (code.parent / "models").glob("*-step-*"):
        checkpoint.unlink()
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "old_camera.csv"
        history.to_csv(table, index=False)
        subprocess.run([sys.executable, code, table], check=True)


# ---------------------------------------------------------------------------- tables


def mix(values: np.ndarray, columns: int, noise: float, rng: np.random.Generator) -> pd.DataFrame:
    """New columns, each a random mixture of all old ones, blurred, on a scale of its own."""
    standard = (values - values.mean(axis=0)) / values.std(axis=0)
    weights = rng.normal(0, 1, (values.shape[1], columns))
    mixed = standard @ weights
    mixed = mixed / mixed.std(axis=0) + rng.normal(0, noise, mixed.shape)
    mixed = mixed * np.exp(rng.normal(1, 1, columns)) + rng.normal(0, 10, columns)
    names = [f"reading_{i:02d}" for i in range(1, columns + 1)]
    return pd.DataFrame(mixed, columns=names).round(2)


def make_breast_cancer(root: Path, seed: int) -> None:
    """340 labelled and 229 test patients; some readings are missing."""
    rng = stream(seed, "breast-cancer")
    bunch = load_breast_cancer()
    table = mix(bunch.data, 16, 0.6, rng)
    for column in rng.choice(table.columns, 5, replace=False):
        table[column] = table[column].mask(rng.random(len(table)) < 0.06)
    table["malignant"] = 1 - bunch.target
    table = table.iloc[rng.permutation(len(table))]
    write(root, "breast-cancer", table[:340], table[340:], "malignant", rng, sample=False)


def make_diabetes(root: Path, seed: int) -> None:
    """290 labelled and 152 test patients; the score is rescaled and blurred."""
    rng = stream(seed, "diabetes-progression")
    bunch = load_diabetes(scaled=False)
    sex = bunch.feature_names.index("sex")
    table = mix(np.delete(bunch.data, sex, axis=1), 9, 0.25, rng)
    table.insert(0, "sex", np.where(bunch.data[:, sex] == 1, "a", "b"))
    scale, blur = rng.uniform(1.5, 2.0), rng.normal(0, 12, len(table))
    table["progression"] = (scale * bunch.target + 20 + blur).round(1)
    table = table.iloc[rng.permutation(len(table))]
    write(root, "diabetes-progression", table[:290], table[290:], "progression", rng)


# ---------------------------------------------------------------------------- files


def write(
    root: Path,
    name: str,
    train: pd.DataFrame,
    test: pd.DataFrame,
    target: str,
    rng: np.random.Generator,
    sample: bool = True,
) -> None:
    """Number the rows at random and write the competition's tables and answers."""
    folder, answers = root / name, root / "eval" / name
    folder.mkdir(parents=True, exist_ok=True)
    answers.mkdir(parents=True, exist_ok=True)
    ids = rng.permutation(np.arange(1, 10 * (len(train) + len(test))))
    train, test = train.reset_index(drop=True), test.reset_index(drop=True)
    train.insert(0, "id", ids[: len(train)])
    test.insert(0, "id", ids[len(train) : len(train) + len(test)])
    train.to_csv(folder / "train.csv", index=False)
    test.drop(columns=target).to_csv(folder / "test.csv", index=False)
    test[["id", target]].to_csv(answers / "submission_test.csv", index=False)
    if sample:
        constant = 0.0 if train[target].dtype.kind == "f" else 0
        empty = test[["id"]].assign(**{target: constant})
        empty.to_csv(folder / "sample_submission.csv", index=False)


if __name__ == "__main__":
    main()
