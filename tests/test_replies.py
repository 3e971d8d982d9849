"""What models really answer, and what is made of it: a typed reply, or a sentence they can use."""

from __future__ import annotations

import json
import time
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from rdagent.llm.replies import CodeReply, Patch, apply, read, strip_reasoning


class Ratings(BaseModel):
    risk: int = Field(ge=0, le=10)
    impact: int = Field(ge=0, le=10)


class Idea(BaseModel):
    model_config = ConfigDict(extra="ignore")

    statement: str
    component: Literal["Model", "FeatureEng", "DataLoadSpec"]
    ratings: Ratings
    traps: tuple[str, ...] = ()
    bold: bool = False


GOOD = {
    "statement": 'it\'s a {brace} and "quotes"',
    "component": "Model",
    "ratings": {"risk": 1, "impact": 2},
    "traps": ["a", "b"],
    "bold": True,
}
JSON = json.dumps(GOOD, indent=1)
PROGRAM = '''"""Learn."""
import pandas as pd

FENCE = """
```json
{"a": 1}
```
"""
train = pd.read_csv("workspace_input/train.csv")
train.to_csv("submission.csv", index=False)
'''
SOURCE = """import pandas as pd


def features(table):
    table = table.copy()
    for name in ("a", "b"):
        table[name] = table[name].fillna(0)
    return table


def main():
    train = pd.read_csv("train.csv")
    for name in ("a", "b"):
        print(name)
    train.to_csv("submission.csv")
"""


@pytest.mark.parametrize(
    "text",
    [
        JSON,
        f"Sure, here {{it}} is:\n```json\n{JSON}\n```\nI hope the set {{1, 2}} helps!",
        f"~~~\n{JSON}\n~~~",
        f"```\n{JSON}",
        repr(GOOD),
        f"My answer: {GOOD!r}.",
        JSON.replace("true", "True"),
        JSON[:-1],
        JSON.replace('"Model"', '"model"'),
        JSON.replace('"risk": 1', '"Risk": "1/10"'),
        JSON.replace("\n", "\r\n"),
        JSON.replace('"traps": [', '"traps": [,').replace("[,", "["),
        JSON.replace("true\n}", "true,\n}"),
        f"[{JSON}]",
        json.dumps({"idea": GOOD}),
        json.dumps({"name": "answer", "arguments": GOOD}),
        json.dumps({"name": "answer", "arguments": JSON}),
        json.dumps([{"type": "function", "function": {"name": "x", "arguments": JSON}}]),
        f"<tool_call>\n{json.dumps({'name': 'answer', 'arguments': GOOD})}\n</tool_call>",
        f'First {{"statement": "a draft"}} and then\n{JSON}',
        "\ufeff" + JSON,
        json.dumps(GOOD).replace("brace} and", "brace} \n and").replace(" \n and", " and"),
    ],
)
def test_an_answer_is_read_however_it_is_dressed(text: str) -> None:
    assert read(text, Idea).model_dump() == {**GOOD, "traps": ("a", "b")}


def test_small_slips_are_set_right() -> None:
    given = {"Statement": ["one", "two"], "component": "feature eng", "traps": "only one",
             "ratings": {"Risk": "8 (high)", "impact": "3"}, "bold": None}  # fmt: skip
    idea = read(json.dumps(given), Idea)
    assert idea.statement == "one; two"
    assert idea.component == "FeatureEng"
    assert idea.traps == ("only one",)
    assert idea.ratings == Ratings(risk=8, impact=3)
    assert idea.bold is False


def test_a_line_break_inside_a_text_is_kept() -> None:
    text = '{"statement": "two\nlines", "component": "Model", "ratings": {"risk": 1, "impact": 1}}'
    assert read(text, Idea).statement == "two\nlines"


