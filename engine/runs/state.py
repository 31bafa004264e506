"""What a run can be told, and what its clocks count: the states of Open Pectus, with no input or output.

Pause and Hold are two switches. A paused run has its outputs safe, a held one keeps them; with both on, the run shows
as paused, and is held when it is unpaused (openpectus 0.1.1585, engine/internal_commands_impl.py).

| clock | counts |
| --- | --- |
| Run Time | while there is a run |
| Process Time | while it is running, neither paused nor held |
| Block Time | while it is not paused; without blocks the run itself is the block |
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from protocol.models import ControlState, SystemStateEnum


class ControlWord(StrEnum):
    """What users can tell a run."""

    START = "Start"
    STOP = "Stop"
    PAUSE = "Pause"
    UNPAUSE = "Unpause"
    HOLD = "Hold"
    UNHOLD = "Unhold"
    RESTART = "Restart"


class RefusedError(Exception):
    """A word that makes no sense in this state; the message says why, and what would."""


@dataclass(slots=True)
class Clocks:
    """What the clocks of a run have come to, in seconds."""

    run: float = 0.0
    process: float = 0.0
    block: float = 0.0


@dataclass(slots=True)
class RunState:
    """The switches and the clocks; each call says what time it is, in monotonic seconds."""

    active: bool = False
    held: bool = False
    paused: bool = False
    restarting: bool = False
    """Between the end of one run and the start of the next."""
    clocks: Clocks = field(default_factory=Clocks)
    _counted: float = 0.0

    @property
    def word(self) -> SystemStateEnum:
        """The state in one word."""
        if self.restarting:
            return SystemStateEnum.Restarting
        if not self.active:
            return SystemStateEnum.Stopped
        if self.paused:
            return SystemStateEnum.Paused
        return SystemStateEnum.Holding if self.held else SystemStateEnum.Running

    @property
    def switches(self) -> ControlState:
        """Which of the control buttons are down."""
        return ControlState(is_running=self.active, is_holding=self.held, is_paused=self.paused)

    def tell(self, word: ControlWord, now: float) -> None:
        """Change the state. Raises `RefusedError`."""
        if why := self._refusal(word):
            raise RefusedError(why)
        self.count(now)
        match word:
            case ControlWord.START:
                self.begin(now)
            case ControlWord.STOP:
                self.end()
            case ControlWord.RESTART:
                self.end()
                self.restarting = True
            case ControlWord.PAUSE:
                self.paused = True
            case ControlWord.UNPAUSE:
                self.paused = False
            case ControlWord.HOLD:
                self.held = True
            case ControlWord.UNHOLD:
                self.held = False

    def begin(self, now: float) -> None:
        """A run begins, all clocks at zero."""
        self.active, self.restarting = True, False
        self.clocks = Clocks()
        self._counted = now

    def take_up(self, clocks: Clocks, now: float) -> None:
        """A run of an earlier life goes on, held."""
        self.active = self.held = True
        self.clocks = clocks
        self._counted = now

    def end(self) -> None:
        """The run is over; the clocks keep what it has come to."""
        self.active = self.held = self.paused = self.restarting = False

    def count(self, now: float) -> None:
        """Let the clocks count up to now."""
        passed, self._counted = max(0.0, now - self._counted), now
        if not self.active:
            return
        self.clocks.run += passed
        if not self.paused:
            self.clocks.block += passed
            if not self.held:
                self.clocks.process += passed

    def _refusal(self, word: ControlWord) -> str:
        """Why a word makes no sense now; "" when it does."""
        match word:
            case _ if self.restarting:
                return f"the run is being restarted; try {word} again in a moment"
            case ControlWord.START:
                return "a run is active already; stop it first" if self.active else ""
            case _ if not self.active:
                return f"no run is active; {word} needs one, and Start begins it"
            case ControlWord.PAUSE if self.paused:
                return "the run is paused already; Unpause lets it go on"
            case ControlWord.UNPAUSE if not self.paused:
                return "the run is not paused"
            case ControlWord.HOLD if self.held:
                return "the run is held already; Unhold lets it go on"
            case ControlWord.UNHOLD if not self.held:
                return "the run is not held"
            case _:
                return ""
