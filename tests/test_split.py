"""Which rows the host hides: every scheme, copies, rare classes, ids that tell the target."""

from __future__ import annotations

import stat
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from competitions import classes, competition, write

from rdagent.competition import read_train
from rdagent.records import Competition
from rdagent.split import load_split, make_split, save_split


def edit_train(c: Competition, **columns: object) -> pd.DataFrame:
    """Change columns of train, in test as well where given there."""
    path = c.data_dir / c.train_file
    table = pd.read_csv(path).assign(**columns)  # type: ignore[arg-type]
    write(table, path)
    return table


def test_every_labelled_row_is_hidden_exactly_once_below_ten_thousand(tmp_path: Path) -> None:
    c = classes(tmp_path, rows=212)
    split, table = make_split(c)
    assert (split.scheme, split.folds, split.warnings) == ("stratified", 5, ())
    assert table["row"].tolist() == list(range(212))
    assert table.groupby("fold").size().between(40, 45).all() and set(table["fold"]) == set(
        range(5)
    )
    assert (table["part"] == "final").mean() == pytest.approx(0.3, abs=0.01)
    per_fold = (table["part"] == "final").groupby(table["fold"]).mean()
    assert per_fold.between(0.25, 0.35).all()
    labels = read_train(c)["y"]
    counts = pd.crosstab(labels, table["fold"])
    assert (counts.max(axis=1) - counts.min(axis=1) <= 1).all()


def test_a_split_is_the_same_for_the_same_seed_and_survives_the_run_folder(tmp_path: Path) -> None:
    c = classes(tmp_path / "data")
    split, table = make_split(c, seed=3)
    again = make_split(c, seed=3)[1]
    other = make_split(c, seed=4)[1]
    pd.testing.assert_frame_equal(table, again)
    assert (table["fold"] != other["fold"]).any()
    save_split(split, table, tmp_path)
    assert stat.S_IMODE((tmp_path / "folds.csv").stat().st_mode) == 0o600
    back, frame = load_split(tmp_path)
    assert back == split
    pd.testing.assert_frame_equal(frame, table, check_dtype=False)


def test_rows_without_a_label_stay_in_train(tmp_path: Path) -> None:
    c = classes(tmp_path, rows=200)
    labels = read_train(c)["y"].where(np.arange(200) % 4 > 0)
    edit_train(c, y=labels)
    table = make_split(c)[1]
    missing = labels.isna()
    assert (table["fold"][missing] == -1).all() and (table["part"][missing] == "train").all()
    assert (table["fold"][~missing] >= 0).all()


def test_classes_under_three_rows_stay_in_train_among_thirty(tmp_path: Path) -> None:
    c = classes(tmp_path, rows=400, kinds=25)
    labels = read_train(c)["y"].to_numpy(object)
    for n in range(5):
        labels[2 * n : 2 * n + 2] = f"rare{n}"
    edit_train(c, y=labels)
    table = make_split(c)[1]
    rare = pd.Series(labels).str.startswith("rare")
    assert (table["fold"][rare] == -1).all()
    assert (table["fold"][~rare] >= 0).all()
    for fold in range(5):
        assert set(labels[table["fold"] != fold]) == set(labels)


def test_a_class_whose_rows_are_all_copies_is_not_taken_out_of_train(tmp_path: Path) -> None:
    c = classes(tmp_path, rows=100)
    train = read_train(c)
    train.loc[:3, ["a", "b", "c"]] = 0.5
    train.loc[:3, "y"] = "only"
    write(train, tmp_path / "train.csv")
    table = make_split(c)[1]
    assert (table["fold"][:4] == -1).all() and (table["fold"][4:] >= 0).all()


def test_copies_of_a_row_are_hidden_together_whatever_their_ids(tmp_path: Path) -> None:
    c = classes(tmp_path, rows=300)
    train = read_train(c)
    train["id"] = train["id"].astype(int)
    train["constant"] = 1
    for n in range(40):
        train.loc[200 + n, ["a", "b", "c"]] = train.loc[n, ["a", "b", "c"]]
    write(train, tmp_path / "train.csv")
    write(pd.read_csv(tmp_path / "test.csv").assign(constant=1), tmp_path / "test.csv")
    table = make_split(c)[1]
    for column in ("fold", "part"):
        assert (table[column][:40].to_numpy() == table[column][200:240].to_numpy()).all()


