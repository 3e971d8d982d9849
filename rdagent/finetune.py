"""Play a competition starting from a model that is there: `prev_model/` beside the data.

python -m rdagent.finetune --competition digits-finetune
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rdagent import cli
from rdagent.data_science import play


@cli.main
def main(argv: Sequence[str] | None = None) -> int:
    """The same loop as `data_science`, on a competition that has a `prev_model/`."""
    return play("finetune", argv)


if __name__ == "__main__":
    sys.exit(main())
