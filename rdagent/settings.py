"""The only reader of flags, environment and `.env`, in that order of precedence.

Each field of `Settings` is one variable; `.env.example` documents the same ones.
"""

from __future__ import annotations

import difflib
import math
import os
from collections.abc import Callable, Mapping, MutableMapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rdagent.errors import SetupError
from rdagent.records import Resources

if TYPE_CHECKING:
    from rdagent.interfaces import Policy, Runner
    from rdagent.llm import Provider
    from rdagent.llm.client import Client
    from rdagent.llm.litellm import LiteLLM
    from rdagent.playbook import Playbook

GB = 2**30


class Settings(BaseModel):
    """Everything a user can set; field `full_timeout` is the variable `DS_FULL_TIMEOUT`."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    local_data_path: Path | None = Field(None, alias="DS_LOCAL_DATA_PATH")
    """Folder that holds the competition folders; unset: the bundled examples."""
    trace_path: Path = Field(Path("log"), alias="LOG_TRACE_PATH")
    """Folder that holds the runs."""
    workspace_path: Path | None = Field(None, alias="WORKSPACE_PATH")
    """Where views and workspaces of all runs go; unset: into each run's folder."""
    env_type: Literal["local", "subprocess"] | None = Field(None, alias="DS_CODER_COSTEER_ENV_TYPE")
    """Where programs run: local (bubblewrap where it works) or subprocess (not isolated)."""
    python: Path | None = Field(None, alias="DS_PYTHON")
    """Interpreter that runs the programs; unset: the one that runs rdagent."""
    pretrained_path: Path | None = Field(None, alias="DS_PRETRAINED_PATH")
    """Folder of pretrained weights that programs may read."""
    debug_timeout: float = Field(3600, alias="DS_DEBUG_TIMEOUT", gt=0)
    """Seconds a program may run on the debug sample."""
    full_timeout: float = Field(10800, alias="DS_FULL_TIMEOUT", gt=0)
    """Seconds a program may run on the full data, all folds together."""
    coder_max_loop: int = Field(10, alias="DS_CODER_MAX_LOOP", ge=1)
    """Versions of a program that one experiment may try before its full run."""
    runner_max_loop: int = Field(3, alias="DS_RUNNER_MAX_LOOP", ge=0)
    """Repairs of programs whose full run failed, an experiment."""
    playbook_drafts: int = Field(2, alias="DS_PLAYBOOK_DRAFTS", ge=0)
    """Programs of the playbook that an LLM starts from; they count as part of round 0."""
    playbook_fallback: bool = Field(True, alias="DS_PLAYBOOK_FALLBACK")
    """Whether the playbook goes on while the LLM's provider is gone."""
    local_cpu_count: int | None = Field(None, alias="DS_LOCAL_CPU_COUNT", ge=1)
    """Cores of a program; unset: all that this process may use."""
    local_mem_limit: float | None = Field(None, alias="DS_LOCAL_MEM_LIMIT", gt=0)
    """Memory of a program in GB, over its whole process tree; unset: 80 % of the machine's."""
    local_disk_limit: float = Field(20, alias="DS_LOCAL_DISK_LIMIT", gt=0)
    """GB that one execution of a program may write."""
    local_max_processes: int = Field(512, alias="DS_LOCAL_MAX_PROCESSES", ge=1)
    """Processes and threads that a program may have at once."""
    prompts: Path | None = Field(None, alias="DS_PROMPTS")
    """Folder whose files take the place of single prompts."""
    chat_model: str | None = Field(None, alias="CHAT_MODEL")
    """Model that plays the researcher, by its litellm name; unset: the playbook plays."""
    chat_model_map: str | None = Field(None, alias="LITELLM_CHAT_MODEL_MAP")
    """JSON: stage -> model, temperature, max_tokens, reasoning_effort (see `make_provider`)."""
    chat_temperature: float | None = Field(None, alias="CHAT_TEMPERATURE", ge=0)
    """Unset, here and below: the provider's own."""
    chat_max_tokens: int | None = Field(None, alias="CHAT_MAX_TOKENS", ge=1)
    """Tokens of one reply; a reply cut off there is continued."""
    chat_seed: int | None = Field(None, alias="CHAT_SEED")
    """Seed for providers that take one."""
    reasoning_effort: str | None = Field(None, alias="REASONING_EFFORT")
    """low, medium, high, or what else the model knows."""
    max_retry: int = Field(10, alias="MAX_RETRY", ge=0)
    """Further attempts after one that failed for want of a line, a place or a server."""
    retry_wait_seconds: float = Field(1, alias="RETRY_WAIT_SECONDS", ge=0)
    """Seconds before the first of them, doubled for each one after it."""
    chat_timeout: float = Field(600, alias="CHAT_TIMEOUT", gt=0)
    """Seconds that a reply may pause; all attempts of a call may take three times as long."""
    price_input: float | None = Field(None, alias="DS_PRICE_INPUT", ge=0)
    """Dollars per million tokens in, where litellm does not know the price."""
    price_output: float | None = Field(None, alias="DS_PRICE_OUTPUT", ge=0)
    """Dollars per million tokens out."""
    price_cached: float | None = Field(None, alias="DS_PRICE_CACHED", ge=0)
    """Dollars per million tokens from the provider's cache; unset: as those in."""

    @property
    def data_root(self) -> Path:
        from rdagent.competition import examples_dir

        return self.local_data_path or examples_dir()

    @property
    def resources(self) -> Resources:
        """What one program may use on this machine."""
        import psutil

        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
        memory = self.local_mem_limit or psutil.virtual_memory().total * 0.8 / GB
        return Resources(
            cpus=self.local_cpu_count or cores,
            gpus=tuple(sorted(p.name[6:] for p in Path("/dev").glob("nvidia[0-9]*"))),
            memory=int(memory * GB),
            disk=int(self.local_disk_limit * GB),
            processes=self.local_max_processes,
        )

    @property
    def program_env(self) -> dict[str, str]:
        """What programs are told of the machine, beside DS_SEED and DS_DEADLINE."""
        resources = self.resources
        env = {
            "DS_CPUS": str(resources.cpus),
            "DS_MEMORY": str(resources.memory),
            "DS_GPUS": ",".join(resources.gpus),
        }
        if self.pretrained_path:
            env["DS_PRETRAINED_PATH"] = str(self.pretrained_path.absolute())
            env |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
        return env

    def public(self) -> dict[str, Any]:
        """Settings by variable name for `run.json`: no secret, no absolute path."""
        from rdagent.llm.secrets import redact

        dump = self.model_dump(mode="json", by_alias=True, exclude=set(_PATHS))
        return {k: redact(v) if isinstance(v, str) else v for k, v in dump.items()}


