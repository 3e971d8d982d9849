"""What every test may count on."""

from __future__ import annotations

import signal

# A shell that starts the tests in the background has SIGINT ignored, and every process that a
# test starts would inherit that: Ctrl-C has to work in both.
signal.signal(signal.SIGINT, signal.default_int_handler)
