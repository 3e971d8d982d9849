"""Bad input ends a command with one sentence before anything runs; odd but good input plays.

Everything goes through the commands that users type.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from small_run import command, make_competition

from rdagent.errors import SetupError
from rdagent.play import run as play_here
from rdagent.settings import load_settings

PLAY = ("--competition", "tiny", "--loop-n", "0")
MEND_TARGET = "name another column as `target` in competition.toml"
Spoil = Callable[[Path], object]


def refused(root: Path, *words: object, module: str = "rdagent.data_science", **env: object) -> str:
    """The one sentence that a command ends with; it left nothing behind."""
    log = root / "log"
    before = sorted(log.rglob("*")) if log.is_dir() else []
    places = {"DS_LOCAL_DATA_PATH": root / "data", "LOG_TRACE_PATH": log}
    done = command(module, *words, cwd=root, **{**places, **env})
    assert done.returncode == 2, done.stdout + done.stderr
    # Where a run goes on, its folder is named before anything can fail.
    assert not done.stdout or "--resume" in words, done.stdout
    assert done.stderr.count("\n") == 1 and done.stderr.strip().isprintable(), done.stderr
    assert (sorted(log.rglob("*")) if log.is_dir() else []) == before
    return done.stderr.strip()


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A competition that plays, until a test spoils it."""
    return make_competition(tmp_path / "data")


def _line(path: Path, number: int, text: str) -> None:
    lines = path.read_text().splitlines()
    lines[number - 1] = text
    path.write_text("\n".join(lines) + "\n")


def _column(path: Path, number: int, text: str) -> None:
    """Every row has `text` in column `number`."""
    header, *rows = (line.split(",") for line in path.read_text().splitlines())
    changed = [[text if n == number else v for n, v in enumerate(row)] for row in rows]
    path.write_text("\n".join(map(",".join, [header, *changed])) + "\n")