_PATHS = (
    "local_data_path", "trace_path", "workspace_path", "python", "pretrained_path", "prompts",
)  # fmt: skip
_ALIASES = {str(field.alias): name for name, field in Settings.model_fields.items()}


def load_settings(
    flags: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    dotenv: Path = Path(".env"),
) -> Settings:
    """Settings from `flags` (by field name, None: not given), environment and `.env`.

    Raises SetupError naming the variable whose value does not fit.
    """
    found = _variables(environment, dotenv)
    values: dict[str, Any] = {
        name: found[alias] for alias, name in _ALIASES.items() if found.get(alias, "") != ""
    }
    values |= {name: value for name, value in (flags or {}).items() if value is not None}
    for name in _PATHS:
        if name in values:
            values[name] = Path(values[name]).expanduser()
    if "workspace_path" in values:
        values["workspace_path"] = values["workspace_path"].absolute()  # seen from sandboxes too
    try:
        return Settings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        alias = name if name in _ALIASES else str(Settings.model_fields[name].alias)
        if alias == "DS_CODER_COSTEER_ENV_TYPE" and first["input"] in ("docker", "conda"):
            raise SetupError(
                f"{alias}={first['input']} is not in this version yet: "
                "use local (isolated by bubblewrap) or leave it unset"
            ) from None
        number = "a number is needed" if first["type"].endswith("_parsing") else first["msg"]
        raise SetupError(f"{alias}={first['input']!r} does not fit: {number}") from None


def recorded_settings(here: Settings, then: Mapping[str, Any]) -> Settings:
    """The settings of a recorded run (`run.json`) with the folders of this machine."""
    known = {alias: value for alias, value in then.items() if alias in _ALIASES}
    paths = {name: getattr(here, name) for name in _PATHS}
    return Settings.model_validate({k: v for k, v in known.items() if v is not None} | paths)


def misspelt(
    environment: Mapping[str, str] | None = None, dotenv: Path = Path(".env")
) -> list[str]:
    """A sentence for each `DS_*` variable that is no setting, with the nearest right name."""
    warnings = []
    for name in sorted(_variables(environment, dotenv)):
        # DS_SEED and the like are told to programs; nobody sets them for the agent.
        if not name.startswith("DS_") or name in _ALIASES:
            continue
        near = difflib.get_close_matches(name, _ALIASES, n=1, cutoff=0.75)
        hint = f"did you mean {near[0]}?" if near else "it changes nothing"
        warnings.append(f"{name} is not a setting of this version: {hint}")
    return warnings


