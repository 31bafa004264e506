"""From plain data to the model: what is at fault is left out, so that the rest can be checked too."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from engine.uod.faults import Finding, Path, did_you_mean
from engine.uod.model import AccumulatedCv, Author, Command, Derived, Device, ProcessValue, Simulation, Step, Tag, Uod
from engine.uod.number_text import how_to_write, is_number

PARTS: dict[str, type[BaseModel]] = {"devices": Device, "tags": Tag, "derived": Derived, "commands": Command}
"""The sections of a UOD whose parts are named by their author."""

_EXPECTED = {
    "string_type": "a text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "dict_type": "keys with values",
    "model_type": "keys with values",
    "model_attributes_type": "keys with values",
    "finite_number": "a finite number",
}
_MEANT = {
    **dict.fromkeys(("in", "i", "r", "ro", "read", "readonly", "read-only", "lesen"), "input"),
    **dict.fromkeys(("out", "o", "w", "wo", "write", "writeonly", "write-only", "schreiben"), "output"),
    **dict.fromkeys(("inout", "in/out", "io", "i/o", "rw", "r/w", "wr", "w/r", "readwrite", "read/write"), "both"),
    **dict.fromkeys(("no", "off", "false", "null"), "none"),
    **dict.fromkeys(("last", "keep", "freeze"), "hold"),
}
"""What people write for a word -> the word"""
_BOOLEANS = {
    **dict.fromkeys(("yes", "y", "on", "1", "true", "ja"), "write true"),
    **dict.fromkeys(("no", "n", "off", "0", "false", "nein"), "write false"),
}
_MOST_SHOWN = 100
"""Characters of a value in a message."""
_UNQUOTED = "write it without quotes"


@dataclass(frozen=True, slots=True)
class Draft:
    """What could be read of a UOD."""

    uod: Uod
    """Without the parts at fault."""
    broken: frozenset[tuple[str, str]]
    """(section, name) of the parts that were left out, so that nobody complains of their absence."""
    listed: tuple[int, ...]
    """The places of `uod.process_values` in the author's list."""


def draft_of(data: Any) -> tuple[Draft | None, list[Finding]]:
    """Read plain data into the model; None only where there is nothing to read."""
    if not isinstance(data, dict):
        return None, [Finding((), "this is no UOD: expected keys with values", "start with `uod: NAME OF THE SKID`")]
    sound = cast("dict[str, Any]", _copy(data))
    findings: list[Finding] = []
    broken: set[tuple[str, str]] = set()
    unlisted: set[int] = set()
    try:
        uod = Uod.model_validate(sound)
    except ValidationError as error:
        details = error.errors(include_url=False)
        findings = [finding_of(detail, (), _keys_at(_path(detail))) for detail in details]
        for detail in details:
            path = _path(detail)
            if path[:1] == ("process_values",) and len(path) > 1:
                unlisted.add(cast("int", path[1]))
            elif part := _leave_out(sound, path, detail["type"]):
                broken.add(part)
        if unlisted:
            values = enumerate(sound["process_values"])
            sound["process_values"] = [value for place, value in values if place not in unlisted]
        uod = Uod.model_validate({"uod": "unnamed"} | sound)
    places = range(len(uod.process_values) + len(unlisted))
    return Draft(uod, frozenset(broken), tuple(place for place in places if place not in unlisted)), findings