def _instead(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink(missing_ok=True)
    make(path)


# -- the competition folder --------------------------------------------------------------

FILES: dict[str, tuple[Spoil, tuple[str, ...]]] = {
    "no train": (
        lambda c: (c / "train.csv").unlink(),
        ("tiny has no train file: put train.csv in ", "/data/tiny"),
    ),
    "empty file": (
        lambda c: (c / "train.csv").write_text(""),
        ("train.csv is empty: put the table's header and rows in it",),
    ),
    "only a header": (
        lambda c: (c / "test.csv").write_text("id,x\n"),
        ("test.csv has no rows: put some below its header",),
    ),
    "too many fields": (
        lambda c: _line(c / "train.csv", 8, "106,1,2,3"),
        ("train.csv has more fields than its header on line 8: mend that row",),
    ),
    "too few fields": (
        lambda c: _line(c / "test.csv", 3, "161"),
        ("test.csv has too few fields on line 3: mend that row",),
    ),
    "an open quote": (
        lambda c: _line(c / "train.csv", 8, '106,"1.5,2'),
        ("train.csv has a quote that is never closed", "line 8: close it"),
    ),
    "junk": (
        lambda c: (c / "train.csv").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" * 50),
        ("train.csv has a NUL byte on line 3: save it as text in UTF-8",),
    ),
    "latin-1": (
        lambda c: (c / "train.csv").write_bytes(b"id,x,y\n1,2,3\n2,3,gr\xfcn\n"),
        ("train.csv is not UTF-8 on line 3: save it as UTF-8",),
    ),
    "utf-16": (
        lambda c: (c / "train.csv").write_bytes("id,x,y\n1,2,3\n".encode("utf-16")),
        ("train.csv is UTF-16 or UTF-32: save it as UTF-8",),
    ),
    "semicolons": (
        lambda c: [p.write_text(p.read_text().replace(",", ";")) for p in c.glob("*.csv")],
        ("parts its columns by semicolons: save it with commas instead",),
    ),
    "a folder as table": (
        lambda c: _instead(c / "train.csv", Path.mkdir),
        ("train.csv in tiny is a folder: put the table itself there",),
    ),
    "a link to itself": (
        lambda c: _instead(c / "test.csv", lambda p: p.symlink_to("test.csv")),
        ("test.csv in tiny is a link that leads nowhere: remove it",),
    ),
    "a broken link beside the tables": (
        lambda c: (c / "extra.bin").symlink_to("gone.bin"),
        ("extra.bin in tiny is a link that leads nowhere: remove it, or put the file",),
    ),
    "a folder in itself": (
        lambda c: (c / "again").symlink_to("."),
        ("again in tiny links to a folder that it lies in: remove the link",),
    ),
    "a pipe": (
        lambda c: os.mkfifo(c / "pipe"),
        ("pipe in tiny is neither file nor folder: remove it",),
    ),
    "answers by name": (
        lambda c: (c / "submission_test.csv").write_text("id,y\n160,1\n"),
        ("submission_test.csv in tiny holds answers: move it to ", "/data/eval/tiny"),
    ),
    "answers by content": (
        lambda c: shutil.copy(c.parent / "eval/tiny/submission_test.csv", c / "notes.txt"),
        ("notes.txt in tiny is identical to the answers (eval/tiny/submission_test.csv): remove",),
    ),
    "a link to the answers": (
        lambda c: (c / "more").symlink_to("../eval"),
        ("more in tiny links to the answers: remove the link",),
    ),
}


MEANINGS: dict[str, tuple[Spoil, tuple[str, ...]]] = {
    "sample columns that match nothing": (
        lambda c: (c / "sample_submission.csv").write_text("key,price,size\n" + "1,2,3\n" * 20),
        ("(key, price, size) match no column that only train.csv has (y): name `target`",),
    ),
    "sample ids of other rows": (
        lambda c: _line(c / "sample_submission.csv", 2, "999,0.5"),
        ("sample_submission.csv lacks id '160' of test.csv", "make both hold the same ids"),
    ),
    "an id in capitals": (
        lambda c: _line(c / "sample_submission.csv", 1, "ID,y"),
        ("sample_submission.csv has 'ID' where test.csv has 'id': give both the same name",),
    ),
    "a constant target": (
        lambda c: _column(c / "train.csv", 2, "7"),
        ("the target y of train.csv is always 7", MEND_TARGET),
    ),
    "a missing target": (
        lambda c: _column(c / "train.csv", 2, ""),
        ("the target y of train.csv is missing in every row", MEND_TARGET),
    ),
    "an infinite target": (
        lambda c: _line(c / "train.csv", 4, "102,1.5,inf"),
        ("the target y of train.csv is infinite in row 3: put a number there",),
    ),
    "a text among numbers": (
        lambda c: _line(c / "train.csv", 4, "102,1.5,12kg"),
        ("metric rmse does not fit, it needs numbers and y holds '12kg': mend that",),
    ),
    "one row": (
        lambda c: (c / "train.csv").write_text("id,x,y\n1,2,3\n"),
        ("the target y of train.csv is always 3",),
    ),
}
TOML = {
    'metric = "rmsee"': "toml: unknown metric 'rmsee' (did you mean rmse?): use one of accuracy, ",
    "metric = rmse": "toml cannot be read: Invalid value (at line 1, column 10); lines look like ",
    "metrik = 'rmse'": "competition.toml has no key 'metrik': did you mean metric?",
    "target = 3": "competition.toml: target has to be a text or a list of texts, not 3",
    "target = 'z'": "competition.toml: target 'z' is no column of train.csv: it has id, x, y",
    "target = 'id'": "'id' cannot be both id and target: name another column",
    "group = 'y'": "'y' cannot be both group and target: name another column",
    "metric = 'roc_auc'": "it needs probabilities and the submission holds numbers: mend that",
}


CASES = {
    **FILES,
    **MEANINGS,
    **{
        toml: (
            lambda c, toml=toml: (c / "competition.toml").write_text(toml + "\n"),
            (part,),
        )
        for toml, part in TOML.items()
    },
}


@pytest.fixture(scope="module")
def endings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[str]]]:
    """How a command ends on each spoilt folder; two at a time, since each takes a second."""
    roots = {name: tmp_path_factory.mktemp("case") for name in CASES}
    for name, root in roots.items():
        CASES[name][0](make_competition(root / "data"))
    pool = ThreadPoolExecutor(2)
    yield {name: pool.submit(refused, root, *PLAY) for name, root in roots.items()}
    pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("name", CASES)
