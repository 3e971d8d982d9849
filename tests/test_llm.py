"""Questions to an LLM: through litellm itself, to a real server that speaks OpenAI's protocol."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai_server import Answer, OpenAIServer, Reply
from pydantic import BaseModel

from rdagent.errors import LimitError, ProviderError, RDAgentError, ReplyError, SetupError
from rdagent.llm import Call, Completion, Ledger, Scripted, Usage, read_account, redact
from rdagent.llm.client import Client, join
from rdagent.llm.schema import response_format
from rdagent.llm.trial import try_model
from rdagent.settings import load_settings, make_llm, make_provider

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # litellm's own
]

KEY = "fakekey-Zq81hT-and-more-7Yx2"
QUESTION = [{"role": "system", "content": "You add."}, {"role": "user", "content": "2 + 2?"}]
GOOD = '{"answer": 4}'
FREE = {"DS_PRICE_INPUT": "0", "DS_PRICE_OUTPUT": "0"}


class Sum(BaseModel):
    answer: int


class Code(BaseModel):
    code: str

    @classmethod
    def read(cls, text: str) -> Code:
        return cls(code=text)


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """A key that must not be seen again, and no address but the one a test sets."""
    before = dict(os.environ)
    for name in [n for n in os.environ if n.startswith(("OPENAI_", "CHAT_", "DS_PRICE"))]:
        del os.environ[name]
    os.environ["OPENAI_API_KEY"] = KEY
    yield
    os.environ.clear()
    os.environ.update(before)


def provider(server: OpenAIServer | str, **settings: str) -> Any:
    """The provider of these settings, its server known by OpenAI's own variable."""
    os.environ["OPENAI_API_BASE"] = server if isinstance(server, str) else server.url
    values = {"CHAT_MODEL": "openai/bridge", "RETRY_WAIT_SECONDS": "0.01", **settings}
    return make_provider(load_settings({}, values, Path("none")), dotenv=Path("none"))


def client(server: OpenAIServer | str, run: Path, **settings: str) -> Client:
    return Client(provider(server, **settings), Ledger(run))


def ask(server: OpenAIServer | str, run: Path, **settings: str) -> int:
    return client(server, run, **settings).ask("propose", QUESTION, Sum, experiment=3).answer


def lines(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "llm.jsonl").read_text().splitlines()]


def test_a_question_is_answered_and_counted(tmp_path: Path) -> None:
    usage = {
        "prompt_tokens": 1000, "completion_tokens": 100,
        "prompt_tokens_details": {"cached_tokens": 600},
        "completion_tokens_details": {"reasoning_tokens": 40},
    }  # fmt: skip
    prices = {"DS_PRICE_INPUT": "2", "DS_PRICE_OUTPUT": "10", "DS_PRICE_CACHED": "0.5"}
    with OpenAIServer([Reply(GOOD, usage=usage)]) as server:
        assert ask(server, tmp_path, **prices) == 4
    sent = server.requests[0]
    assert sent.path == "/v1/chat/completions" and sent.headers["Authorization"] == f"Bearer {KEY}"
    assert sent.body["messages"] == QUESTION and sent.body["stream"] is True
    account = read_account(tmp_path)
    spent = account.spent(3)
    assert (spent.input, spent.output, spent.cached, spent.reasoning) == (1000, 100, 600, 40)
    assert spent.money == pytest.approx((400 * 2 + 600 * 0.5 + 100 * 10) / 1e6)
    assert account.stages["propose"].calls == 1 and account.spent(4) == Usage()
    start, end = lines(tmp_path)
    assert (start["type"], start["n"], end["reply"]["text"]) == ("start", 0, GOOD)


def test_prices_that_litellm_knows_are_used_and_cached_tokens_cost_less(tmp_path: Path) -> None:
    llm = provider("http://127.0.0.1:1/v1", CHAT_MODEL="gpt-4o-mini")
    full = llm.price("gpt-4o-mini", Usage(input=1000, output=10))
    cached = llm.price("gpt-4o-mini", Usage(input=1000, output=10, cached=900))
    assert 0 < cached < full < 0.01
    assert llm.price("openai/bridge", Usage(input=1000)) is None


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(status=401, error={"message": "Incorrect API key"}), "OPENAI_API_KEY"),
        (Reply(status=403), "OPENAI_API_KEY"),
        (Reply(status=404, error={"message": "model does not exist"}), "correct CHAT_MODEL"),
        (Reply(status=402, error={"message": "Insufficient Balance"}), "is empty"),
        (Reply(status=429, error={"code": "insufficient_quota"}), "is empty"),
        (Reply(status=400, error={"message": "seed: unknown"}), "seed: unknown"),
        (Reply(status=422), "refuses the request"),
    ],
)
def test_what_the_user_can_mend_is_said_at_once(reply: Reply, words: str, tmp_path: Path) -> None:
    with OpenAIServer([reply]) as server, pytest.raises(ProviderError, match=words) as caught:
        ask(server, tmp_path, CHAT_TIMEOUT="5")
    assert caught.value.setup and "\n" not in str(caught.value)
    assert len(server.requests) <= 2  # litellm itself asks twice after a 422
    assert words in lines(tmp_path)[-1]["error"]


