"""A data folder as users bring it is understood, or refused with one sentence."""

from __future__ import annotations

import gzip
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rdagent.competition import (
    content_hashes,
    examples_dir,
    list_competitions,
    load_competition,
    preview,
    read_sample,
    read_test,
    read_train,
)
from rdagent.errors import SetupError
from rdagent.records import Competition

Table = dict[str, object]


def ids(start: int, n: int) -> list[int]:
    return list(range(start, start + n))


def folder(root: Path, name: str = "toy", **files: object) -> Path:
    """Write `train=...` as train.csv, `notes_md=...` as notes.md; tables or text."""
    home = root / name
    home.mkdir(parents=True, exist_ok=True)
    for key, value in files.items():
        stem, _, suffix = key.rpartition("_")
        path = home / (f"{stem}.{suffix}" if suffix in ("md", "toml", "json") else f"{key}.csv")
        if isinstance(value, bytes):
            path.write_bytes(value)
        elif isinstance(value, str):
            path.write_text(value, encoding="utf-8")
        else:
            pd.DataFrame(value).to_csv(path, index=False)
    return home


def binary(n: int = 60, m: int = 20, **extra: object) -> dict[str, object]:
    """A plain competition: id, one feature, a 0/1 target and a sample of 0.5."""
    train = {"id": ids(1, n), "x": np.arange(n) / 7, "target": np.arange(n) % 2}
    test = {"id": ids(n + 1, m), "x": np.arange(m) / 3}
    sample = {"id": ids(n + 1, m), "target": [0.5] * m}
    return {"train": train, "test": test, "sample_submission": sample, **extra}


def load(root: Path, name: str = "toy", **options: bool) -> Competition:
    return load_competition(name, root, **options)


def refused(root: Path, *words: str, name: str = "toy", **options: bool) -> str:
    with pytest.raises(SetupError) as caught:
        load_competition(name, root, **options)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message
    return message


# What is understood.


def test_a_sample_of_halves_on_a_0_1_target_asks_for_a_probability(tmp_path: Path) -> None:
    folder(tmp_path, **binary())
    c = load(tmp_path)
    assert (c.task, c.output, c.metric) == ("binary", "probability", "roc_auc")
    assert c.classes == {"target": 1}
    assert (c.id_column, c.target_columns) == ("id", ("target",))
    assert (c.train_file, c.test_file, c.sample_file) == (
        "train.csv", "test.csv", "sample_submission.csv",
    )  # fmt: skip
    assert len(c.notes) >= 3
    assert c.prev_model is None and c.eval_dir is None


def test_labels_in_the_sample_ask_for_labels(tmp_path: Path) -> None:
    data = binary()
    data["sample_submission"]["target"] = [0] * 20  # type: ignore[index]
    folder(tmp_path, **data)
    assert load(tmp_path).output == "label"
    folder(tmp_path, description_md="Submissions are evaluated on area under the ROC curve.")
    c = load(tmp_path)
    assert (c.output, c.metric) == ("probability", "roc_auc")


def test_boolean_target_without_sample(tmp_path: Path) -> None:
    n = 40
    data = binary()
    del data["sample_submission"]
    data["train"] = {"PassengerId": ids(0, n), "x": range(n), "Transported": [True, False] * 20}
    data["test"] = {"PassengerId": ids(50, 9), "x": range(9)}
    folder(tmp_path, **data)
    c = load(tmp_path)
    assert (c.id_column, c.prediction_columns) == ("PassengerId", ("Transported",))
    assert (c.task, c.output, c.metric) == ("binary", "probability", "roc_auc")
    assert c.classes == {"Transported": True}
    assert read_sample(c).to_dict("list") == {
        "PassengerId": [str(i) for i in range(50, 59)],
        "Transported": [0.5] * 9,
    }


