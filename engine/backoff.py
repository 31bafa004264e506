"""How long to wait before the next try."""

from __future__ import annotations

import random
from typing import Final

FIRST_WAIT_S: Final = 0.2


def backoff_s(failures: int, longest_s: float) -> float:
    """Doubling from 0.2 s to `longest_s`, less up to half by chance, so that not all come back at once."""
    return min(longest_s, FIRST_WAIT_S * 2.0 ** min(failures, 20)) * random.uniform(0.5, 1.0)  # noqa: S311  # no secret
