"""The local sandbox against real hostile programs (tests/hostile/), with and without bubblewrap."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

import rdagent
from rdagent.errors import SetupError
from rdagent.records import Execution, Job, Resources
from rdagent.runners.limits import Limits
from rdagent.runners.local import LocalRunner

HOSTILE = Path(__file__).parent / "hostile"
MB = 2**20
Run = Callable[..., Execution]


@pytest.fixture(params=["isolated", "plain"])
def isolate(request: pytest.FixtureRequest) -> bool | None:
    if request.param == "plain":
        return False
    if LocalRunner().warning:
        pytest.skip(f"no bubblewrap here: {LocalRunner().warning}")
    return True


@pytest.fixture
def sandboxed() -> None:
    if LocalRunner().warning:
        pytest.skip(f"no bubblewrap here: {LocalRunner().warning}")


@pytest.fixture
def view(tmp_path: Path) -> Path:
    """A file, a folder and a link into another folder, as host-made views hold them."""
    view = tmp_path / "view"
    (view / "images").mkdir(parents=True)
    (view / "images/1.png").write_text("pixels")
    (view / "train.csv").write_text("id,y\n1,0\n")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/test.csv").write_text("id\n2\n")
    (view / "test.csv").symlink_to(tmp_path / "elsewhere/test.csv")
    return view


def job(tmp_path: Path, view: Path, code: str, **fields: object) -> Job:
    """A job whose program is a file of tests/hostile/ or the given text."""
    workdir = tmp_path / f"work-{uuid.uuid4().hex[:6]}"
    (workdir / "workspace_input/models").mkdir(parents=True)
    known = HOSTILE / code
    text = known.read_text() if code.endswith(".py") else code
    (workdir / "workspace_input/main.py").write_text(text)
    values = {"kind": "debug", "view": view, "workdir": workdir, "timeout": 30.0, **fields}
    return Job.model_validate(values)


def alive(token: str) -> list[psutil.Process]:
    """Processes with the token in their command line; the kernel gets a moment to bury them."""
    for _ in range(50):
        found = [
            p for p in psutil.process_iter(["cmdline"])
            if p.pid != os.getpid() and any(token in word for word in p.info["cmdline"] or ())
        ]  # fmt: skip
        if not found:
            return []
        time.sleep(0.02)
    return found


# What honest programs get


def test_a_program_finds_its_inputs_and_leaves_its_outputs(
    isolate: bool | None, tmp_path: Path, view: Path
) -> None:
    code = """
import os, sys
print(open("workspace_input/train.csv").read(), open("workspace_input/test.csv").read())
print(open("workspace_input/images/1.png").read(), os.environ["DS_SEED"], os.environ["EXTRA"])
print(os.environ["OMP_NUM_THREADS"], sys.stdin.read() == "", file=sys.stderr)
open("workspace_input/models/w.bin", "w").write("weights")
open("submission.csv", "w").write("id,y\\n2,0\\n")
"""
    todo = job(
        tmp_path, view, code, seed=7, fold=2, kind="fold", env={"EXTRA": "told"},
        resources=Resources(cpus=3),
    )  # fmt: skip
    done = LocalRunner(isolate=isolate).run(todo)
    assert (done.exit_code, done.kind, done.fold, done.seed) == (0, "fold", 2, 7)
    assert done.log == "id,y\n1,0\n id\n2\n\npixels 7 told\n3 True\n"
    assert (todo.workdir / "output.log").read_text() == done.log
    assert (todo.workdir / "submission.csv").read_text() == "id,y\n2,0\n"
    assert (todo.workdir / "workspace_input/models/w.bin").read_text() == "weights"
    assert done.protected is (isolate is not False)
    assert not (done.timed_out or done.terminated or done.limit or done.error)


def test_the_environment_is_built_from_nothing(
    isolate: bool | None, tmp_path: Path, view: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    done = LocalRunner(isolate=isolate).run(
        job(tmp_path, view, "import os\nprint(sorted(os.environ), os.environ['HOME'])")
    )
    assert "OPENAI" not in done.log
    allowed = {"PATH", "HOME", "USER", "LANG", "DS_SEED", "DS_JOB", "PWD", "TMPDIR"}
    names = set(done.log.partition("]")[0].strip("[").replace("'", "").split(", "))
    ours = ("_THREADS", "PYTHON", "CUDA_", "LOKY_")
    assert {n for n in names - allowed if not any(o in n for o in ours)} == set()
    if isolate is not False:
        assert done.log.endswith("/tmp\n")


def test_a_failing_program_is_data(isolate: bool | None, tmp_path: Path, view: Path) -> None:
    runner = LocalRunner(isolate=isolate)
    raised = runner.run(job(tmp_path, view, "raise ValueError('boom')"))
    assert raised.exit_code == 1
    assert "ValueError: boom" in raised.log
    crashed = runner.run(job(tmp_path, view, "import os; os.kill(os.getpid(), 11)"))
    assert crashed.exit_code == 128 + 11


def test_a_short_program_takes_a_short_time(
    isolate: bool | None, tmp_path: Path, view: Path
) -> None:
    runner = LocalRunner(isolate=isolate)
    runner.probe()
    times = []
    for _ in range(5):
        todo = job(tmp_path, view, "pass")
        begin = time.monotonic()
        done = runner.run(todo)
        times.append(time.monotonic() - begin)
        assert done.seconds <= times[-1]
    assert min(times) < 0.3  # some 40 ms on a quiet machine


def test_memory_is_measured_over_the_whole_tree(
    isolate: bool | None, tmp_path: Path, view: Path
) -> None:
    code = """
