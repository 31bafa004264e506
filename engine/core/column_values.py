"""A plain value as the column of a tag holds it."""

from __future__ import annotations

import math
from typing import Any

from engine.core.scaling import INTEGER_BOUNDS
from engine.core.spec import TagSpec
from engine.core.table import TagKind


def column_value(spec: TagSpec, kind: TagKind, value: bool | float | str) -> Any:
    """What the column holds for a value, a choice as its place. Raises `ValueError`, naming the tag."""
    match kind:
        case TagKind.CHOICE:
            words = list(spec.choices)
            if value in words:
                return words.index(str(value))
            if value in spec.choices.values():
                return list(spec.choices.values()).index(int(value))
            raise ValueError(f"{spec.name!r} has no choice {value!r}, only {', '.join(words)}")
        case TagKind.TEXT:
            return str(value)
        case TagKind.BOOL:
            return bool(value)
        case TagKind.INT | TagKind.UINT:
            low, high = INTEGER_BOUNDS[kind]
            if isinstance(value, str) or value != int(value) or not low <= int(value) <= high:
                raise ValueError(f"{spec.name!r} is a whole number from {low} to {high}, not {value!r}")
            return int(value)
        case TagKind.FLOAT | TagKind.FLOAT32:
            if isinstance(value, str) or not math.isfinite(value):
                raise ValueError(f"{spec.name!r} is a finite number, not {value!r}")
            return value