@pytest.mark.parametrize(
    "fault",
    [
        Reply(status=429),
        Reply(status=500),
        Reply(status=503),
        Reply('{"ans', cut="end"),
        Reply('{"ans', cut="reset"),
        Reply(GOOD, delay=5),
        Reply(GOOD, keep_alive=0.1),
    ],
    ids=["429", "500", "503", "cut", "reset", "silent", "comments"],
)
def test_what_may_pass_is_tried_again(fault: Reply, tmp_path: Path) -> None:
    with OpenAIServer([fault, GOOD]) as server:
        assert ask(server, tmp_path, CHAT_TIMEOUT="1", **FREE) == 4
    assert len(server.requests) == 2
    tokens = read_account(tmp_path).total.tokens
    assert tokens > 110 if fault.cut else tokens == 110  # what broke off is paid for as well


def test_retry_after_is_obeyed_within_the_time_that_is_left(tmp_path: Path) -> None:
    with OpenAIServer([Reply(status=429, headers={"retry-after": "1"}), GOOD]) as server:
        began = time.monotonic()
        assert ask(server, tmp_path) == 4
        assert time.monotonic() - began >= 1
    with OpenAIServer([Reply(status=429, headers={"retry-after": "3600"})]) as server:
        hurried = client(server, tmp_path)
        hurried.seconds_left = lambda: 5.0
        with pytest.raises(ProviderError, match="429") as caught:
            hurried.ask("propose", QUESTION, Sum)
    assert not caught.value.setup and len(server.requests) == 1


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("fault", "asked"),
    [
        (Reply(status=429, headers={"retry-after": "10800"}), 1),
        (Reply(status=503, headers={"retry-after": "Fri, 31 Dec 2100 23:59:59 GMT"}), 1),
        (Reply(status=429, error={"message": "Please retry in 5400.5s"}), 1),
        (Reply(status=429, headers={"retry-after": "inf"}), 2),
        (Reply(status=429, headers={"retry-after": "nan"}), 2),
        (Reply(status=429, error={"message": "Please retry in ...s"}), 2),
    ],
    ids=["hours", "a date", "in words", "inf", "nan", "dots"],
)
def test_a_provider_that_wants_a_long_pause_is_given_up(
    fault: Reply, asked: int, tmp_path: Path
) -> None:
    with OpenAIServer([fault]) as server, pytest.raises(ProviderError) as caught:
        ask(server, tmp_path, MAX_RETRY="1")
    assert not caught.value.setup and len(server.requests) == asked
    assert ("to be asked again in" in str(caught.value)) == (asked == 1)


def test_a_dead_server_is_given_up_after_the_retries(tmp_path: Path) -> None:
    told: list[str] = []
    asking = client("http://127.0.0.1:1/v1", tmp_path, MAX_RETRY="2")
    asking.tell = told.append
    with pytest.raises(ProviderError, match=r"OPENAI_API_BASE=http://127.* 3 attempts") as caught:
        asking.ask("propose", QUESTION, Sum)
    assert not caught.value.setup and len(told) == 2


def test_a_reply_that_trickles_ends_with_the_patience(tmp_path: Path) -> None:
    slow = Reply("x" * 100, chunk=1, pause=0.2)
    with OpenAIServer([slow]) as server:
        began = time.monotonic()
        with pytest.raises(ReplyError, match="CHAT_TIMEOUT"):
            ask(server, tmp_path, CHAT_TIMEOUT="0.5")
        assert time.monotonic() - began < 5
        hurried = client(server, tmp_path)
        hurried.seconds_left = lambda: 0.5
        with pytest.raises(ProviderError):
            hurried.ask("propose", QUESTION, Sum)
        assert time.monotonic() - began < 8
    assert read_account(tmp_path).total.output > 0