def make_runner(settings: Settings) -> Runner:
    """The runner that `DS_CODER_COSTEER_ENV_TYPE` names."""
    import sys

    from rdagent.runners.local import LocalRunner

    if settings.pretrained_path and not settings.pretrained_path.is_dir():
        raise SetupError(f"DS_PRETRAINED_PATH={settings.pretrained_path} is no folder: correct it")
    # Wherever these lie, also below a folder that programs may see, they stay out of sight.
    hide = (settings.data_root, settings.trace_path, settings.workspace_path)
    return LocalRunner(
        hide=tuple(path.absolute() for path in hide if path),
        python=settings.python or Path(sys.executable),
        isolate=False if settings.env_type == "subprocess" else None,
        read_only=(settings.pretrained_path,) if settings.pretrained_path else (),
    )


def make_researcher(settings: Settings) -> Playbook:
    """Who has the ideas where no LLM is asked."""
    from rdagent.playbook import Playbook

    return Playbook()


def make_provider(
    settings: Settings,
    environment: MutableMapping[str, str] | None = None,
    dotenv: Path = Path(".env"),
) -> LiteLLM:
    """The provider that `CHAT_MODEL` names, with stages of their own by `LITELLM_CHAT_MODEL_MAP`.

    Its keys and addresses are taken from the environment, where those of `.env` are put that
    are not there yet: litellm and the clouds' own libraries look nowhere else.
    Raises SetupError for a map that cannot be read.
    """
    from rdagent.llm.litellm import LiteLLM, read_stages

    environment = os.environ if environment is None else environment
    for name, value in _read_dotenv(dotenv.absolute()).items():
        if name not in _ALIASES and not environment.get(name):
            environment[name] = value
    if settings.chat_model is None:
        raise SetupError("CHAT_MODEL is not set: name a model, such as openai/gpt-4o")
    if (settings.price_input is None) != (settings.price_output is None):
        raise SetupError("DS_PRICE_INPUT and DS_PRICE_OUTPUT go together: set both or none")
    return LiteLLM(
        model=settings.chat_model,
        stages=read_stages(settings.chat_model_map),
        temperature=settings.chat_temperature,
        max_tokens=settings.chat_max_tokens,
        seed=settings.chat_seed,
        reasoning_effort=settings.reasoning_effort,
        max_retry=settings.max_retry,
        retry_wait=settings.retry_wait_seconds,
        timeout=settings.chat_timeout,
        price_input=settings.price_input,
        price_output=settings.price_output,
        price_cached=settings.price_cached,
    )


def make_llm(
    provider: Provider,
    run: Path,
    *,
    max_cost: float | None = None,
    max_tokens: int | None = None,
    seconds_left: Callable[[], float] = lambda: math.inf,
    tell: Callable[[str], None] = lambda text: None,
    render: Callable[..., str] | None = None,
) -> Client:
    """Asks `provider` and keeps the account in the run folder; `client.ledger` has the totals.

    Args:
        max_cost: US dollars over the whole run; max_tokens: tokens in and out, likewise.
        seconds_left: of the run; no question outlasts them.
        tell: told when the provider makes us wait.
        render: fills prompt files, where the user has own ones.
    """
    from rdagent import prompts
    from rdagent.llm import Ledger
    from rdagent.llm.client import Client

    ledger = Ledger(run, max_cost=max_cost, max_tokens=max_tokens)
    return Client(provider, ledger, seconds_left, render or prompts.render, tell)


def make_policy(*, llm: bool) -> Policy:
    """Which experiments to extend, where an LLM or the playbook has the ideas."""
    from rdagent.policies import GreedyPolicy

    # The playbook mends by rule what it can; an LLM may see a way round.
    return GreedyPolicy(debug_depth=1 if llm else 0)


def _variables(environment: Mapping[str, str] | None, dotenv: Path) -> dict[str, str]:
    return {
        **_read_dotenv(dotenv.absolute()),
        **(os.environ if environment is None else environment),
    }


@cache
def _read_dotenv(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    from dotenv import dotenv_values

    try:
        found = dotenv_values(path)
    except (UnicodeDecodeError, OSError) as error:
        raise SetupError(f"{path} cannot be read as text ({error}): mend or remove it") from None
    return {name: value for name, value in found.items() if value is not None}
