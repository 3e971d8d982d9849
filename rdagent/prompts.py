"""Prompt files: `render("propose", ...)` fills `prompts/propose.md`.

One Markdown file with Jinja fields a question; `DS_PROMPTS` names a folder whose files replace
single ones.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rdagent.errors import SetupError

if TYPE_CHECKING:
    import jinja2


class Prompts:
    """The prompt files, those of `override` before our own."""

    def __init__(self, override: Path | None = None) -> None:
        """Raises SetupError when `override` holds what is no prompt, or no template."""
        self.override = override
        self._jinja = _environment(override)
        for path in sorted(override.glob("*.md")) if override else ():
            if path.name not in names():
                raise SetupError(
                    f"DS_PROMPTS: {path.name} is no prompt; there are {', '.join(names())}"
                )
            self._template(path.stem)
        if override and not override.is_dir():
            raise SetupError(f"DS_PROMPTS={override} is no folder: correct or unset it")

    def render(self, name: str, **values: Any) -> str:
        """The text of `prompts/<name>.md`; SetupError where an own prompt asks for what
        there is not."""
        import jinja2

        try:
            return self._template(name).render(**values).strip()
        except jinja2.TemplateError as error:
            if self.override and (self.override / f"{name}.md").exists():
                raise SetupError(f"DS_PROMPTS: {name}.md: {error.message}") from error
            raise

    def _template(self, name: str) -> jinja2.Template:
        import jinja2

        try:
            return self._jinja.get_template(f"{name}.md")
        except jinja2.TemplateSyntaxError as error:
            where = f"{error.name} line {error.lineno}"
            raise SetupError(f"DS_PROMPTS: {where}: {error.message}") from error


def render(name: str, **values: Any) -> str:
    """The text of our own `prompts/<name>.md`."""
    return _own().render(name, **values)


def folder() -> Path:
    """Where our own prompt files lie: in the repository, or in the package that was installed."""
    installed = Path(__file__).parent / "prompt_files"
    return installed if installed.is_dir() else Path(__file__).parent.parent / "prompts"


@cache
def names() -> tuple[str, ...]:
    """File names of all prompts."""
    return tuple(sorted(p.name for p in folder().glob("*.md")))


@cache
def _own() -> Prompts:
    return Prompts()


def _environment(override: Path | None) -> jinja2.Environment:
    import jinja2
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    folders = [str(p) for p in (override, folder()) if p]
    # Sandboxed: a prompt folder from somewhere else must not be able to run code here.
    return ImmutableSandboxedEnvironment(
        loader=jinja2.FileSystemLoader(folders),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )
