"""Read digits from 8 x 8 pictures: the convolutional network that the old camera used.

    python main.py PICTURES.csv

PICTURES.csv holds one picture a row: columns p00 ... p77 (pixel of row and column, 0 to 16)
and `digit`. The weights (a state_dict) go to models/digits-step-<updates>.pt beside this file.

To go on training: `network = DigitNet()`, `network.load_state_dict(torch.load(path))`; it takes
pictures of shape (n, 1, 8, 8) divided by 16 and gives (n, 10) logits.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

MODELS = Path(__file__).resolve().parent / "models"
PIXELS = [f"p{row}{column}" for row in range(8) for column in range(8)]
EPOCHS = 8
BATCH = 128


class DigitNet(nn.Module):
    """Two convolutions and two linear layers: pictures (n, 1, 8, 8) -> logits (n, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(512, 48), nn.ReLU(), nn.Dropout(0.2), nn.Linear(48, 10)
        )

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(pictures))


def to_pictures(table: pd.DataFrame) -> torch.Tensor:
    """Pixel columns -> (n, 1, 8, 8), 0 to 1."""
    pixels = table[PIXELS].to_numpy(np.float32) / 16
    return torch.from_numpy(pixels).reshape(-1, 1, 8, 8)


def train(
    network: nn.Module,
    pictures: torch.Tensor,
    digits: torch.Tensor,
    epochs: int = EPOCHS,
    batch: int = BATCH,
) -> int:
    """Fit with Adam; gives the number of updates."""
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3, weight_decay=1e-4)
    network.train()
    steps = 0
    for _ in range(epochs):
        for rows in torch.randperm(len(pictures)).split(batch):
            loss = nn.functional.cross_entropy(network(pictures[rows]), digits[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            steps += 1
    return steps


def main() -> None:
    torch.manual_seed(0)
    table = pd.read_csv(sys.argv[1])
    pictures, digits = to_pictures(table), torch.tensor(table["digit"].to_numpy())
    network = DigitNet()
    steps = train(network, pictures, digits)

    network.eval()
    with torch.no_grad():
        accuracy = (network(pictures).argmax(1) == digits).float().mean().item()
    MODELS.mkdir(exist_ok=True)
    torch.save(network.state_dict(), MODELS / f"digits-step-{steps}.pt")
    print(f"{steps} updates, accuracy on its own pictures {accuracy:.3f}")


if __name__ == "__main__":
    main()
