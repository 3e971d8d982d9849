"""Play a competition from scratch.

python -m rdagent.data_science --competition breast-cancer
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from rdagent import cli
from rdagent.errors import SetupError


def build_parser(command: str = "data_science") -> cli.Parser:
    """The flags; `finetune` has the same ones."""
    start = "from scratch" if command == "data_science" else "from the model in its prev_model/"
    parser = cli.Parser(
        f"python -m rdagent.{command}",
        f"Play a competition {start}; deliver the best in <run>/best.",
    )
    add = parser.add_argument
    add(
        "--competition",
        metavar="NAME",
        help="folder below DS_LOCAL_DATA_PATH (unset: the bundled examples)",
    )
    add(
        "--loop-n",
        type=int,
        metavar="N",
        help="rounds of the whole run, resumed or not (default: 5 without an LLM, "
        "with one until the time is used)",
    )
    add(
        "--timeout",
        metavar="DURATION",
        help="time of the whole run, such as 90m or 12h, delivery included (default: 12h)",
    )
    add(
        "--max-cost",
        type=float,
        metavar="DOLLARS",
        help="what the LLM may cost over the whole run (default: no limit)",
    )
    add(
        "--max-tokens",
        type=int,
        metavar="N",
        help="tokens, in and out, that the LLM may take over the whole run (default: no limit)",
    )
    add("--resume", metavar="RUN", help="go on with this run: its folder, or its name")
    add(
        "--env-type",
        metavar="TYPE",
        help="where programs run: local or subprocess (default: DS_CODER_COSTEER_ENV_TYPE, "
        "else local, isolated where bubblewrap works)",
    )
    add(
        "--hint",
        action="append",
        default=[],
        metavar="TEXT",
        help="advice for an LLM researcher; the playbook does not read it",
    )
    add("--seed", type=int, metavar="N", help="of the folds and of the programs (default: 0)")
    return parser


@cli.main
def main(argv: Sequence[str] | None = None) -> int:
    """Play; exit code 0 when something was delivered."""
    return play("data_science", argv)


def play(command: str, argv: Sequence[str] | None) -> int:
    """What both commands do: read flags and settings, play with a screen, say what came out."""
    flags = build_parser(command).parse_args(argv)
    timeout = cli.duration(flags.timeout) if flags.timeout else None
    if flags.loop_n is not None and flags.loop_n < 0:
        raise SetupError(f"--loop-n {flags.loop_n} does not fit: give 0 or more rounds")
    if flags.seed is not None and flags.seed < 0:
        raise SetupError(f"--seed {flags.seed} does not fit: give 0 or more")
    for name in ("max_cost", "max_tokens"):
        value = getattr(flags, name)
        if value is not None and not value > 0:
            raise SetupError(f"--{name.replace('_', '-')} {value} does not fit: give more than 0")
    from rdagent.screen import Screen  # rich and pandas load after the flags were read
    from rdagent.settings import load_settings, misspelt

    settings = load_settings({"env_type": flags.env_type})
    with Screen(command) as screen:
        for warning in misspelt():
            screen.warn(warning)
        screen.stage("loading")
        from rdagent.play import run

        try:
            journal, folder = run(
                flags.competition,
                command=command,
                loop_n=flags.loop_n,
                timeout=timeout,
                max_cost=flags.max_cost,
                max_tokens=flags.max_tokens,
                seed=flags.seed,
                hints=tuple(flags.hint),
                resume=Path(flags.resume) if flags.resume else None,
                settings=settings,
                observer=screen,
            )
        except KeyboardInterrupt:
            screen.stopped()
            return 130
        screen.summary(journal, folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
