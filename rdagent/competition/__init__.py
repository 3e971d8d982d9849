"""A competition folder, understood: what the user brings, and what is worked out from it."""

from rdagent.competition.folder import (
    examples_dir,
    list_competitions,
    load_competition,
    read_sample,
    read_test,
    read_train,
)
from rdagent.competition.hints import read_hints
from rdagent.competition.overview import content_hashes, preview

__all__ = [
    "content_hashes",
    "examples_dir",
    "list_competitions",
    "load_competition",
    "preview",
    "read_hints",
    "read_sample",
    "read_test",
    "read_train",
]