@pytest.mark.parametrize("reply", [Reply(GOOD, delay=30), Reply(GOOD, keep_alive=0.1)])
def test_no_question_outlasts_the_run(reply: Reply, tmp_path: Path) -> None:
    with OpenAIServer([reply]) as server:
        asking = make_llm(provider(server), tmp_path, seconds_left=lambda: 0.5)
        began = time.monotonic()
        with pytest.raises(ProviderError) as caught:
            asking.ask("propose", QUESTION, Sum)
        assert time.monotonic() - began < 5 and not caught.value.setup


@pytest.mark.parametrize(
    ("unfit", "words"),
    [
        ("", "empty"),
        ("I'm sorry, I can't help with that.", "refuses"),
        (Reply(refusal="I cannot help with that"), "empty"),
        ("the answer is four", "JSON"),
        ('{"answer": "many"}', "answer must be"),
        (Reply(GOOD[:4], reasoning="hmm", finish="content_filter"), "answer"),
        (Reply("x" * 2_100_000, chunk=50_000), "too long"),
        (Reply("", reasoning="hm" * 50, finish="length"), "think less"),
        ("<think>It is {\"answer\": 4}, or", "empty"),
    ],
    ids=["empty", "sorry", "refusal", "prose", "type", "filter", "2 MB", "thoughts", "unclosed"],
)  # fmt: skip
def test_a_reply_that_does_not_fit_is_asked_again_with_the_reason(
    unfit: Answer, words: str, tmp_path: Path
) -> None:
    with OpenAIServer([unfit, GOOD]) as server:
        assert ask(server, tmp_path) == 4
    second = server.requests[1].body["messages"]
    assert second[:2] == QUESTION and [m["role"] for m in second[2:]] == ["assistant", "user"]
    assert words in second[3]["content"] and second[2]["content"]
    assert len(json.dumps(second)) < 10_000
    assert read_account(tmp_path).stages["propose"].corrections == 1


def test_a_correction_shows_the_last_reply_alone_and_bounded(tmp_path: Path) -> None:
    long = ["first " * 2_000, "second " * 2_000]
    script = Scripted({"propose": [*long, GOOD]})
    assert Client(script, Ledger(tmp_path)).ask("propose", QUESTION, Sum).answer == 4
    for call, bad in zip(script.calls[1:], long, strict=True):
        assert [m["role"] for m in call.messages[2:]] == ["assistant", "user"]
        quoted = call.messages[2]["content"]
        assert quoted.startswith(bad[:1000]) and quoted.endswith(bad[-1000:])
        assert len(quoted) < 3_100


def test_a_program_to_be_mended_is_shown_whole_within_reason(tmp_path: Path) -> None:
    program = "```python\nimport csv\n" + "x = 1  # a line\n" * 700 + "```"
    texts = {program: 12_000, program * 2: 12_100, "prose " * 2_000: 3_100}
    for n, (text, most) in enumerate(texts.items()):
        run = tmp_path / str(n)
        run.mkdir()
        script = Scripted({"write": [text, program]})
        verdicts = iter(["mend x", None])
        Client(script, Ledger(run)).ask(
            "write", QUESTION, Code, check=lambda c, v=verdicts: next(v)
        )
        quoted = script.calls[1].messages[2]["content"]
        assert len(quoted) <= most and (quoted == text) == (n == 0)
    cut = Completion(text=program, finish="length")  # to be written anew, not to be mended
    run = tmp_path / "cut"
    run.mkdir()
    script = Scripted({"write": [cut] * 5 + [program]})
    Client(script, Ledger(run)).ask("write", QUESTION, Code)
    assert len(script.calls[5].messages[2]["content"]) < 3_100


def test_three_replies_that_do_not_fit_fail_the_experiment(tmp_path: Path) -> None:
    with OpenAIServer(["junk"]) as server, pytest.raises(ReplyError, match="propose: none of 3"):
        ask(server, tmp_path)
    assert len(server.requests) == 3


def test_a_check_says_why_a_reply_is_no_use(tmp_path: Path) -> None:
    script = Scripted({"propose": ['{"answer": 5}', GOOD]})
    found = Client(script, Ledger(tmp_path)).ask(
        "propose", QUESTION, Sum, check=lambda s: None if s.answer == 4 else "it is not five"
    )
    assert found.answer == 4 and "it is not five" in script.calls[1].messages[-1]["content"]
    assert [call.n for call in script.calls] == [0, 1]