import os, time
shared = bytearray(b'x' * 60_000_000)
for _ in range(3):
    if os.fork() == 0:
        own = bytearray(b'x' * 40_000_000)
        time.sleep(0.6)
        os._exit(0)
time.sleep(0.8)
"""
    done = LocalRunner(isolate=isolate).run(job(tmp_path, view, code))
    # 60 shared, counted once, and 3 times 40.
    assert 170e6 < done.peak_memory < 300e6


def test_probe_tells_what_programs_find(isolate: bool | None) -> None:
    found = LocalRunner(isolate=isolate).probe()
    assert found.python == ".".join(map(str, sys.version_info[:3]))
    assert found.packages["numpy"]
    assert "rdagent" not in found.packages
    assert found.cpus >= 1
    assert found.memory > 2**28
    assert found.protected is (isolate is not False)


def test_one_warning_where_nothing_isolates() -> None:
    warning = LocalRunner(isolate=False).warning
    assert warning
    assert "without isolation" in warning


def test_an_interpreter_that_does_not_start_is_for_the_user_to_mend(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="DS_PYTHON"):
        LocalRunner(python=tmp_path / "no-python").probe()
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    with pytest.raises(SetupError, match="DS_PYTHON"):
        LocalRunner(python=broken).probe()


# Time


def test_sleeping_for_ever_ends_at_the_limit(
    isolate: bool | None, tmp_path: Path, view: Path
) -> None:
    token = uuid.uuid4().hex
    done = LocalRunner(isolate=isolate).run(
        job(
            tmp_path,
            view,
            "stubborn.py",
            timeout=1.0,
            command=("python", "./workspace_input/main.py", token),
        )
    )
    assert done.timed_out
    assert not done.terminated
    assert done.exit_code is None
    assert 1.0 <= done.seconds < 2.0
    assert alive(token) == []


def test_sigterm_leaves_time_to_write_a_submission(
    isolate: bool | None, tmp_path: Path, view: Path
) -> None:
    todo = job(tmp_path, view, "polite.py", timeout=2.0)
    done = LocalRunner(isolate=isolate).run(todo)
    assert (done.exit_code, done.terminated, done.timed_out) == (0, True, False)
    assert 1.7 <= done.seconds < 2.0
    assert (todo.workdir / "submission-True.csv").exists()
    # A worker that inherited the handler was not told: it would have written over it.
    assert not (todo.workdir / "submission-False.csv").exists()


@pytest.mark.parametrize("stay", ["yes", "no"])
def test_daemons_die_with_their_program(
    stay: str, isolate: bool | None, tmp_path: Path, view: Path
) -> None:
    token = uuid.uuid4().hex
    todo = job(tmp_path, view, "daemon.py", timeout=1.0, env={"TOKEN": token, "STAY": stay})
    done = LocalRunner(isolate=isolate).run(todo)
    assert done.terminated is (stay == "yes")
    assert (todo.workdir / "beat").exists()
    assert alive(token) == []
    assert [p for p in psutil.Process().children() if p.status() == "zombie"] == []


def test_ctrl_c_ends_the_program_before_it_is_passed_on(
    isolate: bool | None, tmp_path: Path, view: Path
) -> None:
    token = uuid.uuid4().hex
    todo = job(tmp_path, view, "daemon.py", timeout=60.0, env={"TOKEN": token, "STAY": "yes"})
    host = start_host(todo, isolate)
    while not (todo.workdir / "beat").exists():
        assert host.poll() is None
        time.sleep(0.02)
    host.send_signal(signal.SIGINT)
    _, errors = host.communicate(timeout=10)
    assert "KeyboardInterrupt" in errors
    assert alive(token) == []


def test_a_killed_host_takes_its_program_along(
    isolate: bool | None, tmp_path: Path, view: Path
) -> None:
    token = uuid.uuid4().hex
    code = "import time; open('beat', 'w'); time.sleep(60)"
    command = ("python", "./workspace_input/main.py", token)
    todo = job(tmp_path, view, code, timeout=60.0, command=command)
    host = start_host(todo, isolate)
    while not (todo.workdir / "beat").exists():
        assert host.poll() is None
        time.sleep(0.02)
    host.kill()
    host.communicate(timeout=10)
    assert alive(token) == []


def start_host(todo: Job, isolate: bool | None) -> subprocess.Popen[str]:
    code = (
        "import sys; from rdagent.records import Job; from rdagent.runners.local import "
        "LocalRunner\nLocalRunner(isolate=eval(sys.argv[1])).run(Job.model_validate_json("
        "sys.stdin.read()))"
    )
    host = subprocess.Popen(
        [sys.executable, "-c", code, str(isolate)],
        stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "TMPDIR": str(todo.view.parent)},  # a killed host leaves its folder
    )  # fmt: skip
    assert host.stdin
    host.stdin.write(todo.model_dump_json())
    host.stdin.close()
    host.stdin = None
    return host


# Memory, processes, disk


def test_a_fork_bomb_is_stopped(isolate: bool | None, tmp_path: Path, view: Path) -> None:
    token = uuid.uuid4().hex
    done = LocalRunner(isolate=isolate).run(
        job(
            tmp_path,
            view,
            "fork_bomb.py",
            resources=Resources(processes=20),
            command=("python", "./workspace_input/main.py", token),
        )
    )
    assert (done.limit, done.exit_code, done.timed_out) == ("processes", None, False)
    assert done.seconds < 5
    assert alive(token) == []


@pytest.mark.parametrize("how", ["plainly", "workers", "memfd"])
def test_memory_ends_at_the_limit(
    how: str, isolate: bool | None, tmp_path: Path, view: Path
) -> None:
    done = LocalRunner(isolate=isolate).run(
        job(
            tmp_path,
            view,
            "eats_memory.py",
            env={"HOW": how},
            timeout=20.0,
            resources=Resources(memory=150 * MB),
        )
    )
    assert (done.limit, done.exit_code) == ("memory", None)
    assert "nobody" not in done.log
    assert done.peak_memory < 300 * MB


@pytest.mark.parametrize("how", ["plainly", "unlinked", "locked", "empty"])
def test_disk_ends_at_the_limit(how: str, isolate: bool | None, tmp_path: Path, view: Path) -> None:
    done = LocalRunner(isolate=isolate).run(
        job(
            tmp_path,
            view,
            "fills_disk.py",
            env={"HOW": how},
            timeout=20.0,
            resources=Resources(disk=25 * MB),
        )
    )
    assert (done.limit, done.exit_code) == ("disk", None)


def test_a_private_tmp_is_limited_and_vanishes(
    isolate: bool | None, tmp_path: Path, view: Path
) -> None:
    code = """
