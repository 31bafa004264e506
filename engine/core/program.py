"""One group of expressions, compiled: it costs as many array operations as one of its expressions has operators."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.contract import Quality
from drivers.reasons import NOT_READ, reason_code
from engine.core.arrays import as_slice
from engine.core.expression import Call, Number, SameText, Tag
from engine.core.functions import FUNCTIONS, Type
from engine.core.shapes import Group, leaves
from engine.core.signal import TOO_LARGE, Bools, Signal, Tick, add_fault
from engine.core.state import State
from engine.core.table import TagKind

Evaluate = Callable[[Tick], Signal]
Key = str | tuple[str, str]
"""A tag; or a tag and a text, which is 1 where the tag has this text."""

BAD_INPUT = reason_code("an input is bad")
DOUBTFUL = reason_code("uncertain: near the end of what the instrument can measure")


def key_of(leaf: Tag | SameText) -> Key:
    """What an expression reads there."""
    return leaf.name if isinstance(leaf, Tag) else (leaf.tag, leaf.text)


class Workspace:
    """What expressions read and make: one slot for each tag that they name, and for each derived tag."""

    __slots__ = ("code", "flawed", "fresh", "is_known", "is_sound", "quality", "x")

    def __init__(self, inputs: int, slots: int) -> None:
        """Make room for `inputs`, which come first, and for what is made of them: `slots` in all."""
        self.x = np.zeros(slots, np.float64)
        self.fresh = np.zeros(inputs, np.bool_)
        """(inputs,) what is new in this tick"""
        self.quality = np.zeros(slots, np.uint8)
        self.flawed = self.quality.view(np.bool_)
        """quality, as a flag"""
        self.code = np.zeros(slots, np.uint16)
        self.is_sound = True
        """Whether all that was read is good, and all that was last made."""
        self.is_known = True
        """Whether every input has ever had a value; where it has not, x is NaN."""


class Program:
    """The derived tags of one group."""

    def __init__(
        self,
        workspace: Workspace,
        group: Group,
        slot_of: Mapping[Key, int],
        conditions: set[str],
        before: Sequence[Program],
    ) -> None:
        """Compile a group, of whose inputs the tags among `conditions` are true or false.

        All that it reads is an input of the workspace, or is made by programs `before` it.
        """
        self.kind: TagKind = group.kind
        self.names = group.names
        self.identities = dict(zip(group.names, group.identities, strict=True))
        self.states: list[State] = []
        self._workspace = workspace
        self._ignore = group.ignore_quality
        self._slot_of = slot_of
        self._conditions = conditions
        first = slot_of[group.names[0]]
        self._slots = slice(first, first + len(group.names))
        self._evaluate = self._compile(group.nodes)
        self._all_good = False
        read = [[key_of(leaf) for leaf in leaves(node)] for node in group.nodes]
        self._leaves: NDArray[np.intp] = np.array([[slot_of[key] for key in keys] for keys in read], np.intp).T
        slots = np.unique(self._leaves)
        self._inputs = as_slice(slots[slots < workspace.fresh.size])
        keys = {key for each in read for key in each}
        self._makers = [program for program in before if not keys.isdisjoint(program.names)]
        self._goes_on = any(not state.timeless for state in self.states)
        self.has_run = False
        """Whether it has run in this tick."""

    def is_due(self, *, inputs_differ: bool) -> bool:
        """Whether it has to run: it goes on by itself, or something that it reads is new."""
        return (
            self._goes_on
            or any(maker.has_run for maker in self._makers)
            or (inputs_differ and bool(np.count_nonzero(self._workspace.fresh[self._inputs])))
        )

    def run(self, tick: Tick) -> None:
        """Compute values, quality and reasons."""
        workspace, slots = self._workspace, self._slots
        tick.doubtful = None
        signal = self._evaluate(tick)
        workspace.x[slots] = signal.x
        faults = signal.faults
        if signal.x.dtype.kind == "f" and np.count_nonzero(finite := np.isfinite(signal.x)) < finite.size:
            faults = add_fault(faults, ~finite, TOO_LARGE)
        if faults is None and tick.doubtful is None and (workspace.is_sound or self._ignore):
            if not self._all_good:
                workspace.quality[slots] = Quality.GOOD
                workspace.code[slots] = 0
                self._all_good = True
            return
        count = len(self.names)
        quality, code = np.zeros(count, np.uint8), np.zeros(count, np.uint16)
        if not self._ignore:
            for leaf in self._leaves:
                worse = workspace.quality[leaf] > quality
                quality = np.where(worse, workspace.quality[leaf], quality)
                code = np.where(worse, workspace.code[leaf], code)
        if tick.doubtful is not None:
            doubtful = tick.doubtful & (quality < Quality.UNCERTAIN)
            quality[doubtful], code[doubtful] = Quality.UNCERTAIN, DOUBTFUL
        if faults is not None:
            faulty = (faults > 0) & (quality < Quality.STALE)
            quality[faulty], code[faulty] = Quality.BAD, faults[faulty]
        workspace.quality[slots] = quality
        workspace.code[slots] = code
        self._all_good = False
        workspace.is_sound = workspace.is_sound and not quality.any()

    def _compile(self, nodes: Sequence[Any]) -> Evaluate:
        """Compile the same place of all expressions of the group."""
        first = nodes[0]
        match first:
            case Number():
                constant = Signal(np.array([node.value for node in nodes], np.float64))
                return lambda _: constant
            case Tag() | SameText():
                slots: NDArray[np.intp] = np.array([self._slot_of[key_of(node)] for node in nodes], np.intp)
                return self._read(slots, isinstance(first, SameText) or first.name in self._conditions)
            case _:
                return self._call(nodes)

    def _call(self, nodes: Sequence[Call]) -> Evaluate:
        function = FUNCTIONS[nodes[0].name]
        constants: list[float] = []
        steps: list[Evaluate] = []
        for place, argument in enumerate(nodes[0].arguments):
            fixed = function.state is not None and function.wanted(place) is Type.CONSTANT
            if fixed and isinstance(argument, Number):
                constants.append(argument.value)
            else:
                steps.append(self._compile([node.arguments[place] for node in nodes]))
        if function.state is not None:
            state = function.state(len(nodes), *constants)
            self.states.append(state)
            apply = state.step
        else:
            apply = function.apply
        match steps:
            case [one]:
                return lambda tick: apply(tick, one(tick))
            case [left, right]:
                return lambda tick: apply(tick, left(tick), right(tick))
            case _:
                return lambda tick: apply(tick, *(step(tick) for step in steps))

    def _read(self, slots: NDArray[np.intp], is_condition: bool) -> Evaluate:
        workspace = self._workspace
        where = as_slice(slots)

        def read(tick: Tick) -> Signal:  # noqa: ARG001
            x = workspace.x[where]
            faults = None
            if not workspace.is_sound and not self._ignore:
                faults = _input_faults(workspace.quality[where], workspace.code[where])
            elif self._ignore and not workspace.is_known:
                faults = add_fault(None, np.isnan(x), NOT_READ)
            return Signal(x != 0, faults) if is_condition else Signal(x, faults)

        return read


def _input_faults(quality: NDArray[np.uint8], code: NDArray[np.uint16]) -> NDArray[np.uint16] | None:
    bad: Bools = quality >= Quality.STALE
    if not bad.any():
        return None
    return np.where(bad, np.where(code > 0, code, np.uint16(BAD_INPUT)), np.uint16(0))