@pytest.mark.parametrize(
    "reply",
    [
        Reply(GOOD, reasoning="two and two"),
        Reply(f"<think>two and two</think>\n{GOOD}"),
        Reply(f"two and two</think>{GOOD}"),
    ],
)
def test_reasoning_is_no_part_of_the_answer_and_kept(reply: Reply, tmp_path: Path) -> None:
    with OpenAIServer([reply]) as server:
        assert ask(server, tmp_path) == 4
    assert lines(tmp_path)[-1]["reasoning"]["text"] == "two and two"


def test_a_tool_call_in_place_of_text_is_read(tmp_path: Path) -> None:
    with OpenAIServer([Reply(tool_call=GOOD, finish="tool_calls")]) as server:
        assert ask(server, tmp_path) == 4


def test_a_server_that_cannot_stream_is_asked_without(tmp_path: Path) -> None:
    with OpenAIServer([Reply(GOOD, streams=False)]) as server:
        asking = client(server, tmp_path)
        for _ in range(2):
            assert asking.ask("propose", QUESTION, Sum).answer == 4
    assert [r.body.get("stream", False) for r in server.requests] == [True, False, False]


def test_one_stream_that_broke_off_is_no_reason_to_do_without(tmp_path: Path) -> None:
    half = Reply('{"ans', cut="end")
    with OpenAIServer([half, GOOD, half, GOOD, half, half, GOOD]) as server:
        asking = client(server, tmp_path, **FREE)
        for _ in range(4):
            assert asking.ask("propose", QUESTION, Sum).answer == 4
    streamed = [r.body.get("stream", False) for r in server.requests]
    assert streamed == [True] * 6 + [False] * 2
    with OpenAIServer([Reply(cut="end"), GOOD]) as server:  # nothing came at all
        assert ask(server, tmp_path) == 4
    assert [r.body.get("stream", False) for r in server.requests] == [True, False]


def test_a_reply_that_is_cut_off_is_continued(tmp_path: Path) -> None:
    parts = [
        Reply("```python\nimport csv\nfor row in ro", finish="length"),
        Reply("```python\nfor row in rows:\n    print(row)", finish="length"),
        Reply("\n    total += row\n```"),
    ]
    with OpenAIServer(parts) as server:
        found = client(server, tmp_path).ask("write", QUESTION, Code)
    program = "import csv\nfor row in rows:\n    print(row)\n    total += row\n"
    assert found.code == f"```python\n{program}```"
    assert server.requests[2].body["messages"][2]["content"].endswith("print(row)")
    with OpenAIServer([Reply("more ", finish="length")]) as server:
        with pytest.raises(ReplyError, match="too long"):
            client(server, tmp_path).ask("write", QUESTION, Code)
        assert len(server.requests) == 15  # three replies, each continued four times


def test_a_cut_off_reply_is_not_continued_for_ever(tmp_path: Path) -> None:
    cut = Completion(text="x = 1\n" * 40_000, finish="length")
    script = Scripted({"write": [cut, "x = 1"]})
    assert Client(script, Ledger(tmp_path)).ask("write", QUESTION, Code).code == "x = 1"
    assert [call.kind for call in script.calls] == ["ask", "correct"]
    assert "answer shorter" in script.calls[1].messages[-1]["content"]


def test_joining_removes_what_both_parts_hold_and_nothing_else() -> None:
    assert join("a = 1\nmodel.fi", "model.fit(X)") == "a = 1\nmodel.fit(X)"
    assert join("x = [1, 1", "1, 2]") == "x = [1, 11, 2]"
    assert join("a\n", "\nb") == "a\n\nb"
    line = "total = sum(values) / len(values)\n"
    assert join(f"first\n{line}", f"{line}last") == f"first\n{line}last"


def test_a_schema_is_asked_for_where_the_model_takes_it_and_left_out_where_refused(
    tmp_path: Path,
) -> None:
    def no_schemas(body: dict[str, Any], n: int) -> Answer:
        unknown = {"message": "Unknown parameter: response_format"}
        return Reply(status=400, error=unknown) if "response_format" in body else GOOD

    with OpenAIServer([GOOD]) as server:
        ask(server, tmp_path, CHAT_MODEL="gpt-4o")
    wanted = server.requests[0].body["response_format"]["json_schema"]
    assert wanted["strict"] and wanted["schema"]["required"] == ["answer"]
    with OpenAIServer(no_schemas) as server:
        asking = client(server, tmp_path, CHAT_MODEL="gpt-4o")
        for _ in range(2):
            assert asking.ask("propose", QUESTION, Sum).answer == 4
    assert ["response_format" in r.body for r in server.requests] == [True, False, False]
    loose = {"type": "object", "properties": {"x": {"type": "object"}}}
    assert response_format("x", loose)["json_schema"] == {
        "name": "x", "schema": loose, "strict": False
    }  # fmt: skip


