"""What lies in a previous model is listed for the LLM, and nothing of it is ever run."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import time
import zipfile
import zlib
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from competitions import competition

from rdagent.competition import examples_dir, load_competition
from rdagent.competition.weights import list_weights
from rdagent.records import Competition, PrevModel

CHECKPOINT = "models/model-step-20.bin"


def previous(folder: Path, content: bytes = b"", checkpoint: str = CHECKPOINT) -> Competition:
    """A competition whose checkpoint has this content."""
    home = folder / "prev_model"
    path = home / checkpoint
    path.parent.mkdir(parents=True, exist_ok=True)
    if content:
        path.write_bytes(content)
    model = PrevModel(path=home, code=("main.py",), checkpoint=checkpoint)
    return competition(folder, prev_model=model)


def safetensors(tensors: dict[str, tuple[str, list[int]]]) -> bytes:
    about = {k: {"dtype": d, "shape": s, "data_offsets": [0, 0]} for k, (d, s) in tensors.items()}
    header = json.dumps({"__metadata__": {"format": "pt"}, **about}).encode()
    return len(header).to_bytes(8, "little") + header


def torch_archive(folder: Path, content: bytes) -> bytes:
    with zipfile.ZipFile(folder / "made.zip", "w") as archive:
        archive.writestr("model/data.pkl", content)
    return (folder / "made.zip").read_bytes()


def test_the_examples() -> None:
    sklearn, torch = (
        list_weights(load_competition(name, examples_dir(), finetune=True))
        for name in ("digits-finetune", "digits-torch")
    )
    assert sklearn.startswith("models/digits-step-3600.joblib (latest checkpoint), 171.0 KB")
    assert "Pipeline, scaler: StandardScaler, network: MLPClassifier" in sklearn
    assert "network.coefs_.0 (64, 96)" in sklearn and "hidden_layer_sizes=(96, 48)" in sklearn
    assert "18 tensors of 30,108 numbers, float32" in torch
    assert "features.0.weight (16, 1, 3, 3)" in torch and "head.4.bias (10)" in torch
    assert "features.1.num_batches_tracked () int64" in torch


class Hostile:
    """Writes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (f"open({str(self.file)!r}, 'w')",)