def test_wrong_fields_are_named_in_words_up_to_five() -> None:
    text = '{"statement": "s", "component": "Modell", "ratings": {"risk": 99}}'
    with pytest.raises(ValueError) as error:
        read(text, Idea)
    assert str(error.value) == (
        "component must be 'Model', 'FeatureEng' or 'DataLoadSpec', not 'Modell'; "
        "ratings.risk must be less than or equal to 10, not 99; ratings.impact is missing"
    )

    class Seven(BaseModel):
        a: int
        b: int
        c: int
        d: int
        e: int
        f: int
        g: int

    with pytest.raises(ValueError, match=r"^a must be .*; c is missing; .* and 2 more$"):
        read('{"a": "many", "b": 1}'.replace('"b": 1', '"b": "x"'), Seven)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        (" \n\t", "empty"),
        ("I'm sorry, but I cannot help with that.", "refuses.*statement, component"),
        ("Unfortunately, I am unable to do this", "refuses"),
        ("I think we should use gradient boosting.", "no JSON object.*statement, component"),
        ("{{{{]]]]", "no JSON object"),
        ("[1, 2, 3]", "no JSON object"),
        ("null", "no JSON object"),
        ('"statement"', "no JSON object"),
        ("{" * 5000, "no JSON object"),
        ("[" * 100_000, "no JSON object"),
    ],
)
def test_what_is_no_answer_says_what_is_wanted(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read(text, Idea)


@pytest.mark.parametrize(
    ("text", "answer", "reasoning"),
    [
        ("<think>\nhm\n</think>\n\nyes", "yes", "hm"),
        ("<thinking>hm</thinking>yes", "yes", "hm"),
        ("hm, so\n</think>\n\nyes", "yes", "hm, so"),
        ("<think>\nnever ends", "", "never ends"),
        ("<think></think>yes", "yes", ""),
        ("<think>\n```python\nx\n```\n</think>\n```python\ny\n```", "```python\ny\n```",
         "```python\nx\n```"),
        ("<think>a</think>\n<think>b</think>yes", "yes", "a\nb"),
        ("[THINK]hm[/THINK]yes", "yes", "hm"),
        ("<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>yes",
         "yes", "hm"),
        ("just yes", "just yes", ""),
        ('```python\nx = t.split("</think>")\n```', '```python\nx = t.split("</think>")\n```', ""),
        ('```python\nx = """\n<think>\n"""\n```', '```python\nx = """\n<think>\n"""\n```', ""),
    ],
)  # fmt: skip
def test_reasoning_is_taken_off(text: str, answer: str, reasoning: str) -> None:
    assert strip_reasoning(text) == (answer, reasoning)


@pytest.mark.parametrize(
    "text",
    [
        f"I use pandas.\n\n```python\n{PROGRAM}```\nGood luck!",
        f"I use pandas.\n```py\n{PROGRAM}\n```",
        f"I use pandas.\n```Python3 main.py\n{PROGRAM}```",
        f"I use pandas.\n```\n{PROGRAM}```",
        f"I use pandas.\n~~~python\n{PROGRAM}~~~",
        f"I use pandas.\n````python\n{PROGRAM}````",
        f"I use pandas.\n```python\n{PROGRAM}",
        f"I use pandas.\n```bash\npip install x\n```\n```python\n{PROGRAM}```",
        f"I use pandas.\n```python\nx = 1\n```\nand\n```python\n{PROGRAM}```",
        f"I use pandas.\n```python\n{PROGRAM}```\nRun it:\n```bash\npython main.py\n```\n"
        f"```python\nprint('submission.csv')\n{'# longer' * 100}\n```",
        f"I use pandas.\n```python\n{PROGRAM}```\n".replace("\n", "\r\n"),
        PROGRAM,
        json.dumps({"code": PROGRAM}),
        f"```json\n{json.dumps({'note': 'x', 'code': PROGRAM}, indent=1)}\n```",
        f"```python\n{json.dumps({'code': PROGRAM})}\n```",
        json.dumps({"code": f"```python\n{PROGRAM}```"}),
        json.dumps({"name": "write", "arguments": {"path": "main.py", "content": PROGRAM}}),
        json.dumps({"name": "write", "arguments": json.dumps({"main.py": PROGRAM})}),
        json.dumps({"files": {"main.py": PROGRAM}}),
        "1. The program\n   ```python\n" + "".join(f"   {x}\n" for x in PROGRAM.split("\n"))
        + "   ```\n",
    ],
)  # fmt: skip
def test_a_program_is_found_however_it_is_dressed(text: str) -> None:
    reply = read(text, CodeReply)
    assert reply.code is not None
    assert reply.code.strip() == PROGRAM.strip()
    assert reply.patches == ()
    assert reply.note in ("I use pandas.", "1. The program", "") or "pip install" in reply.note \
        or "x = 1" in reply.note  # fmt: skip


def test_bare_code_between_prose() -> None:
    bare = 'import pandas as pd\n\npd.DataFrame().to_csv("submission.csv")\n'
    reply = read(f"Here is the program:\n\n{bare}\nThis writes the file, as you asked.", CodeReply)
    assert reply.code == bare


def test_a_program_that_does_not_parse_is_still_a_program() -> None:
    text = "```python\nimport os\nprint('submission.csv'\n```\nThe end.\n```bash\nls\n```"
    assert read(text, CodeReply).code == "import os\nprint('submission.csv'\n"


@pytest.mark.parametrize(
    "line",
    [
        "# rest unchanged",
        "# ... rest of the code remains the same",
        "# The rest of the code is unchanged",
        "# (remaining code as before)",
        "    # ... existing code ...",
        "# ...",
        "...",
        "# [rest of the program]",
        "# your code here",
        "# --- rest of the pipeline goes here ---",
        "# Existing code",
    ],
)
def test_a_program_with_parts_left_out_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"leaves code out.*give the whole program"):
        read(f"```python\nimport os\n{line}\nopen('submission.csv')\n```", CodeReply)


