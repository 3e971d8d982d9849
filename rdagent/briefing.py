"""What every question to an LLM begins with: the competition, the data, the machine."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rdagent import memory
from rdagent.competition import preview
from rdagent.competition.weights import list_weights
from rdagent.excerpts import quote, relevant
from rdagent.interfaces import LLM, T
from rdagent.prompts import Prompts

if TYPE_CHECKING:
    from rdagent.records import Context, Experiment

DESCRIPTION = 12_000
"""Characters of the description that are shown."""
PREVIEW = {True: 1800, False: 3000}
"""Characters about the data with the card, and before there is one."""
QUESTION = 6_000
"""Characters of a question beside the description and the programs it quotes."""
TOOLS = (
    "numpy", "pandas", "scipy", "scikit-learn", "lightgbm", "xgboost", "catboost", "torch",
    "torchvision", "torchaudio", "transformers", "sentence-transformers", "timm", "tensorflow",
    "keras", "jax", "optuna", "statsmodels", "polars", "pyarrow", "pillow", "opencv-python",
    "opencv-python-headless", "albumentations", "librosa", "nltk", "spacy", "gensim", "networkx",
    "category-encoders", "imbalanced-learn", "joblib",
)  # fmt: skip
"""Packages worth naming to whoever writes programs; the others are not shown."""

NEWS = {
    ("pandas", 3, 0): "pandas 3: text columns have dtype str, so never test dtype == object; "
    "to_numpy() may be read-only, copy before writing",
    ("numpy", 2, 0): "numpy 2: no np.float_, np.Inf",
    ("scikit-learn", 1, 8): "scikit-learn: no multi_class=, squared=, base_estimator=, cv='prefit'",
    ("lightgbm", 4, 0): "lightgbm: early stopping by callbacks only",
    ("xgboost", 2, 1): "xgboost: early_stopping_rounds goes to the constructor",
    ("torch", 2, 6): "torch.load reads bare weights unless weights_only=False",
}
"""What broke from these versions on, and models write from memory of older ones."""


@dataclass
class Desk:
    """Where the stages ask their questions."""

    llm: LLM
    prompts: Prompts
    _briefed: tuple[Context, str] | None = None

    def brief(self, context: Context) -> str:
        """The system message; made once a context, for it reads the data."""
        if self._briefed is None or self._briefed[0] is not context:
            self._briefed = (context, brief(context, self.prompts))
        return self._briefed[1]

    def ask(
        self,
        name: str,
        context: Context,
        reply: type[T],
        check: Callable[[T], str | None] = lambda reply: None,
        **values: Any,
    ) -> T:
        """The answer to `prompts/<name>.md`; see `LLM.ask` for what it raises."""
        messages = [
            {"role": "system", "content": self.brief(context)},
            {"role": "user", "content": self.prompts.render(name, **values)},
        ]
        payer = None if name == "understand" else context.id  # that one is the run's own
        return self.llm.ask(name, messages, reply, experiment=payer, check=check)

    def shares(self, context: Context, fixed: int, **weights: float) -> dict[str, int]:
        """Characters for each section of a question, where `fixed` of it is said anyway."""
        described = len(description(context))
        room = QUESTION - (len(self.brief(context)) - described) - fixed
        whole = sum(weights.values()) or 1.0
        return {name: max(0, int(room * weight / whole)) for name, weight in weights.items()}


def brief(context: Context, prompts: Prompts) -> str:
    """The system message: the same for all questions of a run, once there is a card."""
    c = context.competition
    view = c.model_copy(update={"data_dir": context.train_preview})
    return prompts.render(
        "system", id=c.id, description=description(context), card=context.card,
        machine=machine(context), hidden=context.hidden,
        data=f"{preview(view, PREVIEW[context.card is not None])}{_rows(context)}",
    )  # fmt: skip


def description(context: Context) -> str:
    """The user's description, cut where it is very long."""
    text = context.competition.description.strip()
    return text if len(text) <= DESCRIPTION else text[:DESCRIPTION].rstrip() + "\n[...]"


