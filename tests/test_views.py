"""What programs see: no hidden label, no trace of hidden rows, the user's text unchanged."""

from __future__ import annotations

import os
import stat
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from competitions import classes, competition, write

from rdagent.competition import read_test, read_train
from rdagent.errors import SetupError
from rdagent.records import Competition, PrevModel
from rdagent.runners.local import LocalRunner
from rdagent.split import Split, make_split
from rdagent.views import View, build_views, predict_view, read_key


def views_of(
    c: Competition, folder: Path, **options: Any
) -> tuple[Split, pd.DataFrame, dict[str, View]]:
    split, table = make_split(c)
    options = {"runner": LocalRunner(), "finetune": False} | options
    return split, table, build_views(c, split, table, folder, **options)


def text(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def names_in(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def fold_views(views: dict[str, View]) -> list[View]:
    return [v for v in views.values() if v.name.startswith("fold-")]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, links followed."""
    return {
        str(Path(where, name).relative_to(folder)): Path(where, name).read_bytes()
        for where, _, names in os.walk(folder, followlinks=True)
        for name in names
    }


def pictures(c: Competition, train: str, test: str, *, same: bool = False) -> None:
    """An image per id, its content naming the row it belongs to."""
    for part, folder in (("train", train), ("test", test)):
        (c.data_dir / folder).mkdir(parents=True, exist_ok=True)
        for n, row in enumerate(pd.read_csv(c.data_dir / f"{part}.csv")["id"]):
            content = "same" if same else f"{part} {n}"
            (c.data_dir / folder / f"{row}.png").write_text(content)


def test_a_fold_hides_its_rows_among_those_of_the_test(tmp_path: Path) -> None:
    c = classes(tmp_path / "c", rows=212)
    (c.data_dir / "description.md").write_text("Guess y.")
    (c.data_dir / "competition.toml").write_text('metric = "accuracy"')
    _, table, views = views_of(c, tmp_path / "views")
    assert sorted(views) == [*(f"fold-{n}" for n in range(5)), "full"]
    train, test = text(c.data_dir / "train.csv"), text(c.data_dir / "test.csv")
    for view in fold_views(views):
        files = ["description.md", "sample_submission.csv", "test.csv", "train.csv"]
        assert names_in(view.path) == files
        hidden = table["fold"] == view.fold
        seen, asked, key = (
            text(view.path / "train.csv"),
            text(view.path / "test.csv"),
            read_key(view),
        )
        pd.testing.assert_frame_equal(seen, train[~hidden.to_numpy()].reset_index(drop=True))
        assert list(asked.columns) == list(test.columns)
        assert asked["id"].tolist() == key["id"].tolist()
        mine = (key["source"] == "train").to_numpy()
        assert sorted(key["row"][mine]) == table["row"][hidden].tolist()
        assert key["row"][~mine].tolist() == list(range(len(test)))
        back = train.iloc[key["row"][mine]][list(test.columns)]
        assert (asked[mine].to_numpy() == back.to_numpy()).all()
        places = np.flatnonzero(mine)
        assert places.min() < 20 and places.max() > len(asked) - 20
        assert (np.diff(key["row"][mine]) > 0).mean() == pytest.approx(0.5, abs=0.3)
        sample = text(view.path / "sample_submission.csv")
        assert sample["id"].tolist() == asked["id"].tolist() and set(sample["y"]) == {"k0"}


def test_the_full_view_is_the_users_data(tmp_path: Path) -> None:
    c = classes(tmp_path / "c", rows=100)
    _, _, views = views_of(c, tmp_path / "views")
    for name in ("train.csv", "test.csv", "sample_submission.csv"):
        assert (views["full"].path / name).read_bytes() == (c.data_dir / name).read_bytes()
        # A copy: what a careless program writes into a view never reaches the user's file.
        assert (views["full"].path / name).stat().st_ino != (c.data_dir / name).stat().st_ino
    assert set(read_key(views["full"])["source"]) == {"test"}


def test_hidden_labels_are_nowhere_in_the_view(tmp_path: Path) -> None:
    c = classes(tmp_path / "c", rows=200)
    train = read_train(c).assign(y=[f"secret-{n:04d}" for n in range(200)], only_train=range(200))
    write(train, c.data_dir / "train.csv")
    c = c.model_copy(update={"task": "regression"})
    _, table, views = views_of(c, tmp_path / "views")
    for view in fold_views(views):
        everything = b"".join(contents(view.path).values()).decode()
        for row in table["row"]:
            assert (f"secret-{row:04d}" in everything) == (table["fold"][row] != view.fold)
        shown, asked = text(view.path / "train.csv"), text(view.path / "test.csv")
        assert "y" not in asked and "only_train" not in asked
        assert shown.merge(asked, on=["a", "b", "c"]).empty
        assert shown.merge(asked, on="id").empty


def test_labels_in_the_users_test_file_are_not_shown(tmp_path: Path) -> None:
    c = classes(tmp_path / "c", rows=100)
    write(pd.read_csv(c.data_dir / "test.csv").assign(y="k1"), c.data_dir / "test.csv")
    _, _, views = views_of(c, tmp_path / "views")
    for view in (*views.values(), predict_view(c, c.data_dir, tmp_path / "new")):
        assert "y" not in text(view.path / "test.csv")


def test_the_users_text_survives(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    n = 150
    odd = ["NA", "", '"', "a,b", "line\nbreak", "1.50", "  x ", "None", "1e3", "ü"]
    ids = [f"{i:05d}" for i in np.random.default_rng(0).permutation(n)]
    words = [odd[i % 10] + f"{i}" * (i > 9) for i in range(n)]
    train = pd.DataFrame({"id": ids, "t": words, "f": [f"{i}.10" for i in range(n)]})
    train["y"] = [f"{i % 2}" for i in range(n)]
    write(train, folder / "train.csv")
    write(
        train.assign(id=[f"{i:05d}" for i in range(n, 2 * n)]).drop(columns="y"),
        folder / "test.csv",
    )
    c = competition(folder, task="binary", output="probability")
    split, table, views = views_of(c, tmp_path / "views")
    assert not split.fresh_ids
    for view in fold_views(views):
        hidden = (table["fold"] == view.fold).to_numpy()
        seen = text(view.path / "train.csv")
        assert seen.to_numpy().tolist() == train[~hidden].to_numpy().tolist()
        key, asked = read_key(view), text(view.path / "test.csv")
        rows = key["row"][key["source"] == "train"]
        assert (
            asked[key["source"] == "train"].to_numpy().tolist()
            == train.iloc[rows][["id", "t", "f"]].to_numpy().tolist()
        )
        assert key["id"].str.len().eq(5).all()


def test_keys_are_for_the_host_alone(tmp_path: Path) -> None:
    c = classes(tmp_path / "c", rows=100)
    _, _, views = views_of(c, tmp_path / "views")
    for view in views.values():
        key = tmp_path / "views" / f"{view.name}.key.csv"
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        assert not any("key" in name or "fold" in name for name in contents(view.path))


def test_colliding_ids_become_fresh_ones_of_their_kind(tmp_path: Path) -> None:
    for kind, spell in (
        ("int", "{}"),
        ("zeros", "{:06d}"),
        ("text", "p-{}"),
        ("file", "{:04d}.mp4"),
    ):
        c = classes(tmp_path / kind, rows=100)
        for name in ("train", "test", "sample_submission"):
            table = pd.read_csv(c.data_dir / f"{name}.csv")
            table["id"] = [
                spell.format(n) for n in np.random.default_rng(5).permutation(len(table))
            ]
            write(table, c.data_dir / f"{name}.csv")
        split, table, views = views_of(c, tmp_path / "views" / kind)
        assert split.fresh_ids
        real, shown = (
            text(c.data_dir / "test.csv")["id"],
            text(views["fold-1"].path / "test.csv")["id"],
        )
        assert shown.is_unique and set(real) < set(shown)
        fresh = set(shown) - set(real)
        assert not fresh & set(text(c.data_dir / "train.csv")["id"])
        pattern = {"int": r"\d+", "zeros": r"\d{6}", "text": r"p-\d+", "file": r"\d{4}\.mp4"}[kind]
        assert pd.Series(sorted(fresh)).str.fullmatch(pattern).all()
        sample = text(views["fold-1"].path / "sample_submission.csv")
        assert sample["id"].tolist() == shown.tolist()


def test_a_program_that_predicts_from_ids_or_positions_gains_nothing(tmp_path: Path) -> None:
    """Labels grow with the id and the position; neither tells anything about hidden rows."""
    n = 1000
    y = np.arange(n) / n
    x = np.random.default_rng(0).normal(size=n)
    write(pd.DataFrame({"id": range(n), "a": x, "y": y}), tmp_path / "c/train.csv")
    write(pd.DataFrame({"id": range(5000, 5300), "a": x[:300]}), tmp_path / "c/test.csv")
    c = competition(tmp_path / "c")
    split, _, views = views_of(c, tmp_path / "views")
    assert split.fresh_ids and any("id alone" in w for w in split.warnings)
    for view in fold_views(views):
        key = read_key(view)
        mine = (key["source"] == "train").to_numpy()
        truth = y[key["row"][mine]]
        assert abs(np.corrcoef(truth, key["id"][mine].astype(float))[0, 1]) < 0.25
        assert abs(np.corrcoef(truth, np.flatnonzero(mine))[0, 1]) < 0.25
    ids = [set(read_key(v).query("source == 'train'")["id"]) for v in fold_views(views)]
    assert len(set.union(*ids)) == n


def test_rows_without_an_id_column_pair_by_position(tmp_path: Path) -> None:
    c = classes(tmp_path / "c", rows=100)
    for name in ("train", "test", "sample_submission"):
        table = pd.read_csv(c.data_dir / f"{name}.csv").drop(columns="id")
        write(table, c.data_dir / f"{name}.csv")
    c = c.model_copy(update={"id_column": None})
    _, _, views = views_of(c, tmp_path / "views")
    key = read_key(views["fold-0"])
    assert list(key.columns) == ["source", "row"] and len(key) == 100
    assert len(text(views["fold-0"].path / "sample_submission.csv")) == 100


def test_without_a_sample_submission_the_host_makes_one(tmp_path: Path) -> None:
    c = classes(tmp_path / "c", rows=100)
    (c.data_dir / "sample_submission.csv").unlink()
    c = c.model_copy(update={"sample_file": None})
    for view in views_of(c, tmp_path / "views")[2].values():
        sample = text(view.path / "sample_submission.csv")
        assert list(sample.columns) == ["id", "y"]
        assert sample["id"].tolist() == text(view.path / "test.csv")["id"].tolist()
        assert set(sample["y"]) <= {"k0", "k1", "k2"} and sample["y"].nunique() == 1


def test_in_time_order_programs_train_on_earlier_rows_only(tmp_path: Path) -> None:
    c = classes(tmp_path / "c", rows=500, tests=50, time_column="day")
    train = read_train(c).assign(day=np.random.default_rng(0).permutation(500))
    write(train, c.data_dir / "train.csv")
    write(pd.read_csv(c.data_dir / "test.csv").assign(day=range(500, 550)), c.data_dir / "test.csv")
    _, table, views = views_of(c, tmp_path / "views")
    sizes = []
    for view in fold_views(views):
        seen, asked = text(view.path / "train.csv"), text(view.path / "test.csv")
        assert seen["day"].astype(int).max() < asked["day"].astype(int).min()
        key = read_key(view)
        hidden = int((table["fold"] == view.fold).sum())
        assert key["source"].tolist() == ["train"] * hidden + ["test"] * 50
        days = asked["day"].astype(int).tolist()
        assert days[:hidden] == sorted(days[:hidden]) and days[hidden:] == list(range(500, 550))
        sizes.append(len(seen))
    assert sizes == [300, 340, 380, 420, 460]


def test_rebuilt_views_are_identical_and_complete_ones_are_kept(tmp_path: Path) -> None:
    c = classes(tmp_path / "c", rows=300)
    pictures(c, "train", "test")
    _, _, views = views_of(c, tmp_path / "views")
    before = contents(tmp_path / "views")
    made = {v.name: v.path.stat().st_ino for v in views.values()}
    again = views_of(c, tmp_path / "views")[2]
    assert again == views and {v.name: v.path.stat().st_ino for v in again.values()} == made
    views_of(c, tmp_path / "other")
    assert contents(tmp_path / "other") == before


def test_an_interrupted_build_is_done_again(tmp_path: Path) -> None:
    c = classes(tmp_path / "c", rows=300)
    views_of(c, tmp_path / "views")
    before = contents(tmp_path / "views")
    # Killed while fold-1 was written for the first time, and fold-2 replaced.
    (tmp_path / "views/fold-1").rename(tmp_path / "views/.fold-1.tmp")
    (tmp_path / "views/.fold-1.tmp/train.csv").write_text("half")
    (tmp_path / "views/fold-1.json").unlink()
    (tmp_path / "views/fold-2.json").unlink()
    (tmp_path / "views/fold-2/train.csv").write_text("half")
    views_of(c, tmp_path / "views")
    assert contents(tmp_path / "views") == before


def test_images_move_with_their_rows(tmp_path: Path) -> None:
    c = classes(tmp_path / "c", rows=200, tests=60)
    pictures(c, "train_images", "test_images")
    pictures(c, "train_masks", "nowhere")
    for path in (c.data_dir / "nowhere").iterdir():
        path.unlink()
    (c.data_dir / "fonts").mkdir()
    (c.data_dir / "fonts/a.ttf").write_text("font")
    split, _, views = views_of(c, tmp_path / "views")
    assert split.folds == 5, split.reason
    for view in fold_views(views):
        files = contents(view.path)
        shown = set(text(view.path / "train.csv")["id"])
        assert {Path(f).stem for f in files if f.startswith("train_images/")} == shown
        # Masks are what only train has.
        assert {Path(f).stem for f in files if f.startswith("train_masks/")} == shown
        key = read_key(view)
        expected = {
            f"test_images/{i}.png": f"{s} {r}".encode() for i, s, r in key.itertuples(index=False)
        }
        assert {f: x for f, x in files.items() if f.startswith("test_images/")} == expected
        assert (view.path / "fonts").is_symlink()
        moved = key[key["source"] == "train"].iloc[0]
        inode = (view.path / f"test_images/{moved['id']}.png").stat().st_ino
        assert inode == (c.data_dir / f"train_images/{moved['id']}.png").stat().st_ino
    assert contents(views["full"].path / "train_images") == contents(c.data_dir / "train_images")


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs a second file system")
def test_on_another_disk_files_are_copied_once_for_all_views(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
        c = classes(Path(other) / "c", rows=100)
        pictures(c, "train", "test")
        _, _, views = views_of(c, tmp_path / "views")
        view, full = views["fold-0"].path, views["full"].path
        for i, source, row in read_key(views["fold-0"]).itertuples(index=False):
            assert (view / f"test/{i}.png").read_text() == f"{source} {row}"
            assert not (view / f"test/{i}.png").is_symlink()
        assert contents(full / "train") == contents(c.data_dir / "train")
        files = [f for v in views.values() for f in v.path.rglob("*.png")]
        assert len({f.stat().st_ino for f in files}) <= 180


def test_one_folder_for_all_images_stays_as_it_is(tmp_path: Path) -> None:
    c = classes(tmp_path / "c", rows=200)
    pictures(c, "images", "images")
    split, _, views = views_of(c, tmp_path / "views")
    assert split.folds == 5 and not split.fresh_ids
    for view in views.values():
        assert (view.path / "images").resolve() == c.data_dir / "images"


def test_colliding_image_names_get_fresh_ones(tmp_path: Path) -> None:
    c = classes(tmp_path / "c", rows=100, tests=100)
    for name in ("train", "test", "sample_submission"):
        table = pd.read_csv(c.data_dir / f"{name}.csv").assign(
            id=np.random.default_rng(1).permutation(100)
        )
        write(table, c.data_dir / f"{name}.csv")
    pictures(c, "train", "test")
    split, _, views = views_of(c, tmp_path / "views")
    assert split.fresh_ids
    for view in fold_views(views):
        files = contents(view.path)
        for i, source, row in read_key(view).itertuples(index=False):
            assert files[f"test/{i}.png"] == f"{source} {row}".encode()


def test_paths_lose_the_class_they_name(tmp_path: Path) -> None:
    """train/cat/cat.7.jpg would tell the label; the hidden row shows a name like test's."""
    c = classes(tmp_path / "c", rows=120, tests=40)
    train, test = read_train(c), pd.read_csv(c.data_dir / "test.csv")
    train["path"] = [f"train/{y}/{y}.{n}.jpg" for n, y in enumerate(train["y"])]
    test["path"] = [f"test/{n}.jpg" for n in range(40)]
    for part, table in (("train", train), ("test", test)):
        write(table, c.data_dir / f"{part}.csv")
        for n, path in enumerate(table["path"]):
            (c.data_dir / path).parent.mkdir(parents=True, exist_ok=True)
            (c.data_dir / path).write_text(f"{part} {n}")
    split, _, views = views_of(c, tmp_path / "views")
    assert split.folds == 5, split.reason
    for view in fold_views(views):
        asked, key, files = text(view.path / "test.csv"), read_key(view), contents(view.path)
        assert asked["path"].is_unique and asked["path"].str.fullmatch(r"test/\d+\.jpg").all()
        for path, source, row in zip(asked["path"], key["source"], key["row"], strict=True):
            assert files[path] == f"{source} {row}".encode()
        shown = set(text(view.path / "train.csv")["path"])
        assert {f for f in files if f.startswith("train/")} == shown


def test_copies_of_an_image_are_hidden_together(tmp_path: Path) -> None:
    c = classes(tmp_path / "c", rows=200)
    for name in ("train", "test"):
        table = pd.read_csv(c.data_dir / f"{name}.csv").drop(columns=["a", "b", "c"])
        write(table, c.data_dir / f"{name}.csv")
    pictures(c, "train", "test")
    ids = read_train(c)["id"]
    for n in range(30):
        (c.data_dir / f"train/{ids[n]}.png").write_text(f"same {n}")
        (c.data_dir / f"train/{ids[100 + n]}.png").write_text(f"same {n}")
    fold = make_split(c)[1]["fold"]
    assert (fold[:30].to_numpy() == fold[100:130].to_numpy()).all()


def test_a_folder_per_row_moves_as_a_whole(tmp_path: Path) -> None:
    c = classes(tmp_path / "c", rows=60, tests=20)
    for part in ("train", "test"):
        for row in pd.read_csv(c.data_dir / f"{part}.csv")["id"]:
            for n in range(3):
                path = c.data_dir / part / str(row) / f"slice{n}.dcm"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"{row} {n}")
    _, _, views = views_of(c, tmp_path / "views")
    view = views["fold-0"]
    files = contents(view.path)
    assert len(files) == 3 + 3 * 80
    assert {f.split("/")[1] for f in files if f.startswith("test/")} == set(read_key(view)["id"])


def test_further_tables_split_like_the_rows_they_belong_to(tmp_path: Path) -> None:
    c = classes(tmp_path / "c", rows=120, tests=40)
    train, test = read_train(c), text(c.data_dir / "test.csv")
    for part, ids in (("train", train["id"]), ("test", test["id"])):
        visits = pd.DataFrame({"id": np.repeat(ids, 3), "visit": np.tile([1, 2, 3], len(ids))})
        visits["price"] = visits["id"].astype(str) + "-" + visits["visit"].astype(str)
        write(
            visits.assign(**({"late": 1} if part == "train" else {})),
            c.data_dir / f"visits_{part}.csv",
        )
    write(train[["id", "y"]].rename(columns={"y": "y"}), c.data_dir / "more_labels.csv")
    write(pd.DataFrame({"id": [*train["id"], *test["id"]], "town": "x"}), c.data_dir / "towns.csv")
    write(pd.DataFrame({"town": ["x"], "people": [3]}), c.data_dir / "people.csv")
    split, _, views = views_of(c, tmp_path / "views")
    assert split.folds == 5, split.reason
    for view in fold_views(views):
        shown, asked = set(text(view.path / "train.csv")["id"]), set(read_key(view)["id"])
        ours, theirs = text(view.path / "visits_train.csv"), text(view.path / "visits_test.csv")
        assert set(ours["id"]) == shown and set(theirs["id"]) == asked
        assert list(theirs.columns) == ["id", "visit", "price"]
        assert (theirs["price"] == theirs["id"] + "-" + theirs["visit"]).all()
        assert len(ours) + len(theirs) == 3 * 160
        assert set(text(view.path / "more_labels.csv")["id"]) == shown
        assert set(text(view.path / "towns.csv")["id"]) == shown | asked
        assert (view.path / "people.csv").read_bytes() == (c.data_dir / "people.csv").read_bytes()


def test_a_shared_table_loses_labels_and_takes_fresh_ids(tmp_path: Path) -> None:
    c = classes(tmp_path / "c", rows=120, tests=40)
    train = read_train(c).assign(y=lambda t: t["y"].sort_values().to_numpy(), id=range(120))
    test = pd.read_csv(c.data_dir / "test.csv").assign(id=range(200, 240))
    write(train, c.data_dir / "train.csv")
    write(test, c.data_dir / "test.csv")
    write(test[["id"]].assign(y="k0"), c.data_dir / "sample_submission.csv")
    both = pd.concat([train, test])[["id", "a", "y"]].rename(columns={"a": "again"})
    write(both, c.data_dir / "both.csv")
    split, _, views = views_of(c, tmp_path / "views")
    assert split.fresh_ids
    view = views["fold-0"]
    shared, key, asked = text(view.path / "both.csv"), read_key(view), text(view.path / "test.csv")
    assert len(shared) == 160
    assert (shared["y"] != "").sum() == len(text(view.path / "train.csv"))
    joined = asked.merge(shared, on="id", validate="1:1")
    assert (
        len(joined) == len(key)
        and (joined["again"] == joined["a"]).all()
        and set(joined["y"]) == {""}
    )


def test_packed_copies_of_train_are_not_shown(tmp_path: Path) -> None:
    c = classes(tmp_path / "c", rows=60)
    for name in ("train.zip", "train.csv.zip", "train.parquet", "stuff/train.zip"):
        (c.data_dir / name).parent.mkdir(exist_ok=True)
        (c.data_dir / name).write_text("labels")
    (c.data_dir / "stuff/train").mkdir()
    (c.data_dir / "stuff/train/readme.md").write_text("x")
    split, _, views = views_of(c, tmp_path / "views")
    assert split.folds == 5, split.reason
    for view in views.values():
        assert not [f for f in contents(view.path) if "zip" in f or "parquet" in f]


def test_what_is_self_reported_is_shown_as_it_is(tmp_path: Path) -> None:
    c = classes(tmp_path / "c", rows=1500)
    (c.data_dir / "images.zip").write_text("pixels")
    split, _, views = views_of(c, tmp_path / "views")
    assert split.folds == 0 and sorted(views) == ["debug", "full"]
    assert contents(views["full"].path) == contents(c.data_dir)
    assert len(text(views["debug"].path / "train.csv")) >= 1000


def test_the_debug_view_is_a_tenth_with_two_rows_a_class(tmp_path: Path) -> None:
    c = classes(tmp_path / "c", rows=12_000, tests=3000)
    train = read_train(c)
    train.loc[:9, "y"] = [f"rare{n // 2}" for n in range(10)]
    write(train, c.data_dir / "train.csv")
    _, _, views = views_of(c, tmp_path / "views")
    view = views["debug"]
    shown = text(view.path / "train.csv")
    assert 1000 <= len(shown) <= 1020
    assert shown["y"].value_counts().min() >= 2 and shown["y"].nunique() == 8
    key = read_key(view)
    assert len(key) == 1000 and set(key["source"]) == {"train", "test"}
    assert text(view.path / "sample_submission.csv")["id"].tolist() == key["id"].tolist()
    whole = text(views["fold-0"].path / "train.csv")
    assert len(shown.merge(whole)) == len(shown)


def test_files_of_dropped_rows_are_not_in_the_debug_view(tmp_path: Path) -> None:
    c = classes(tmp_path / "c", rows=1600, tests=1500)
    pictures(c, "train", "test")
    _, _, views = views_of(c, tmp_path / "views")
    files = contents(views["debug"].path)
    for part in ("train", "test"):
        ids = text(views["debug"].path / f"{part}.csv")["id"]
        assert len(ids) == 1000
        assert {Path(f).stem for f in files if f.startswith(f"{part}/")} == set(ids)


SAMPLE = """
import os, pandas as pd
from pathlib import Path
source, target = Path(dataset_path), Path(output_path)
assert not (source / "competition.toml").exists()
for name in ("train.csv", "test.csv"):
    pd.read_csv(os.path.join(dataset_path, name)).iloc[::7].to_csv(target / name, index=False)
"""


@pytest.mark.parametrize("id_column", ["id", None])
def test_sample_py_chooses_the_rows_of_the_debug_view(
    tmp_path: Path, id_column: str | None
) -> None:
    c = classes(tmp_path / "c", rows=200)
    (c.data_dir / "sample.py").write_text(SAMPLE)
    if not id_column:
        for name in ("train", "test", "sample_submission"):
            table = pd.read_csv(c.data_dir / f"{name}.csv").drop(columns="id")
            write(table, c.data_dir / f"{name}.csv")
        c = c.model_copy(update={"id_column": None})
    _, _, views = views_of(c, tmp_path / "views")
    assert views["debug"].note is None
    for name in ("train.csv", "test.csv"):
        whole, part = text(views["fold-0"].path / name), text(views["debug"].path / name)
        pd.testing.assert_frame_equal(part, whole.iloc[::7].reset_index(drop=True))
    key = read_key(views["debug"])
    assert len(key) == len(text(views["debug"].path / "test.csv"))
    assert "sample.py" not in names_in(views["debug"].path)


@pytest.mark.parametrize(
    "script",
    [
        "raise ValueError('no luck')",
        "import os; os.symlink('/etc/passwd', output_path + '/train.csv')",
        "import os; open(output_path + '/train.csv', 'w').write('id,a,b,c,y\\n7,1,1,1,made-up\\n')",
    ],
)
def test_a_bad_sample_py_is_replaced_by_the_hosts_sample(tmp_path: Path, script: str) -> None:
    c = classes(tmp_path / "c", rows=1500)
    (c.data_dir / "sample.py").write_text(script)
    _, _, views = views_of(c, tmp_path / "views")
    assert views["debug"].note and "sample.py" in views["debug"].note
    shown = text(views["debug"].path / "train.csv")
    assert len(shown) == 1000 and len(shown.merge(text(c.data_dir / "train.csv"))) == 1000


def test_prev_model_is_shown_when_fine_tuning_only(tmp_path: Path) -> None:
    c = classes(tmp_path / "c", rows=60)
    (c.data_dir / "prev_model/models").mkdir(parents=True)
    (c.data_dir / "prev_model/models/a.joblib").write_text("weights")
    c = c.model_copy(
        update={
            "prev_model": PrevModel(
                path=c.data_dir / "prev_model", code=(), checkpoint="models/a.joblib"
            )
        }
    )
    _, _, views = views_of(c, tmp_path / "views")
    assert not (views["fold-0"].path / "prev_model").exists()
    _, _, views = views_of(c, tmp_path / "views", finetune=True)
    assert (views["fold-0"].path / "prev_model/models/a.joblib").read_text() == "weights"


def test_new_rows_for_prediction(tmp_path: Path) -> None:
    c = classes(tmp_path / "c", rows=60)
    new = tmp_path / "new"
    write(pd.DataFrame({"id": ["007", "008"], "a": [1, 2], "b": 0, "c": 0}), new / "test.csv")
    (new / "images").mkdir()
    (new / "images/007.png").write_text("x")
    view = predict_view(c, new, tmp_path / "out")
    assert view.path == tmp_path / "out/predict"
    assert names_in(view.path) == ["images", "sample_submission.csv", "test.csv"]
    assert read_key(view).to_dict("list") == {
        "id": ["007", "008"],
        "source": ["test"] * 2,
        "row": [0, 1],
    }
    assert text(view.path / "sample_submission.csv")["id"].tolist() == ["007", "008"]
    (new / "test.csv").rename(new / "rows.csv")
    assert predict_view(c, new, tmp_path / "out").path == view.path
    (new / "rows.csv").unlink()
    with pytest.raises(SetupError, match=r"test\.csv"):
        predict_view(c, new, tmp_path / "out")


def test_a_hundred_thousand_rows_take_seconds(tmp_path: Path) -> None:
    c = classes(tmp_path / "c", rows=100_000, tests=20_000)
    split, table = make_split(c)
    start = time.process_time()
    build_views(c, split, table, tmp_path / "views", runner=LocalRunner(), finetune=False)
    assert time.process_time() - start < 12
    start = time.process_time()
    build_views(c, split, table, tmp_path / "views", runner=LocalRunner(), finetune=False)
    assert time.process_time() - start < 1


def test_ten_thousand_images_take_seconds(tmp_path: Path) -> None:
    c = classes(tmp_path / "c", rows=8000, tests=2000)
    pictures(c, "train", "test")
    start = time.process_time()
    views_of(c, tmp_path / "views")
    assert time.process_time() - start < 20


def test_a_competition_without_a_test_table_shows_hidden_ids_in_its_sample(tmp_path: Path) -> None:
    c = classes(tmp_path / "c", rows=100, tests=30)
    pictures(c, "train", "test")
    write(read_train(c)[["id", "y"]], c.data_dir / "train.csv")
    (c.data_dir / "test.csv").unlink()
    c = c.model_copy(update={"test_file": "sample_submission.csv"})
    split, _, views = views_of(c, tmp_path / "views")
    assert split.folds == 5, split.reason
    for view in fold_views(views):
        sample, files = text(view.path / "sample_submission.csv"), contents(view.path)
        assert sample["id"].tolist() == read_key(view)["id"].tolist() and len(sample) == 50
        assert set(sample["y"]) == {"k0"}
        assert {Path(f).stem for f in files if f.startswith("test/")} == set(sample["id"])
        assert not set(text(view.path / "train.csv")["id"]) & set(sample["id"])


@pytest.mark.parametrize("suffix", [".tsv", ".csv.gz", ".csv.zip", ".jsonl"])
def test_other_formats_stay_what_they_are(tmp_path: Path, suffix: str) -> None:
    c = classes(tmp_path / "c", rows=100, tests=30)
    files = {}
    for part in ("train", "test"):
        table = pd.read_csv(c.data_dir / f"{part}.csv")
        files[f"{part}_file"] = path = f"{part}{suffix}"
        (c.data_dir / f"{part}.csv").unlink()
        if suffix == ".jsonl":
            table.to_json(c.data_dir / path, orient="records", lines=True)
        else:
            table.to_csv(c.data_dir / path, index=False, sep="\t" if suffix == ".tsv" else ",")
    c = c.model_copy(update=files)
    split, table, views = views_of(c, tmp_path / "views")
    assert split.folds == 5, split.reason
    shown = read_train(c.model_copy(update={"data_dir": views["fold-0"].path}))
    whole = read_train(c)[(table["fold"] != 0).to_numpy()].reset_index(drop=True)
    pd.testing.assert_frame_equal(shown, whole)
    asked = read_test(c.model_copy(update={"data_dir": views["fold-0"].path}))
    assert asked["id"].tolist() == read_key(views["fold-0"])["id"].tolist()
    assert list(asked.columns) == ["id", "a", "b", "c"] and asked["a"].dtype == float
