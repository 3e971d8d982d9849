"""The doctor says what works, and how to mend what does not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from openai_server import Answer, OpenAIServer, Reply
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


SECRET = "fakekey-Zq81hT-and-more-7Yx2"


Start = Callable[[Answer], OpenAIServer]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Start]:
    """Starts a provider that gives one answer, whose key and address stand in `.env`."""
    before = dict(os.environ)
    for name in [x for x in os.environ if x.startswith(("OPENAI_", "CHAT_", "DS_PRICE"))]:
        del os.environ[name]
    with ExitStack() as stack:

        def start(answer: Answer) -> OpenAIServer:
            started = stack.enter_context(OpenAIServer([answer]))
            text = f"OPENAI_API_KEY={SECRET}\nOPENAI_BASE_URL={started.url}\n"
            (tmp_path / ".env").write_text(text)
            return started

        yield start
    os.environ.clear()
    os.environ.update(before)


def test_without_a_model_the_playbook_has_the_ideas(tmp_path: Path) -> None:
    found = checks(tmp_path)["LLM"]
    assert found.state == "ok" and "the playbook has the ideas" in found.finding
    loaded = (
        "import sys; from rdagent.doctor import examine; list(examine({})); print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", loaded], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "rdagent.settings" in done.stdout and "litellm" not in done.stdout  # it takes seconds


def test_a_model_is_asked_for_one_word_and_its_cost_is_said(tmp_path: Path, server: Start) -> None:
    """The command itself: its settings come from `.env`, and nothing else is printed."""
    started = server("ok")
    with (tmp_path / ".env").open("a") as file:
        file.write("CHAT_MODEL=openai/gpt-4o-mini\n")
    code, report = doctor(tmp_path)
    found = line(report, "LLM")
    assert code == 0 and " ok " in found
    # Per million tokens, litellm's list has 0.15 dollars in and 0.60 out.
    assert "openai/gpt-4o-mini answers in" in found
    assert "(100 tokens in, 10 out, $0.000021)" in found
    assert len(started.requests) == 1 and SECRET not in report


def test_models_of_single_stages_are_asked_too(tmp_path: Path, server: Start) -> None:
    started = server("ok")
    stages = '{"coding": {"model": "openai/small"}}'
    environment = {"CHAT_MODEL": "openai/own", "LITELLM_CHAT_MODEL_MAP": stages}
    found = [c for c in examine(environment, tmp_path / ".env") if c.name == "LLM"]
    assert [c.state for c in found] == ["note", "note"]
    assert "openai/own answers" in found[0].finding and "openai/small answers" in found[1].finding
    assert all("price is not known" in c.finding for c in found)
    assert all("DS_PRICE_INPUT and DS_PRICE_OUTPUT" in c.mend for c in found)
    assert len(started.requests) == 2
    prices = {"DS_PRICE_INPUT": "1", "DS_PRICE_OUTPUT": "2"}
    found = [c for c in examine(environment | prices, tmp_path / ".env") if c.name == "LLM"]
    assert [c.state for c in found] == ["ok", "ok"] and "$0.000120" in found[0].finding


@pytest.mark.parametrize(
    ("status", "message", "words"),
    [
        (401, f"Incorrect API key provided: {SECRET}", "refuses the key: correct OPENAI_API_KEY"),
        (404, "The model own does not exist", "knows no model openai/own: correct CHAT_MODEL"),
        (500, "overloaded", "openai/own answers with 500"),
    ],
)
def test_a_model_that_does_not_answer_fails(
    tmp_path: Path, server: Start, status: int, message: str, words: str
) -> None:
    server(Reply(status=status, error={"message": message}))
    found = checks(tmp_path, CHAT_MODEL="openai/own")["LLM"]
    assert found.state == "FAIL" and words in found.finding
    assert SECRET not in str(found) and "\n" not in found.finding
    assert "unset CHAT_MODEL" in found.mend


def test_what_is_missing_is_found_without_a_question(tmp_path: Path, server: Start) -> None:
    started = server("ok")
    for model, words in {
        "deepseek/deepseek-chat": "DEEPSEEK_API_KEY",
        "hosted_vllm/qwen": "HOSTED_VLLM_API_BASE",
        "nobody-knows-this": "provider/model",
    }.items():
        found = checks(tmp_path, CHAT_MODEL=model)["LLM"]
        assert found.state == "FAIL" and words in found.finding
    found = checks(tmp_path, CHAT_MODEL="openai/own", LITELLM_CHAT_MODEL_MAP="{")["LLM"]
    assert found.state == "FAIL" and "LITELLM_CHAT_MODEL_MAP" in found.finding
    found = checks(tmp_path, CHAT_MODEL="openai/own", DS_PROMPTS=tmp_path / "none")["LLM"]
    assert found.state == "FAIL" and "DS_PROMPTS" in found.finding
    assert not started.requests


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