def machine(context: Context) -> str:
    """Python, packages, and what programs may use; then what broke in these versions."""
    s, env = context.sandbox, context.env
    tools = ", ".join(f"{name} {s.packages[name]}" for name in TOOLS if name in s.packages)
    gpus = env.get("DS_GPUS", ",".join(s.gpus))
    memory = int(env.get("DS_MEMORY", s.memory)) / 2**30
    lines = [
        f"Python {s.python} with {tools}. A program may use {env.get('DS_CPUS', s.cpus)} cores, "
        f"{memory:.0f} GB, {f'GPU {gpus}' if gpus else 'no GPU'}."
    ]
    if "DS_PRETRAINED_PATH" in env:
        names = sorted(p.name for p in Path(env["DS_PRETRAINED_PATH"]).iterdir())[:12]
        lines.append(
            "Pretrained weights may be used: the environment variable DS_PRETRAINED_PATH names "
            f"their folder, which holds {', '.join(names)}; there is no download."
        )
    news = "; ".join(
        text for (name, *since), text in NEWS.items() if _version(s.packages.get(name)) >= since
    )
    return "\n".join([*lines, f"Mind: {news}."] if news else lines)


def _version(text: str | None) -> list[int]:
    """Major and minor version; nothing where there is none."""
    return [int(part) for part in re.findall(r"\d+", text or "")[:2]]


def previous_model(context: Context) -> str:
    """The user's model in one line; empty where there is none."""
    c = context.competition
    if c.prev_model is None or not context.finetune:
        return ""
    return memory.clip(list_weights(c, 400).replace("\n", ";"), 260)


def runs(context: Context) -> str:
    """What a full run is."""
    return f"all {context.folds} folds" if context.folds > 1 else "the full data"


def duration(seconds: float) -> str:
    """`2.5 h`, `14 min` or `40 s`."""
    if seconds >= 5400:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"


def time_left(context: Context) -> str:
    """How long the search and a single run may still take, and what runs took so far."""
    took = sorted(memory.run_seconds(e) for e in context.experiments if e.score and e.id)
    so_far = f" Full runs so far take {duration(took[len(took) // 2])} (median)." if took else ""
    limit = min(context.timeout, max(context.seconds_left, 1.0))
    each = f", about {duration(limit / context.folds)} a fold" if context.folds > 1 else ""
    return (
        f"Time: {duration(context.seconds_left)} of search left at most, {context.progress:.0%} of "
        f"the rounds or of the time is over. A program may take {duration(limit)} for "
        f"{runs(context)}{each}.{so_far}"
    )


def _rows(context: Context) -> str:
    if not context.rows:
        return ""
    seen = "a small sample" if context.sampled else "one fold (rows to validate on are among test)"
    return (
        f"\n\nThese counts are of {seen}; in all there are {context.rows:,} labelled rows and "
        f"{context.test_rows:,} to predict."
    )


def describe(e: Experiment, room: int = 300) -> str:
    """Outcome, and what the review said, in about `room` characters; quoted, for programs word
    their errors."""
    said = [e.feedback.reason, e.feedback.suggestion] if e.feedback and not e.warm_up else []
    parts = [memory.outcome(e)]
    if e.error and e.attempts:
        parts.append(memory.last_error(e))
    text = ". ".join([*parts, *(memory.clip(x, room // 2).rstrip(".") for x in said if x)])
    return quote(memory.clip(text, room - 2))


def quoted(log: str, code: str, room: int) -> str:
    """The part of a program's output that tells, quoted: its last lines, or its error."""
    limit = room
    while limit > 60 and len(text := quote(relevant(log, code, limit))) > room:
        limit = limit * 4 // 5  # every line of the quotation costs two characters
    return text if log.strip() and limit > 60 else ""


def source(e: Experiment) -> str:
    """Its main.py; empty where it never had one."""
    return e.program.files["main.py"].strip() if e.program else ""