import os, tempfile
with tempfile.NamedTemporaryFile(delete=False) as file:
    print(file.name)
    try:
        for _ in range(300): file.write(b"x" * 2**20)
    except OSError as error:
        print("full")
import time; time.sleep(20)
"""
    todo = job(tmp_path, view, code, timeout=10.0, resources=Resources(disk=50 * MB))
    done = LocalRunner(isolate=isolate).run(todo)
    assert done.limit == "disk" or "full" in done.log
    assert not Path(done.log.splitlines()[0]).exists()


def test_the_hosts_own_tmp_is_not_charged_to_a_sandbox_that_is_still_being_built(
    tmp_path: Path, view: Path
) -> None:
    todo = job(tmp_path, view, "pass", resources=Resources(memory=1))
    host = Path("/")  # what a sandbox's root is in its first milliseconds
    assert Limits(todo, None).exceeded({}, host) is None


# Output


def test_a_gigabyte_in_one_line_costs_little(
    isolate: bool | None, tmp_path: Path, view: Path
) -> None:
    code = """
import os, sys
os.write(1, b"first")
block = b"x" * 2**20
for _ in range(1000): os.write(2, block)
os.write(1, b"last")
"""
    before = psutil.Process().memory_info().rss
    todo = job(tmp_path, view, code)
    done = LocalRunner(isolate=isolate).run(todo)
    assert done.exit_code == 0
    assert len(done.log) <= 8000
    assert done.log.startswith("first")
    assert done.log.endswith("last")
    assert (todo.workdir / "output.log").stat().st_size < 2.1e6
    assert psutil.Process().memory_info().rss - before < 60e6
    assert done.seconds < 10


def test_escape_sequences_do_not_reach_the_terminal(
    isolate: bool | None, tmp_path: Path, view: Path
) -> None:
    code = r"""