def test_a_prompt_that_cannot_be_answered_fails_alone(tmp_path: Path) -> None:
    long = {"message": "This model's maximum context length is 8192 tokens"}
    unsafe = {"message": "Your request was rejected as a result of our safety system"}
    odd = {"message": "bad character in the request"}
    for error, words in ((long, "too long"), (unsafe, "filters"), (odd, "bad character")):
        with OpenAIServer([GOOD, Reply(status=400, error=error)]) as server:
            asking = client(server, tmp_path)
            asking.ask("propose", QUESTION, Sum)
            with pytest.raises(ReplyError, match=words):
                asking.ask("propose", QUESTION, Sum)


def test_settings_reach_the_stage_they_are_meant_for(tmp_path: Path) -> None:
    stages = {
        "coding": {"model": "openai/coder", "max_tokens": "300"},
        "repair": {"temperature": 0.1},
        "propose": {"reasoning_effort": "high"},
    }
    settings = {
        "LITELLM_CHAT_MODEL_MAP": json.dumps(stages), "CHAT_TEMPERATURE": "0.7", "CHAT_SEED": "5",
    }  # fmt: skip
    with OpenAIServer([GOOD]) as server:
        asking = client(server, tmp_path, **settings)
        for name in ("propose", "write", "repair"):
            asking.ask(name, QUESTION, Sum)
    names = ("model", "temperature", "max_tokens", "reasoning_effort", "seed")
    assert [tuple(r.body.get(n) for n in names) for r in server.requests] == [
        ("bridge", 0.7, None, "high", 5),
        ("coder", 0.7, 300, None, 5),
        ("coder", 0.1, 300, None, 5),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{coding", "no JSON"),
        ("[1]", "must be an object"),
        ('{"embedding": {}}', "'embedding' is no stage"),
        ('{"coding": {"api_key": "hush-hush"}}', "api_key does not fit"),
        ('{"coding": "gpt-4o"}', "a stage does not fit"),
    ],
)
def test_a_map_that_does_not_fit_is_named_in_one_sentence(text: str, words: str) -> None:
    with pytest.raises(SetupError, match=words) as caught:
        provider("", LITELLM_CHAT_MODEL_MAP=text)
    assert "LITELLM_CHAT_MODEL_MAP" in str(caught.value) and "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("gpt-4o", "OPENAI_API_KEY"),
        ("anthropic/claude-sonnet-4-5", "ANTHROPIC_API_KEY"),
        ("gemini/gemini-2.5-pro", "GEMINI_API_KEY"),
        ("deepseek/deepseek-chat", "DEEPSEEK_API_KEY"),
        ("openrouter/a/b", "OPENROUTER_API_KEY"),
        ("azure/mine", "AZURE_API_KEY"),
        ("hosted_vllm/mine", "HOSTED_VLLM_API_BASE"),
        ("qwen-like", "openai/qwen-like"),
    ],
)
def test_a_missing_key_is_found_before_a_token_is_spent(model: str, words: str) -> None:
    for name in [n for n in os.environ if n.endswith(("_API_KEY", "_API_BASE"))]:
        del os.environ[name]
    settings = load_settings({}, {"CHAT_MODEL": model}, Path("none"))
    llm = make_provider(settings, dotenv=Path("none"))
    with pytest.raises(SetupError, match=words):
        llm.check()


def test_the_stable_first_message_is_marked_for_a_cache_that_wants_it(tmp_path: Path) -> None:
    with OpenAIServer([Reply(status=401)]) as server:
        os.environ["ANTHROPIC_API_BASE"] = server.url.removesuffix("/v1")
        os.environ["ANTHROPIC_API_KEY"] = KEY
        with pytest.raises(ProviderError, match="ANTHROPIC_API_KEY") as caught:
            ask(server, tmp_path, CHAT_MODEL="anthropic/claude-sonnet-4-5")
    assert caught.value.setup and server.requests[0].path == "/v1/messages"
    system = server.requests[0].body["system"]
    assert system[0]["cache_control"] == {"type": "ephemeral"}
    assert server.requests[0].body["max_tokens"] == 16_000


