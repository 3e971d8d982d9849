"""Rounds with an LLM: warm-up, repairs, tuning, refusals, limits, and a provider that is gone."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console
from scripted import FLOOR, HONEST, WRITE, Model, Stock, make_toy, play_toy

from rdagent.errors import LimitError, ProviderError, ReplyError, SetupError
from rdagent.events import AnyEvent
from rdagent.journal import Journal, load
from rdagent.llm.calls import Call, Completion, Usage
from rdagent.llm.ledger import Ledger
from rdagent.play import run
from rdagent.players import totals
from rdagent.records import Card, Context, Experiment, Feedback, Hypothesis, Program
from rdagent.screen import Screen
from rdagent.settings import load_settings

GOOD = HONEST + WRITE
BLUR = "import random\nout = {id: (y + random.Random(id).random()) / 2 for id, y in out.items()}\n"
BLURRED = HONEST + BLUR + WRITE
"""Worse than GOOD, better than the floor."""
INVERSE = HONEST + "out = {id: 1 - y for id, y in out.items()}\n" + WRITE
CRASH = "raise ValueError('no such luck')\n"
CARD = Card(task="tell y", data="kinds", metric="AUC", submission="shares", traps=("noise",))
GONE = ProviderError("the provider does not answer")


def outcome(journal: Journal) -> list[tuple[int, bool]]:
    """Id of each finished experiment, and whether it scored."""
    return [(e.id, e.score is not None) for e in journal.finished]


def of_good(folder: Path, root: Path) -> bool:
    """Whether predictions/, submissions/ and best/ of experiment 1 are those of GOOD."""
    train, test = (pd.read_csv(root / "toy" / f"{name}.csv") for name in ("train", "test"))
    hidden = pd.read_csv(folder / "predictions" / "1.csv")
    kinds = train.loc[hidden["row"], "kind"].to_numpy()
    a_value_a_kind = [
        hidden["y"].groupby([kinds, hidden["fold"]]).nunique().max() == 1,
        pd.read_csv(folder / "submissions" / "1.csv")["y"].groupby(test["kind"]).nunique().max()
        == 1,
        pd.read_csv(folder / "best" / "submission.csv")["y"].groupby(test["kind"]).nunique().max()
        == 1,
        (folder / "best" / "workspace_input" / "main.py").read_text() == GOOD,
    ]
    assert len(set(a_value_a_kind)) == 1, a_value_a_kind
    return a_value_a_kind[0]


# -- tuning ------------------------------------------------------------------------------


def test_a_tuned_program_that_is_better_counts(tmp_path: Path) -> None:
    journal, folder = play_toy(tmp_path, researcher=Model(BLURRED, tuned={1: GOOD}), loop_n=1)
    experiment = journal.experiments[1]
    untuned, tuned = experiment.attempts
    assert untuned.score and tuned.score and tuned.score.value > untuned.score.value
    assert experiment.chosen is None and experiment.score == tuned.score
    assert experiment.comparison is None or experiment.comparison.delta > 0
    assert of_good(folder, tmp_path)


def test_a_tuned_program_that_is_worse_changes_nothing(tmp_path: Path) -> None:
    journal, folder = play_toy(tmp_path, researcher=Model(GOOD, tuned={1: BLURRED}), loop_n=1)
    experiment = journal.experiments[1]
    assert len(experiment.attempts) == 2 and experiment.chosen == 0
    assert experiment.score == experiment.attempts[0].score and experiment.error is None
    assert of_good(folder, tmp_path)
    assert journal.deliveries[-1].kind == "refit"
    refit = [e.kind for e in experiment.attempts[0].executions]
    assert load(folder).experiments[1] == journal.experiments[1] and "refit" in refit


@pytest.mark.parametrize("tuned", [CRASH, ReplyError("nothing fits"), KeyboardInterrupt()])
def test_a_tuning_that_fails_harms_nothing(tmp_path: Path, tuned: str | BaseException) -> None:
    journal, folder = play_toy(tmp_path, researcher=Model(GOOD, tuned={1: tuned}), loop_n=1)
    experiment = journal.experiments[1]
    assert experiment.error is None and experiment.score is not None
    assert experiment.program and experiment.program.files["main.py"] == GOOD
    assert of_good(folder, tmp_path)
    stopped = isinstance(tuned, KeyboardInterrupt)
    assert journal.ended == ("stopped by the user" if stopped else "1 of 1 rounds played")


def test_what_is_clearly_below_the_best_or_slow_is_not_tuned(tmp_path: Path) -> None:
    slow = "import time\ntime.sleep(0.5)\n" + GOOD
    model = Model(GOOD, INVERSE, slow, tuned={2: BLURRED, 3: BLURRED})
    journal, _ = play_toy(tmp_path, researcher=model, loop_n=3, full_timeout=7)
    assert [len(e.attempts) for e in journal.finished] == [1, 1, 1, 1]
    assert journal.experiments[3].score is not None


# -- repairs and refusals ----------------------------------------------------------------

ONLY_SMALL = GOOD + 'if len(rows("train.csv")) > 1000:\n    raise MemoryError(VERSION)\n'
"""Runs on the debug sample of 1,000 rows, and on nothing larger."""


def test_repairs_of_full_runs_and_of_debug_runs_are_bounded_apart(tmp_path: Path) -> None:
    make_toy(tmp_path, rows=1500)
    large = [ONLY_SMALL.replace("VERSION", str(n)) for n in range(6)]
    early = [CRASH + f"# {n}\n" for n in range(6)]
    mixed = [early[0], large[0], early[1], large[1], GOOD]
    journal, _ = play_toy(
        tmp_path, large, early, mixed, coder_max_loop=3, runner_max_loop=2, full_timeout=60
    )
    assert [len(e.attempts) for e in journal.finished] == [1, 3, 3, 5]
    assert "fold-0" in (journal.experiments[1].error or "")
    assert "debug run" in (journal.experiments[2].error or "")
    assert journal.experiments[3].error is None


def test_a_program_that_does_not_compile_costs_no_sandbox_run(tmp_path: Path) -> None:
    journal, folder = play_toy(tmp_path, ["import csv\n\nfor x in:\n    pass\n", GOOD])
    broken, mended = journal.experiments[1].attempts
    assert [e.seconds for e in broken.executions] == [0.0]
    assert broken.error == "main.py line 3: invalid syntax (for x in:)"
    assert not (folder / "workspaces" / "1" / "0").exists() and mended.score is not None


def test_a_full_run_far_beyond_its_limit_is_refused_unless_it_adapts(tmp_path: Path) -> None:
    """4.5 s on 1,000 rows, where five folds of 1,200 each have three seconds together."""
    make_toy(tmp_path, rows=1500)
    slow = GOOD + 'import time\ntime.sleep(4.5 * (len(rows("train.csv")) == 1000))\n'
    adapts = slow + 'import os\nprint(os.environ["DS_DEADLINE"])\n'
    journal, folder = play_toy(tmp_path, slow, adapts, full_timeout=3)
    refused = journal.experiments[1]
    assert "1000 rows, so a full run would take about" in (refused.error or "")
    assert "its limit is 3 s: make it lighter" in (refused.error or "")
    assert [e.kind for e in refused.attempts[0].executions] == ["debug"]
    assert not (folder / "submissions" / "1.csv").exists()
    assert journal.experiments[2].score is not None


# -- warm-up -----------------------------------------------------------------------------


def test_the_playbook_warms_up_before_the_first_question(tmp_path: Path) -> None:
    model, stock = Model(GOOD, understood=CARD), Stock(BLURRED, INVERSE, GOOD)
    journal, folder = play_toy(tmp_path, researcher=model, fallback=stock, loop_n=1)
    assert [e.warm_up for e in journal.finished] == [False, True, True, False]
    assert journal.rounds == 1 and journal.ended == "1 of 1 rounds played"
    asked = model.seen[0]
    assert asked.id == 3 and asked.card == CARD and len(asked.experiments) == 3
    assert [n.text for n in journal.notes].count("the data says otherwise") == 1
    kinds = [line.split('"type":"')[1].split('"')[0] for line in events(folder)]
    assert kinds.index("understood") > [i for i, k in enumerate(kinds) if "finished" in k][2]
    assert "| 1 | warm-up |" in (folder / "best" / "report.md").read_text()


def events(folder: Path) -> list[str]:
    return (folder / "events.jsonl").read_text().splitlines(keepends=True)


def test_killed_in_the_warm_up_it_goes_on_where_it_was(tmp_path: Path) -> None:
    stock = Stock(BLURRED, GOOD)
    _, folder = play_toy(tmp_path, researcher=Model(), fallback=stock, loop_n=0)
    assert outcome(load(folder)) == [(0, True), (1, True), (2, True)]
    cut = next(n for n, e in enumerate(events(folder)) if '"experiment_started","id":2' in e
               or ('"experiment_started"' in e and '"id":2' in e))  # fmt: skip
    (folder / "events.jsonl").write_text("".join(events(folder)[: cut + 1]))
    model = Model(BLURRED, understood=CARD)
    journal, _ = play_toy(tmp_path, researcher=model, fallback=stock, resume=folder, loop_n=1)
    assert [e.warm_up for e in journal.finished] == [False, True, True, False]
    assert journal.experiments[1] == load(folder).experiments[1]
    silent = Model(BLURRED, GOOD, understood=ProviderError("it was asked twice"))
    journal, _ = play_toy(tmp_path, researcher=silent, fallback=stock, resume=folder, loop_n=2)
    assert journal.card == CARD and journal.rounds == 2
    assert sum(e.warm_up for e in journal.finished) == 2


def test_a_summary_that_fails_is_a_warning(tmp_path: Path) -> None:
    model = Model(GOOD, understood=ReplyError("three replies did not fit"))
    journal, _ = play_toy(tmp_path, researcher=model, loop_n=1)
    assert journal.experiments[1].score is not None and journal.card is None
    assert any("three replies did not fit" in n.text for n in journal.notes)


# -- a provider that is gone -------------------------------------------------------------


def test_the_playbook_goes_on_with_its_own_lines(tmp_path: Path) -> None:
    stock = Stock(BLURRED, INVERSE, BLURRED + "#\n", BLURRED + "##\n", BLURRED + "###\n")
    journal, _ = play_toy(
        tmp_path,
        researcher=Model(GOOD, *[GONE] * 4),
        fallback=stock,
        loop_n=5,
        playbook_drafts=1,
    )
    assert outcome(journal)[2:4] == [(2, True), (3, False)]
    assert journal.experiments[3].error == "the provider does not answer"
    warnings = [n.text for n in journal.notes if n.kind == "warning"]
    goes_on = (
        "the provider does not answer. The playbook goes on without the LLM; it is asked again"
    )
    assert [n for n in warnings if "LLM" in n] == [goes_on + " after each round"]
    assert journal.ended == "5 of 5 rounds played" and len(journal.finished) == 7
    later = journal.finished[4:]
    assert all(e.hypothesis.plan for e in later)
    assert not any(2 in e.parents for e in later), "the LLM's line is left alone"
    assert later[-1].hypothesis.operator == "merge" and 1 in later[-1].parents


def test_without_a_limit_the_playbook_plays_a_few_rounds_more(tmp_path: Path) -> None:
    many = [FLOOR + f"# {n}\n" for n in range(9)]
    model = Model(*[GONE] * 9)
    journal, folder = play_toy(tmp_path, researcher=model, fallback=Stock(*many))
    assert journal.budget.loop_n is None and journal.rounds == 1 + 5
    assert [bool(e.error) for e in journal.finished[3:]] == [True] + [False] * 5
    assert len(model.seen) == 1 + 5, "it is asked after each round of the playbook"
    assert load(folder).finished == journal.finished
    assert journal.ended == "the playbook played 5 rounds without the LLM"


def test_the_playbook_ends_when_it_has_no_more_ideas(tmp_path: Path) -> None:
    stock = Stock(GOOD, BLURRED, GOOD + "#\n")
    journal, _ = play_toy(tmp_path, researcher=Model(*[GONE] * 9), fallback=stock)
    assert journal.ended == "the stock is empty"
    assert outcome(journal)[3:] == [(3, False), (4, True)]


def test_an_outage_is_a_pause(tmp_path: Path) -> None:
    """Gone for one round of the playbook, back, gone again: each time it is asked again."""
    model = Model(GOOD, GONE, GONE, GOOD + "# back\n", GONE, GONE, CRASH, GOOD + "# again\n")
    stock = Stock(*[BLURRED + f"# {n}\n" for n in range(9)])
    journal, _ = play_toy(
        tmp_path, researcher=model, fallback=stock, loop_n=8, playbook_drafts=0, runner_max_loop=0
    )
    mine = [not e.hypothesis.plan for e in journal.finished[1:]]
    assert mine == [True, True, False, True, True, False, True, True]
    assert [bool(e.error) for e in journal.finished[1:]] == [
        False, True, False, False, True, False, True, False,
    ]  # fmt: skip
    said = [n.text for n in journal.notes if "LLM" in n.text]
    assert [text.split(". ")[-1].split(";")[0] for text in said] == [
        "The playbook goes on without the LLM", "The LLM answers again and plays on",
    ] * 2  # fmt: skip


def test_three_unusable_rounds_are_a_pause_too(tmp_path: Path) -> None:
    unusable = ReplyError("no reply fits")
    model = Model(*[unusable] * 4, GOOD, understood=unusable)
    journal, _ = play_toy(
        tmp_path, researcher=model, fallback=Stock(BLURRED, BLURRED + "#\n"), loop_n=5,
        playbook_drafts=0,
    )  # fmt: skip
    assert outcome(journal)[1:] == [(1, False), (2, False), (3, False), (4, True), (5, True)]
    assert journal.experiments[5].program == Program(files={"main.py": GOOD})


def test_a_competition_is_summed_up_once_the_llm_is_back(tmp_path: Path) -> None:
    class Late(Model):
        def understand(self, context: Context) -> tuple[Card, tuple[str, ...]] | None:
            if not context.experiments[1:]:
                raise GONE
            return super().understand(context)

    model = Late("", GOOD, BLURRED, understood=CARD)  # the playbook's round is the first
    journal, _ = play_toy(
        tmp_path, researcher=model, fallback=Stock(BLURRED), loop_n=3, playbook_drafts=0
    )
    assert outcome(journal)[1:] == [(1, True), (2, True), (3, True)] and journal.card == CARD


def test_without_a_fallback_the_run_ends_and_the_llm_is_asked_again(tmp_path: Path) -> None:
    stock, off = Stock(BLURRED), {"playbook_fallback": False, "playbook_drafts": 1}
    journal, folder = play_toy(
        tmp_path, researcher=Model(GOOD, GONE), fallback=stock, loop_n=9, **off
    )
    assert journal.ended == "the provider does not answer"
    assert journal.deliveries[-1].kind == "refit" and journal.deliveries[-1].experiment == 2
    back = Model(GOOD, GONE, GOOD + "# again\n")
    journal, _ = play_toy(tmp_path, researcher=back, fallback=stock, loop_n=3, resume=folder, **off)
    assert outcome(journal)[3:] == [(3, False), (4, True)]


def test_a_wrong_key_is_a_sentence_and_the_run_goes_on_with_a_right_one(tmp_path: Path) -> None:
    wrong = ProviderError("the provider refuses the key: set OPENAI_API_KEY", setup=True)
    stock = Stock(BLURRED, GOOD)
    with pytest.raises(SetupError, match=r"set OPENAI_API_KEY.*best/.*--resume") as error:
        play_toy(tmp_path, researcher=Model(understood=wrong), fallback=stock, loop_n=2)
    folder = Path(str(error.value).split("--resume ")[1])
    assert outcome(load(folder)) == [(0, True), (1, True), (2, True)]
    assert (folder / "best" / "submission.csv").exists()
    with pytest.raises(SetupError, match="set OPENAI_API_KEY"):
        play_toy(tmp_path, researcher=Model(wrong), fallback=stock, loop_n=2, resume=folder)
    model = Model(GOOD + "#\n")
    journal, _ = play_toy(tmp_path, researcher=model, fallback=stock, loop_n=1, resume=folder)
    assert outcome(journal)[3:] == [(3, True)]


def test_a_key_that_is_withdrawn_is_a_provider_that_is_gone_for_good(tmp_path: Path) -> None:
    wrong = ProviderError("the provider refuses the key: set OPENAI_API_KEY", setup=True)
    (tmp_path / "ledger").mkdir()
    model = Paying(GOOD, [wrong], *[GOOD] * 3)
    model.ledger = Ledger(tmp_path / "ledger")
    journal, _ = play_toy(
        tmp_path, researcher=model, ledger=model.ledger, loop_n=4, playbook_drafts=0,
        fallback=Stock(BLURRED, BLURRED + "#\n"),
    )  # fmt: skip
    assert outcome(journal)[1:] == [(1, True), (2, False), (3, True), (4, True)]
    assert len(model.seen) == 2, "it is not asked again"


def test_a_setup_fault_after_a_score_costs_nothing_of_it(tmp_path: Path) -> None:
    for name, trouble in (
        ("provider", ProviderError("no model r: correct CHAT_MODEL", setup=True)),
        ("prompt", SetupError("prompts/review.md has no field x: correct CHAT_MODEL")),
    ):
        for tuned, review in (({1: trouble}, None), ({}, trouble)):
            root = tmp_path / f"{name}{bool(review)}"
            model = Model(GOOD, tuned=tuned, review=review)
            with pytest.raises(SetupError, match="correct CHAT_MODEL"):
                play_toy(root, researcher=model, loop_n=2)
            (folder,) = (root / "log").iterdir()
            assert outcome(load(folder)) == [(0, True), (1, True)]
            journal, _ = play_toy(root, researcher=Model(GOOD, BLURRED), resume=folder, loop_n=2)
            assert outcome(journal) == [(0, True), (1, True), (2, True)]


def test_three_rounds_without_a_usable_reply_are_a_provider_that_is_gone(tmp_path: Path) -> None:
    unusable = ReplyError("no reply fits")
    model = Model(unusable, unusable, GOOD, unusable, unusable, unusable, GOOD)
    journal, _ = play_toy(tmp_path, researcher=model, loop_n=9)
    assert journal.ended == "no reply fits" and journal.rounds == 6
    best = journal.best()
    assert best is not None and best.id == 3


def test_a_researcher_that_is_broken_does_not_play_for_ever(tmp_path: Path) -> None:
    journal, _ = play_toy(tmp_path, researcher=Model(GOOD))  # it has one program, and no limit
    assert journal.ended == "IndexError: list index out of range" and journal.rounds == 4


def test_a_score_outlives_a_provider_that_goes_before_the_review(tmp_path: Path) -> None:
    journal, _ = play_toy(tmp_path, researcher=Model(GOOD, review=GONE), loop_n=2)
    experiment = journal.experiments[1]
    assert experiment.score is not None and experiment.feedback is not None
    assert experiment.feedback.accepted and "does not answer" in experiment.feedback.reason
    assert journal.ended == "the provider does not answer"


# -- limits ------------------------------------------------------------------------------


class Paying(Model):
    """Each idea is a call of 60 tokens in and 40 out at a tenth of a cent."""

    ledger: Ledger
    PRICE: float | None = 0.001

    def propose(self, context: Context, parents: tuple[Experiment, ...]) -> Hypothesis:
        messages = [{"role": "user", "content": "An idea?"}]
        call = Call("propose", messages, experiment=context.id, max_tokens=10)
        number, _ = self.ledger.reserve(call, "a-model", lambda usage: 0.0)
        usage = Usage(input=60, output=40, cached=30, money=self.PRICE)
        self.ledger.settle(number, Completion(text="yes", usage=usage), 0.1)
        return super().propose(context, parents)


class Watcher:
    """Hears what a screen hears."""

    def __init__(self) -> None:
        self.ledger: Ledger | None = None

    def opened(self, folder: Path) -> None: ...
    def stage(self, text: str) -> None: ...
    def event(self, event: AnyEvent, journal: Journal) -> None: ...
    def account(self, ledger: Ledger) -> None:
        self.ledger = ledger


def test_a_used_up_limit_ends_the_run_with_what_it_has(tmp_path: Path) -> None:
    (tmp_path / "ledger").mkdir()
    watcher, model = Watcher(), Paying(GOOD, BLURRED, GOOD)
    model.ledger = Ledger(tmp_path / "ledger", max_tokens=205)
    journal, folder = play_toy(
        tmp_path, researcher=model, ledger=model.ledger, observer=watcher, loop_n=9
    )
    assert outcome(journal) == [(0, True), (1, True), (2, True)]
    assert "--max-tokens 205 is used up" in (journal.ended or "")
    assert 3 not in journal.experiments, "no round is begun that cannot ask anything"
    assert [e.cost.tokens for e in journal.finished] == [0, 100, 100]
    assert journal.experiments[1].cost.money == pytest.approx(0.001)
    total = "2 calls, 120 tokens in (50% cached), 80 out, $0.00"
    assert watcher.ledger and totals(watcher.ledger) == total
    assert f"* LLM: {total}" in (folder / "best" / "report.md").read_text()
    assert journal.deliveries[-1].kind == "refit"
    with pytest.raises(SetupError, match="higher --max-cost or --max-tokens"):
        play_toy(tmp_path, researcher=model, ledger=model.ledger, resume=folder, loop_n=9)


def test_a_limit_in_the_middle_of_a_round_ends_that_round(tmp_path: Path) -> None:
    spent = LimitError("--max-cost 1 is used up")
    journal, _ = play_toy(tmp_path, researcher=Model(GOOD, [CRASH, spent], GOOD), loop_n=3)
    assert journal.experiments[2].error == journal.ended == "--max-cost 1 is used up"
    assert journal.deliveries[-1].experiment == 1


def test_resumes_at_the_limit_add_no_failed_experiments(tmp_path: Path) -> None:
    spent = LimitError("--max-cost 1 is used up")
    journal, folder = play_toy(tmp_path, researcher=Model(GOOD, spent), loop_n=3)
    for _ in range(2):
        assert outcome(journal) == [(0, True), (1, True)] and journal.rounds == 1
        assert journal.ended == "--max-cost 1 is used up"
        journal, _ = play_toy(tmp_path, researcher=Model(GOOD, spent), resume=folder, loop_n=3)
    assert (folder / "best" / "submission.csv").exists()
    journal, _ = play_toy(
        tmp_path, researcher=Model(GOOD, BLURRED, BLURRED), resume=folder, loop_n=2
    )
    assert outcome(journal) == [(0, True), (1, True), (2, True)]


def test_a_limit_at_the_review_keeps_the_score_and_ends_the_run(tmp_path: Path) -> None:
    spent = LimitError("--max-cost 1 is used up")
    journal, _ = play_toy(tmp_path, researcher=Model(GOOD, GOOD, review=spent), loop_n=3)
    assert outcome(journal) == [(0, True), (1, True)] and journal.ended == str(spent)


class Unpriced(Paying):
    PRICE = None


def test_an_unknown_price_is_not_free(tmp_path: Path) -> None:
    (tmp_path / "ledger").mkdir()
    model = Unpriced(GOOD, BLURRED)
    model.ledger = Ledger(tmp_path / "ledger")
    out = io.StringIO()
    with Screen(console=Console(file=out, width=300)) as screen:
        journal, folder = play_toy(
            tmp_path, researcher=model, ledger=model.ledger, observer=screen, loop_n=2
        )
        screen.summary(journal, folder)
    assert [e.cost.money for e in load(folder).finished] == [0.0, None, None]
    said = "2 calls, 120 tokens in (50% cached), 80 out, price unknown"
    assert f"LLM: {said}" in (folder / "best" / "report.md").read_text()
    assert f"LLM: {said}" in out.getvalue() and "$?" in out.getvalue()


def test_the_status_line_says_what_was_spent_so_far(tmp_path: Path) -> None:
    (tmp_path / "ledger").mkdir()
    model = Paying(GOOD)
    model.ledger = Ledger(tmp_path / "ledger")
    out = io.StringIO()
    with Screen(console=Console(file=out, width=200, force_terminal=True)) as screen:
        play_toy(tmp_path, researcher=model, ledger=model.ledger, observer=screen, loop_n=1)
    assert "100 tokens (50% cached)" in out.getvalue()


def test_rounds_are_counted_as_loop_n_counts(tmp_path: Path) -> None:
    out = io.StringIO()
    screen = Screen(console=Console(file=out, width=200))
    play_toy(
        tmp_path, researcher=Model(GOOD), fallback=Stock(BLURRED), loop_n=1, playbook_drafts=1,
        observer=screen,
    )  # fmt: skip
    lines = [line for line in out.getvalue().splitlines() if line.endswith(" ...")]
    assert lines == ["round 0: draft ...", "warm-up: draft ...", "round 1/1: draft ..."]


def test_with_an_llm_whoever_brings_it_a_failed_round_may_be_mended(tmp_path: Path) -> None:
    model = Model(CRASH, GOOD)
    journal, _ = play_toy(tmp_path, researcher=model, fallback=Stock(), loop_n=2, playbook_drafts=0)
    how = [(e.hypothesis.operator, e.parents) for e in journal.finished[1:]]
    assert how == [("draft", ()), ("debug", (1,))]


def test_caps_are_kept_when_a_run_goes_on_and_can_be_raised(tmp_path: Path) -> None:
    make_toy(tmp_path)
    flags = {"local_data_path": tmp_path, "trace_path": tmp_path / "log"}
    settings, model = load_settings(flags, {}, tmp_path / "no.env"), Model(GOOD, BLURRED)
    journal, folder = run("toy", loop_n=1, max_cost=2, settings=settings, researcher=model)
    assert (journal.budget.max_cost, journal.budget.max_tokens) == (2, None)
    journal, _ = run(resume=folder, loop_n=2, max_tokens=900, settings=settings, researcher=model)
    assert (journal.budget.max_cost, journal.budget.max_tokens) == (2, 900)


# -- advice ------------------------------------------------------------------------------


def test_hints_may_be_edited_between_resumes(tmp_path: Path) -> None:
    advice, model = make_toy(tmp_path) / "hints.md", Model(GOOD, BLURRED, BLURRED, FLOOR)
    advice.write_text("count the kinds\n" + "x" * 9000)
    _, folder = play_toy(tmp_path, researcher=model, loop_n=1)
    assert len(model.seen[0].hints) == 1 and len(model.seen[0].hints[0]) == 4000
    assert not list((folder / "views").rglob("hints.md"))
    play_toy(tmp_path, researcher=model, loop_n=2, resume=folder)
    advice.write_text("leave the kinds alone")
    play_toy(tmp_path, researcher=model, loop_n=3, resume=folder)
    advice.unlink()
    journal, _ = play_toy(tmp_path, researcher=model, loop_n=4, resume=folder)
    assert [c.hints[0][:5] if c.hints else "" for c in model.seen] == [
        "count",
        "count",
        "leave",
        "",
    ]
    assert sum(n.kind == "hint" for n in journal.notes) == 3
    assert not any("reads no hints" in n.text for n in journal.notes)


def test_a_hint_to_the_playbook_is_answered(tmp_path: Path) -> None:
    make_toy(tmp_path)
    flags = {"local_data_path": tmp_path, "trace_path": tmp_path / "log"}
    settings = load_settings(flags, {}, tmp_path / "no.env")
    journal, _ = run("toy", loop_n=0, timeout=60, hints=("try trees",), settings=settings)
    assert any("reads no hints" in n.text for n in journal.notes)


def test_feedback_is_arithmetic_whoever_reviews(tmp_path: Path) -> None:
    journal, _ = play_toy(tmp_path, researcher=Model(GOOD, INVERSE), loop_n=2)
    said = [e.feedback for e in journal.finished]
    assert all(isinstance(f, Feedback) for f in said)
    assert [f.accepted for f in said if f] == [True, True, False]
