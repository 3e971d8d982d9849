"""Read digits from 8 x 8 pictures: the network that the old camera used.

    python main.py PICTURES.csv

PICTURES.csv holds one picture a row: columns p00 ... p77 (pixel of row and column, 0 to 16)
and `digit`. The trained network goes to models/digits-step-<updates>.joblib beside this file.

The checkpoint is a scikit-learn Pipeline of a StandardScaler (`scaler`) and an MLPClassifier
(`network`), loaded with `joblib.load`. It predicts as it is: `pipeline.predict(pictures)`.
To go on training it, scale the pictures with `pipeline[:-1].transform` (or fit the scaler
anew first, for a camera with other levels), and call `pipeline["network"].partial_fit` once
an epoch.
"""

import sys
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

MODELS = Path(__file__).resolve().parent / "models"
PIXELS = [f"p{row}{column}" for row in range(8) for column in range(8)]
EPOCHS = 30
BATCH = 200


def main() -> None:
    pictures = pd.read_csv(sys.argv[1])
    X, y = pictures[PIXELS].to_numpy(np.float32), pictures["digit"].to_numpy()
    network = MLPClassifier((96, 48), alpha=0.1, batch_size=BATCH, random_state=0)
    pipeline = Pipeline([("scaler", StandardScaler().fit(X)), ("network", network)])
    scaled = pipeline["scaler"].transform(X)
    for _ in range(EPOCHS):
        network.partial_fit(scaled, y, classes=np.arange(10))

    steps = EPOCHS * -(-len(X) // BATCH)
    MODELS.mkdir(exist_ok=True)
    joblib.dump(pipeline, MODELS / f"digits-step-{steps}.joblib", compress=3)
    print(f"{steps} updates, accuracy on its own pictures {pipeline.score(X, y):.3f}")


if __name__ == "__main__":
    main()
