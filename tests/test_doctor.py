"""The doctor says what works, and how to mend what does not."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from small_run import command, make_competition

EXAMPLES = Path(__file__).parents[1] / "ds_data_example"


def doctor(cwd: Path, **env: object) -> tuple[int, str]:
    done = command("rdagent", "doctor", cwd=cwd, **env)
    assert done.stderr == ""
    return done.returncode, done.stdout


def line(report: str, name: str) -> str:
    return next(x for x in report.splitlines() if f" {name} " in x)


def test_a_bare_machine_can_start_a_run(tmp_path: Path) -> None:
    code, report = doctor(tmp_path)
    assert code == 0, report
    assert "A run can start" in report
    assert "digits-finetune" in line(report, "examples")
    assert f"Python {'.'.join(map(str, sys.version_info[:3]))}" in line(report, "sandbox")
    assert "GB free" in line(report, "log folder") and str(tmp_path) in line(report, "log folder")
    assert "cores" in line(report, "machine")
    for name in ("Docker", "conda"):
        assert "not used by this version" in line(report, name)
    assert list(tmp_path.iterdir()) == []  # it only looks


def test_the_data_folder_and_its_competitions(tmp_path: Path) -> None:
    make_competition(tmp_path / "data")
    code, report = doctor(tmp_path, DS_LOCAL_DATA_PATH=tmp_path / "data")
    assert code == 0 and line(report, "data").count("tiny") == 1


@pytest.mark.parametrize("wrong", ["absent", "empty", "data/tiny"])
def test_a_wrong_data_folder_fails_with_its_setting(tmp_path: Path, wrong: str) -> None:
    make_competition(tmp_path / "data")
    (tmp_path / "empty").mkdir()
    code, report = doctor(tmp_path, DS_LOCAL_DATA_PATH=tmp_path / wrong)
    row = line(report, "data")
    assert code == 1 and "FAIL" in row and "DS_LOCAL_DATA_PATH=" in row
    assert "No run can start yet" in report
    if wrong == "data/tiny":
        assert f"DS_LOCAL_DATA_PATH={tmp_path / 'data'} " in row


def test_settings_that_do_not_fit_or_are_misspelt(tmp_path: Path) -> None:
    code, report = doctor(tmp_path, DS_FULL_TIMEOUT="soon")
    assert code == 1 and "DS_FULL_TIMEOUT" in line(report, "settings")
    code, report = doctor(tmp_path, DS_FULL_TIMOUT="60")
    assert code == 0 and "did you mean DS_FULL_TIMEOUT?" in line(report, "settings")


def test_a_log_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, report = doctor(tmp_path, LOG_TRACE_PATH=tmp_path / "file" / "log")
    assert code == 1 and "LOG_TRACE_PATH=" in line(report, "log folder")


def test_the_key_is_found_and_never_shown(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("CHAT_MODEL=deepseek/chat\nDEEPSEEK_API_KEY=sk-very-secret\n")
    _, report = doctor(tmp_path)
    assert "DEEPSEEK_API_KEY is set" in line(report, "LLM") and "secret" not in report
    _, report = doctor(tmp_path, CHAT_MODEL="anthropic/claude", ANTHROPIC_API_KEY="")
    assert "ANTHROPIC_API_KEY is not set" in line(report, "LLM")


def test_without_isolation_a_run_starts_and_the_mending_is_named(tmp_path: Path) -> None:
    code, report = doctor(tmp_path, DS_CODER_COSTEER_ENV_TYPE="subprocess")
    assert code == 0 and "note" in line(report, "sandbox")
    assert "unset DS_CODER_COSTEER_ENV_TYPE" in line(report, "sandbox")
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "sh").symlink_to(shutil.which("sh") or "/bin/sh")
    code, report = doctor(tmp_path, PATH=tools)
    assert code == 0 and "apt-get install bubblewrap" in line(report, "sandbox")


def test_an_interpreter_that_cannot_run_programs_fails(tmp_path: Path) -> None:
    code, report = doctor(tmp_path, DS_PYTHON=tmp_path / "no-python")
    assert code == 1 and "unset DS_PYTHON" in line(report, "sandbox")


def test_a_gpu_is_named(tmp_path: Path) -> None:
    """A tool of that name that answers as the real one does; there may be no GPU here."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA H200'\n")
    tool.chmod(0o755)
    _, report = doctor(tmp_path, PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert "NVIDIA H200" in line(report, "GPU")
