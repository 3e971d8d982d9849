"""The weights of a user's model, listed without loading them."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import re
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from competitions import competition
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from rdagent.competition import examples_dir, load_competition
from rdagent.competition.weights import list_weights
from rdagent.records import Competition, PrevModel


def brought(folder: Path, latest: str = "") -> Competition:
    """A competition with what lies below prev_model/models."""
    home = folder / "prev_model"
    (home / "models").mkdir(parents=True, exist_ok=True)
    prev = PrevModel(path=home, code=("main.py",), checkpoint=f"models/{latest}")
    return competition(folder, prev_model=prev)


def safetensors(path: Path, tensors: dict[str, list[int]]) -> None:
    header = {n: {"dtype": "F32", "shape": s, "data_offsets": [0, 0]} for n, s in tensors.items()}
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(text)) + text)


def test_the_examples_models_are_listed() -> None:
    c = load_competition("digits-torch", examples_dir(), finetune=True)
    lines = list_weights(c).split("\n")
    assert lines[0] == (
        "models/digits-step-1504.pt (127 KB, latest checkpoint): "
        "torch state dict, 18 tensors, 30,108 values"
    )
    assert "  features.0.weight float32 [16, 1, 3, 3]" in lines
    assert "  features.1-4.num_batches_tracked int64 [] (2 of them)" in lines
    shown = list_weights(load_competition("digits-finetune", examples_dir(), finetune=True))
    assert "sklearn.pipeline.Pipeline of scaler (StandardScaler), " in shown.split("\n")[0]
    assert re.search(r"\n  steps\.\w+\.coefs_\.0 float32 \[64, 96\]\n", shown)
    assert "_optimizer" not in shown


def test_a_large_model_fits_and_repeated_layers_are_one_line(tmp_path: Path) -> None:
    tensors: dict[str, list[int]] = {}
    for i in range(48):
        tensors |= {f"model.layers.{i}.attn.{x}.weight": [4096, 4096] for x in "qkvo"}
        tensors |= {
            f"model.layers.{i}.norm.weight": [4096],
            f"every.shape.another.{i}.bias": [i + 1],
        }
    safetensors(tmp_path / "prev_model/models/step-2/model.safetensors", tensors)
    safetensors(tmp_path / "prev_model/models/step-1/model.safetensors", tensors)
    shown = list_weights(brought(tmp_path, "step-2"))
    assert len(shown) <= 1500
    lines = shown.split("\n")
    assert lines[0].startswith("models/step-2/model.safetensors (") and "latest" in lines[0]
    assert "  model.layers.0-47.attn.q.weight f32 [4096, 4096] (48 of them)" in lines
    assert re.match(r"  and \d+ more lines of tensors", lines[-2])
    assert lines[-1].startswith("models/step-1/") and lines[-1].endswith(
        "the same tensors as above"
    )
    assert str(tmp_path) not in shown
    for limit in (0, 10, 200, 700):
        assert len(list_weights(brought(tmp_path, "step-2"), limit)) <= limit


@pytest.mark.parametrize("compress", [0, 3, ("gzip", 3), ("lzma", 3)])
def test_scikit_learn_models(tmp_path: Path, compress: Any) -> None:
    x, y = np.random.default_rng(0).normal(size=(40, 5)), np.arange(40) % 3
    c = brought(tmp_path, "a.joblib")
    joblib.dump(LogisticRegression().fit(x, y), tmp_path / "prev_model/models/a.joblib", compress)
    forest = RandomForestClassifier(3, random_state=0).fit(x, y)
    kept = {"model": forest, "labels": np.array(["a", "b"], dtype=object), "epoch": 7}
    joblib.dump(kept, tmp_path / "prev_model/models/b.joblib", compress)
    (tmp_path / "prev_model/models/c.pkl").write_bytes(pickle.dumps(kept))
    first, *rest = list_weights(c, 3000).split("\n")
    assert "pickle of sklearn.linear_model._logistic.LogisticRegression, " in first
    assert "  coef_ float64 [3, 5]" in rest
    shown = [x for x in rest if x.startswith("models/")]
    for line in shown:
        assert "dict with model (RandomForestClassifier), labels, epoch = 7" in line
    assert len(shown) == 2


def test_numpy_lightgbm_xgboost_and_notes(tmp_path: Path) -> None:
    c = brought(tmp_path, "w.npz")
    models = tmp_path / "prev_model/models"
    np.savez(models / "w.npz", kernel=np.zeros((3, 4), np.float32), bias=np.zeros(4))
    np.save(models / "x.npy", np.zeros((2, 2), np.int16))
    head = "tree\nversion=v4\nnum_class=1\nmax_feature_idx=7\nobjective=binary sigmoid:1\n"
    (models / "l.txt").write_text(head + "\nTree=0\n\nTree=1\n")
    learner = {"learner_model_param": {"num_class": "3", "num_feature": "9"},
               "objective": {"name": "multi:softprob"},
               "gradient_booster": {"model": {"trees": [{}, {}]}}}  # fmt: skip
    (models / "x.json").write_text(json.dumps({"learner": learner}))
    (models / "config.json").write_text('{"hidden_size": 8}')
    (models / "x.onnx").write_bytes(b"\x08\x09")
    shown = list_weights(c)
    assert "  kernel float32 [3, 4]\n  bias float64 [4]" in shown
    assert "  array int16 [2, 2]" in shown
    assert (
        "LightGBM text, 2 trees, objective binary sigmoid:1, num_class 1, max_feature_idx 7"
        in shown
    )
    assert "XGBoost JSON, 2 trees, objective multi:softprob, num_class 3, num_feature 9" in shown
    assert 'JSON {"hidden_size": 8}' in shown
    assert "ONNX (not looked into)" in shown


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


def test_nothing_in_a_pickle_is_run(tmp_path: Path) -> None:
    c = brought(tmp_path, "a.pkl")
    touched = tmp_path / "touched"
    data = pickle.dumps({"bomb": Bomb(touched), "w": np.zeros((2, 3))})
    models = tmp_path / "prev_model/models"
    (models / "a.pkl").write_bytes(data)
    (models / "b.pkl").write_bytes(gzip.compress(data))
    with zipfile.ZipFile(models / "c.pt", "w") as archive:
        archive.writestr("c/data.pkl", data)
    shown = list_weights(c)
    assert shown.count("  w float64 [2, 3]") == 1
    assert shown.count("the same tensors as above") == 2
    assert not touched.exists()


GOOD = [
    pickle.dumps(OrderedDict(a=np.zeros((2, 2)), b=[{"c": np.ones(3)}])),
    (examples_dir() / "digits-torch/prev_model/models/digits-step-1504.pt").read_bytes(),
    (examples_dir() / "digits-finetune/prev_model/models/digits-step-3600.joblib").read_bytes(),
    b"\x93NUMPY\x01\x00v\x00{'descr': '<f8'}", b"\x1f\x8b\x08", b"\x80\x04\x95", b"tree\n=",
    struct.pack("<Q", 30) + b'{"a": {"shape": ["x"], "dtype": 1}}',
    struct.pack("<Q", 2**60) + b'{"a": {"shape": [1]}}', b"\x80\x02r\xff\xff\xff\xffN.",
]  # fmt: skip


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sampled_from(GOOD),
    st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=6),
    st.integers(0, 20000), st.sampled_from([".pt", ".safetensors", ".joblib", ".txt", ".npz", ""]),
)  # fmt: skip
def test_broken_files_never_raise(
    tmp_path: Path, data: bytes, changes: list[tuple[int, int]], cut: int, suffix: str
) -> None:
    broken = bytearray(data[: len(data) - cut] if cut % 3 else data)
    for place, value in changes:
        if place < len(broken):
            broken[place] = value
    folder = tmp_path / "prev_model/models"
    c = brought(tmp_path, f"a{suffix}")
    (folder / f"a{suffix}").write_bytes(broken)
    shown = list_weights(c)
    (folder / f"a{suffix}").unlink()
    assert shown.startswith(f"models/a{suffix} (")
    assert len(shown) <= 1500
    assert all(x == "\n" or x.isprintable() for x in shown)


def test_what_is_not_there_is_empty(tmp_path: Path) -> None:
    assert list_weights(competition(tmp_path)) == ""
    assert list_weights(brought(tmp_path, "gone.pt")) == ""
    models = tmp_path / "prev_model/models"
    (models / "a.pt").write_bytes(b"PK\x03\x04 no zip at all")
    (models / "b.bin").write_bytes(b"")
    assert "models/a.pt (18 bytes): unreadable" in list_weights(brought(tmp_path, "b.bin"))
    assert "models/b.bin (0 bytes, latest checkpoint): unknown format" in list_weights(
        brought(tmp_path, "b.bin")
    )
