"""What the README tells users to type and to set is what works."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from dotenv import dotenv_values
from openai_server import OpenAIServer

from rdagent.data_science import build_parser
from rdagent.errors import SetupError
from rdagent.llm.litellm import LiteLLM
from rdagent.llm.trial import try_model
from rdagent.settings import Settings, load_settings, make_provider

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PROVIDERS = {"OpenAI", "Anthropic", "Gemini", "DeepSeek", "Azure", "OpenRouter", "Ollama", "vLLM"}

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # litellm's own


def snippets() -> Iterator[tuple[str, dict[str, str]]]:
    """The README's blocks for `.env`: the heading above, the variables; dummies for <...>."""
    heading = ""
    for title, block in re.findall(
        r"^#{2,3} ([^\n]+)$|^```dotenv\n(.*?)^```$", README, re.M | re.S
    ):
        heading = title or heading
        if block:
            found = dotenv_values(stream=io.StringIO(re.sub(r"<[^>]*>", "dummy-4711", block)))
            yield heading, {name: value or "" for name, value in found.items()}


MODELS = {heading: found for heading, found in snippets() if "CHAT_MODEL" in found}
OTHERS = {name: value for _, found in snippets() if "CHAT_MODEL" not in found
          for name, value in found.items()}  # fmt: skip


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """No key and no address but what a snippet sets."""
    before = dict(os.environ)
    for name in before:
        if re.search(r"_(API_KEY|KEY|API_BASE|BASE_URL|API_VERSION|TOKEN)$|^(CHAT_|DS_)", name):
            del os.environ[name]
    yield
    os.environ.clear()
    os.environ.update(before)


def provider(folder: Path, variables: dict[str, str]) -> LiteLLM:
    """What a user has who copied these lines into `.env`."""
    dotenv = folder / f"{len(list(folder.iterdir()))}.env"
    dotenv.write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
    return make_provider(load_settings({}, {}, dotenv), dotenv=dotenv)


def test_there_is_a_snippet_for_each_provider() -> None:
    assert set(MODELS) == PROVIDERS


@pytest.mark.parametrize("name", sorted(PROVIDERS))
def test_the_lines_for_a_provider_suffice_and_none_is_too_many(tmp_path: Path, name: str) -> None:
    variables = MODELS[name]
    needed = [x for x in variables if x not in ("CHAT_MODEL", "OLLAMA_API_BASE")]
    for left_out in needed:
        with pytest.raises(SetupError, match=left_out):
            provider(tmp_path, {k: v for k, v in variables.items() if k != left_out}).check()
        for variable in variables:
            os.environ.pop(variable, None)
    provider(tmp_path, variables).check()


@pytest.mark.parametrize("name", ["Azure", "vLLM", "OpenAI"])
def test_a_server_at_the_address_of_these_lines_is_asked(tmp_path: Path, name: str) -> None:
    variables = MODELS[name] | ({"OPENAI_API_BASE": ""} if name == "OpenAI" else {})
    base = next(x for x in variables if x.endswith("_API_BASE"))
    with OpenAIServer(["ok"]) as server:
        url = server.url.removesuffix("/v1") if name == "Azure" else server.url
        assert try_model(provider(tmp_path, variables | {base: url})).usage.input == 100
    sent = server.requests[0]
    assert variables["CHAT_MODEL"].split("/", 1)[1] in str(sent)
    keys = {value.removeprefix("Bearer ") for value in sent.headers.values()}
    assert ("dummy-4711" in keys) == (name != "vLLM")


def test_prices_and_stages(tmp_path: Path) -> None:
    prices = {k: v for k, v in OTHERS.items() if k.startswith("DS_PRICE")}
    assert len(prices) == 3
    with pytest.raises(SetupError, match="DS_PRICE_INPUT and DS_PRICE_OUTPUT"):
        provider(tmp_path, MODELS["vLLM"]).check(max_cost=True)
    provider(tmp_path, MODELS["vLLM"] | prices).check(max_cost=True)
    stages = {"LITELLM_CHAT_MODEL_MAP": OTHERS["LITELLM_CHAT_MODEL_MAP"]}
    found = provider(tmp_path, MODELS["OpenAI"] | MODELS["DeepSeek"] | MODELS["OpenAI"] | stages)
    found.check()
    assert found.model_for("write") == found.model_for("repair") == "deepseek/deepseek-chat"
    assert found.stage("propose").reasoning_effort == "high"
    assert found.model_for("propose") == MODELS["OpenAI"]["CHAT_MODEL"]


def test_the_table_of_flags_is_the_parser_s() -> None:
    known = set(re.findall(r"--[a-z-]+", build_parser().format_help())) - {"--help"}
    in_table = set(re.findall(r"^\| `(--[a-z-]+)", README, re.M))
    assert in_table == known - {"--competition"}


def test_every_setting_named_is_one() -> None:
    known = {str(field.alias) for field in Settings.model_fields.values()}
    told_to_programs = {"DS_SEED", "DS_DEADLINE", "DS_CPUS", "DS_MEMORY", "DS_GPUS"}
    named = set(re.findall(r"\b(?:DS|CHAT)_[A-Z_]+[A-Z]\b", README))
    assert "DS_PROMPTS" in named
    assert named - {"DS_PRICE"} <= known | told_to_programs


def test_the_house_is_the_house() -> None:
    """Every module and package of `rdagent/` stands in the tree, and nothing else does."""
    tree = README.partition("## The house")[2].partition("```\n\n")[0].partition("rdagent/\n")[2]
    lines = re.findall(r"^  (\w.*)$", tree, re.M)
    modules = set(re.findall(r"(?<![\w/.])(\w+\.py)\b(?!:)", "\n".join(lines)))
    packages = {line.split("/")[0] for line in lines if re.match(r"\w+/ ", line)}
    home = ROOT / "rdagent"
    inside = {"hidden.py", "eval_folder.py", "local.py", "recorded.py", "catalogue.py",
              "client.py", "litellm.py", "scripted.py", "ledger.py", "secrets.py"}  # fmt: skip
    assert modules - inside == {path.name for path in home.glob("*.py")}
    assert packages == {path.parent.name for path in home.glob("*/__init__.py")}
