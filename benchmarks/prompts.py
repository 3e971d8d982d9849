"""Characters that an LLM reads a round, at rounds 1, 5, 50 and 500 of one run.

    python benchmarks/prompts.py [--rounds 1 5 50 500] [--competition breast-cancer]

The run is real but for the model, which answers at once: it proposes, writes a program of
usual length, fails every tenth time and is repaired, gets tuned, and reviews. Compare: 285,000
characters a loop, growing, for R&D-Agent 1.0.0; 13,000 a step, growing, for AIDE 0.2.2, of
which a round here does what three steps do there.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from rdagent.llm import Call, Ledger, Scripted
from rdagent.llm.client import Client
from rdagent.play import run
from rdagent.playbook import Playbook
from rdagent.prompts import Prompts
from rdagent.researcher import PromptedResearcher
from rdagent.settings import load_settings

PROGRAM = """import shutil

import numpy as np
import pandas as pd

VARIANT = {n}


{unused}
shutil.copy("workspace_input/sample_submission.csv", "submission.csv")
{crash}
"""
UNUSED = "".join(
    f'''def feature_{n}(table: pd.DataFrame) -> pd.Series:
    """Ratio of two columns, clipped; what programs of this kind are full of."""
    first, second = table.iloc[:, {n}], table.iloc[:, {n} + 1]
    return (first / second.replace(0, np.nan)).clip(-10, 10).fillna(0.0)


'''
    for n in range(20)
)
WORDS = ("ranks", "trees", "logs", "ratios", "means", "clusters", "splines", "kernels", "bins")


class Model:
    """Answers every question at once; each answer is as long as a model's usually is."""

    def __init__(self) -> None:
        self.n = 0
        self.sizes: list[tuple[int, str, int]] = []

    def __call__(self, call: Call) -> str:
        characters = sum(len(m["content"]) for m in call.messages)
        self.sizes.append((call.experiment or 0, call.prompt_name, characters))
        self.n += 1
        return str(getattr(self, call.prompt_name.replace("repair_full", "repair"))())

    def understand(self) -> str:
        text = "what a careful reader would say about it in so many words, and not more " * 2
        fields = dict.fromkeys(("task", "data", "metric", "submission"), text[:140])
        return json.dumps({**fields, "traps": [text[:140]] * 3})

    def propose(self) -> str:
        ratings = dict.fromkeys(("alignment", "impact", "novelty", "feasibility", "risk"), 6)
        ideas = [
            {"challenge": 1, "statement": f"Idea {self.n}{k}: {WORDS[(self.n + k) % 9]} of "
             f"{WORDS[self.n // 9 % 9]} err less on {self.n * 7 % 101} % of the rows than before.",
             "reason": "The columns differ in scale, and trees see only their order. " * 2,
             "plan": "Compute it per column, add it beside the raw value, fit the same model. " * 4,
             "component": "FeatureEng", "ratings": ratings}
            for k in range(3)
        ]  # fmt: skip
        challenge = {"statement": "The scales of the columns differ.", "evidence": "See above."}
        return json.dumps({"challenges": [challenge] * 3, "hypotheses": ideas})

    def write(self, crash: str | None = None) -> str:
        crash = ("1 / 0" if self.n % 10 == 0 else "") if crash is None else crash
        return f"```python\n{PROGRAM.format(n=self.n, unused=UNUSED, crash=crash)}```"

    def repair(self) -> str:
        return self.write("")

    def tune(self) -> str:
        return self.write("")

    def review(self) -> str:
        said = f"Experiment {self.n} shows nothing beyond chance; the error lies elsewhere. " * 3
        return json.dumps({"observations": said, "reason": said, "lesson": said[:200],
                           "confirms": [3, 5], "suggestion": said[:200]})  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, nargs="+", default=[1, 5, 50, 500])
    parser.add_argument("--competition", default="breast-cancer")
    flags = parser.parse_args()
    model, last = Model(), max(flags.rounds)
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings({"trace_path": Path(folder)}, {}, Path("none"))
        account = Path(folder) / "llm"
        account.mkdir()
        prompts = Prompts()
        client = Client(Scripted(model), Ledger(account))
        run(
            flags.competition, loop_n=last, settings=settings,
            command="finetune" if flags.competition.startswith("digits") else "data_science",
            researcher=PromptedResearcher(client, prompts), fallback=Playbook(),
        )  # fmt: skip
    drafts = settings.playbook_drafts
    report(model.sizes, {n: n + drafts for n in flags.rounds})


def report(sizes: list[tuple[int, str, int]], rounds: dict[int, int]) -> None:
    """A line a stage, a column a round; `rounds` maps a round to its experiment."""
    table = Table("question", *(f"round {n}" for n in rounds), title="characters")
    stages = list(dict.fromkeys(name for _, name, _ in sizes if name != "understand"))
    of: dict[int, Counter[str]] = {n: Counter() for n in rounds}
    for id, name, characters in sizes:
        for n, experiment in rounds.items():
            if id == experiment:
                of[n][name] += characters
    for stage in stages:
        table.add_row(stage, *(f"{of[n][stage]:,}" if of[n][stage] else "-" for n in rounds))
    table.add_row("all", *(f"{sum(of[n].values()):,}" for n in rounds), style="bold")
    console = Console()
    console.print(table)
    console.print(f"longest question: {max(s for *_, s in sizes):,} characters")


if __name__ == "__main__":
    sys.exit(main())