def test_author_against_one_column_a_class(tmp_path: Path) -> None:
    folder(
        tmp_path,
        train={"id": ids(0, 30), "text": ["a b"] * 30, "author": ["EAP", "HPL", "MWS"] * 10},
        test={"id": ids(30, 5), "text": ["c"] * 5},
        sample_submission={"id": ids(30, 5), "EAP": 0.4, "HPL": 0.3, "MWS": 0.3},
        description_md="## Evaluation\nmulti-class logarithmic loss",
    )
    c = load(tmp_path)
    assert c.target_columns == ("author",)
    assert c.prediction_columns == ("EAP", "HPL", "MWS")
    assert c.classes == {"EAP": "EAP", "HPL": "HPL", "MWS": "MWS"}
    assert (c.exclusive, c.task, c.metric) == (True, "multiclass", "log_loss")


def test_numbered_class_columns(tmp_path: Path) -> None:
    classes = [1, 2, 10, 11]
    folder(
        tmp_path,
        train={"id": ids(0, 40), "x": range(40), "species": classes * 10},
        test={"id": ids(40, 5), "x": range(5)},
        sample_submission={"id": ids(40, 5), **{f"Class_{k}": 0.25 for k in classes}},
    )
    c = load(tmp_path)
    assert c.classes == {"Class_1": 1, "Class_2": 2, "Class_10": 10, "Class_11": 11}
    assert all(isinstance(x, int) for x in c.classes.values())


def test_classes_that_competition_toml_names(tmp_path: Path) -> None:
    home = folder(
        tmp_path,
        train={"id": ids(0, 30), "x": range(30), "kind": ["cat", "dog", "emu"] * 10},
        test={"id": ids(30, 5), "x": range(5)},
        sample_submission={"id": ids(30, 5), "p1": 0.4, "p2": 0.3, "p3": 0.3},
    )
    refused(tmp_path, "`classes`", "competition.toml")
    (home / "competition.toml").write_text(
        'target = "kind"\n[classes]\np1 = "cat"\np2 = "dog"\np3 = "emu"\n'
    )
    assert load(tmp_path).classes == {"p1": "cat", "p2": "dog", "p3": "emu"}


def test_thirty_classes_of_212_rows_without_a_sample(tmp_path: Path) -> None:
    labels = [f"k{i:02d}" for i in range(30)]
    column = labels * 2 + [labels[i % 20] for i in range(152)]
    train = {"id": ids(0, 212), "x": range(212), "species": column}
    test = {"id": ids(212, 30), "x": range(30)}
    folder(tmp_path, train=train, test=test)
    assert (load(tmp_path).task, load(tmp_path).output) == ("multiclass", "label")
    folder(tmp_path, competition_toml='metric = "log_loss"\n')
    c = load(tmp_path)
    assert c.prediction_columns == tuple(labels) and c.exclusive
    assert np.allclose(read_sample(c)[labels].sum(axis=1), 1)


def test_integer_targets(tmp_path: Path) -> None:
    def task(values: list[int]) -> str:
        folder(
            tmp_path,
            train={"id": ids(0, len(values)), "x": range(len(values)), "y": values},
            test={"id": ids(9000, 5), "x": range(5)},
        )
        return load(tmp_path).task

    assert task([i % 30 for i in range(212)]) == "multiclass"
    assert task([3 + i % 6 for i in range(300)]) == "multiclass"
    assert task([25 + (i * 7919) % 300 for i in range(400)]) == "regression"
    assert task([1990 + (i * 7) % 31 for i in range(400)]) == "regression"