@pytest.mark.parametrize(
    "line",
    [
        "# fill the rest of the columns with zero",
        "# the same as above, but for the test rows",
        "# remaining columns are numbers",
        "# read code tables",
        "class A(Protocol):\n    def f(self): ...\n    def g(self):\n        ...",
        "x[..., 0] = 1  # the rest stays",
        "# keep the id column unchanged",
        "# existing missing values are kept",
    ],
)
def test_an_ordinary_comment_is_no_gap(line: str) -> None:
    code = f"import os\n{line}\nopen('submission.csv')\n"
    assert read(f"```python\n{code}```", CodeReply).code == code


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("I'm sorry, I can't help with that.", "refuses"),
        ("No", "no program"),
        ("We should use boosting and import more data.", "no program"),
        ("```python\nlearning_rate = 0.1\n```", "fragment"),
        ("```json\n{}\n```", "no program"),
        (f"```python\nimport os\nx = '{'a' * 300_000}'\n```", "make it shorter"),
        ('{"name": "write", "arguments": {"path": "main.py"}}', "no program"),
    ],
)
def test_what_holds_no_program_says_so(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read(text, CodeReply)


def block(search: str, replace: str) -> str:
    return f"<<<<<<< SEARCH\n{search}\n=======\n{replace}\n>>>>>>> REPLACE\n"


def patched(text: str, source: str = SOURCE) -> str:
    reply = read(text, CodeReply)
    assert reply.code is None
    return apply(reply.patches, source)


ONE = block("    return table", "    table['c'] = 1\n    return table")


@pytest.mark.parametrize(
    "text",
    [
        ONE,
        f"I add c.\n\n```python\n{ONE}```\n",
        f"```\nmain.py\n{ONE}```",
        ONE.replace("\n", "\r\n"),
        ONE.replace("\n", "   \n"),
        block("return table", "table['c'] = 1\nreturn table"),
        block("        return table", "        table['c'] = 1\n        return table"),
        block(
            "```python\n    return table\n```",
            "```python\n    table['c'] = 1\n    return table\n```",
        ),
        block("\n    return table\n", "    table['c'] = 1\n    return table"),
        ONE.replace("<<<<<<< SEARCH", "------- SEARCH").replace(
            ">>>>>>> REPLACE", "+++++++ REPLACE"
        ),
        json.dumps({"note": "", "patches": ONE}),
    ],
)
def test_a_patch_fits_however_it_is_dressed(text: str) -> None:
    wanted = SOURCE.replace("    return table", "    table['c'] = 1\n    return table")
    assert patched(text) == wanted
    assert patched(text, SOURCE.replace("\n", "\r\n")) == wanted
    assert patched(text, SOURCE.replace("return table", "return table  ")) == wanted


def test_patches_apply_in_order_and_keep_what_is_between() -> None:
    old = 'def run():\n    train = pd.read_csv("train.csv")'
    text = "Two changes.\n" + block("def main():", "def run():")
    text += "and\n" + block(old, "def run():\n    train = load()")
    reply = read(text, CodeReply)
    assert reply.note == "Two changes."
    assert apply(reply.patches, SOURCE) == SOURCE.replace("def main", "def run").replace(
        'pd.read_csv("train.csv")', "load()"
    )


def test_a_patch_may_delete_and_may_name_part_of_a_line() -> None:
    assert patched(block("        print(name)", "")) == SOURCE.replace("        print(name)\n", "")
    part = block('read_csv("train.csv")', 'read_csv("train.csv", nrows=9)')
    assert 'train = pd.read_csv("train.csv", nrows=9)\n' in patched(part)


def test_tabs_stay_tabs() -> None:
    source = "def f():\n\tx = 1\n\treturn x\n"
    text = block("    x = 1", "    if True:\n        x = 2")
    assert patched(text, source) == "def f():\n\tif True:\n\t\tx = 2\n\treturn x\n"


def test_a_patch_that_does_not_fit_shows_the_lines_that_are_there() -> None:
    text = block("    for name in ('a', 'b'):\n        table[name] = 0", "    pass")
    with pytest.raises(ValueError) as error:
        patched(text)
    assert "is not in the program" in str(error.value)
    assert 'for name in ("a", "b"):' in str(error.value)
    with pytest.raises(ValueError, match=r"^block 2: its SEARCH fits 2 places \(lines 6, 14\)"):
        patched(ONE + block('    for name in ("a", "b"):', "    pass"))
    with pytest.raises(ValueError, match="give the whole program"):
        patched(block("quite_another = thing(42)", "x"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (block("", "x = 1"), "block 1 has an empty SEARCH"),
        (ONE + block(" \n", "x"), "block 2 has an empty SEARCH"),
        ("<<<<<<< SEARCH\nx\n>>>>>>> REPLACE\n", "block 1 has no ======="),
        ("<<<<<<< SEARCH\nx\n=======\ny\n", "block 1 does not end"),
        ("<<<<<<< SEARCH\nx\n=======\ny\n" + ONE, "block 1 does not end"),
        (ONE + block("x", "# ... rest unchanged"), "block 2 leaves code out"),
        (block("def main():\n...\n", "x"), "repeat the lines as they stand"),
        (ONE * 60, "more than 50"),
    ],
)
def test_broken_blocks_are_refused_by_number(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read(text, CodeReply)


PIECES = [
    "```", "```python\n", "~~~", "\n", "{", "}", "[", "]", '"', "'", ":", ",", "\\", "<think>",
    "</think>", "<<<<<<< SEARCH\n", "\n=======\n", "\n>>>>>>> REPLACE\n", "import os\n", "...",
    "# rest", "(", '"""', "\x00", "\ud800", "\r\n", "\t", "statement", "1", "é", "<|channel|>",
    '{"code": "', "submission.csv", "x = 1\n", "lambda:", "-" * 9, " ", "True", "\\u0000", "1e999",
]  # fmt: skip
GARBAGE = st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=60).map("".join)


@settings(max_examples=400, deadline=2000)
@given(GARBAGE)
def test_garbage_is_refused_with_a_sentence(text: str) -> None:
    answer, reasoning = strip_reasoning(text)
    assert len(answer) + len(reasoning) <= len(text) + text.count("<")
    for reply in (Idea, CodeReply):
        try:
            value = read(text, reply)
        except ValueError as error:
            assert 0 < len(str(error)) < 1500
        else:
            assert isinstance(value, reply)


@settings(max_examples=200, deadline=2000)
@given(st.lists(st.sampled_from(["a", " a", "b  ", "", "\tb", "c = 1", "```"]), max_size=12),
       st.text(max_size=20), st.text(max_size=20))  # fmt: skip
def test_any_patch_on_any_source_fits_or_says_why(lines: list[str], old: str, new: str) -> None:
    source = "\n".join(lines)
    for search in (old, *lines):
        try:
            apply((Patch(search=search, replace=new),), source)
        except ValueError as error:
            assert "SEARCH" in str(error)


@pytest.mark.parametrize(
    "piece",
    ["a ", "~~~", "~~~`", " ~~~ ", "```\n", "```py\n(\n```\n", "{'", "{[}]", '{"code":', '"',
     "\\", " ", "\n", "# ... ", "import os\n(", "<think>\n</think>\n", "<|channel|>a",
     "<<<<<<< SEARCH\n"],
)  # fmt: skip
def test_two_megabytes_are_answered_in_seconds(piece: str) -> None:
    text = piece * (2_000_000 // len(piece))
    begun = time.monotonic()
    strip_reasoning(text)
    for reply in (Idea, CodeReply):
        with pytest.raises(ValueError):
            read(text, reply)
    assert time.monotonic() - begun < 8
