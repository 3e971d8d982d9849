"""Start or resume a run: from settings to an agent that has everything it needs."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol

from rdagent.competition import load_competition, read_hints, read_train
from rdagent.errors import SetupError
from rdagent.evaluate import Evaluator
from rdagent.events import AnyEvent, Budget, RunResumed, RunStarted
from rdagent.graders.hidden import HiddenGrader
from rdagent.journal import Clock, Journal, JournalWriter, load
from rdagent.loop import HINTS, Agent
from rdagent.playbook import Playbook
from rdagent.players import DEFAULT_ROUNDS, Players
from rdagent.prompts import Prompts
from rdagent.records import Competition, Sandbox
from rdagent.researcher import PromptedResearcher
from rdagent.runs import RunFolder, create_run, reopen_run
from rdagent.settings import (
    Settings,
    load_settings,
    make_llm,
    make_policy,
    make_provider,
    make_researcher,
    make_runner,
)
from rdagent.split import load_split, make_split, save_split
from rdagent.views import build_views

if TYPE_CHECKING:
    from rdagent.interfaces import Policy, Researcher, Runner
    from rdagent.llm import Ledger, Provider


class Observer(Protocol):
    """Watches a run, such as the screen."""

    def opened(self, folder: Path) -> None: ...

    def stage(self, text: str) -> None: ...

    def event(self, event: AnyEvent, journal: Journal) -> None: ...

    def account(self, ledger: Ledger) -> None:
        """What the LLM takes; it grows as the run plays."""
        ...


class Silent:
    """Watches and says nothing."""

    def opened(self, folder: Path) -> None:
        """Nothing."""

    def stage(self, text: str) -> None:
        """Nothing."""

    def event(self, event: AnyEvent, journal: Journal) -> None:
        """Nothing."""

    def account(self, ledger: Ledger) -> None:
        """Nothing."""


def run(
    competition: str | None = None,
    *,
    command: str = "data_science",
    loop_n: int | None = None,
    timeout: float | None = None,
    max_cost: float | None = None,
    max_tokens: int | None = None,
    seed: int | None = None,
    hints: tuple[str, ...] = (),
    resume: Path | str | None = None,
    settings: Settings | None = None,
    observer: Observer | None = None,
    researcher: Researcher | None = None,
    fallback: Researcher | None = None,
    ledger: Ledger | None = None,
    policy: Policy | None = None,
    provider: Provider | None = None,
    runner: Runner | None = None,
    clock: Clock | None = None,
) -> tuple[Journal, Path]:
    """Play a competition, or go on with a run; returns its journal and its folder.

    Args:
        competition: folder below `DS_LOCAL_DATA_PATH` (unset: the bundled examples).
        command: `data_science`, or `finetune` to start from `prev_model/`.
        loop_n: rounds of the whole run; None: what the run has, else 5 without an LLM and no
            limit with one.
        timeout: seconds of the whole run; None: what the run has, else 12 hours.
        max_cost: US dollars for the LLM over the whole run; None: what the run has, else any.
        max_tokens: tokens, in and out, likewise.
        seed: of the folds and of `DS_SEED`; None: what the run has, else 0.
        hints: advice for the researcher.
        resume: a run folder, or its name below the log folder.
        researcher: plays in place of the one that the settings name.
        fallback: plays floor and warm-up where that one is an LLM, and while it is gone.
        ledger: what that one has cost.
        policy, provider, runner: in place of those that the settings name.
        clock: of the run that this one repeats; its hints come from there alone.

    Raises:
        SetupError: something the user can mend; the message says what to do.
    """
    settings, observer = settings or load_settings(), observer or Silent()
    prompts = Prompts(settings.prompts)
    asked = None
    if settings.chat_model and researcher is None and provider is None:
        provider = asked = make_provider(settings)
        asked.warm()  # it loads while the data does
    observer.stage("looking at the sandbox")
    runner = runner or make_runner(settings)
    sandbox = runner.probe()  # before a run folder exists: nothing is left behind if it fails
    observer.stage("reading the data")
    known, seed, folder = _find(settings, competition, command, seed, resume)
    if asked:  # before a run folder exists, too; what is read here gives litellm time to load
        asked.check(max_cost=max_cost is not None or _capped(folder))
    folder = folder or create_run(settings, known, command=command, seed=seed)
    writer, client = JournalWriter(folder.path, observer.event, clock), None
    observer.opened(folder.path)
    try:
        given = {"loop_n": loop_n, "timeout": timeout}
        given |= {"max_cost": max_cost, "max_tokens": max_tokens}
        llm = provider is not None or fallback is not None
        budget = _budget(writer.journal, given, llm=llm)
        if provider:
            client = make_llm(
                provider, folder.path, max_cost=budget.max_cost, max_tokens=budget.max_tokens,
                tell=observer.stage, render=prompts.render,
            )  # fmt: skip
            ledger = client.ledger
            researcher, fallback = PromptedResearcher(client, prompts), Playbook()
        players = Players(
            researcher=researcher or make_researcher(settings), fallback=fallback, ledger=ledger,
            drafts=settings.playbook_drafts, go_on=settings.playbook_fallback,
        )  # fmt: skip
        agent = _assemble(
            folder, known, writer, settings, runner, sandbox, players, seed=seed,
            finetune=command == "finetune", stage=observer.stage,
            policy=policy or make_policy(llm=llm),
        )  # fmt: skip
        if client:
            client.seconds_left = agent.search_seconds_left
        if ledger:
            observer.account(ledger)
        _open(agent, budget)
        if runner.warning:
            agent.note("warning", runner.warning)
        _take_hints(agent, hints, file=clock is None)
        with _polite_stop():
            journal = agent.play()
        return journal, folder.path
    except OSError as error:
        raise SetupError(
            f"the machine failed ({error}): mend it, then go on with --resume {folder.path}"
        ) from error
    finally:
        writer.close()
        if client:
            client.ledger.close()


def _find(
    settings: Settings, competition: str | None, command: str, seed: int | None,
    resume: Path | str | None,
) -> tuple[Competition, int, RunFolder | None]:  # fmt: skip
    """The competition, the seed and, of a run that goes on, the folder."""
    if resume is None:
        if competition is None:
            raise SetupError("--competition is missing: name a competition, or --resume a run")
        known = load_competition(competition, settings.data_root, finetune=command == "finetune")
        return known, seed or 0, None
    folder, known, about = reopen_run(
        settings, Path(resume), competition_id=competition, command=command
    )
    if seed is not None and seed != about["seed"]:
        raise SetupError(f"{folder.path.name} has --seed {about['seed']}: leave --seed away")
    return known, int(about["seed"]), folder


def _capped(folder: RunFolder | None) -> bool:
    """Whether the run that goes on has a limit of money."""
    if folder is None or not (folder.path / "events.jsonl").exists():
        return False
    return load(folder.path).budget.max_cost is not None


def _take_hints(agent: Agent, hints: tuple[str, ...], *, file: bool) -> None:
    """Note the user's advice: each `--hint`, and `hints.md` whenever it says something new."""
    texts = list(hints)
    noted = [n.text for n in agent.journal.notes if n.text.startswith(HINTS)]
    content = HINTS + read_hints(agent.competition)
    if file and content != (noted[-1] if noted else HINTS):
        texts.insert(0, content)
    graded = (agent.folder.path / "grades.jsonl").exists()
    for text in texts:
        agent.note("steered after grading" if graded else "hint", text)
    if texts and isinstance(agent.players.researcher, Playbook):
        agent.note("warning", "The playbook reads no hints: they wait for an LLM researcher")


