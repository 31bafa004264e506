"""Time that passes when a test says so, as `engine.elapsed` counts it."""

from __future__ import annotations

import pytest

from engine import elapsed


class Passing:
    """A computer that is on: how long, and since which boot."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self._boot = 1000.0, 1
        monkeypatch.setattr(elapsed, "since_boot_s", lambda: self.now)
        monkeypatch.setattr(elapsed, "boot_id", lambda: f"boot {self._boot}")

    def reboot(self) -> None:
        """Switch it off, and on again at an unknown time."""
        self.now, self._boot = 10.0, self._boot + 1