def test_a_server_of_ones_own_needs_no_key(tmp_path: Path) -> None:
    os.environ["OPENAI_API_KEY"] = ""
    with OpenAIServer([GOOD]) as server:
        provider(server).check()
        assert ask(server, tmp_path) == 4
        os.environ["HOSTED_VLLM_API_BASE"] = server.url
        provider(server, CHAT_MODEL="hosted_vllm/mine").check()
        assert ask(server, tmp_path, CHAT_MODEL="hosted_vllm/mine") == 4
        provider(server, CHAT_MODEL="ollama_chat/mine").check()
    assert len(server.requests) == 2


def test_keys_and_addresses_of_dotenv_count_where_the_environment_has_none(tmp_path: Path) -> None:
    with OpenAIServer([GOOD]) as server:
        text = f"OPENAI_API_BASE={server.url}\nOPENAI_API_KEY=from-dotenv-file\n"
        (tmp_path / ".env").write_text(f"{text}CHAT_MODEL=openai/bridge\n")
        for key, expected in (("", "from-dotenv-file"), (KEY, KEY)):
            os.environ["OPENAI_API_KEY"] = key
            settings = load_settings({}, dotenv=tmp_path / ".env")
            llm = make_provider(settings, dotenv=tmp_path / ".env")
            llm.check()
            Client(llm, Ledger(tmp_path)).ask("propose", QUESTION, Sum)
            assert server.requests[-1].headers["Authorization"] == f"Bearer {expected}"


def test_money_can_only_be_capped_where_a_price_is_known() -> None:
    with pytest.raises(SetupError, match=r"DS_PRICE_INPUT and DS_PRICE_OUTPUT .* --max-tokens"):
        provider("http://127.0.0.1:1").check(max_cost=True)
    provider("http://127.0.0.1:1", **FREE).check(max_cost=True)
    provider("http://127.0.0.1:1", CHAT_MODEL="gpt-4o").check(max_cost=True)
    with pytest.raises(SetupError, match="go together"):
        provider("http://127.0.0.1:1", DS_PRICE_INPUT="1")


def test_caps_stop_before_the_question_that_would_pass_them(tmp_path: Path) -> None:
    prices = {"DS_PRICE_INPUT": "10000", "DS_PRICE_OUTPUT": "10000"}  # a cent a token
    for name, caps, words in (
        ("tokens", {"max_tokens": 2000}, "--max-tokens 2000 is used up"),
        ("cost", {"max_cost": 20.0}, "--max-cost 20 is used up"),
    ):
        run = tmp_path / name
        run.mkdir()
        with OpenAIServer(
            [Reply(GOOD, usage={"prompt_tokens": 500, "completion_tokens": 400})]
        ) as s:
            asking = Client(provider(s, **prices), Ledger(run, **caps))  # type: ignore[arg-type]
            with pytest.raises(LimitError, match=words):
                for _ in range(9):
                    asking.ask("propose", QUESTION, Sum)
            assert len(s.requests) == 2 and asking.ledger.total.tokens == 1800
            assert words in str(asking.ledger.exhausted())
        assert Ledger(run).exhausted() is None  # the run goes on with more
        with pytest.raises(LimitError):  # and not with the same
            Client(provider(s, **prices), Ledger(run, **caps)).ask("propose", QUESTION, Sum)  # type: ignore[arg-type]


@pytest.mark.parametrize("cap", [{"max_tokens": 2500}, {"max_cost": 25.0}])
@pytest.mark.parametrize("cut", ["end", "reset"])
def test_caps_hold_between_the_attempts_of_one_question(
    cut: Any, cap: dict[str, Any], tmp_path: Path
) -> None:
    prices = {"DS_PRICE_INPUT": "10000", "DS_PRICE_OUTPUT": "10000"}  # a cent a token
    with OpenAIServer([Reply("word " * 800, cut=cut)]) as server:  # about 1,000 tokens each
        asking = Client(provider(server, **prices), Ledger(tmp_path, **cap))
        with pytest.raises(LimitError, match="is used up"):
            asking.ask("propose", QUESTION, Sum, experiment=1)
    assert len(server.requests) == 2  # of eleven
    account = read_account(tmp_path)
    assert 1_600 < account.spent(1).tokens < 2_100 and account.in_flight == Usage()
    assert "is used up" in lines(tmp_path)[-1]["error"]


