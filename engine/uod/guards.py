"""What outputs are guarded by beside their limits: a greatest rate, an interlock, a feedback."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from drivers.contract import Kind
from engine.core.spec import Direction, FromEngine, FromExpression, FromPoint, TagSpec
from engine.uod.draft import Draft
from engine.uod.faults import Finding, Path, did_you_mean
from engine.uod.model import Derived, Tag
from engine.uod.skid import FeedbackSpec, OutputSpec
from engine.uod.units import UnitError, conversion
from engine.uod.wiring import Socket, Wiring

FEEDBACK_AFTER_MS = 5000
FEEDBACK_AFTER_READINGS = 3
"""A feedback has so many readings to follow, but not less than `FEEDBACK_AFTER_MS`."""
_WITH_STATUS = ("max_rate", "allow_if", "feedback", "feedback_tolerance", "feedback_after_ms")
"""Keys by which an output can have another value than the one that was asked for: its status says why."""


class Guards:
    """The guards of all outputs of a UOD, and the tags that they make; what is wrong is among the findings."""

    def __init__(self, draft: Draft, wiring: Wiring, taken: Collection[str]) -> None:
        """`taken` are the names of tags that other sections of the UOD make."""
        self.findings: list[Finding] = []
        self.interlocks: dict[str, Derived] = {}
        """name of the tag that tells whether an output is allowed -> its expression"""
        self.made_by: dict[str, Path] = {}
        """name of a tag that is made here, sound or not -> the key that asks for it"""
        self._tags = draft.uod.tags
        self._unsound = {name for _, name in draft.broken}
        self._taken = {*draft.uod.tags, *draft.uod.derived, *taken, *self._unsound}
        self._wiring = wiring
        for name, tag in draft.uod.tags.items():
            if tag.direction != "input" and tag.heartbeat is None:
                self._check(("tags", name), tag)
                if tag.allow_if is not None and self._make(_allowed(name), ("tags", name, "allow_if")):
                    self.interlocks[_allowed(name)] = Derived(expr=tag.allow_if)
                if key := _asks_for_status(tag):
                    self._make(_status(name), ("tags", name, key))

    @property
    def tags(self) -> list[TagSpec]:
        """The tags that are made."""
        interlocks = [
            TagSpec(
                name,
                FromExpression(part.expr, reset_on=(), is_condition=True, guards_outputs=True),
                direction=Direction.NA,
            )
            for name, part in self.interlocks.items()
        ]
        statuses = [name for name in self.made_by if name not in self.interlocks]
        return interlocks + [TagSpec(name, FromEngine(Kind.TEXT), direction=Direction.NA) for name in statuses]

    def output(self, name: str, tag: Tag, index: int, socket: Socket) -> OutputSpec:
        """The output of a tag, which is the `index`th of the skid; its feedback is added by `with_feedback`."""
        if tag.max_rate is not None and self._wiring.kind(socket) in {Kind.BOOL, Kind.TEXT}:
            self._fault(("tags", name, "max_rate"), f"{name} holds no number: max_rate does nothing", "take it out")
        return OutputSpec(
            tag=index,
            link=socket.link,
            row=socket.row,
            safe_value=tag.safe_value,
            read_back=tag.direction == "both",
            max_rate=None if tag.max_rate is None else float(tag.max_rate),
            allowed=_allowed(name) if _allowed(name) in self.interlocks else None,
            momentary=tag.momentary,
            status=_status(name) if _status(name) in self.made_by else None,
        )

    def with_feedback(self, outputs: Sequence[OutputSpec], tags: Sequence[TagSpec]) -> list[OutputSpec]:
        """The same outputs, each with the tag that shows what it does, now that all tags are known."""
        by_name = {tag.name: tag for tag in tags}
        found: list[OutputSpec] = []
        for output in outputs:
            name = tags[output.tag].name
            feedback = self._feedback(name, self._tags[name], by_name)
            found.append(output if feedback is None else replace(output, feedback=feedback))
        return found

    def _check(self, path: Path, tag: Tag) -> None:
        if tag.safe_value is None:
            for key in ("max_rate", "allow_if"):
                if getattr(tag, key) is not None:
                    hint = "name the value that does no harm"
                    self._fault((*path, key), f"an output with {key} needs a safe_value", hint)
        elif tag.max_rate is not None and not tag.choices and isinstance(tag.safe_value, (bool, str)):
            self._fault((*path, "max_rate"), "only a number has a rate: max_rate does nothing", "take it out")
        if tag.momentary and tag.max_rate is not None:
            self._fault((*path, "max_rate"), "a momentary output is written once: max_rate does nothing", "take it out")
        if (tag.direction == "output" or tag.momentary) and tag.feedback is None:
            for key in ("feedback_tolerance", "feedback_after_ms"):
                if key in tag.model_fields_set:
                    hint = "name the tag that shows what it does, as feedback: ST01"
                    hint += "" if tag.momentary else ", or make it direction: both"
                    what = "momentary" if tag.momentary else "never read"
                    self._fault((*path, key), f"this output is {what}: {key} does nothing", hint)

    def _make(self, name: str, path: Path) -> bool:
        if name in self._taken:
            hint = f"rename that tag, or take out {path[-1]}"
            self._fault(path, f"the tag {name!r} would be made for this, but there is one already", hint)
            return False
        self.made_by[name] = path
        return True

    def _feedback(self, name: str, tag: Tag, tags: dict[str, TagSpec]) -> FeedbackSpec | None:
        shown_by = tag.feedback or (name if tag.direction == "both" and not tag.momentary else None)
        if shown_by is None or shown_by in self._unsound:
            return None
        path = ("tags", name, "feedback")
        shown = tags.get(shown_by)
        if shown is None:
            if shown_by not in self._tags:
                self._fault(path, f"no tag is named {shown_by!r}", did_you_mean(shown_by, tags, "tags"))
            return None
        if shown.direction is Direction.OUTPUT:
            message = f"{shown_by} is never read, so it shows nothing"
            self._fault(path, message, "name a tag that is read from a device")
            return None
        own = tags[name]
        if missing := own.choices.keys() - shown.choices.keys():
            hint = f"give {shown_by} the same choices: {', '.join(own.choices)}"
            self._fault(path, f"{shown_by} has no choice {', '.join(sorted(missing))}", hint)
            return None
        if shown.choices and not own.choices:
            self._fault(path, f"{shown_by} has choices, but {name} has none", "name a tag of the same kind")
            return None
        try:
            unit = conversion(shown.unit, own.unit)
        except UnitError as error:
            self._fault(path, str(error), f"name a tag in {own.unit or 'no unit'} or what converts to it")
            return None
        after_ms = tag.feedback_after_ms or max(FEEDBACK_AFTER_MS, FEEDBACK_AFTER_READINGS * self._every_ms(shown))
        tolerance = None if tag.feedback_tolerance is None else float(tag.feedback_tolerance)
        return FeedbackSpec(shown_by, after_ms / 1000, tolerance, float(unit.scale), float(unit.offset))

    def _every_ms(self, tag: TagSpec) -> int:
        """How often a tag is read; 0 where it is computed."""
        match tag.source:
            case FromPoint(link, row):
                return self._wiring.links[link].points[row].every_ms
            case _:
                return 0

    def _fault(self, path: Path, message: str, hint: str) -> None:
        self.findings.append(Finding(path, message, hint))


def _allowed(tag: str) -> str:
    return f"{tag} Allowed"


def _status(tag: str) -> str:
    return f"{tag} Status"


def _asks_for_status(tag: Tag) -> str | None:
    return next((key for key in _WITH_STATUS if key in tag.model_fields_set), None)
