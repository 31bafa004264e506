"""The method of a run, as far as it is followed: its lines are carried out as if a user had given them."""

from __future__ import annotations

from collections.abc import Callable

from engine.runs.instructions import InstructionSource, MethodFailedError
from engine.runs.state import RunState
from protocol.engine_messages import EngineMessage, MethodStateMsg
from protocol.messages import ErrorMessage, SuccessMessage
from protocol.models import Method, MethodState, SystemStateEnum


class FollowedMethod:
    """Asks the source of instructions once a tick, and tells how far the method has come."""

    def __init__(
        self,
        source: InstructionSource,
        inject: Callable[[str], SuccessMessage | ErrorMessage],
        state: RunState,
        send: Callable[[EngineMessage], None],
    ) -> None:
        self._source = source
        self._inject = inject
        self._run_state = state
        self._send = send
        self._told = source.state()

    @property
    def told(self) -> MethodState:
        """How far the method had come when that was told last."""
        return self._told

    @property
    def state(self) -> MethodState:
        """How far the method has come."""
        return self._source.state()

    def begin(self, method: Method) -> None:
        """Follow a method from its beginning."""
        self._source.begin(method)

    def follow(self, now: float) -> None:
        """Carry out what the method wants now, while the run is running.

        Raises `MethodFailedError` where that cannot be done.
        """
        if self._run_state.word is not SystemStateEnum.Running:
            return
        for line in self._source.next(now):
            answer = self._inject(line)
            if isinstance(answer, ErrorMessage):
                raise MethodFailedError(answer.message or line)
            if self._run_state.word is not SystemStateEnum.Running:
                return  # the line was Pause, Hold or Stop

    def tell(self) -> None:
        """Tell how far it has come, if that has changed."""
        if (state := self.state) is not self._told:
            self._told = state
            self._send(MethodStateMsg(method_state=state))

    def end(self) -> None:
        """The run is over."""
        self._source.end()
