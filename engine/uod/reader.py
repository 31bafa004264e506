"""Read a UOD file, in either spelling, and name all its faults at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any, cast

from engine.uod.draft import draft_of
from engine.uod.faults import Fault, Finding, Path, Place, Severity, did_you_mean, key_of
from engine.uod.resolve import resolve
from engine.uod.skid import Skid
from engine.uod.uod_file import UodFileError, read_bytes, text_of
from engine.uod.yaml_file import YamlText, scalar

_MOST_FAULTS = 1000
"""More of them help nobody."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What came of reading a UOD."""

    skid: Skid | None
    """None where there are errors."""
    faults: tuple[Fault, ...]
    """Errors and warnings, by line."""

    @property
    def errors(self) -> tuple[Fault, ...]:
        return tuple(fault for fault in self.faults if fault.severity is Severity.ERROR)

    @property
    def warnings(self) -> tuple[Fault, ...]:
        return tuple(fault for fault in self.faults if fault.severity is Severity.WARNING)


def read_uod(path: str | FilePath, overrides: Sequence[str] = ()) -> Reading:
    """Read a `.yaml` or `.py` file; each override is "devices.plc.endpoint=opc.tcp://127.0.0.1:4840".

    Never raises for what an author can do wrong: that is in the faults.
    """
    path = FilePath(path)
    try:
        data, faults, place = _spelling(path, read_bytes(path))
    except UodFileError as error:
        return Reading(None, (Fault(str(path), error.line, None, "", error.message, error.hint),))
    if data is None and faults:
        return Reading(None, tuple(faults))
    overridden, more = _override(data, overrides)
    faults += more
    draft, findings = draft_of(data)
    skid = None
    if draft is not None:
        skid, found = resolve(draft, str(path))
        findings += found
    for finding in findings:
        at = next((source for prefix, source in overridden.items() if finding.path[: len(prefix)] == prefix), None)
        faults.append(_fault(finding, at or place(finding.path)))
    faults.sort(key=lambda fault: (fault.line or 0, fault.column or 0))
    if any(fault.severity is Severity.ERROR for fault in faults):
        skid = None
    if (more_than := len(faults) - _MOST_FAULTS) > 0:
        message = f"and {more_than:,} more"
        worst = Severity.ERROR if skid is None else Severity.WARNING
        faults[_MOST_FAULTS:] = [Fault(str(path), None, None, "", message, "mend the first ones first", worst)]
    return Reading(skid, tuple(faults))


def _spelling(path: FilePath, data: bytes) -> tuple[Any, list[Fault], Callable[[Path], Place]]:
    """The plain data of a file, what is wrong with its text, and where each of its keys stands."""
    if path.suffix.lower() == ".py":
        from engine.uod.python_file import PythonText

        if b"coding" not in data[:200]:  # else its encoding is for Python to know
            text_of(data)
        python = PythonText(path, data)
        return python.data, python.faults, python.place
    text = YamlText(str(path), text_of(data))
    if text.data is None and not text.faults:
        message = "there are only comments in this file" if data.strip() else "this file is empty"
        raise UodFileError(message, "start with `uod: NAME OF THE SKID`")
    return text.data, text.faults, text.place


def _override(data: Any, overrides: Sequence[str]) -> tuple[dict[Path, Place], list[Fault]]:
    """Change the data as the command line says."""
    places: dict[Path, Place] = {}
    faults: list[Fault] = []
    for override in overrides:
        key, equals, value = override.partition("=")
        path = tuple(key.strip().split("."))
        inner: Any = data
        missing = ""
        if not equals:
            missing = "expected KEY=VALUE, as devices.plc.endpoint=opc.tcp://127.0.0.1:4840"
        for depth, part in enumerate(path[:-1]):
            known = cast("dict[str, Any]", inner) if isinstance(inner, dict) else {}
            if part not in known and not missing:
                missing = f"the UOD has no {'.'.join(path[: depth + 1])}"
                missing += "; " + did_you_mean(part, known, f"keys of {'.'.join(path[:depth]) or 'the UOD'}")
            inner = known.get(part)
        if missing or not isinstance(inner, dict):
            message = missing or f"{'.'.join(path[:-1])} holds no keys"
            faults.append(Fault(f"--set {override}", None, None, "", message))
            continue
        inner[path[-1]] = scalar(value)
        places[path] = Place(f"--set {override}")
    return places, faults


def _fault(finding: Finding, place: Place) -> Fault:
    key = key_of(finding.path)
    return Fault(place.file, place.line, place.column, key, finding.message, finding.hint, finding.severity)
