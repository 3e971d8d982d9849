"""Settings come from flags, environment and .env, in that order, under documented names."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rdagent.errors import SetupError
from rdagent.settings import Settings, load_settings, misspelt

ROOT = Path(__file__).parent.parent


def test_flags_beat_environment_beats_dotenv(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("DS_DEBUG_TIMEOUT=1\nDS_FULL_TIMEOUT=2\nLOG_TRACE_PATH=from-dotenv\n")
    environment = {"DS_FULL_TIMEOUT": "20", "LOG_TRACE_PATH": "from-environment"}
    settings = load_settings({"trace_path": "from-flag"}, environment, dotenv)
    assert settings.debug_timeout == 1
    assert settings.full_timeout == 20
    assert settings.trace_path == Path("from-flag")


def test_defaults_hold_where_nothing_or_an_empty_value_is_given(tmp_path: Path) -> None:
    settings = load_settings({}, {"DS_FULL_TIMEOUT": "", "DS_PYTHON": ""}, tmp_path / "none")
    assert settings == Settings()
    assert (settings.debug_timeout, settings.full_timeout) == (3600, 10800)


def test_unprefixed_shell_variables_change_nothing(tmp_path: Path) -> None:
    shell = {"FULL_TIMEOUT": "1", "IMAGE": "x", "PYTHON": "/nowhere", "TIMEOUT": "1", "SEED": "7"}
    assert load_settings({}, shell, tmp_path / "none") == Settings()


def test_a_misspelt_name_gets_the_nearest_right_one(tmp_path: Path) -> None:
    environment = {"DS_FULL_TIMOUT": "1", "DS_SOMETHING_ELSE_ENTIRELY": "1", "DS_PYTHON": "x"}
    warnings = misspelt(environment, tmp_path / "none")
    assert warnings == [
        "DS_FULL_TIMOUT is not a setting of this version: did you mean DS_FULL_TIMEOUT?",
        "DS_SOMETHING_ELSE_ENTIRELY is not a setting of this version: it changes nothing",
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [("DS_FULL_TIMEOUT", "soon"), ("DS_DEBUG_TIMEOUT", "-1"), ("DS_CODER_COSTEER_ENV_TYPE", "x")],
)
def test_a_value_that_does_not_fit_names_its_variable(
    name: str, value: str, tmp_path: Path
) -> None:
    with pytest.raises(SetupError, match=name):
        load_settings({}, {name: value}, tmp_path / "none")


def test_a_runner_of_a_later_version_says_so(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="docker is not in this version"):
        load_settings({"env_type": "docker"}, {}, tmp_path / "none")


@pytest.mark.parametrize("command", ["data_science", "finetune"])
def test_limits_hold_in_both_commands_also_under_dotenv_run(command: str, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DS_FULL_TIMEOUT=0.2\nLOG_TRACE_PATH=here\n")
    dotenv = Path(sys.executable).parent / "dotenv"
    words = [dotenv, "run", "--", sys.executable, "-m", f"rdagent.{command}"]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DS_", "LOG_"))}
    done = subprocess.run(
        [*words, "--competition", "digits-finetune", "--loop-n", "0"],
        cwd=tmp_path, capture_output=True, text=True, env=kept, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and "ran longer than its 0" in done.stderr
    assert len(list((tmp_path / "here").iterdir())) == 1


def test_the_example_file_documents_every_setting_with_its_default() -> None:
    text = (ROOT / ".env.example").read_text()
    documented = dict(re.findall(r"^([A-Z_]+)=(.*)$", text, flags=re.MULTILINE))
    assert set(documented) == {f.alias for f in Settings.model_fields.values()}
    for field in Settings.model_fields.values():
        default = "" if field.default is None else str(field.default)
        assert documented[str(field.alias)] == default, field.alias
    assert load_settings({}, {}, ROOT / ".env.example") == Settings()
