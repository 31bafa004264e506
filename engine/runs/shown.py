"""What the engine's own tags, and the buttons of the web page, show of a run."""

from __future__ import annotations

from collections.abc import Callable

from engine.core.core import Core
from engine.runs.state import RunState
from engine.system import set_run_clocks, set_state
from protocol.engine_messages import ControlStateMsg, EngineMessage


class ShownState:
    """Shows the state and the clocks of a run; the buttons are told when they change."""

    def __init__(self, state: RunState, core: Callable[[], Core], send: Callable[[EngineMessage], None]) -> None:
        self._state = state
        self._core = core
        self._send = send
        self._told = state.switches

    def show(self, run_id: str | None) -> None:
        """Show the state as it is now."""
        set_state(self._core(), self._state.word, run_id)
        self.show_clocks()
        if (switches := self._state.switches) != self._told:
            self._told = switches
            self._send(ControlStateMsg(control_state=switches))

    def show_clocks(self) -> None:
        """Show what the clocks have come to."""
        clocks = self._state.clocks
        set_run_clocks(self._core(), clocks.run, clocks.process, clocks.block)