def test_a_folder_that_cannot_be_played(endings: dict[str, Future[str]], name: str) -> None:
    sentence = endings[name].result()
    assert all(part in sentence for part in CASES[name][1]), sentence


def test_a_previous_model_that_is_not_there(tmp_path: Path, tiny: Path) -> None:
    def sentence() -> str:
        return refused(tmp_path, *PLAY, module="rdagent.finetune")

    assert sentence() == f"tiny has no prev_model/: put the model folder in {tiny}"
    (tiny / "prev_model" / "models").mkdir(parents=True)
    assert sentence() == "prev_model/ of tiny is empty: put main.py and models/ in it"
    (tiny / "prev_model" / "main.py").write_text("print('hello')\n")
    assert "has no checkpoint: put the weights in " in sentence()


# -- where things lie --------------------------------------------------------------------


def test_a_competition_that_is_not_there(tmp_path: Path, tiny: Path) -> None:
    nowhere = refused(tmp_path, *PLAY, DS_LOCAL_DATA_PATH=tmp_path / "nowhere")
    assert f"no data folder {tmp_path}/nowhere: set DS_LOCAL_DATA_PATH" in nowhere
    assert "breast-cancer, diabetes-progression, digits-finetune" in nowhere
    (tmp_path / "empty").mkdir()
    empty = refused(tmp_path, *PLAY, DS_LOCAL_DATA_PATH=tmp_path / "empty")
    assert "it holds none; put a folder with train.csv there" in empty
    near = refused(tmp_path, "--competition", "tinny\x1b[31m\n")
    assert near.startswith(r"no competition tinny\x1b[31m\n in ")
    assert near.endswith("did you mean tiny? there are tiny")
    assert "is no competition name: give the name" in refused(tmp_path, "--competition", "../tiny")
    assert refused(tmp_path).startswith("--competition is missing: name a competition")
    settings = load_settings({"local_data_path": tmp_path / "data"}, {}, tmp_path / ".env")
    with pytest.raises(SetupError, match="is no competition name"):
        play_here("ti\0ny", settings=settings)


@pytest.mark.usefixtures("tiny")
def test_a_log_folder_that_cannot_be_written(tmp_path: Path) -> None:
    # A file in its place: permissions do not stop root.
    (tmp_path / "file").write_text("here already")
    for place in (tmp_path / "file", tmp_path / "file" / "deep" / "log"):
        sentence = refused(tmp_path, *PLAY, LOG_TRACE_PATH=place)
        assert sentence.startswith(f"cannot write the folder {place} (")
        assert sentence.endswith("set LOG_TRACE_PATH to a folder you may write")
    sentence = refused(tmp_path, *PLAY, WORKSPACE_PATH=tmp_path / "file")
    assert sentence.endswith("set WORKSPACE_PATH to a folder you may write")
    assert (tmp_path / "file").read_text() == "here already"


# -- flags and settings ------------------------------------------------------------------


@pytest.mark.usefixtures("tiny")
def test_flags_that_do_not_fit(tmp_path: Path) -> None:
    for words, start in {
        ("--timeout", "12 apples"): "'12 apples' is not a duration: write it as 12h, 90m,",
        ("--timeout", "0"): "'0' is not a duration: write it as 12h, 90m,",
        ("--timeout=-5m",): "'-5m' is not a duration: write it as 12h, 90m,",
        ("--loop-n", "abc"): "--loop-n: invalid int value: 'abc'",
        ("--loop-n", "-1"): "--loop-n -1 does not fit: give 0 or more rounds",
        ("--seed", "-1"): "--seed -1 does not fit: give 0 or more",
        ("--seed", "x"): "--seed: invalid int value: 'x'",
        ("--lop-n", "3"): "unknown flag --lop-n: did you mean --loop-n?",
        ("--env-type", "locl"): "DS_CODER_COSTEER_ENV_TYPE='locl' does not fit",
    }.items():
        assert refused(tmp_path, *PLAY, *words).startswith(start)
    for words, start in {
        ("fine-tun",): "unknown command fine-tun: did you mean finetune?",
        ("predict", "--dat", "x"): "unknown flag --dat: did you mean --data?",
        ("finetune", "--competion", "x"): "unknown flag --competion: did you mean --competition?",
    }.items():
        assert refused(tmp_path, *words, module="rdagent").startswith(start)