def finding_of(detail: ErrorDetails, prefix: Path, known: Iterable[str]) -> Finding:
    """Put one of pydantic's errors into the author's words; `known` are the keys that may stand where it is."""
    path = (*prefix, *_path(detail))
    found = detail["input"]
    kind = detail["type"]
    hint = ""
    if kind == "extra_forbidden":
        message, hint = f"nobody reads the key {path[-1]!r}", did_you_mean(str(path[-1]), known, "keys here")
    elif kind == "missing":
        message = f"the key {path[-1]!r} is missing"
    elif kind in {"literal_error", "enum"}:
        allowed = re.findall(r"'([^']*)'", detail.get("ctx", {}).get("expected", ""))
        message, hint = f"{_shown(found)} is not possible here", did_you_mean(str(found), allowed, "values")
        meant = _MEANT.get(str(found).casefold())
        if meant in allowed:
            hint = f"write {meant}"
    elif kind in _EXPECTED:
        message = f"expected {_EXPECTED[kind]}, found {_shown(found)}"
        if kind == "string_type" and isinstance(found, (bool, int, float, date)):
            hint = "put it in quotes"
        elif path[-1:] == ("choices",):
            hint = _choices_hint(found)
        elif path[-2:-1] == ("choices",) and isinstance(found, str) and str(path[-1]).isdigit():
            hint = f"write the word first: {{{found}: {path[-1]}}}"
        elif _EXPECTED[kind] == "true or false":
            hint = _BOOLEANS.get(str(found).casefold(), "")
        elif isinstance(found, str) and _EXPECTED[kind] in {"a number", "a whole number"}:
            hint = how_to_write(found) or (_UNQUOTED if is_number(found) else "")
    else:
        message = detail["msg"].removeprefix("Value error, ").replace("Input should", "this should")
        if isinstance(found, (bool, int, float, str)) and str(found) not in message:
            message += f", found {_shown(found)}"
    return Finding(path, message, hint)


def findings_of(error: ValidationError, prefix: Path, known: Iterable[str]) -> list[Finding]:
    """All of the errors of a flat part, the first for each of its keys: the branches of a union say no more."""
    firsts = {detail["loc"][:1]: detail for detail in reversed(error.errors(include_url=False))}
    found = [finding_of(detail, prefix, known) for detail in firsts.values()]
    return [Finding(finding.path[: len(prefix) + 1], finding.message, finding.hint) for finding in reversed(found)]


def keys_of(*models: type[BaseModel]) -> list[str]:
    """The keys that a part takes."""
    return [field.alias or name for model in models for name, field in model.model_fields.items()]


def _path(detail: ErrorDetails) -> Path:
    """Where an error is, without pydantic's own marks for union branches and keys."""
    loc = detail["loc"]
    if loc[:1] == ("process_values",):
        loc = loc[:2] + loc[3:]
    if loc[:1] == ("tags",) and loc[2:3] == ("simulate",):
        loc = loc[:3] + loc[4:]
    return tuple(part for part in loc if part != "[key]")


def _keys_at(path: Path) -> list[str]:
    """The keys that may stand beside the last key of a path."""
    if len(path) < 2:
        return keys_of(Uod)
    if path[2:3] == ("simulate",) and len(path) > 3:
        return keys_of(Simulation)
    head = str(path[0])
    if "steps" in path[2:-1]:
        return keys_of(Step)
    parts = {"author": Author, "process_values": ProcessValue, "accumulated_cv": AccumulatedCv}
    return keys_of(parts.get(head) or PARTS[head])


def _leave_out(data: dict[str, Any], path: Path, kind: str) -> tuple[str, str] | None:
    """Delete what is at fault: a superfluous key alone, else the whole part, which is then returned."""
    head, *inner = (str(part) for part in path)
    if not inner or not (head in PARTS or head == "author" or kind == "extra_forbidden"):
        data.pop(head, None)
        return None
    if head in PARTS and kind == "extra_forbidden" and len(inner) == 2:
        data[head][inner[0]].pop(inner[-1], None)
        return None
    data[head].pop(inner[0], None)
    return (head, inner[0]) if head in PARTS else None


def _shown(found: Any) -> str:
    """A value in a message, cut where it is long."""
    text = repr(str(found) if isinstance(found, date) else found)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


def _choices_hint(found: Any) -> str:
    """How the choices are written where a list is given for keys with numbers, or the other way round."""
    if isinstance(found, list):
        words = [str(word) for word in cast("list[Any]", found)[:4]]
        numbered = ", ".join(f"{word}: {number}" for number, word in enumerate(words))
        return f"write each word with its raw value: {{{numbered}}}"
    if isinstance(found, dict):
        return f"write the words alone: [{', '.join(str(word) for word in cast('dict[Any, Any]', found))}]"
    return "write each word with its raw value: {Closed: 0, Open: 1}"


def _copy(value: Any) -> Any:
    """A copy of plain data, deep enough to delete keys from."""
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in cast("dict[Any, Any]", value).items()}
    return [_copy(item) for item in cast("list[Any]", value)] if isinstance(value, list) else value
