"""What is wrong in a UOD, in the words of its author."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

Path = tuple[str | int, ...]
"""Where in a UOD: ("tags", "FT01", "holding"), with numbers in lists."""


class Severity(StrEnum):
    ERROR = "error"
    """The skid cannot run like this."""
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault that knows its key, but not yet its line."""

    path: Path
    message: str
    hint: str = ""
    severity: Severity = Severity.ERROR


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a file; lines and columns count from one, None where nobody can say."""

    file: str
    line: int | None = None
    column: int | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong in a UOD and what to do about it."""

    file: str
    line: int | None
    column: int | None
    key: str
    """As "tags.FT01.holding"; empty for the file as a whole."""
    message: str
    hint: str = ""
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        at = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        key = f"{self.key}: " if self.key else ""
        return f"{at}: {self.severity}: {key}{self.message}" + (f"; {self.hint}" if self.hint else "")


def key_of(path: Path) -> str:
    """A path as an author writes it: "tags.FT01.holding", "process_values[3].entry"."""
    key = ""
    for part in path:
        key += f"[{part}]" if isinstance(part, int) else f".{part}" if key else part
    return key


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that comes nearest, letter case last."""
    folded = {other.casefold(): other for other in known}
    found = difflib.get_close_matches(name.casefold(), folded, 1)
    return folded[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str], what: str) -> str:
    """A hint for a name that is not known: the nearest one, or all there are."""
    names = sorted(known)
    near = nearest(name, names)
    if near is not None:
        return f"did you mean {near!r}?"
    return f"known {what}: {', '.join(names)}" if names else f"there are no {what}"