@pytest.mark.usefixtures("tiny")
def test_variables_that_do_not_fit(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("no program")
    for name, value, start in (
        ("DS_FULL_TIMEOUT", "soon", "DS_FULL_TIMEOUT='soon' does not fit"),
        ("DS_DEBUG_TIMEOUT", "-3", "DS_DEBUG_TIMEOUT='-3' does not fit"),
        ("DS_PYTHON", "/nowhere/python", "there is no Python at /nowhere/python: set DS_PYTHON"),
        ("DS_PYTHON", "/bin/true", "/bin/true does not start as a Python"),
        ("DS_PYTHON", tmp_path / "notes", f"there is no Python at {tmp_path}/notes: set DS_PYT"),
    ):
        assert refused(tmp_path, *PLAY, **{name: value}).startswith(start)
    (tmp_path / ".env").write_text("DS_FULL_TIMEOUT=soon\n")
    assert refused(tmp_path, *PLAY).startswith("DS_FULL_TIMEOUT='soon' does not fit")


def test_runs_that_are_none(tmp_path: Path, tiny: Path) -> None:
    (tmp_path / "log" / "notes").mkdir(parents=True)
    (tmp_path / "log" / "broken").mkdir()
    (tmp_path / "log" / "broken" / "run.json").write_bytes(b"\xff{")
    below = f"give a folder below {tmp_path}/log"
    for run in ("yesterday", "notes", tiny):
        assert refused(tmp_path, "--resume", run) == f"there is no run {run}: {below}"
    assert "it has no readable run.json" in refused(tmp_path, "--resume", "broken")
    grade = {"module": "rdagent.mle_summary", "DS_LOCAL_DATA_PATH": tmp_path / "data"}
    for folder, what in (("nowhere", "no folder nowhere"), ("data", "no run in data")):
        sentence = f"there is {what}: give the folder that holds the runs"
        assert refused(tmp_path, "grade", folder, **grade) == sentence


# -- one run: what plays, how it goes on, new rows ---------------------------------------


def play(root: Path, *words: object, **env: object) -> Path:
    """Round 0 alone; the run folder, with a submission for the sample's rows in their order."""
    log = Path(str(env.get("LOG_TRACE_PATH", root / "log")))
    places = {"DS_LOCAL_DATA_PATH": root / "data", "LOG_TRACE_PATH": log}
    done = command("rdagent.data_science", *(words or PLAY), cwd=root, **{**places, **env})
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = log.iterdir()
    assert (run / "best" / "submission.csv").is_file()
    return run


def submitted(run: Path) -> list[list[str]]:
    with (run / "best" / "submission.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


@pytest.fixture(scope="module")
def awkward(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on a folder that holds all that is odd and still right, at odd places."""
    root = tmp_path_factory.mktemp("ein Ort mit 'ü' und 日本")
    make_competition(root / "real data")
    folder = (root / "real data" / "tiny").rename(root / "real data" / "tiny, größer (日本)")
    (root / "real data" / "eval" / "tiny").rename(root / "real data" / "eval" / folder.name)
    odd = '"a ""quoted"", one","two\nlines ü",class'
    rows = [f"{n}.0,{n % 7},é{n % 3},{n}.5" for n in range(60)]
    rows += rows[:5]  # copies, ids and all
    (folder / "train.csv").write_text("\r\n".join([f"id,{odd}", *rows]), newline="")
    tests = [f"{n}.0,{n % 7},é{n % 3}" for n in range(160, 180)]
    header = f"id,{odd}".removesuffix(",class")
    (folder / "test.csv").write_text("\ufeff" + "\n".join([header, *tests, ""]))
    sample = ["id,class", *(f"{n}.0,0.5" for n in range(179, 159, -1))]
    (folder / "sample_submission.csv").write_text("\n".join(sample) + "\n")
    (folder / "description.md").write_bytes("Größe in €\n".encode("cp1252"))
    (root / "data").symlink_to("real data")
    (root / ".env").write_text("DS_FULL_TIMEOUT=600\nthis is = no = line\n'open\nexport\n")
    return root


def _everything(folder: Path) -> dict[str, tuple[int, bytes]]:
    files = (p for p in folder.rglob("*") if p.is_file())
    return {str(p): (p.stat().st_mtime_ns, p.read_bytes()) for p in files}


def test_what_is_odd_but_right_plays(awkward: Path) -> None:
    data = awkward / "real data"
    before = _everything(data)
    for path in [*data.rglob("*"), data]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    words = ("--competition", "tiny, größer (日本)", "--loop-n", "0")
    work = awkward / "elsewhere"
    run = play(awkward, *words, WORKSPACE_PATH=work)
    header, *rows = submitted(run)
    assert header == ["id", "class"]
    assert [id for id, _ in rows] == [f"{n}.0" for n in range(179, 159, -1)]
    assert len({value for _, value in rows}) == 1, "round 0 is a constant"
    assert _everything(data) == before, "the user's folder stays as it was"
    assert (work / run.name / "views").is_dir() and not (run / "views").exists()


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with one finished run of `tiny`, and another competition beside it."""
    root = tmp_path_factory.mktemp("played")
    make_competition(root / "data")
    make_competition(root / "data", "other")
    play(root, *PLAY, "--seed", "3")
    return root


def test_a_run_that_cannot_go_on(played: Path) -> None:
    (run,) = (p for p in (played / "log").iterdir() if p.is_dir())
    name, train = run.name, played / "data" / "tiny" / "train.csv"

    def sentence(*words: object, **env: object) -> str:
        return refused(played, "--resume", name, *words, **env)

    other = f"{name} plays tiny, not other: resume it with --competition tiny"
    assert sentence("--competition", "other") == other
    assert sentence("--seed", "4") == f"{name} has --seed 3: leave --seed away"
    assert sentence("--loop-n", "0") == "this run has played 0 rounds: go on with --loop-n 5"
    started = f"{name} was started by data_science: resume it with python -m rdagent.data_science"
    assert sentence(module="rdagent.finetune").startswith(started)
    kept = train.read_text()
    train.write_text(kept + "999,1,3\n")
    changed = sentence("--loop-n", "1")
    assert changed.startswith(f"the data of tiny changed since {name} started (train.csv): ")
    assert changed.endswith("start a new run, or put the old files back")
    train.write_text(kept)
    folds = (run / "folds.csv").read_text()
    (run / "folds.csv").write_text("junk\n")
    assert sentence("--loop-n", "1").startswith(f"folds.csv or split.json of {name} cannot be read")
    (run / "folds.csv").write_text(folds)


def test_new_rows_that_cannot_be_predicted(played: Path, tmp_path: Path) -> None:
    (run,) = (p for p in (played / "log").iterdir() if p.is_dir())

    def sentence(data: Path = tmp_path, run: str = run.name, **env: object) -> str:
        words = ("predict", run, "--data", data, "--output", tmp_path / "out.csv")
        return refused(played, *words, module="rdagent", **env)

    test = tmp_path / "test.csv"
    assert sentence(run="yesterday").startswith("there is no run yesterday: give a folder below ")
    assert sentence(tmp_path / "no").endswith("/no: give the folder that holds test.csv")
    assert sentence().endswith("holds no test.csv: put the rows to predict there under that name")
    for text, expected in {
        "": "test.csv is empty: put the table's header and rows in it",
        "id,x\n": "test.csv holds no rows to predict: put some in it",
        "key,x\n1,2\n": "test.csv has no column id: each row needs its id",
        "id,x\n1,2\n,3\n": "test.csv has no id in row 2: each row needs its id",
        "id,z\n1,2\n": "the new rows lack columns that the program was trained with: x",
        "id,x\n1,2\n2\n": "test.csv has too few fields on line 3: mend that row",
    }.items():
        test.write_text(text)
        assert sentence() == expected
    test.write_text("id,x\n1,2\n")
    (tmp_path / "extra").symlink_to("gone")
    assert sentence() == f"extra in {tmp_path} is no file and no folder: remove it"
    (tmp_path / "extra").unlink()
    gone = sentence(DS_LOCAL_DATA_PATH=tmp_path)
    assert gone.startswith(f"there is no competition tiny in {tmp_path}: set DS_LOCAL_DATA_PATH")
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.usefixtures("played")
def test_a_run_killed_before_its_first_event_starts_over(played: Path, tmp_path: Path) -> None:
    shutil.copytree(played, tmp_path / "copy", symlinks=True)
    (run,) = (p for p in (tmp_path / "copy/log").iterdir() if p.is_dir())
    for path in run.iterdir():
        if path.name not in ("run.json", "predictions", "submissions", "deliveries"):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    again = play(tmp_path / "copy", "--resume", run.name, "--loop-n", "0")
    assert again == run
    assert json.loads((run / "events.jsonl").read_text().splitlines()[0])["type"] == "run_started"


# -- odd but right, each by itself: some seconds each ------------------------------------


def _wide(c: Path) -> None:
    names = ",".join(f"f{n}" for n in range(2000))
    values = ",".join("0.25" for _ in range(1999))
    rows = [f"{n},{n % 5},{values}" for n in range(50)]
    text = "\n".join([f"id,{names},y", *(f"{row},{n % 9}" for n, row in enumerate(rows))])
    (c / "train.csv").write_text(text + "\n")
    tests = [f"{n},{n % 5},{values}" for n in range(160, 180)]
    (c / "test.csv").write_text("\n".join([f"id,{names}", *tests]) + "\n")


def _head(path: Path, count: int) -> None:
    path.write_text("\n".join(path.read_text().splitlines()[:count]) + "\n")


def _no_features(c: Path) -> None:
    for name, keep in (("train.csv", (0, 2)), ("test.csv", (0,))):
        rows = [line.split(",") for line in (c / name).read_text().splitlines()]
        (c / name).write_text("".join(",".join(r[n] for n in keep) + "\n" for r in rows))


def _singles(c: Path) -> None:
    rows = [f"{n},{n},k{n}" for n in range(12)]
    (c / "train.csv").write_text("\n".join(["id,x,y", *rows]) + "\n")
    _column(c / "sample_submission.csv", 1, "k1")
    (c / "competition.toml").unlink()


def _links(c: Path) -> None:
    (c.parent / "store").mkdir()
    for path in list(c.iterdir()):
        path.rename(c.parent / "store" / path.name)
        path.symlink_to(f"../store/{path.name}")


def _numbers_for_names(c: Path) -> None:
    for name, header in (("train", "0,1,2"), ("test", "0,1"), ("sample_submission", "0,2")):
        _line(c / f"{name}.csv", 1, header)


ODD: dict[str, Spoil] = {
    "two rows": lambda c: _head(c / "train.csv", 3),
    "one test row": lambda c: [_head(c / f"{n}.csv", 2) for n in ("test", "sample_submission")],
    "one row a class": _singles,
    "one id for all of train": lambda c: _column(c / "train.csv", 0, "7"),
    "no ids in train": lambda c: _column(c / "train.csv", 0, ""),
    "no features": _no_features,
    "2,000 columns and 50 rows": _wide,
    "numbers as column names": _numbers_for_names,
    "every file a link": _links,
    "an infinite and an empty feature": lambda c: [
        _line(c / "train.csv", n, f"10{n},{x},3") for n, x in ((3, "inf"), (4, ""))
    ],
    "carriage returns": lambda c: [
        p.write_bytes(p.read_bytes().replace(b"\n", b"\r")) for p in c.glob("*.csv")
    ],
}  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("name", ODD)
def test_odd_data_plays(tmp_path: Path, tiny: Path, name: str) -> None:
    ODD[name](tiny)
    header, *rows = submitted(play(tmp_path))
    sample = re.split(r"[\r\n]+", (tiny / "sample_submission.csv").read_bytes().decode().strip())
    assert [header, *([id] for id, _ in rows)] == [
        sample[0].split(","), *([line.split(",")[0]] for line in sample[1:])
    ]  # fmt: skip
