"""The doctor says what works, and how to mend what does not."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from small_run import command, make_competition

from rdagent.doctor import Check, examine


def doctor(cwd: Path, **env: object) -> tuple[int, str]:
    """The command as users run it."""
    done = command("rdagent", "doctor", cwd=cwd, **env)
    assert done.stderr == ""
    return done.returncode, done.stdout


def line(report: str, name: str) -> str:
    return next(x for x in report.splitlines() if f" {name} " in x)


def checks(folder: Path, **environment: object) -> dict[str, Check]:
    """What it finds under these variables, by name; a command takes a second to start."""
    texts = {k: str(v) for k, v in {"LOG_TRACE_PATH": folder, **environment}.items()}
    return {c.name: c for c in examine(texts, folder / ".env")}


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


def test_what_keeps_a_run_from_starting_gives_exit_code_1(tmp_path: Path) -> None:
    code, report = doctor(tmp_path, DS_LOCAL_DATA_PATH="absent", DS_FULL_TIMEOUT="soon")
    assert code == 1 and "No run can start yet" in report
    assert "FAIL" in line(report, "settings") and "DS_FULL_TIMEOUT" in line(report, "settings")


def test_the_competitions_of_the_data_folder_are_named(tmp_path: Path) -> None:
    make_competition(tmp_path / "data")
    found = checks(tmp_path, DS_LOCAL_DATA_PATH=tmp_path / "data")["data"]
    assert found.state == "ok" and found.finding.endswith("data: tiny")


@pytest.mark.parametrize("wrong", ["absent", "empty", "data/tiny"])
def test_a_wrong_data_folder_fails_with_its_setting(tmp_path: Path, wrong: str) -> None:
    make_competition(tmp_path / "data")
    (tmp_path / "empty").mkdir()
    found = checks(tmp_path, DS_LOCAL_DATA_PATH=tmp_path / wrong)["data"]
    assert found.state == "FAIL" and found.mend.startswith("DS_LOCAL_DATA_PATH=")
    if wrong == "data/tiny":
        assert found.mend == f"DS_LOCAL_DATA_PATH={tmp_path / 'data'}"


def test_a_misspelt_setting_is_noted(tmp_path: Path) -> None:
    found = checks(tmp_path, DS_FULL_TIMOUT="60")["settings"]
    assert found.state == "note" and "did you mean DS_FULL_TIMEOUT?" in found.finding


def test_folders_that_cannot_be_written_fail(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name, setting in {"log folder": "LOG_TRACE_PATH", "workspaces": "WORKSPACE_PATH"}.items():
        found = checks(tmp_path, **{setting: tmp_path / "file" / "inside"})[name]
        assert found.state == "FAIL" and found.mend.startswith(f"{setting}=")


def test_the_key_is_found_and_never_shown(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("CHAT_MODEL=deepseek/chat\nDEEPSEEK_API_KEY=sk-very-secret\n")
    found = checks(tmp_path)
    assert "DEEPSEEK_API_KEY is set" in found["LLM"].finding and "secret" not in str(found)
    found = checks(tmp_path, CHAT_MODEL="anthropic/claude", ANTHROPIC_API_KEY="")
    assert "ANTHROPIC_API_KEY is not set" in found["LLM"].finding


def test_an_interpreter_that_cannot_run_programs_fails(tmp_path: Path) -> None:
    found = checks(tmp_path, DS_PYTHON=tmp_path / "no-python")["sandbox"]
    assert found.state == "FAIL" and "unset DS_PYTHON" in found.mend


def test_isolation_that_is_switched_off_is_noted(tmp_path: Path) -> None:
    found = checks(tmp_path, DS_CODER_COSTEER_ENV_TYPE="subprocess")["sandbox"]
    assert found.state == "note" and found.mend == "unset DS_CODER_COSTEER_ENV_TYPE"


def test_without_bubblewrap_a_run_starts_and_a_gpu_is_named(tmp_path: Path) -> None:
    """A PATH with nothing but a shell, and a tool that answers as nvidia-smi does."""
    (tmp_path / "sh").symlink_to(shutil.which("sh") or "/bin/sh")
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA H200'\n")
    tool.chmod(0o755)
    code, report = doctor(tmp_path, PATH=tmp_path)
    assert code == 0 and "note" in line(report, "sandbox")
    assert "sudo apt-get install bubblewrap" in line(report, "sandbox")
    assert "NVIDIA H200" in line(report, "GPU")
