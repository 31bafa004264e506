"""Whether anybody could give a command: outputs that nobody controls do not stay as they are."""

from __future__ import annotations

import logging
from collections.abc import Callable

log = logging.getLogger("skidlink.engine.outputs")


class ControlWatch:
    """For how long nobody has been in control."""

    def __init__(self, is_controlled: Callable[[], bool], safe_after_s: float | None, now: float) -> None:
        """`is_controlled` tells whether anybody could give a command now; `safe_after_s` None: it does not matter."""
        self._is_controlled = is_controlled
        self._safe_after_s = safe_after_s
        self._since = now
        self._lost = False

    @property
    def is_lost(self) -> bool:
        """Whether control is lost; it is back as soon as somebody could give a command."""
        return self._lost and not self._is_controlled()

    def loses(self, now: float) -> bool:
        """Whether control is lost from this moment on."""
        if self._safe_after_s is None:
            return False
        if self._is_controlled():
            self._since = now
            if self._lost:
                self._lost = False
                log.warning("an aggregator is connected again; outputs stay safe until somebody asks for them")
        elif not self._lost and now - self._since >= self._safe_after_s:
            self._lost = True
            log.error("no aggregator has been connected for %g s: outputs go to their safe values", self._safe_after_s)
            return True
        return False