def test_few_distinct_values_are_no_copies(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    train = pd.DataFrame(
        {"id": rng.permutation(1000), "a": rng.integers(0, 3, 1000), "y": rng.normal(size=1000)}
    )
    write(train, tmp_path / "train.csv")
    write(pd.DataFrame({"id": range(5000, 5010), "a": 1}), tmp_path / "test.csv")
    table = make_split(competition(tmp_path))[1]
    assert table.groupby("fold").size().eq(200).all()


def test_groups_stay_whole_and_carry_their_name(tmp_path: Path) -> None:
    c = classes(tmp_path, rows=400, group_column="patient")
    patients = np.random.default_rng(1).integers(0, 23, 400)
    edit_train(c, patient=patients)
    test = pd.read_csv(tmp_path / "test.csv")
    write(test.assign(patient=np.arange(len(test)) + 100), tmp_path / "test.csv")
    split, table = make_split(c)
    assert (split.scheme, split.folds) == ("group", 5)
    assert (table["fold"].groupby(patients).nunique() == 1).all()
    assert (table["part"].groupby(patients).nunique() == 1).all()
    assert table["group"].map(type).eq(str).all()
    assert pd.Series(patients).groupby(table["group"]).nunique().eq(1).all()
    assert table.groupby("fold").size().between(60, 100).all()
    assert (table["part"] == "final").mean() > 0.15


def test_three_groups_make_three_folds(tmp_path: Path) -> None:
    c = classes(tmp_path, rows=90, group_column="site")
    edit_train(c, site=np.arange(90) % 3)
    split, table = make_split(c)
    assert split.folds == 3
    assert set(table["part"]) == {"search", "final"}


def test_time_hides_successive_blocks_of_the_end_and_keeps_the_last_for_the_final_part(
    tmp_path: Path,
) -> None:
    c = classes(tmp_path, rows=500, time_column="day")
    days = np.random.default_rng(2).permutation(500) // 2
    dates = pd.Timestamp("2020-01-01") + pd.to_timedelta(days, unit="D")
    edit_train(c, day=dates.astype(str))
    split, table = make_split(c)
    assert (split.scheme, split.folds) == ("time", 5)
    assert (table["fold"] >= 0).mean() == pytest.approx(0.4, abs=0.01)
    day = pd.Series(days)
    previous = day[table["fold"] == -1].max()
    for fold in range(5):
        block = day[table["fold"] == fold]
        assert block.min() > previous and len(block) == pytest.approx(40, abs=2)
        previous = block.max()
    final = day[table["part"] == "final"]
    assert len(final) == 60
    assert final.min() >= day[table["part"] == "search"].max()


def test_equal_times_never_straddle_a_border(tmp_path: Path) -> None:
    c = classes(tmp_path, rows=300, time_column="year")
    years = np.repeat([2018, 2019, 2020, 2021], 75)
    edit_train(c, year=years)
    split, table = make_split(c)
    assert (table["fold"].groupby(years).nunique() == 1).all()
    assert split.folds == 1 and set(years[table["fold"] == 0]) == {2021}


def test_many_rows_get_one_fold_of_at_most_twenty_thousand_in_seconds(tmp_path: Path) -> None:
    c = classes(tmp_path, rows=150_000)
    start = time.process_time()
    split, table = make_split(c)
    assert time.process_time() - start < 8
    hidden = table["fold"] >= 0
    assert split.folds == 1 and 19_900 <= hidden.sum() <= 20_000
    assert (table["part"][hidden] == "final").mean() == pytest.approx(0.3, abs=0.01)
    few = classes(tmp_path / "few", rows=12_000)
    assert (make_split(few)[1]["fold"] == 0).sum() == pytest.approx(2400, abs=2)


def test_an_id_in_the_order_of_time_is_found_out_and_renumbered(tmp_path: Path) -> None:
    c = classes(tmp_path, rows=400)
    train = read_train(c)
    train["y"] = train["y"].sort_values().to_numpy()
    train["id"] = range(400)
    write(train, tmp_path / "train.csv")
    split, _ = make_split(c)
    assert split.fresh_ids
    assert any("id alone predicts" in w for w in split.warnings)
    assert any("order of rows" in w for w in split.warnings)


def test_a_drifting_number_is_found_out_and_noise_is_not(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ids = rng.permutation(2000)
    x = rng.normal(size=2000)
    for name, y in (("drift", x + ids / 1000), ("noise", x), ("waves", x + np.sin(ids / 30))):
        write(pd.DataFrame({"id": ids, "a": x, "y": y}), tmp_path / name / "train.csv")
        write(pd.DataFrame({"id": ids[:50] + 9000, "a": 1.5}), tmp_path / name / "test.csv")
        split, _ = make_split(competition(tmp_path / name))
        assert split.fresh_ids == (name != "noise"), name
        assert bool(split.warnings) == (name != "noise")


def test_colliding_and_missing_ids_get_fresh_ones(tmp_path: Path) -> None:
    c = classes(tmp_path / "apart")
    assert not make_split(c)[0].fresh_ids
    c = classes(tmp_path / "same")
    test = pd.read_csv(tmp_path / "same/test.csv")
    test.loc[0, "id"] = int(read_train(c)["id"][5])
    write(test, tmp_path / "same/test.csv")
    assert make_split(c)[0].fresh_ids
    c = classes(tmp_path / "missing")
    write(read_train(c).drop(columns="id"), tmp_path / "missing/train.csv")
    assert make_split(c)[0].fresh_ids


def test_several_targets_need_all_of_their_labels(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"id": rng.permutation(300), "a": rng.normal(size=300)})
    table["y"], table["z"] = rng.normal(size=300), rng.normal(size=300)
    table.loc[:9, "z"] = np.nan
    write(table, tmp_path / "train.csv")
    write(pd.DataFrame({"id": [900, 901], "a": [0.1, 0.2]}), tmp_path / "test.csv")
    c = competition(tmp_path, target_columns=("y", "z"), prediction_columns=("y", "z"))
    hidden = make_split(c)[1]["fold"] >= 0
    assert not hidden[:10].any() and hidden[10:].all()


def test_rarest_labels_are_spread_over_the_folds(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"id": rng.permutation(500), "a": rng.normal(size=500)})
    table["y"], table["z"] = (rng.random(500) < 0.5).astype(int), 0
    table.loc[rng.choice(500, 10, replace=False), "z"] = 1
    write(table, tmp_path / "train.csv")
    write(pd.DataFrame({"id": [900, 901], "a": [0.1, 0.2]}), tmp_path / "test.csv")
    c = competition(
        tmp_path, task="multilabel", output="probability",
        target_columns=("y", "z"), prediction_columns=("y", "z"),
    )  # fmt: skip
    folds = make_split(c)[1]["fold"]
    assert folds[table["z"] == 1].value_counts().tolist() == [2] * 5


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("train.zip", None),
        ("images.zip", "unpack"),
        ("labels.json", "belongs to train's rows"),
        ("features.h5", "cannot be told apart"),
        ("train_images.npy", "by position"),
        ("extra.csv", "holds y"),
        ("train_more.csv", "no column of it names them"),
        ("notes.txt", None),
        ("towns.csv", None),
    ],
)
def test_what_cannot_be_taken_apart_is_named_as_the_reason(
    tmp_path: Path, name: str, reason: str | None
) -> None:
    c = classes(tmp_path, rows=60)
    if name.endswith(".npy"):
        np.save(tmp_path / name, np.zeros((60, 2)))
    elif name == "extra.csv":
        write(pd.DataFrame({"a": [1.0], "y": ["k1"]}), tmp_path / name)
    else:
        (tmp_path / name).write_text("town,people\nx,1\n")
    split, table = make_split(c)
    if reason is None:
        assert split.folds == 5
    else:
        assert (split.scheme, split.folds, len(table)) == ("self-reported", 0, 0)
        assert name in split.reason and reason in split.reason


def test_too_few_rows_are_not_hidden(tmp_path: Path) -> None:
    c = classes(tmp_path, rows=2)
    split, table = make_split(c)
    assert split.scheme == "self-reported" and "too few" in split.reason and table.empty