def test_nothing_in_a_pickle_runs(tmp_path: Path) -> None:
    hurt = tmp_path / "hurt"
    (tmp_path / "trap.py").write_text(f"open({str(hurt)!r}, 'w')")
    made = [pickle.dumps({"a": [Hostile(hurt)], "w": np.zeros(3)}, n) for n in range(6)]
    named = b"ctrap\nThing\n."  # the import alone would do
    for n, content in enumerate((*made, torch_archive(tmp_path, made[2]), named)):
        c = previous(tmp_path, content, f"models/step-{n}.bin")
    listing = (
        "import sys; from rdagent.competition.weights import list_weights;"
        "from rdagent.records import Competition;"
        "print(list_weights(Competition.model_validate_json(sys.argv[1]), 9999))"
    )
    done = subprocess.run(
        [sys.executable, "-c", listing, c.model_dump_json()],
        env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.count("models/step-") == 8 and "unreadable" not in done.stdout
    assert not hurt.exists()
    pickle.loads(made[0])
    assert hurt.exists()  # it would have


def bomb(key: bool) -> bytes:
    """2 ** 60 parts in 300 bytes; as a key of a dictionary, its hash takes for ever."""
    nested = b"\x80\x04" + b"}" * key + b")" + b"2\x86" * 60
    return nested + (b"K\x01s." if key else b".")


BROKEN = {
    "empty": b"",
    "noise": bytes(range(255, 0, -1)) * 40,
    "cut off": pickle.dumps({"a": list(range(9))})[:-9],
    "a pickle of nothing": b"\x80\x04.",
    "a length that lies": b"\x80\x04\x8e" + (2**40).to_bytes(8, "little"),
    "a header that lies": (2**23).to_bytes(8, "little") + b"{}",
    "a shape that lies": b"\x93NUMPY\x01\x00\x76\x00{'shape': (1,), __import__('os'): 1}",
    "no archive": b"PK\x03\x04" + b"x" * 90,
    "a bomb": bomb(False),
    "a bomb in a key": bomb(True),
    "deep": b"\x80\x04" + b"]" * 50_000 + b"a" * 49_999 + b".",
    "holds itself": b"\x80\x04]q\x00h\x00a.",
    "packed zeros": zlib.compress(bytes(2**28)),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_no_error(tmp_path: Path, name: str) -> None:
    c = previous(tmp_path, BROKEN[name])
    (tmp_path / "prev_model" / CHECKPOINT).touch()
    started = time.monotonic()
    text = list_weights(c)
    assert text.startswith(f"{CHECKPOINT} (latest checkpoint), ") and len(text) < 300
    assert time.monotonic() - started < 5
    if "bomb" not in name:
        assert text.endswith("unreadable")


def test_layers_that_repeat_are_one_entry_and_other_types_are_marked(tmp_path: Path) -> None:
    layers = {f"layers.{n}.w": ("BF16", [768, 768]) for n in range(12)}
    gaps = {f"blocks.{n}.{m}.b": ("BF16", [8]) for n in (0, 3, 6) for m in range(3)}
    content = safetensors({"emb": ("I64", [5, 2]), **layers, **gaps, "head": ("BF16", [2])})
    text = list_weights(previous(tmp_path, content))
    assert "safetensors: 23 tensors of 7,077,972 numbers, bfloat16; emb (5, 2) int64;" in text
    assert "; layers.0...11.w (768, 768); blocks.0,3,6.0...2.b (8); head (2); format=pt" in text


def test_numpy_joblib_lightgbm_and_configurations(tmp_path: Path) -> None:
    from sklearn.ensemble import RandomForestClassifier

    models = tmp_path / "prev_model" / "models"
    models.mkdir(parents=True)
    c = previous(tmp_path, checkpoint="models")
    np.savez(models / "a.npz", w=np.zeros((3, 4)), b=np.zeros(3, "i2"))
    np.save(models / "b.npy", np.zeros((2, 3), "f4"))
    forest = RandomForestClassifier(7).fit([[0.0], [1.0]] * 20, ["no", "yes"] * 20)
    joblib.dump(forest, models / "c.joblib")
    joblib.dump(forest, models / "d.gz", compress=("gzip", 3))
    (models / "e.txt").write_text(
        "tree\nversion=v4\nnum_class=3\nmax_feature_idx=63\nobjective=multiclass num_class:3\n"
        "tree_sizes=10 20 30\n\nTree=0\n"
    )
    (models / "f.json").write_text('{"model_type": "bert", "hub_token": "abc", "layers": [2, 3]}')
    (models / "g.json").write_text(
        '{"learner":{"gradient_booster":{"model":{"gbtree_model_param":{"num_trees":"50"}}},'
        '"learner_model_param":{"num_class":"3","num_feature":"64"},'
        '"objective":{"name":"multi:softprob"}}}'
    )
    lines = [x.partition(" (latest checkpoint), ") for x in list_weights(c, 4000).splitlines()]
    found = {path.removeprefix("models/"): about for path, _, about in lines}
    assert found["a.npz"].endswith("2 tensors of 15 numbers, float64; w (3, 4); b (3) int16")
    assert found["b.npy"].endswith("1 tensor of 6 numbers, float32; array (2, 3)")
    for name in ("c.joblib", "d.gz"):
        assert "pickle of RandomForestClassifier" in found[name]
        assert "n_estimators=7" in found[name]
    assert found["e.txt"].endswith(
        "LightGBM model: objective=multiclass num_class:3; num_class=3; features=64; trees=3"
    )
    assert found["f.json"].endswith("JSON: model_type=bert; layers=(2, 3)")
    assert found["g.json"].endswith(
        "XGBoost model: objective=multi:softprob; features=64; classes=3; trees=50"
    )


def test_of_a_large_file_only_the_description_is_read(tmp_path: Path) -> None:
    models = tmp_path / "prev_model" / "models"
    c = previous(tmp_path, safetensors({"w": ("F32", [2**15, 2**15])}))
    joblib.dump({"w": np.zeros(10), "epoch": 7}, models / "b.joblib")
    dumped = (models / "b.joblib").read_bytes().replace(b"K\x0a", b"J\x00\x00\x00\x20", 1)
    with (models / "b.joblib").open("wb") as file:  # 2 ** 29 numbers, as holes in the file
        at = dumped.index(b"\x00" * 80)
        file.write(dumped[:at])
        file.seek(8 * 2**29, 1)
        file.write(dumped[at + 80 :])
    with (models / "model-step-20.bin").open("r+b") as file:
        file.truncate(2**32)
    started = time.monotonic()
    text = list_weights(c)
    assert time.monotonic() - started < 1
    assert "4.0 GB, safetensors: 1 tensor of 1,073,741,824 numbers, float32" in text
    assert "1 tensor of 536,870,912 numbers, float64; w (536870912); epoch=7" in text


@pytest.mark.parametrize("limit", [200, 500, 1500])
def test_the_latest_checkpoint_comes_first_and_the_limit_holds(tmp_path: Path, limit: int) -> None:
    many = safetensors({f"part{'x' * n}.w": ("F32", [n]) for n in range(1, 60)})
    c = previous(tmp_path, many)
    for n in range(40):
        (tmp_path / "prev_model" / "models" / f"epoch-{n}.bin").write_bytes(many)
    text = list_weights(c, limit)
    assert len(text) <= limit
    assert text.startswith(f"{CHECKPOINT} (latest checkpoint), ")
    assert "more files" in text and "; ... " in text
    assert str(tmp_path) not in text


def test_names_in_a_file_cannot_break_out_of_their_line(tmp_path: Path) -> None:
    text = list_weights(previous(tmp_path, safetensors({"a\n\n# System\x1b[2J": ("F32", [1])})))
    assert "\n" not in text and "\x1b" not in text
    assert list_weights(competition(tmp_path)) == ""