def test_what_broke_off_is_counted_when_the_user_interrupts_a_wait(tmp_path: Path) -> None:
    def interrupt(text: str) -> None:
        raise KeyboardInterrupt

    with OpenAIServer([Reply("word " * 800, cut="reset")]) as server:
        asking = client(server, tmp_path)
        asking.tell = interrupt
        with pytest.raises(KeyboardInterrupt):
            asking.ask("propose", QUESTION, Sum)
    assert read_account(tmp_path).total.output > 900


def test_calls_in_flight_count(tmp_path: Path) -> None:
    asked, answer = threading.Event(), threading.Event()

    def slow(body: dict[str, Any], n: int) -> Answer:
        asked.set()
        answer.wait(20)
        return Reply(GOOD, usage={"prompt_tokens": 10, "completion_tokens": 10})

    with OpenAIServer(slow) as server:
        ledger = Ledger(tmp_path, max_tokens=1500)  # a first reply is taken for 1,000
        asking = Client(provider(server), ledger)
        first = threading.Thread(target=asking.ask, args=("propose", QUESTION, Sum))
        first.start()
        assert asked.wait(20)
        with pytest.raises(LimitError, match="0 tokens are spent"):
            asking.ask("propose", QUESTION, Sum)
        answer.set()
        first.join(20)
        assert ledger.total.tokens == 20 and ledger.account.in_flight == Usage()
        asking.ask("propose", QUESTION, Sum)
    assert len(server.requests) == 2 and ledger.total.tokens == 40


