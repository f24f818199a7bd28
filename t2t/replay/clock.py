"""The time by which deadlines, ages and rates are measured.

Whoever measures is given a clock and never asks the wall's: that one jumps when
somebody sets it, and a jump must break no deadline, give up no writer and make
nothing younger than new.
"""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]  # seconds since any moment; it never goes back

steady: Clock = time.monotonic
