"""Runs the user's own `grade.py` and `valid.py` on a submission and the answers.

The script starts in a fresh folder that holds itself, `submission_test.csv` (the answers)
and `submission.csv`; nothing beside it can shadow a module it imports, and it inherits none
of our environment.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rdagent.errors import GradingError

TIMEOUT = 600.0
"""Seconds until a script and all it started are killed."""

_OUTPUT = 1_000_000
"""Bytes of a script's output that are read, from its end."""


def run_script(
    script: Path, competition_id: str, answers: Path, submission: Path, timeout: float = TIMEOUT
) -> dict[str, Any]:
    """The JSON object that `python grade.py <competition>` prints; `score` is a finite float.

    Text around the object is tolerated; of several the last with a score counts.
    Raises GradingError in one sentence.
    """
    code, output, errors = _run(script, competition_id, answers, submission, timeout)
    if code != 0:
        said = _last_line(errors) or _last_line(output) or "no output"
        raise GradingError(f"{script.name} ended with exit code {code}: {said}")
    report = _last_report(output)
    if report is None:
        said = _last_line(output) or "nothing"
        raise GradingError(
            f"{script.name} must print a JSON object with competition_id and score; it said: {said}"
        )
    if "competition_id" not in report:
        raise GradingError(f"{script.name} printed no competition_id beside its score")
    score = report["score"]
    if isinstance(score, bool) or not isinstance(score, int | float) or not math.isfinite(score):
        raise GradingError(f"{script.name} gave the score {score!r}, which is no finite number")
    if not isinstance(report.get("is_lower_better", False), bool):
        raise GradingError(f"{script.name}: is_lower_better must be true or false")
    return {**report, "score": float(score)}


def run_valid(
    script: Path, competition_id: str, answers: Path, submission: Path, timeout: float = TIMEOUT
) -> None:
    """Ask `valid.py`. Raises GradingError with its last line unless it ends with exit code 0."""
    code, output, errors = _run(script, competition_id, answers, submission, timeout)
    if code != 0:
        said = _last_line(output) or _last_line(errors) or f"exit code {code}"
        raise GradingError(f"{script.name} refuses the submission: {said}")


def _run(
    script: Path, competition_id: str, answers: Path, submission: Path, timeout: float
) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    with (
        tempfile.TemporaryDirectory(prefix="grade-") as folder,
        tempfile.TemporaryFile() as output,
        tempfile.TemporaryFile() as errors,
    ):
        for source, name in (
            (script, script.name), (answers, "submission_test.csv"), (submission, "submission.csv")
        ):  # fmt: skip
            try:
                shutil.copyfile(source, Path(folder) / name)
            except OSError as error:
                raise GradingError(f"{source.name} cannot be read: {error.strerror}") from error
        process = subprocess.Popen(
            # -P, -s: a pandas.py in the folder, or in the user's site, is not pandas
            [sys.executable, "-P", "-s", script.name, competition_id],
            cwd=folder, env=_clean_env(folder), stdin=subprocess.DEVNULL,
            stdout=output, stderr=errors, start_new_session=True,
        )  # fmt: skip
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise GradingError(
                f"{script.name} ran longer than {timeout:.0f} s and was stopped"
            ) from error
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # what it started too
            process.wait()
        return code, _tail(output), _tail(errors)


def _clean_env(home: str) -> dict[str, str]:
    """Enough to import and to print; no keys, no settings."""
    kept = {k: os.environ[k] for k in ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT") if k in os.environ}
    return {**kept, "HOME": home, "LANG": "C.UTF-8", "PYTHONUTF8": "1", "OMP_NUM_THREADS": "1"}


def _tail(file: Any) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _OUTPUT))
    return str(file.read().decode("utf-8", errors="replace"))


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""


def _last_report(text: str) -> dict[str, Any] | None:
    """The last JSON object with a score in `text`; braces that are no JSON are passed over."""
    decoder = json.JSONDecoder()
    found, position = None, text.find("{")
    while position >= 0:
        try:
            value, end = decoder.raw_decode(text, position)
        except (json.JSONDecodeError, RecursionError):
            end = position + 1
        else:
            found = value if "score" in value else found
        position = text.find("{", end)
    return found