def test_several_numeric_and_several_yes_no_targets(tmp_path: Path) -> None:
    n = 30
    base = {"id": ids(0, n), "x": range(n)}
    test = {"id": ids(n, 4), "x": range(4)}
    folder(
        tmp_path, "numbers",
        train={**base, "a": np.linspace(0, 1, n), "b": np.linspace(3, 9, n)},
        test=test,
        sample_submission={"id": ids(n, 4), "a": 0.0, "b": 0.0},
        description_md="Scored by mean columnwise root mean squared error.",
    )  # fmt: skip
    c = load(tmp_path, "numbers")
    assert (c.task, c.output, c.metric) == ("regression", "value", "mcrmse")
    folder(
        tmp_path, "toxic",
        train={**base, "toxic": [0, 1] * 15, "insult": [0, 0, 1] * 10},
        test=test,
        sample_submission={"id": ids(n, 4), "toxic": 0.5, "insult": 0.5},
    )  # fmt: skip
    c = load(tmp_path, "toxic")
    assert (c.task, c.output) == ("multilabel", "probability")
    assert c.classes == {"toxic": 1, "insult": 1} and not c.exclusive


def test_ids_stay_text(tmp_path: Path) -> None:
    data = binary(m=3)
    for table in ("test", "sample_submission"):
        data[table]["id"] = ["0001", "007", "1e5"]  # type: ignore[index]
    folder(tmp_path, **data)
    c = load(tmp_path)
    assert read_test(c)["id"].tolist() == ["0001", "007", "1e5"]
    assert read_sample(c)["id"].tolist() == ["0001", "007", "1e5"]
    assert read_train(c)["id"].tolist()[:2] == ["1", "2"]


def test_na_is_an_id_and_no_value(tmp_path: Path) -> None:
    data = binary(m=3)
    for table in ("test", "sample_submission"):
        data[table]["id"] = ["NA", "null", "NZ"]  # type: ignore[index]
    data["test"]["x"] = ["NA", 1, 2]  # type: ignore[index]
    folder(tmp_path, **data)
    test = read_test(load(tmp_path))
    assert test["id"].tolist() == ["NA", "null", "NZ"]
    assert test["x"].isna().tolist() == [True, False, False]


def test_float_ids_in_one_file_and_whole_ones_in_another(tmp_path: Path) -> None:
    data = binary(m=3)
    data["test"]["id"] = [61.0, 62.0, 63.0]  # type: ignore[index]
    folder(tmp_path, **data)
    assert read_test(load(tmp_path))["id"].tolist() == ["61.0", "62.0", "63.0"]


def test_rows_without_ids_pair_by_position(tmp_path: Path) -> None:
    folder(
        tmp_path,
        train={"x": range(30), "y": np.linspace(0, 1, 30)},
        test={"x": range(7)},
        sample_submission={"y": [0.5] * 7},
    )
    c = load(tmp_path)
    assert c.id_column is None and (c.task, c.output) == ("regression", "value")
    assert read_sample(c).columns.tolist() == ["y"]
    folder(tmp_path, sample_submission={"y": [0.5] * 6})
    refused(tmp_path, "6 rows", "7")


def test_groups_are_seen(tmp_path: Path) -> None:
    n, m = 120, 40
    folder(
        tmp_path,
        train={"id": ids(0, n), "x": range(n), "patient": [f"p{i // 6}" for i in range(n)],
               "y": [i % 2 for i in range(n)]},
        test={"id": ids(n, m), "x": range(m), "patient": [f"q{i // 4}" for i in range(m)]},
    )  # fmt: skip
    c = load(tmp_path)
    assert c.group_column == "patient" and any("patient" in x for x in c.notes)


def test_shared_categories_and_unique_numbers_are_no_groups(tmp_path: Path) -> None:
    n, m = 120, 40
    folder(
        tmp_path,
        train={"id": ids(0, n), "city": [f"c{i % 9}" for i in range(n)], "ticket": range(n),
               "part": "train", "y": [i % 2 for i in range(n)]},
        test={"id": ids(n, m), "city": [f"c{i % 9}" for i in range(m)],
              "ticket": range(500, 500 + m), "part": "test"},
    )  # fmt: skip
    c = load(tmp_path)
    assert c.group_column is None and c.time_column is None


