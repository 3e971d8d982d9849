"""What a program and its submission must pass before anybody believes them."""

from rdagent.gates.submission import read_submission, suspicious

__all__ = ["read_submission", "suspicious"]
