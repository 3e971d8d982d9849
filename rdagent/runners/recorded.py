"""A runner that repeats what a recorded run's programs did, without running them."""

from __future__ import annotations

import shutil
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from rdagent.errors import SetupError
from rdagent.events import Executed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rdagent.events import AnyEvent
    from rdagent.interfaces import Runner
    from rdagent.records import Execution, Job, Sandbox


class RecordedRunner:
    """Executions come from the journal, files from the recorded workspaces.

    Jobs that belong to no experiment (a user's `sample.py`) run for real, by `inner`.
    """

    def __init__(
        self, workspaces: Path, events: Iterable[AnyEvent], sandbox: Sandbox, inner: Runner,
        warning: str | None, ended: Callable[[], None],
    ) -> None:  # fmt: skip
        """`workspaces` holds `<experiment>/<attempt>/<execution>/` of the recorded run.

        `warning`: of the runner then. `ended` is called where the recording has no execution,
        and may end the replay as the run ended.
        """
        self.workspaces, self.sandbox, self.inner = workspaces, sandbox, inner
        self.warning, self._ended = warning, ended
        self._executions: dict[tuple[object, ...], list[Execution]] = defaultdict(list)
        for event in events:
            if isinstance(event, Executed):
                e = event.execution
                if e.seconds or e.exit_code is not None or e.timed_out:  # not refused unseen
                    self._executions[event.id, e.kind, e.fold, e.seed].append(e)

    def probe(self) -> Sandbox:
        return self.sandbox

    def run(self, job: Job) -> Execution:
        """The recorded execution, its submission and weights put where a program leaves them.

        Raises SetupError where the recording has no such execution.
        """
        *_, experiment, attempt, name = job.workdir.parts
        if not experiment.isdigit():
            return self.inner.run(job)
        left = self._executions[int(experiment), job.kind, job.fold, job.seed]
        if not left:
            self._ended()
            raise SetupError(
                f"the recording has no {job.kind} run of experiment {experiment}: it was made by "
                "another version, or with other settings"
            )
        source = self.workspaces / experiment / attempt / name
        for path in (source / "submission.csv", source / "scores.csv"):
            if path.is_file():
                shutil.copyfile(path, job.workdir / path.name)
        models = source / "workspace_input" / "models"
        if models.is_dir():
            target = job.workdir / "workspace_input" / "models"
            shutil.copytree(models, target, dirs_exist_ok=True)
        # The host judges the files anew; what it thought of them then must not leak in.
        return left.pop(0).model_copy(update={"error": None})