@pytest.mark.parametrize(
    ("name", "form"),
    [("sold", "%Y-%m-%d"), ("when", "%d.%m.%Y %H:%M"), ("stamp", "%Y-%m-%dT%H:%M:%S")],
)
def test_time_is_seen_where_test_comes_after(tmp_path: Path, name: str, form: str) -> None:
    days = pd.date_range("2023-01-25", periods=140).strftime(form)
    train = {"id": ids(0, 100), name: days[:100], "y": np.linspace(0, 9, 100)}
    folder(tmp_path, train=train, test={"id": ids(100, 40), name: days[100:]})
    assert load(tmp_path).time_column == name
    assert load(tmp_path).group_column is None
    folder(tmp_path, test={"id": ids(100, 40), name: days[80:120]})
    assert load(tmp_path).time_column is None


def test_a_year_is_time_and_a_plain_number_is_not(tmp_path: Path) -> None:
    train = {"id": ids(0, 100), "year": [1990 + i // 10 for i in range(100)], "y": range(100)}
    test = {"id": ids(100, 40), "year": [2000 + i // 10 for i in range(40)]}
    folder(tmp_path, train=train, test=test)
    assert load(tmp_path).time_column == "year"
    for table in (train, test):
        table["size"] = table.pop("year")
    folder(tmp_path, train=train, test=test)
    assert load(tmp_path).time_column is None


def test_target_among_several_tables(tmp_path: Path) -> None:
    data = binary()
    labels = data.pop("train")
    folder(tmp_path, **data, weather={"day": [1], "rain": [2]}, train_labels=labels)
    assert load(tmp_path).train_file == "train_labels.csv"
    folder(tmp_path, train_meta={"id": ids(1, 60), "city": "a"})
    assert load(tmp_path).train_file == "train_labels.csv"
    folder(tmp_path, train=labels)
    assert load(tmp_path).train_file == "train.csv"


def test_labels_under_any_name(tmp_path: Path) -> None:
    data = binary()
    folder(tmp_path, answers_known=data.pop("train"), other={"id": [1], "q": [2]}, **data)
    assert load(tmp_path).train_file == "answers_known.csv"


def test_without_a_test_table_the_sample_lists_the_rows(tmp_path: Path) -> None:
    home = folder(
        tmp_path,
        labels={"id": ["a", "b", "c", "d"] * 5, "breed": ["pug", "lab"] * 10},
        sample_submission={"id": ["e", "f"], "pug": 0.5, "lab": 0.5},
    )
    (home / "train").mkdir()
    (home / "train" / "a.jpg").write_bytes(b"jpg")
    c = load(tmp_path)
    assert (c.train_file, c.test_file) == ("labels.csv", "sample_submission.csv")
    assert read_test(c).columns.tolist() == ["id"]


def test_compressed_and_other_table_formats(tmp_path: Path) -> None:
    frames = {k: pd.DataFrame(v) for k, v in binary().items() if isinstance(v, dict)}
    home = tmp_path / "toy"
    home.mkdir()
    with gzip.open(home / "train.csv.gz", "wt") as file:
        frames["train"].to_csv(file, index=False)
    with zipfile.ZipFile(home / "test.csv.zip", "w") as archive:
        archive.writestr("test.csv", frames["test"].to_csv(index=False))
    frames["sample_submission"].to_csv(home / "sampleSubmission.tsv", index=False, sep="\t")
    c = load(tmp_path)
    assert (c.train_file, c.test_file) == ("train.csv.gz", "test.csv.zip")
    assert (len(read_train(c)), len(read_test(c)), len(read_sample(c))) == (60, 20, 20)
    frames["train"].to_json(home / "train.jsonl", orient="records", lines=True)
    (home / "train.csv.gz").unlink()
    assert load(tmp_path).train_file == "train.jsonl"
    assert read_train(load(tmp_path))["target"].tolist() == [0, 1] * 30


def test_a_train_folder_with_tables(tmp_path: Path) -> None:
    home = folder(tmp_path, **binary())
    (home / "train").mkdir()
    (home / "train.csv").rename(home / "train" / "part.csv")
    assert load(tmp_path).train_file == "train/part.csv"


def test_byte_order_mark_spaces_and_umlauts(tmp_path: Path) -> None:
    folder(
        tmp_path,
        train="\ufeffid,Größe in m²,Ziel Wert\n1,2,0.5\n2,3,0.7\n3,4,0.1\n",
        test="\ufeffid,Größe in m²\n4,2\n5,3\n",
    )
    c = load(tmp_path)
    assert c.target_columns == ("Ziel Wert",) and c.id_column == "id"
    assert "Größe in m²" in preview(c)


def test_unlabelled_rows_are_noted_and_labels_stay_whole(tmp_path: Path) -> None:
    data = binary()
    data["train"]["target"] = [1, 0, None] * 20  # type: ignore[index]
    folder(tmp_path, **data)
    c = load(tmp_path)
    assert any("20 of 60 train rows" in x for x in c.notes)
    assert c.classes == {"target": 1} and isinstance(c.classes["target"], int)


def test_an_empty_target_column_in_test_is_never_shown(tmp_path: Path) -> None:
    data = binary()
    data["test"]["target"] = [None] * 20  # type: ignore[index]
    folder(tmp_path, **data)
    c = load(tmp_path)
    assert c.target_columns == ("target",) and "target" not in read_test(c)
    (tmp_path / "toy" / "sample_submission.csv").unlink()
    assert load(tmp_path).target_columns == ("target",)


def test_competition_toml_rules(tmp_path: Path) -> None:
    data = binary()
    data["train"]["other"] = range(60)  # type: ignore[index]
    del data["sample_submission"]
    toml = 'target = "target"\nmetric = "log_loss"\nid = ""\ngroup = "x"\n'
    folder(tmp_path, **data, competition_toml=toml)
    c = load(tmp_path)
    assert (c.target_columns, c.metric, c.id_column, c.group_column) == (
        ("target",), "log_loss", None, "x",
    )  # fmt: skip


def test_yes_and_no_know_which_is_positive(tmp_path: Path) -> None:
    data = binary(competition_toml='metric = "roc_auc"')
    data["train"]["target"] = ["yes", "no"] * 30  # type: ignore[index]
    folder(tmp_path, **data)
    assert load(tmp_path).classes == {"target": "yes"}


def test_a_metric_we_lack(tmp_path: Path) -> None:
    folder(tmp_path, **binary(description_md="# Evaluation\nThe Gini-Wobble index of rows.\n"))
    c = load(tmp_path)
    assert c.metric == "roc_auc" and "Gini-Wobble" in (c.metric_proxy_for or "")
    (tmp_path / "eval" / "toy").mkdir(parents=True)
    (tmp_path / "eval" / "toy" / "grade.py").write_text("print()")
    refused(tmp_path, "higher_is_better", "competition.toml")
    folder(tmp_path, competition_toml="higher_is_better = true")
    c = load(tmp_path)
    assert (c.metric, c.higher_is_better, c.metric_proxy_for) == ("grade.py", True, None)
    assert c.eval_dir == tmp_path / "eval" / "toy"


def test_grade_py_alone_does_not_displace_a_metric(tmp_path: Path) -> None:
    folder(tmp_path, **binary())
    (tmp_path / "eval" / "toy").mkdir(parents=True)
    (tmp_path / "eval" / "toy" / "grade.py").write_text("print()")
    assert load(tmp_path).metric == "roc_auc"


def test_f1_of_several_classes_and_a_description_that_does_not_fit(tmp_path: Path) -> None:
    data = binary(description_md="Evaluated by the F1 score.")
    data["train"]["target"] = ["a", "b", "c"] * 20  # type: ignore[index]
    data["sample_submission"]["target"] = "a"  # type: ignore[index]
    folder(tmp_path, **data)
    assert load(tmp_path).metric == "f1_macro"
    folder(tmp_path, description_md="Evaluated by RMSE.")
    c = load(tmp_path)
    assert c.metric == "accuracy" and any("does not fit" in x for x in c.notes)
    folder(tmp_path, competition_toml='metric = "rmse"')
    refused(tmp_path, "rmse does not fit")


def test_lists_of_labels(tmp_path: Path) -> None:
    data = binary(description_md="Evaluated by MAP@5.")
    data["train"]["target"] = [f"w{i % 12}" for i in range(60)]  # type: ignore[index]
    data["sample_submission"]["target"] = "w1 w2 w3"  # type: ignore[index]
    folder(tmp_path, **data)
    c = load(tmp_path)
    assert (c.task, c.output, c.metric) == ("ranking", "label", "map@5")


def test_the_bundled_examples_load() -> None:
    names = list_competitions(examples_dir())
    assert "eval" not in names
    for name in names:
        # Weights of an example that needs torch are made where torch is.
        finetune = any((examples_dir() / name / "prev_model" / "models").glob("[!.]*"))
        c = load_competition(name, examples_dir(), finetune=finetune)
        assert c.metric_proxy_for is None and preview(c)


# prev_model.


def prev_model(home: Path, *files: str) -> None:
    for order, name in enumerate(files):
        path = home / "prev_model" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        os.utime(path, (1_000_000 + order, 1_000_000 + order))


@pytest.mark.parametrize(
    ("names", "latest"),
    [
        (("checkpoint-50/model.safetensors", "checkpoint-200/model.safetensors",
          "checkpoint-200/optimizer.pt", "checkpoint-9/model.safetensors"), "checkpoint-200"),
        (("step_200.pt", "step_30.pt", "best.pt"), "step_200.pt"),
        (("epoch-3.ckpt", "epoch-10.ckpt", "epoch-9.ckpt"), "epoch-10.ckpt"),
        (("b.joblib", "a.joblib", "config.json"), "a.joblib"),
        (("epoch=2-step=900.ckpt", "epoch=1-step=950.ckpt"), "epoch=1-step=950.ckpt"),
        (("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"), ""),
    ],
)  # fmt: skip
def test_latest_checkpoint(tmp_path: Path, names: tuple[str, ...], latest: str) -> None:
    home = folder(tmp_path, **binary())
    prev_model(home, "main.py", "net.py", *(f"models/{x}" for x in names))
    found = load(tmp_path, finetune=True).prev_model
    assert found is not None
    assert found.code == ("main.py", "net.py")
    assert found.checkpoint == f"models/{latest}".rstrip("/")
    assert found.trained_on_train == "unknown"


def test_prev_model_as_competition_toml_says(tmp_path: Path) -> None:
    toml = 'prev_model_code = "net.py"\nprev_model_trained_on_train = true\n'
    home = folder(tmp_path, **binary(competition_toml=toml))
    prev_model(home, "net.py", "old.py", "models/w.pt")
    found = load(tmp_path, finetune=True).prev_model
    assert found and found.code == ("net.py",) and found.trained_on_train == "yes"


def test_a_prev_model_that_cannot_be_used(tmp_path: Path) -> None:
    home = folder(tmp_path, **binary())
    refused(tmp_path, "no prev_model/", finetune=True)
    (home / "prev_model").mkdir()
    refused(tmp_path, "empty", finetune=True)
    prev_model(home, "main.py")
    refused(tmp_path, "no checkpoint", "models", finetune=True)
    assert load(tmp_path).prev_model is None


# What is refused.


def test_missing_data_folder_lists_the_examples(tmp_path: Path) -> None:
    message = refused(tmp_path / "nowhere", "DS_LOCAL_DATA_PATH")
    assert all(name in message for name in list_competitions(examples_dir()))


def test_unknown_competition(tmp_path: Path) -> None:
    folder(tmp_path, "house-prices", **binary())
    (tmp_path / "eval").mkdir()
    refused(tmp_path, "did you mean house-prices?", name="house-price")
    for name in ("../toy", "a/b", "..", "/etc", "", "eval", ".git"):
        refused(tmp_path, name=name)


def test_no_train_or_no_test(tmp_path: Path) -> None:
    home = folder(tmp_path, **binary())
    (home / "train.csv").unlink()
    refused(tmp_path, "no train file", "put train.csv")
    folder(tmp_path, "other", train=binary()["train"])
    refused(tmp_path, "neither a test file nor a sample", name="other")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", ("train.csv is empty",)),
        (b"\n\n", ("train.csv is empty",)),
        (b"id,x,target\n", ("train.csv has no rows",)),
        (b"id,x,target\n1,2,0\n2,3,1\n3,4,1,9\n4,5,0\n", ("more fields", "line 4")),
        (b"id,x,target\n1,2,0,7\n2,3,1,8\n", ("more fields", "line 2")),
        (b'id,x,target\n1,"a\nb",0\n2,3\n3,4,1\n', ("too few fields", "line 4")),
        (b'id,x,target\n1,2,0\n2,"3,1\n3,4,1\n', ("quote", "line 3")),
        (b"id,x,target\n1,a,0\n2,\xe9\xe8,1\n", ("not UTF-8", "line 3")),
        (b"id,x,target\n1,a,0\n2,\x00,1\n", ("NUL byte", "line 3")),
        ("id,x,target\n1,a,0\n".encode("utf-16"), ("UTF-16",)),
    ],
)
def test_unreadable_tables_name_file_and_line(
    tmp_path: Path, text: bytes, words: tuple[str, ...]
) -> None:
    folder(tmp_path, **{**binary(), "train": text})
    refused(tmp_path, "train.csv", *words)


def test_broken_archive_and_broken_json_lines(tmp_path: Path) -> None:
    home = folder(tmp_path, **binary())
    (home / "train.csv").rename(home / "train.csv.gz")
    refused(tmp_path, "train.csv.gz", "archive")
    (home / "train.csv.gz").unlink()
    (home / "train.jsonl").write_text('{"id": 1, "x": 1, "target": 0}\n{"id": 2,\n')
    refused(tmp_path, "train.jsonl", "line 2")


def test_a_test_set_without_rows(tmp_path: Path) -> None:
    folder(tmp_path, **{**binary(), "test": "id,x\n"})
    refused(tmp_path, "test.csv has no rows")


def test_ids_that_cannot_name_rows(tmp_path: Path) -> None:
    data = binary(m=4)
    data["test"]["id"] = [61, 62, 62, 64]  # type: ignore[index]
    folder(tmp_path, **data)
    refused(tmp_path, "'62'", "more than once")
    data["test"]["id"] = [61, 62, None, 64]  # type: ignore[index]
    folder(tmp_path, **data)
    refused(tmp_path, "no id in row 3")
    data["test"]["id"] = [61, 62, 63, 99]  # type: ignore[index]
    folder(tmp_path, **data)
    refused(tmp_path, "do not match", "'99'", "sample_submission.csv lacks")


def test_targets_that_teach_nothing(tmp_path: Path) -> None:
    data = binary()
    data["train"]["target"] = [1] * 60  # type: ignore[index]
    folder(tmp_path, **data)
    refused(tmp_path, "target", "always 1")
    data["train"]["target"] = [None] * 60  # type: ignore[index]
    folder(tmp_path, **data)
    refused(tmp_path, "target", "missing in every row")


def test_sample_columns_that_match_nothing(tmp_path: Path) -> None:
    data = binary()
    del data["train"]["target"]  # type: ignore[attr-defined]
    folder(tmp_path, **data)
    refused(tmp_path, "sample_submission.csv", "match nothing")


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ('metrik = "rmse"', ("metrik", "did you mean metric?")),
        ('metric = "acuracy"', ("unknown metric", "accuracy", "log_loss")),
        ("metric = 3", ("metric", "text")),
        ("metric = \nid = 3", ("competition.toml", "line 1")),
        ('target = "targt"', ("targt", "did you mean 'target'?")),
        ('id = "nr"', ("id 'nr'",)),
        ('time = "when"', ("time 'when'",)),
        ('metric = "log_loss"\nhigher_is_better = true', ("higher_is_better",)),
        ('prev_model_trained_on_train = "perhaps"', ()),
    ],
)
def test_mistakes_in_competition_toml(tmp_path: Path, toml: str, words: tuple[str, ...]) -> None:
    home = folder(tmp_path, **binary(competition_toml=toml))
    prev_model(home, "main.py", "models/w.pt")
    refused(tmp_path, *words, finetune=True)


