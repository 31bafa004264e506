"""The conditions that steps of commands wait for: each is a tag, so that users see what is waited for."""

from __future__ import annotations

from collections.abc import Collection

from engine.core.spec import Direction, FromExpression, TagSpec
from engine.uod.draft import Draft
from engine.uod.faults import Finding, Path
from engine.uod.model import Derived


def condition_name(command: str, step: int) -> str:
    """The tag that tells whether a step of a command, counted from 0, may be left."""
    return f"{command} Step {step + 1}"


class Awaited:
    """The conditions of all steps of a UOD, and the tags that they make; what is wrong is among the findings."""

    def __init__(self, draft: Draft, taken: Collection[str]) -> None:
        """`taken` are the names of tags that there are already."""
        self.findings: list[Finding] = []
        self.conditions: dict[str, Derived] = {}
        """name of the tag -> its expression"""
        self.made_by: dict[str, Path] = {}
        """name of a tag that is made here, sound or not -> the key that asks for it"""
        for command, part in draft.uod.commands.items():
            for place, step in enumerate(part.steps or ()):
                if step.wait_until is None:
                    continue
                name, path = condition_name(command, place), ("commands", command, "steps", place, "wait_until")
                if name in taken:
                    message = f"the tag {name!r} would be made for this, but there is one already"
                    self.findings.append(Finding(path, message, "rename that tag, or the command"))
                else:
                    self.conditions[name] = Derived(expr=step.wait_until)
                    self.made_by[name] = path

    @property
    def tags(self) -> list[TagSpec]:
        """The tags that are made."""
        return [
            TagSpec(name, FromExpression(part.expr, reset_on=(), is_condition=True), direction=Direction.NA)
            for name, part in self.conditions.items()
        ]
