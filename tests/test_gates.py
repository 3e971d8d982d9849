"""What a submission and a program must pass, and how predictions are combined."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rdagent.competition import examples_dir, list_competitions, load_competition
from rdagent.errors import InvalidSubmissionError
from rdagent.gates import read_submission, suspicious
from rdagent.gates.leaks import scan_program
from rdagent.predictions import combine, distance, write_submission
from rdagent.records import Competition, Program, Score

N = 6


def make(root: Path, target: object, sample: dict[str, object], toml: str = "") -> Competition:
    home = root / "toy"
    home.mkdir(exist_ok=True)
    rows = len(list(target))  # type: ignore[call-overload]
    train = pd.DataFrame({"id": [f"t{i}" for i in range(rows)], "x": range(rows), "y": target})
    train.to_csv(home / "train.csv", index=False)
    pd.DataFrame({"id": IDS, "x": range(N)}).to_csv(home / "test.csv", index=False)
    pd.DataFrame({"id": IDS, **sample}).to_csv(home / "sample_submission.csv", index=False)
    (home / "competition.toml").write_text(toml)
    return load_competition("toy", root)


IDS = ["001", "002", "010", "a5", "a6", "a7"]
KEY = pd.DataFrame({"id": IDS, "source": "test", "row": range(N)})


@pytest.fixture
def probability(tmp_path: Path) -> Competition:
    return make(tmp_path, [0, 1] * 20, {"y": 0.5})


@pytest.fixture
def labels(tmp_path: Path) -> Competition:
    return make(tmp_path, ["cat", "dog", "emu"] * 10, {"y": "cat"})


@pytest.fixture
def classes(tmp_path: Path) -> Competition:
    return make(tmp_path, ["cat", "dog", "emu"] * 10, {"cat": 0.4, "dog": 0.3, "emu": 0.3})


@pytest.fixture
def values(tmp_path: Path) -> Competition:
    return make(tmp_path, np.linspace(0, 9, 40), {"y": 0.5})


def written(root: Path, text: str | bytes) -> Path:
    path = root / "submission.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def table(ids: list[str], column: list[object], header: str = "id,y") -> str:
    rows = (f"{i},{v}" for i, v in zip(ids, column, strict=True))
    return "\n".join([header, *rows]) + "\n"


def refused(path: Path, c: Competition, *words: str, key: pd.DataFrame = KEY) -> None:
    with pytest.raises(InvalidSubmissionError) as caught:
        read_submission(path, c, key)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


# Submissions.


def test_a_good_submission_in_any_usual_spelling(tmp_path: Path, probability: Competition) -> None:
    numbers = [0, 1, 0.5, 0.25, 1e-3, 1]
    found = read_submission(written(tmp_path, table(IDS, [*numbers])), probability, KEY)
    assert found["y"].tolist() == numbers and found.columns.tolist() == ["y"]
    crlf = "\ufeff" + table(IDS, [*numbers]).replace("\n", "\r\n")
    assert read_submission(written(tmp_path, crlf), probability, KEY).equals(found)
    swapped = "y,id\n" + "".join(f"{v},{i}\n" for i, v in zip(IDS, numbers, strict=True))
    assert read_submission(written(tmp_path, swapped), probability, KEY).equals(found)


def test_ids_that_a_csv_reader_made_numbers_still_match(tmp_path: Path) -> None:
    c = make(tmp_path, [0, 1] * 20, {"y": 0.5})
    key = pd.DataFrame({"id": ["001", "002", "010"], "source": "test", "row": range(3)})
    found = read_submission(written(tmp_path, "id,y\n1,0.1\n2,0.2\n10,0.3\n"), c, key)
    assert found["y"].tolist() == [0.1, 0.2, 0.3]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", ("empty",)),
        (b"\xff\xfe\x00", ("NUL",)),
        (b"\xff\xfe\xfa,y\n1,2\n", ("UTF-8",)),
        ("id,z\n001,1\n", ("lacks the column 'y'", "'z'")),
        (",id,y\n0,001,1\n", ("extra column ''", "index=False")),
        ("id,y,z\n001,1,1\n", ("extra column 'z'",)),
        ("id,y,y\n001,1,1\n", ("twice",)),
        (table(IDS[:5], [0.5] * 5), ("lacks 1 of 6 rows", "'a7'")),
        (table([*IDS, "b"], [0.5] * 7), ("1 rows that are not", "'b'")),
        (table([*IDS, "a6"], [0.5] * 7), ("'a6' more than once",)),
        (table([*IDS[:5], ""], [0.5] * 6), ("no id in row 6",)),
        (table([*IDS[:2], *IDS[:1:-1]], [0.5] * 6), ("order", "row 3", "'a7'", "'010'")),
        (table(IDS, [0.5, "", 1, 1, 1, 1]), ("y of id '002' is missing",)),
        (table(IDS, [0.5, 1, "nan", 1, 1, 1]), ("y of id '010' is missing",)),
        (table(IDS, [0.5, 1, 1, "inf", 1, 1]), ("y of id 'a5' is infinite",)),
        (table(IDS, [0.5, 1, 1, 1, 1, "1" * 400]), ("y of id 'a7'",)),
        (table(IDS, [0.5, "dog", 1, 1, 1, 1]), ("no number for id '002'", "'dog'")),
        (table(IDS, [0.5, True, 1, 1, 1, 1]), ("no number for id '002'", "'True'")),
        (table(IDS, [0.5, 1.01, 1, 1, 1, 1]), ("above 1", "'002'")),
        (table(IDS, [0.5, 1, -0.2, 1, 1, 1]), ("below 0", "'010'")),
        ("id,y\n001,1,5,6\n", ("cannot be read",)),
        ('id,y\n001,"1\n', ("cannot be read",)),
    ],
)
def test_a_bad_submission_is_refused(
    tmp_path: Path, probability: Competition, text: str | bytes, words: tuple[str, ...]
) -> None:
    refused(written(tmp_path, text), probability, *words)


def test_what_is_no_regular_file_is_never_opened(tmp_path: Path, probability: Competition) -> None:
    path = tmp_path / "submission.csv"
    refused(path, probability, "there is no submission.csv")
    secret = tmp_path / "secret.csv"
    secret.write_text(table(IDS, [0.5] * N))
    path.symlink_to(secret)
    refused(path, probability, "not a regular file")
    path.unlink()
    os.mkfifo(path)
    refused(path, probability, "not a regular file")
    path.unlink()
    path.mkdir()
    refused(path, probability, "not a regular file")


def test_a_huge_file_is_not_read(tmp_path: Path, probability: Competition) -> None:
    path = tmp_path / "submission.csv"
    with path.open("wb") as file:
        file.truncate(40 * 2**30)  # sparse: 40 GB that take no space
    refused(path, probability, "larger than 10 MB")


def test_labels(tmp_path: Path, labels: Competition) -> None:
    good = ["cat", "dog", "emu", "cat", "cat", "dog"]
    path = written(tmp_path, table(IDS, [*good]))
    assert read_submission(path, labels, KEY)["y"].tolist() == good
    refused(written(tmp_path, table(IDS, [*good[:5], "cow"])), labels, "'a7'", "'cow'", "'emu'")
    refused(written(tmp_path, table(IDS, [*good[:5], ""])), labels, "'a7' is missing")


def test_labels_keep_the_type_of_train(tmp_path: Path) -> None:
    c = make(tmp_path, [True, False] * 20, {"y": False})
    path = written(tmp_path, table(IDS, ["True", "false", "1", "0", "1.0", "False"]))
    assert read_submission(path, c, KEY)["y"].tolist() == [True, False, True, False, True, False]
    c = make(tmp_path, [3, 4, None, 5] * 20, {"y": 3})
    found = read_submission(written(tmp_path, table(IDS, ["3", "4.0", 5, 5, 5, 3])), c, KEY)
    assert found["y"].tolist() == [3, 4, 5, 5, 5, 3]
    assert pd.api.types.is_integer_dtype(found["y"])


def test_exclusive_probabilities(tmp_path: Path, classes: Competition) -> None:
    def rows(last: str) -> str:
        return table(IDS, ["0.2,0.3,0.5"] * 5 + [last], "id,cat,dog,emu")

    found = read_submission(written(tmp_path, rows("0.2,0.3,0.5004")), classes, KEY)
    assert np.allclose(found.sum(axis=1), 1, atol=1e-12)
    refused(written(tmp_path, rows("0.2,0.3,0.6")), classes, "'a7'", "sum to 1.1")
    refused(written(tmp_path, rows("0,0,0")), classes, "'a7'", "sum to 0")


def test_values_must_be_finite_and_scorable(tmp_path: Path, values: Competition) -> None:
    good = read_submission(written(tmp_path, table(IDS, [-1, 2, 3e5, 0, 0, 0])), values, KEY)
    assert good["y"].tolist() == [-1, 2, 3e5, 0, 0, 0]
    refused(written(tmp_path, table(IDS, [1e200, 0, 0, 0, 0, 0])), values, "too large")
    c = make(tmp_path, np.linspace(0, 9, 40), {"y": 0.5}, 'metric = "rmsle"')
    refused(written(tmp_path, table(IDS, [-1, 0, 0, 0, 0, 0])), c, "rmsle")


def test_rows_by_position(tmp_path: Path) -> None:
    home = tmp_path / "toy"
    home.mkdir()
    pd.DataFrame({"x": range(30), "y": np.linspace(0, 1, 30)}).to_csv(
        home / "train.csv", index=False
    )
    pd.DataFrame({"x": range(3)}).to_csv(home / "test.csv", index=False)
    c = load_competition("toy", tmp_path)
    key = pd.DataFrame({"source": "test", "row": range(3)})
    assert read_submission(written(tmp_path, "y\n1\n2\n3\n"), c, key)["y"].tolist() == [1, 2, 3]
    refused(written(tmp_path, "y\n1\n2\n"), c, "2 rows", "3", key=key)
    refused(written(tmp_path, "y\n1\n2\nx\n"), c, "row 3", key=key)
    write_submission(tmp_path / "out.csv", c, pd.DataFrame({"y": [1.5, 2, 3]}))
    assert (tmp_path / "out.csv").read_text() == "y\n1.5\n2.0\n3.0\n"


# Combined, compared, written.


def test_blends(probability: Competition, classes: Competition) -> None:
    a, b = pd.DataFrame({"y": [0.0, 1.0]}), pd.DataFrame({"y": [0.5, 0.5]})
    assert combine([a, b], probability)["y"].tolist() == [0.25, 0.75]
    assert distance(a, b, probability) == 0.5
    names = ["cat", "dog", "emu"]
    rows = [
        pd.DataFrame([[0.2, 0.3, 0.5]], columns=names),
        pd.DataFrame([[1, 0, 0]], columns=names),
    ]
    assert combine(rows, classes).sum(axis=1).tolist() == [1.0]


def test_votes(labels: Competition) -> None:
    frames = [
        pd.DataFrame({"y": list(votes)})
        for votes in (("cat", "emu", "dog"), ("dog", "cat", "dog"), ("dog", "dog", "cat"))
    ]
    assert combine(frames, labels)["y"].tolist() == ["dog", "emu", "dog"]
    assert combine(frames[:2], labels)["y"].tolist() == ["cat", "emu", "dog"]
    assert distance(frames[0], frames[1], labels) == pytest.approx(2 / 3)


def test_values_are_compared_in_standard_deviations(values: Competition) -> None:
    b = pd.DataFrame({"y": [-10.0, 10.0]})
    assert distance(b + 5, b, values) == pytest.approx(0.5)
    assert distance(b, b, values) == 0


def test_a_written_submission_has_the_samples_order_and_the_tests_ids(tmp_path: Path) -> None:
    c = make(tmp_path, [3, 4, None, 5] * 20, {"y": 3})
    sample = pd.DataFrame({"y": 3, "id": IDS[::-1]})
    sample.to_csv(c.data_dir / "sample_submission.csv", index=False)
    c = load_competition("toy", tmp_path)
    path = tmp_path / "out.csv"
    predictions = pd.DataFrame({"y": [3, 4, 5, 3, 4, 5]})
    write_submission(path, c, predictions)
    assert path.read_text() == "y,id\n5,a7\n4,a6\n3,a5\n5,010\n4,002\n3,001\n"
    assert [p.name for p in tmp_path.iterdir() if "out" in p.name] == ["out.csv"]
    key = KEY.iloc[::-1].reset_index(drop=True)
    assert read_submission(path, c, key)["y"].tolist() == [5, 4, 3, 5, 4, 3]


# Programs.


def scan(c: Competition, source: str, **files: str) -> str | None:
    return scan_program(Program(files={"main.py": textwrap.dedent(source), **files}), c)


LEAKS = {
    "from": "from sklearn.datasets import load_digits\nX, y = load_digits(return_X_y=True)",
    "module": "from sklearn import datasets\nd = datasets.load_breast_cancer()",
    "alias": "import sklearn.datasets as sd\nd = sd.load_iris()",
    "dotted": "import sklearn\nimport sklearn.datasets\nd = sklearn.datasets.load_wine()",
    "star": "from sklearn.datasets import *\nd = load_digits()",
    "renamed": "from sklearn.datasets import fetch_california_housing as f\nf()",
    "private": "from sklearn.datasets._base import load_csv_data",
    "getattr": "from sklearn import datasets\nd = getattr(datasets, chr(108) + 'oad')()",
    "string": "import importlib\nm = importlib.import_module('sklearn.datasets')",
    "joined": "import importlib\nm = importlib.import_module('sklearn' + '.datasets')",
    "name": "import sklearn\nf = 'load_digits'",
    "exec": "exec('from sklearn.datasets import load_digits')",
    "bundled file": "import gzip\nx = gzip.open('/opt/lib/digits.csv.gz')",
    "package path": "import sklearn\np = sklearn.__file__",
    "resources": "import pkgutil\npkgutil.get_data('sklearn.datasets.data', 'iris.csv')",
    "site-packages": "import glob\nglob.glob('/usr/lib/**/site-packages/**/*.csv')",
    "seaborn": "import seaborn as sns\ndf = sns.load_dataset('titanic')",
    "seaborn from": "from seaborn import load_dataset",
    "statsmodels": "import statsmodels.api as sm\ndf = sm.datasets.fair.load_pandas()",
    "keras": "from tensorflow.keras.datasets import mnist",
    "torchvision": "import torchvision\nd = torchvision.datasets.MNIST('.', download=True)",
    "openml": "import openml",
    "host": "import rdagent",
    "long list": f"y = {[i % 7 * 0.5 for i in range(600)]}",
    "long dict": f"y = { ({f'id{i}': i * 0.1 for i in range(600)}) }",
    "nested": f"y = {[[i, -i] for i in range(300)]}",
    "labels": f"y = {['cat', 'dog', 'emu'] * 40}",
    "label text": f"y = '{' '.join(['cat', 'dog', 'emu'] * 40)}'.split()",
    "many lists": "\n".join(f"y{i} = {[j + i for j in range(90)]}" for i in range(60)),
    "docstring": f'"""{" ".join(["cat", "dog", "emu"] * 40)}"""\ny = __doc__.split()',
    "comment": "\n".join(f"# {i / 3}" for i in range(600)) + "\ny = open(__file__).read()",
    "base64": f"import base64\ny = base64.b64decode('{'aGVsbG8gd29ybGQ' * 200}')",
    "bytes": f"y = {bytes(range(256)) * 10!r}",
    "integer": f"y = {'12' * 200}",
    "number text": f"y = '''{chr(10).join(str(i / 7) for i in range(600))}'''",
    "answers": "import pandas as pd\npd.read_csv('/data/eval/toy/submission_test.csv')",
    "answers by parts": "import os\np = os.path.join('/data', 'eval', 'toy')",
    "folds": "import pandas as pd\npd.read_csv('../../folds.csv')",
    "folds path": "from pathlib import Path\np = Path('run') / 'folds.csv'",
    "key": "import glob\nglob.glob('*.key.csv')",
    "proc": "open('/proc/1/environ').read()",
    "proc mounts": "open('/proc/self/mounts').read()",
    "up twice": "open('../../train.csv')",
    "up by parts": "import os\nos.listdir(os.path.join('..', '..', 'views'))",
    "up once": "import os\nos.listdir('../views')",
    "up by slash": "from pathlib import Path\nlist((Path('.') / '..' / '..').iterdir())",
    "pardir": "import os\nos.listdir(os.pardir)",
    "parents": "from pathlib import Path\nlist(Path(__file__).resolve().parents[3].iterdir())",
    "parent chain": "from pathlib import Path\nPath(__file__).parent.parent.parent.rglob('*')",
    "dirname chain": "import os\nd = os.path.dirname\nos.path.dirname(os.path.dirname("
    "os.path.dirname(os.path.abspath(__file__))))",
    "cwd": "from pathlib import Path\nPath.cwd().parent.rglob('*')",
}


@pytest.mark.parametrize("name", LEAKS)
def test_leaks_are_refused(labels: Competition, name: str) -> None:
    reason = scan(labels, LEAKS[name])
    assert reason is not None and reason.startswith("main.py ") and "\n" not in reason


def test_leaks_in_further_files_are_refused(labels: Competition) -> None:
    main = "import helper"
    assert scan(labels, main, **{"helper.py": LEAKS["alias"]})
    assert scan(labels, main, **{"labels.txt": "cat\ndog\nemu\n" * 50})
    assert scan(labels, main, **{"known.json": str([i / 3 for i in range(900)])})


ORDINARY = {
    "typical": '''
        """Uses gradient boosting, unlike sklearn.datasets examples such as load_digits."""
        import importlib.util
        import os
        from pathlib import Path

        import numpy as np
        import pandas as pd
        from sklearn.ensemble import HistGradientBoostingClassifier
        from sklearn.model_selection import StratifiedKFold

        # see ../eval and /proc/1 for nothing
        HERE = Path(__file__).parent
        ROOT = Path(__file__).resolve().parent.parent
        train = pd.read_csv(HERE / "train.csv")
        test = pd.read_csv(os.path.join(os.path.dirname(__file__), "test.csv"))
        has_lgbm = importlib.util.find_spec("lightgbm") is not None
        folds = StratifiedKFold(5, shuffle=True, random_state=int(os.environ.get("DS_SEED", 0)))
        oof = np.zeros(len(train))
        ratio = train["x"] / test["x"].mean() / 2
        print("train/eval/loss", f"{ratio.mean():.3f}..", "Loading ...")
        train.to_csv(HERE / "models" / "train_folds.csv")
        pd.DataFrame({"id": test.id}).to_csv(ROOT / "submission.csv", index=False)
    ''',
    "workspace": "import os\nos.chdir('workspace_input')\nopen('../submission.csv', 'w')",
    "kaggle habit": "import os\np = '../input/train.csv' if os.path.exists('../input') else 'x'",
    "proc": "open('/proc/meminfo').read(); open('/proc/cpuinfo').read()",
    "make": "from sklearn.datasets import make_classification, load_svmlight_file",
    "image folder": "from torchvision import datasets\nd = datasets.ImageFolder('workspace_input')",
    "torchvision": "from torchvision.datasets import ImageFolder\nimport torchvision.transforms",
    "seaborn": "import seaborn as sns\nsns.histplot([1, 2])",
    "statsmodels": "import statsmodels.api as sm\nm = sm.OLS([1, 2], [1, 2]).fit()",
    "own datasets": "from datasets import Dataset\nd = Dataset.from_dict({})",
    "eval mode": "model.eval()\ndf.eval('a = b')\nlog('eval/loss', 3)\nos.mkdir('models/eval')",
    "stop words": f"WORDS = {[f'word{i}' for i in range(350)]}",
    "grid": f"grid = {[{'depth': d, 'rate': r} for d in range(9) for r in (0.1, 0.2, 0.3)]}",
    "contractions": f"MAP = { ({f'can{i}': f'can not {i}' for i in range(250)}) }",
    "regexes": r"import re" "\n" r"p = re.compile(r'\.\./(\d+)/\d+|[^\w\s]..')",
    "prose": f"PROMPT = '''{'Predict the kind of animal from its size in metres. ' * 80}'''",
    "label names": "NAMES = ['cat', 'dog', 'emu']\nORDER = dict(zip(NAMES, range(3)))",
    "syntax error": "def broken(:",
    "url": "SOURCE = 'https://example.org/a/b?c=1&d=2'",
    "range": "x = list(range(10_000))\ny = [0] * 5000",
}


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_programs_pass(labels: Competition, name: str) -> None:
    assert (
        scan(labels, ORDINARY[name], **{"params.json": '{"depth": 4}', "notes.md": "# x"}) is None
    )


def test_copied_targets_and_ids_are_refused(tmp_path: Path) -> None:
    c = make(tmp_path, np.linspace(0, 9, 200), {"y": 0.5})
    targets = [float(x) for x in np.linspace(0, 9, 200)]
    assert "target values" in (scan(c, f"y = {targets[:150]}") or "")
    assert scan(c, f"y = {[x + 0.001 for x in targets[:150]]}") is None
    ids = [f"r{i}" for i in range(150)]
    for name in ("test", "sample_submission"):
        table = pd.DataFrame({"id": ids, "x" if name == "test" else "y": 0.5})
        table.to_csv(c.data_dir / f"{name}.csv", index=False)
    assert "test ids" in (scan(c, f"y = {dict.fromkeys(ids, 0.25)}") or "")


def test_a_list_of_all_column_names_passes(tmp_path: Path) -> None:
    home = tmp_path / "wide"
    home.mkdir()
    names = [f"feature_{i}" for i in range(700)]
    train = pd.DataFrame(np.ones((20, 700)), columns=names).assign(y=np.linspace(0, 1, 20))
    train.to_csv(home / "train.csv", index=False)
    train[names].to_csv(home / "test.csv", index=False)
    c = load_competition("wide", tmp_path)
    assert scan(c, f"FEATURES = {names}") is None
    assert scan(c, f"TABLE = {[*names, *names]}") is not None


def test_the_code_of_bundled_previous_models_passes() -> None:
    seen = 0
    for name in list_competitions(examples_dir()):
        c = load_competition(name, examples_dir())
        for path in (c.data_dir / "prev_model").glob("*.py"):
            seen += 1
            assert scan_program(Program(files={"main.py": path.read_text()}), c) is None
    assert seen or not (examples_dir() / "digits-finetune" / "prev_model").is_dir()


# Scores too good to be true.


def score(
    value: float, low: float, high: float, metric: str = "accuracy", up: bool = True
) -> Score:
    return Score(value=value, metric=metric, higher_is_better=up, low=low, high=high)


def test_suspicious_jumps_are_marked() -> None:
    good = score(0.85, 0.84, 0.86)
    assert "perfect" in (suspicious(None, score(1.0, 1.0, 1.0)) or "")
    assert "perfect" in (suspicious(None, score(0, 0, 0, "rmse", False)) or "")
    assert "smaller error" in (suspicious(good, score(0.99, 0.98, 1.0)) or "")
    far = suspicious(score(0.5, 0.495, 0.505), score(0.9, 0.895, 0.905))
    assert far is not None and "bands" in far
    assert suspicious(score(50, 48, 52, "rmse", False), score(2, 1.9, 2.1, "rmse", False))


def test_honest_progress_is_not_marked() -> None:
    assert suspicious(None, score(0.97, 0.96, 0.98)) is None
    assert suspicious(score(0.85, 0.84, 0.86), score(0.93, 0.92, 0.94)) is None
    assert suspicious(score(0.97, 0.96, 0.98), score(0.985, 0.98, 0.99)) is None
    assert suspicious(score(0.9, 0.8, 1.0), score(0.1, 0.0, 0.2)) is None
    rmse = score(58, 55, 61, "rmse", False), score(53, 50, 56, "rmse", False)
    assert suspicious(*rmse) is None
    grader = score(0.2, 0.1, 0.3, "grade.py"), score(40.0, 39, 41, "grade.py")
    assert suspicious(*grader) is None