def test_answers_may_not_lie_in_the_folder(tmp_path: Path) -> None:
    home = folder(tmp_path, **binary())
    answers = tmp_path / "eval" / "toy" / "submission_test.csv"
    answers.parent.mkdir(parents=True)
    answers.write_text("id,target\n61,1\n62,0\n")
    load(tmp_path)
    (home / "deep" / "er").mkdir(parents=True)
    shutil.copy(answers, home / "deep" / "er" / "harmless.bin")
    refused(tmp_path, "deep/er/harmless.bin", "identical to the answers")
    (home / "deep" / "er" / "harmless.bin").unlink()
    (home / "deep" / "Submission_Test.csv").write_text("x")
    refused(tmp_path, "holds answers")
    shutil.rmtree(home / "deep")
    (home / "link").symlink_to(tmp_path / "eval")
    refused(tmp_path, "links to the answers")


# Preview and fingerprint.


def test_preview_is_complete_bounded_and_without_absolute_paths(tmp_path: Path) -> None:
    n = 50
    wide = {f"pixel_{i}": range(n) for i in range(300)}
    train = {"id": ids(0, n), "city": ["Köln", None] * 25, **wide, "y": np.linspace(0, 1, n)}
    test = {k: list(v)[:9] for k, v in train.items() if k != "y"}  # type: ignore[call-overload]
    home = folder(tmp_path, train=train, test=test)
    (home / "images").mkdir()
    for i in range(30):
        (home / "images" / f"{i}.png").write_bytes(b"x")
    c = load(tmp_path)
    text = preview(c)
    for part in ("50 rows, 303 columns", "Köln", "50.0% missing", "300 columns", "quartiles",
                 "images/: 30 files (30 .png)"):  # fmt: skip
        assert part in text
    assert str(tmp_path) not in text
    assert len(preview(c, 700)) <= 700


