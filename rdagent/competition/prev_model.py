"""`prev_model/` of a competition folder -> PrevModel: its code and its latest checkpoint."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal, get_args

from rdagent.errors import SetupError
from rdagent.records import PrevModel

Trained = Literal["yes", "no", "unknown"]

_WEIGHTS = {
    ".bin", ".pt", ".pth", ".ckpt", ".safetensors", ".joblib", ".pkl", ".pickle", ".h5", ".keras",
    ".onnx", ".npz", ".npy", ".cbm", ".model", ".ubj", ".txt", ".json",
}  # fmt: skip
_BESIDE_WEIGHTS = re.compile(
    r"^(optimizer|scheduler|rng_state|scaler|trainer_state|training_args|config|generation_config"
    r"|tokenizer.*|special_tokens.*|vocab|merges|preprocessor_config|requirements|readme.*)\.",
    re.I,
)
_SHARD = re.compile(r"\d+-of-\d+")
_STEP = re.compile(r"(?:checkpoint|ckpt|global_step|steps?|iteration|iter)[-_=]?(\d+)", re.I)
_EPOCH = re.compile(r"epochs?[-_=]?(\d+)", re.I)


def find_prev_model(folder: Path, said: dict[str, Any]) -> PrevModel:
    """Read `folder/prev_model`; `said` is competition.toml. Raises SetupError where unusable."""
    home = folder / "prev_model"
    if not home.is_dir():
        raise SetupError(f"{folder.name} has no prev_model/: put the model folder in {folder}")
    files = sorted(p for p in home.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    if not files:
        raise SetupError(f"prev_model/ of {folder.name} is empty: put main.py and models/ in it")
    code = _code(home, files, said.get("prev_model_code"))
    if not code:
        raise SetupError(f"prev_model/ of {folder.name} has no code: put its main.py in {home}")
    return PrevModel(
        path=home,
        code=code,
        checkpoint=_latest_checkpoint(home, files, folder.name),
        trained_on_train=_trained(said.get("prev_model_trained_on_train", "unknown")),
    )


def _code(home: Path, files: list[Path], named: str | list[str] | None) -> tuple[str, ...]:
    if named is not None:
        names = [named] if isinstance(named, str) else named
        names = [str(x).removeprefix("prev_model/") for x in names]
        there = {str(p.relative_to(home)) for p in files}
        for name in names:
            if name not in there:
                raise SetupError(f"competition.toml: prev_model_code {name!r} is not in {home}")
        return tuple(names)
    code = [str(p.relative_to(home)) for p in files if p.suffix == ".py"]
    return tuple(sorted(code, key=lambda name: (name != "main.py", name.count("/"), name)))


def _latest_checkpoint(home: Path, files: list[Path], name: str) -> str:
    """Highest step (else epoch) in a file's or its folder's name, else the newest file."""
    models = home / "models"
    inside = [p for p in files if p.is_relative_to(models)]
    weights = [
        p for p in inside if p.suffix.lower() in _WEIGHTS and not _BESIDE_WEIGHTS.match(p.name)
    ]
    # .txt and .json hold LightGBM and XGBoost models, but beside real weights they are notes.
    real = [p for p in weights if p.suffix.lower() not in (".txt", ".json")] or weights or inside
    if not real:
        raise SetupError(f"prev_model/ of {name} has no checkpoint: put the weights in {models}")
    numbered = [
        (steps, len(path.parts), path)
        for p in real
        for path in (p, *(x for x in p.parents if x.is_relative_to(models) and x != models))
        if (steps := _number(path.name))
    ]
    if numbered:
        best = max(numbered, key=lambda x: (x[0], -x[1], str(x[2])))[2]
    else:
        best = max(real, key=lambda p: (p.stat().st_mtime_ns, str(p)))
    # One shard is no model: its folder is.
    best = best.parent if best.is_file() and _SHARD.search(best.name) else best
    return str(best.relative_to(home))


def _number(name: str) -> tuple[int, int] | None:
    """(step, epoch) in a name; steps decide before epochs."""
    step, epoch = _STEP.search(name), _EPOCH.search(name)
    if not step and not epoch:
        return None
    return int(step[1]) if step else -1, int(epoch[1]) if epoch else -1


def _trained(said: bool | str) -> Trained:
    if isinstance(said, bool):
        return "yes" if said else "no"
    known: tuple[Trained, ...] = get_args(Trained)
    for answer in known:
        if said == answer:
            return answer
    raise SetupError(f"competition.toml: prev_model_trained_on_train is yes or no, not {said!r}")