import os
os.write(1, b"\x1b[2J\x1b[31mred\x1b[0m\x1b]0;title\x07 10%\r 50%\r100%\r\n\x00\x9b\xc2\x9b31m\xff")
os.write(1, "\n\u202ereversed\u2028 \u00fc".encode() + b"\x1b]8;;http://x\x1b\\link\x07\x08\x1b")
"""
    todo = job(tmp_path, view, code)
    done = LocalRunner(isolate=isolate).run(todo)
    assert done.log == "100%\n\ufffd\ufffd\ufffd31m\ufffd\n\ufffdreversed\ufffd ülink\ufffd\ufffd"
    assert (todo.workdir / "output.log").read_text() == done.log


def test_closing_the_streams_changes_nothing(
    isolate: bool | None, tmp_path: Path, view: Path
) -> None:
    code = "import os, time; os.closerange(0, 64); time.sleep(0.3); os._exit(7)"
    done = LocalRunner(isolate=isolate).run(job(tmp_path, view, code))
    assert done.exit_code == 7
    assert done.seconds >= 0.3


# What programs must not see, reach or change


def test_a_spy_finds_nothing(
    sandboxed: None, tmp_path: Path, view: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = uuid.uuid4().hex
    monkeypatch.setenv("OPENAI_API_KEY", token)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for path in ("home/.netrc", ".env", "eval/x/submission_test.csv", "log/other-run/folds.csv"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(f"secret,{token}\n")
    repository = Path(rdagent.__file__).parents[1]
    python = wheel_in(tmp_path / "repository", token)
    guesses = (repository / "rdagent", repository / "ds_data_example", tmp_path / "home", "/home")
    env = {"TOKENS": token[::-1], "GUESSES": " ".join(map(str, guesses))}
    # The token is told backwards: the program's own environment must not be what it finds.
    spy = (HOSTILE / "spy.py").read_text().replace("token.encode()", "token[::-1].encode()")
    for interpreter in (Path(sys.executable), python):
        done = LocalRunner(python=interpreter, isolate=True).run(job(tmp_path, view, spy, env=env))
        assert "looked everywhere" in done.log, done.log
        assert "FOUND" not in done.log, done.log


def wheel_in(repository: Path, token: str) -> Path:
    """A repository with an environment inside that has us and scikit-learn's data installed."""
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", repository / ".venv"], check=True
    )
    (packages,) = (repository / ".venv/lib").glob("python*/site-packages")
    for path in (
        repository / ".env",
        repository / "ds_data_example/eval/x/submission_test.csv",
        packages / "rdagent/ds_data_example/eval/x/submission_test.csv",
        packages / "rdagent/__init__.py",
        packages / "rdagent-0.1.0.dist-info/METADATA",
        packages / "__editable__.rdagent-0.1.0.pth",
        packages / "sklearn/datasets/data/digits.csv.gz",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {token}\n")
    return repository / ".venv/bin/python"


def test_nobody_answers_on_the_network(sandboxed: None, tmp_path: Path, view: Path) -> None:
    name = uuid.uuid4().hex
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as local:
        local.bind("\0" + name)
        local.listen()
        env = {"PORT": str(server.getsockname()[1]), "ABSTRACT": name}
        runner = LocalRunner(isolate=True)
        done = runner.run(job(tmp_path, view, "phones_home.py", env=env))
        free = LocalRunner(isolate=False).run(job(tmp_path, view, "phones_home.py", env=env))
    assert "CONNECTED" not in done.log
    assert done.log.count("refused [") == 2
    assert free.log.count("CONNECTED") == 2  # the server was there


def test_a_vandal_changes_nothing(sandboxed: None, tmp_path: Path, view: Path) -> None:
    todo = job(tmp_path, view, "vandal.py")
    before = {p: p.read_bytes() for p in view.rglob("*") if p.is_file()}
    done = LocalRunner(isolate=True).run(todo)
    assert done.exit_code == 0, done.log
    assert done.log == ""
    assert {p: p.read_bytes() for p in view.rglob("*") if p.is_file()} == before
    assert (todo.workdir / "workspace_input/main.py").read_text().startswith('"""Changes')
    assert (todo.workdir / "workspace_input/models/weights.bin").exists()
    assert (todo.workdir / "submission.csv").stat().st_uid == os.getuid()


def test_a_program_has_no_privileges(sandboxed: None, tmp_path: Path, view: Path) -> None:
    done = LocalRunner(isolate=True).run(job(tmp_path, view, "privileges.py"))
    assert done.log.splitlines() == [
        "uid 65534 65534",
        "CapEff: 0000000000000000",
        "CapBnd: 0000000000000000",
        "NoNewPrivs: 1",
        "mount -1",
        "namespaces -1 -1",
        "hidden memory -1",
        "hidden process -1",
        "keys -1",
        "processes True",
        "no terminal",
    ]


@pytest.mark.parametrize("depth", [3, 1500])
def test_a_littered_workspace_can_be_read_and_deleted(
    depth: int, isolate: bool | None, tmp_path: Path, view: Path
) -> None:
    victim = tmp_path / "victim.txt"
    victim.write_text("precious")
    env = {"VICTIM": str(victim), "DEPTH": str(depth)}
    todo = job(tmp_path, view, "litter.py", env=env)
    done = LocalRunner(isolate=isolate).run(todo)
    assert done.log == "done\n" or done.limit == "disk"
    assert victim.read_text() == "precious"
    assert (todo.workdir / "submission.csv").is_symlink()  # left to the gates, never followed
    assert not (todo.workdir / "output.log").is_symlink()
    assert (todo.workdir / "locked/inner/file.csv").read_text() == ""
    ordinary = "import shutil, sys; shutil.rmtree(sys.argv[1])"
    subprocess.run([sys.executable, "-c", ordinary, todo.workdir], check=True)
    assert victim.exists()


def test_links_planted_by_an_earlier_program_are_not_followed(
    isolate: bool | None, tmp_path: Path, view: Path
) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    todo = job(tmp_path, view, "open('workspace_input/models/w', 'w').write('x')")
    inputs = todo.workdir / "workspace_input"
    (inputs / "models").rmdir()
    (inputs / "models").symlink_to(precious)
    (inputs / "train.csv").symlink_to(precious / "train.csv")
    done = LocalRunner(isolate=isolate).run(todo)
    assert done.exit_code == 0, done.log
    assert list(precious.iterdir()) == []