def test_fingerprints_change_with_the_data_alone(tmp_path: Path) -> None:
    home = folder(tmp_path, **binary())
    prev_model(home, "main.py", "models/w.pt")
    (home / "images").mkdir()
    for i in range(250):
        (home / "images" / f"{i}.png").write_bytes(b"x")
    c = load(tmp_path)
    before = content_hashes(c)
    assert set(before) == {"train.csv", "test.csv", "sample_submission.csv", "images/"}
    os.utime(home / "train.csv", (1, 1))
    assert content_hashes(load(tmp_path)) == before
    (home / "images" / "0.png").write_bytes(b"xy")
    text = (home / "train.csv").read_text()
    (home / "train.csv").write_text(text.replace("1", "2", 1))
    after = content_hashes(load(tmp_path))
    assert {k for k in after if after[k] != before[k]} == {"images/", "train.csv"}
    tuned = content_hashes(load(tmp_path, finetune=True))
    assert "prev_model/models/w.pt" in tuned


def test_callers_cannot_spoil_the_table_of_others(tmp_path: Path) -> None:
    folder(tmp_path, **binary())
    c = load(tmp_path)
    train = read_train(c)
    train["target"] = 7
    train.loc[0, "x"] = -99.0
    assert read_train(c)["target"].isin([0, 1]).all() and read_train(c)["x"].min() == 0
