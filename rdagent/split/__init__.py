"""Which rows the host hides, and in which fold and part."""

from rdagent.split.folds import Split, load_split, make_split, save_split, time_of, write_private

__all__ = ["Split", "load_split", "make_split", "save_split", "time_of", "write_private"]