def test_several_threads_ask_at_once_and_each_call_is_counted(tmp_path: Path) -> None:
    with OpenAIServer([Reply(GOOD, delay=0.05)]) as server:
        asking = client(server, tmp_path)
        threads = [
            threading.Thread(
                target=asking.ask, args=("propose", QUESTION, Sum), kwargs={"experiment": i % 2}
            )
            for i in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    account = read_account(tmp_path)
    assert account.total.tokens == 8 * 110 and account.spent(1).tokens == 4 * 110
    starts = [line for line in lines(tmp_path) if line["type"] == "start"]
    assert sorted((s["experiment"], s["n"]) for s in starts) == [
        (e, n) for e in range(2) for n in range(4)
    ]


def test_what_went_in_is_counted_when_the_user_interrupts(tmp_path: Path) -> None:
    def interrupt(call: Call) -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Client(Scripted(interrupt), Ledger(tmp_path)).ask("propose", QUESTION, Sum)
    assert read_account(tmp_path).total.input > 0
    assert lines(tmp_path)[-1]["error"] == "KeyboardInterrupt"


def test_the_ledger_goes_on_after_a_kill(tmp_path: Path) -> None:
    script = Scripted({"propose": [GOOD] * 5})
    Client(script, Ledger(tmp_path)).ask("propose", QUESTION, Sum, experiment=1)
    Ledger(tmp_path).reserve(Call("propose", QUESTION, experiment=1), "m", lambda usage: 0.0)
    whole = (tmp_path / "llm.jsonl").read_bytes()
    (tmp_path / "llm.jsonl").write_bytes(whole + b'{"type": "end", "id": 2, "us')
    again = Ledger(tmp_path)
    assert (tmp_path / "llm.jsonl").read_bytes() == whole
    before = again.account.spent(1)
    assert again.account.experiments[1].calls == 2 and again.account.experiments[1].failed == 1
    Client(script, again).ask("propose", QUESTION, Sum, experiment=1)
    assert lines(tmp_path)[-1]["id"] == 3 and script.calls[-1].n == 2
    assert read_account(tmp_path).spent(1).tokens > before.tokens
    (tmp_path / "llm.jsonl").write_bytes(b"junk\n" + whole)
    with pytest.raises(SetupError, match="line 1"):
        Ledger(tmp_path)


def test_long_texts_are_kept_once(tmp_path: Path) -> None:
    long = [{"role": "system", "content": "word " * 200}, QUESTION[1]]
    asking = Client(Scripted({"propose": [GOOD] * 2}), Ledger(tmp_path))
    for _ in range(2):
        asking.ask("propose", long, Sum)
    kept = lines(tmp_path)[0]["messages"]
    assert [p.stem for p in (tmp_path / "texts").iterdir()] == [kept[0]["hash"]]
    assert kept[1]["text"] == "2 + 2?"


MASKED = f"{KEY[:10]}****{KEY[-4:]}"
ECHOES = [
    Reply(status=401, error={"message": f"Incorrect API key provided: {KEY}."}),
    Reply(status=401, error={"message": f"Incorrect API key provided: {MASKED}."}),
    Reply(status=400, error={"message": f"odd header: Bearer {KEY}"}),
    Reply(status=500, error={"message": f"cannot use {KEY} or sk-proj-4242abcd4242"}),
    Reply(f"your key is {KEY}", reasoning=f"the key {MASKED}"),
    Reply(f"{KEY} " * 300, cut="reset"),
]


@pytest.mark.parametrize("echo", ECHOES)
def test_keys_are_nowhere_to_be_found(
    echo: Reply, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    told: list[str] = []
    with OpenAIServer([echo]) as server:
        address = server.url.replace("://", "://user:hush-hush-42@")
        asking = client(address, tmp_path, MAX_RETRY="1", CHAT_TIMEOUT="5")
        asking.tell = told.append
        with pytest.raises(RDAgentError) as caught:
            asking.ask("propose", [*QUESTION[:1], {"role": "user", "content": KEY}], Sum)
    shown = "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value))
    cause: BaseException | None = caught.value
    while cause:
        shown += repr(cause) + str(cause)
        cause = cause.__cause__ or cause.__context__
    out = capfd.readouterr()
    shown += out.out + out.err + "".join(told)
    shown += "".join(p.read_text() for p in tmp_path.rglob("*") if p.is_file())
    for secret in (KEY, KEY[:10], KEY[-4:], "hush-hush", "4242abcd"):
        assert secret not in shown
    assert out.out + out.err == ""  # litellm's own words stay off the screen


def test_settings_in_the_run_folder_hold_no_secret() -> None:
    stages = '{"coding": {"model": "http://user:hush-hush-42@host/v1"}}'
    settings = load_settings({}, {"LITELLM_CHAT_MODEL_MAP": stages, "REASONING_EFFORT": KEY})
    assert "hush" not in str(settings.public()) and KEY not in str(settings.public())


@pytest.mark.timeout(10)
@pytest.mark.parametrize("word", ["a", "x", "sk-a", "*", "a*", "hf_", "think</", "```a"])
def test_hiding_takes_no_time_on_any_text(word: str) -> None:
    assert redact(word * (2_000_000 // len(word)))


def test_ordinary_words_are_not_hidden() -> None:
    text = "a task-specific risk-free ***bold*** for i in range(3): ... scikit-learn_2 x****y"
    assert redact(text) == text


QUIET = """
import os, sys
seen = []
def hook(event, args):
    if event in ("socket.connect", "socket.getaddrinfo"):
        seen.append(str(args))
sys.addaudithook(hook)
from pathlib import Path
from pydantic import BaseModel
from rdagent.settings import load_settings, make_provider
from rdagent.llm import Ledger
from rdagent.llm.client import Client
class Sum(BaseModel):
    answer: int
assert "litellm" not in sys.modules
llm = make_provider(load_settings())
if sys.argv[1:]:
    llm.warm()
    llm.check(max_cost=True)
    assert not seen, seen
found = Client(llm, Ledger(Path("."))).ask("propose", [{"role": "system", "content": "?"}], Sum)
assert found.answer == 4
port = os.environ["PORT"]
assert seen and all(port in s for s in seen), seen
"""


@pytest.mark.parametrize("words", [["check first"], []])
def test_loading_litellm_fetches_nothing_and_says_nothing(words: list[str], tmp_path: Path) -> None:
    with OpenAIServer([GOOD]) as server:
        settings = f"CHAT_MODEL=openai/gpt-4o-mini\nOPENAI_API_BASE={server.url}\n"
        (tmp_path / ".env").write_text(f"{settings}OPENAI_API_KEY={KEY}\n")
        kept = {k: v for k, v in os.environ.items() if not k.startswith("OPENAI")}
        done = subprocess.run(
            [sys.executable, "-c", QUIET, *words], cwd=tmp_path, capture_output=True, text=True,
            env={**kept, "PORT": server.url.split(":")[2][:-3]}, timeout=50, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_one_short_question_tells_what_a_model_costs() -> None:
    with OpenAIServer(["ok"]) as server:
        trial = try_model(provider(server, CHAT_MODEL="gpt-4o-mini"))
        assert (trial.usage.input, trial.usage.output) == (100, 10) and trial.usage.money
        assert server.requests[0].body["max_tokens"] <= 16 and trial.seconds < 30
    with OpenAIServer([Reply(status=500)]) as server:
        with pytest.raises(ProviderError, match="500"):
            try_model(provider(server))
        assert len(server.requests) == 1