def _assemble(
    folder: RunFolder, competition: Competition, writer: JournalWriter, settings: Settings,
    runner: Runner, sandbox: Sandbox, players: Players, *, seed: int, finetune: bool,
    stage: Callable[[str], None], policy: Policy,
) -> Agent:  # fmt: skip
    stage("hiding rows")
    if (folder.path / "folds.csv").exists():
        split, table = load_split(folder.path)
    else:
        split, table = make_split(competition, seed)
        save_split(split, table, folder.path)
    stage("making views of the data")
    views = build_views(
        competition, split, table, folder.views, runner=runner, finetune=finetune, seed=seed
    )
    labels = read_train(competition) if split.folds else None
    grader = None if labels is None else HiddenGrader(competition, labels, table, seed)
    evaluator = Evaluator(
        folder=folder, competition=competition, split=split, table=table, views=views,
        runner=runner, resources=settings.resources,
        grader=grader,
        debug_timeout=settings.debug_timeout, full_timeout=settings.full_timeout,
        seed=seed, python=sandbox.python, env=settings.program_env, stage=stage,
    )  # fmt: skip
    return Agent(
        folder=folder, competition=competition, writer=writer, players=players,
        policy=policy, evaluator=evaluator, sandbox=sandbox,
        max_attempts=settings.coder_max_loop, max_full_repairs=settings.runner_max_loop,
        finetune=finetune, seed=seed,
    )  # fmt: skip


