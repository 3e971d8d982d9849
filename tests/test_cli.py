"""How commands behave on the command line: flags, durations, endings."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rdagent import cli
from rdagent.__main__ import COMMANDS
from rdagent.errors import SetupError


def run(*words: str, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **env},
        timeout=60,
    )


SCRIPT = """
import sys
from rdagent import cli
from rdagent.errors import SetupError

def build():
    parser = cli.Parser("play", "Play.")
    parser.add_argument("--loop-n", type=int, default=5, metavar="N", help="rounds")
    parser.add_argument("--timeout", type=cli.duration, default="12h", metavar="TIME", help="time")
    parser.add_argument("--hint", help="a sentence")
    parser.add_argument("--competition", required=True, help="folder name")
    return parser

@cli.main
def main(argv=None):
    args = build().parse_args(argv)
    if args.hint == "setup":
        raise SetupError("put the data there")
    if args.hint == "interrupt":
        raise KeyboardInterrupt
    if args.hint == "lines":
        for n in range(100_000):
            print(n)
    print(args.loop_n, args.timeout, args.hint)
    return 0

if __name__ == "__main__":
    sys.exit(main())
"""


@pytest.fixture
def script(tmp_path: Path) -> str:
    path = tmp_path / "play.py"
    path.write_text(SCRIPT)
    return str(path)


def test_both_spellings_of_a_flag_work(script: str) -> None:
    for words in (["--loop-n", "2"], ["--loop_n", "2"], ["--loop_n=2"], ["--loop-n=2"]):
        done = run(script, "--competition", "x", *words, "--timeout", "1h30m")
        assert done.stdout == "2 5400.0 None\n", done.stderr


def test_a_value_may_look_like_a_flag_with_underscores(script: str) -> None:
    done = run(script, "--competition=a_b", "--hint", "--no_such flag, with underscores")
    assert done.stdout == "5 43200.0 --no_such flag, with underscores\n"


@pytest.mark.parametrize("wrong", ["--lop-n", "--loop_nn", "--Loop-N", "-loop-n", "--loop"])
def test_an_unknown_flag_names_the_nearest(script: str, wrong: str) -> None:
    done = run(script, wrong, "3")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"unknown flag {wrong}: did you mean --loop-n?")
    assert done.stderr.count("\n") == 1


def test_a_flag_like_no_other_gets_the_list(script: str) -> None:
    assert "there are --help, --loop-n, --timeout" in run(script, "--zzz").stderr


def test_a_missing_or_wrong_value_is_one_sentence(script: str) -> None:
    for words, sentence in {
        (): "--competition is missing",
        ("--competition",): "--competition: expected one argument",
        ("--competition", "x", "--loop-n", "two"): "--loop-n: invalid int value: 'two'",
        ("--competition", "x", "--timeout", "12 apples"): "'12 apples' is not a duration",
        ("--competition", "x", "y"): "unrecognized arguments: y",
    }.items():
        done = run(script, *words)
        assert done.returncode == 2
        assert done.stderr.startswith(sentence)
        assert done.stderr.count("\n") == 1


def test_help_states_the_default(script: str) -> None:
    done = run(script, "--help")
    assert done.returncode == 0
    assert "rounds (default: 5)" in done.stdout
    assert "time (default: 12h)" in done.stdout
    assert "None" not in done.stdout


def test_setup_error_and_interrupt_end_without_traceback(script: str) -> None:
    done = run(script, "--competition", "x", "--hint", "setup")
    assert (done.returncode, done.stderr) == (2, "put the data there\n")
    done = run(script, "--competition", "x", "--hint", "interrupt")
    assert (done.returncode, done.stderr) == (130, "Stopped.\n")


def test_a_reader_that_leaves_early_is_no_error(script: str) -> None:
    with subprocess.Popen(
        [sys.executable, script, "--competition", "x", "--hint", "lines"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout and process.stderr
        assert process.stdout.readline() == "0\n"
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


@pytest.mark.parametrize(
    ("text", "seconds"),
    {
        "3600": 3600,
        "12h": 43200,
        "90m": 5400,
        "1d": 86400,
        "1h30m": 5400,
        "1h 30m": 5400,
        "1.5h": 5400,
        "45s": 45,
        " 2H ": 7200,
        "0.5": 0.5,
        "1d2h3m4s": 93784,
    }.items(),
)
def test_durations(text: str, seconds: float) -> None:
    assert cli.duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", " ", "0", "0h", "-1h", "12x", "h", "1h30", "30m1h", "nan", "inf", "1e3", "9" * 400, "½"],
)
def test_wrong_durations_get_examples(text: str) -> None:
    with pytest.raises(SetupError, match=r"is not a duration: write it as 12h, 90m, 1h30m"):
        cli.duration(text)


def test_the_rdagent_command_lists_and_guesses_its_commands() -> None:
    done = run("-m", "rdagent", "--help")
    assert done.returncode == 0
    assert all(name in done.stdout for name in COMMANDS)
    done = run("-m", "rdagent", "fine-tun")
    assert done.returncode == 2
    assert done.stderr == "unknown command fine-tun: did you mean finetune?\n"
    assert run("-m", "rdagent").returncode == 2
    assert run("-m", "rdagent", "--version").stdout.strip().count(".") == 2


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_answers_at_once(command: str) -> None:
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        done = run("-m", "rdagent", command, "--help")
        seconds.append(time.perf_counter() - start)
        assert done.returncode == 0, done.stderr
        assert command.split("_")[0] in done.stdout
    # Interpreter start included; the best of three, since other programs share the machine.
    assert min(seconds) < 0.4
