"""What a totaliser has counted since the start of the run and of the block, by the names of Open Pectus."""

from __future__ import annotations

from collections.abc import Iterator

from engine.core import ready_made
from engine.core.spec import Event, FromExpression, TagSpec
from engine.uod.draft import Draft
from engine.uod.faults import Finding, Path, did_you_mean
from engine.uod.model import Derived, Uod
from engine.uod.units import UnitError, conversion

NAMES = {
    "accumulated_volume": ("Accumulated Volume", "Block Volume"),
    "accumulated_cv": ("Accumulated CV", "Block CV"),
}
"""Section of the UOD -> the tags that it makes."""


class Accumulators:
    """The derived tags that a UOD gets by naming a totaliser."""

    def __init__(self, draft: Draft) -> None:
        self.findings: list[Finding] = []
        self.derived: dict[str, Derived] = {}
        self.section_of: dict[str, str] = {}
        """name of such a tag, sound or not -> the section that asks for it"""
        self._draft = draft
        uod = draft.uod
        if (totalizer := uod.accumulated_volume) is not None and self._is_volume(("accumulated_volume",), totalizer):
            unit = self._unit(totalizer) or ""
            self._make(
                "accumulated_volume",
                ready_made.accumulated_volume(totalizer, unit),
                ready_made.block_volume(totalizer, unit),
            )
        if (cv := uod.accumulated_cv) is not None:
            at = ("accumulated_cv",)
            sound = self._is_volume((*at, "totalizer"), cv.totalizer)
            if self._is_volume((*at, "column_volume"), cv.column_volume) and sound:
                self._make(
                    "accumulated_cv",
                    ready_made.accumulated_column_volumes(cv.totalizer, cv.column_volume),
                    ready_made.block_column_volumes(cv.totalizer, cv.column_volume),
                )
        for section in sections(uod):
            self._check_names(section)

    def _make(self, section: str, *specs: TagSpec) -> None:
        for name, spec in zip(NAMES[section], specs, strict=True):
            if isinstance(spec.source, FromExpression):
                resets = "block start" if Event.BLOCK_START in spec.source.reset_on else "run start"
                self.derived[name] = Derived(expr=spec.source.text, unit=spec.unit, reset_on=resets)

    def _check_names(self, section: str) -> None:
        uod, broken = self._draft.uod, {name for _, name in self._draft.broken}
        for name in NAMES[section]:
            self.section_of[name] = section
            if name in uod.tags or name in uod.derived or name in broken:
                self.derived.pop(name, None)
                self.findings.append(
                    Finding((section,), f"there is a tag {name!r} already", f"rename it, or take out {section}")
                )

    def _is_volume(self, path: Path, name: str) -> bool:
        """Whether this tag is a volume; if not, that is a finding, unless the tag is at fault itself."""
        uod = self._draft.uod
        known = {*uod.tags, *uod.derived}
        if name not in known:
            if name not in {broken for _, broken in self._draft.broken}:
                hint = did_you_mean(name, known, "tags")
                self.findings.append(Finding(path, f"no tag is named {name!r}", hint))
            return False
        unit = self._unit(name)
        try:
            conversion(unit, "L")
        except UnitError:
            message = f"{name} is in {unit or 'no unit'}, which is no volume"
            self.findings.append(Finding(path, message, "name a tag in L, mL, m3 or another volume"))
            return False
        return True

    def _unit(self, name: str) -> str | None:
        uod = self._draft.uod
        return (uod.tags.get(name) or uod.derived[name]).unit


def sections(uod: Uod) -> Iterator[str]:
    """The sections that ask for such tags."""
    return (section for section in NAMES if getattr(uod, section) is not None)