def _budget(journal: Journal, given: dict[str, float | None], *, llm: bool) -> Budget:
    """What is asked for; a resumed run keeps its own but for that."""
    rounds = None if llm else DEFAULT_ROUNDS
    old = Budget(loop_n=rounds) if journal.started is None else journal.budget
    return old.model_copy(update={k: v for k, v in given.items() if v is not None})


def _open(agent: Agent, budget: Budget) -> None:
    """Start the run, or go on with it. Raises SetupError where its budget is used up."""
    if agent.journal.started is not None:
        if agent.journal.ended and (reason := _used_up(agent, budget)):
            raise SetupError(reason)
        agent.append(RunResumed(budget=budget))
        return
    split = agent.evaluator.split
    about = public(agent.competition)
    dealt = split.model_dump(mode="json")
    agent.append(RunStarted(competition=about, split=dealt, budget=budget, sandbox=agent.sandbox))
    for text in (*agent.competition.notes, split.reason):
        agent.note("decision", text)
    for text in split.warnings:
        agent.note("warning", text)


def _used_up(agent: Agent, budget: Budget) -> str | None:
    rounds, elapsed = agent.journal.rounds, agent.writer.elapsed
    if budget.loop_n is not None and rounds >= budget.loop_n:
        return f"this run has played {rounds} rounds: go on with --loop-n {rounds + DEFAULT_ROUNDS}"
    if elapsed >= budget.timeout:
        hours = elapsed / 3600
        return f"this run has used its {hours:.1f} h: go on with --timeout {hours + 1:.0f}h or more"
    if agent.players.ledger and (reason := agent.players.ledger.exhausted()):
        return f"{reason}: go on with a higher --max-cost or --max-tokens"
    return None


def public(competition: Competition) -> dict[str, Any]:
    """The competition for the journal: no absolute path, so that a run can be moved."""
    dump = competition.model_dump(mode="json", exclude={"data_dir", "eval_dir", "prev_model"})
    if competition.prev_model:
        dump["prev_model"] = competition.prev_model.model_dump(mode="json", exclude={"path"})
    return dump


class _polite_stop:  # noqa: N801  (used as `with _polite_stop():`)
    """SIGTERM (a service manager's stop) counts as Ctrl-C while the agent plays."""

    def __enter__(self) -> None:
        self._main = threading.current_thread() is threading.main_thread()
        if self._main:
            self._before = signal.signal(signal.SIGTERM, self._interrupt)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    def __exit__(self, *details: object) -> None:
        if self._main:
            signal.signal(signal.SIGTERM, self._before)
