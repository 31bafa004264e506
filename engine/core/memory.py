"""What functions with a memory remember, as bytes that outlive the process.

Each tag is kept with its `Checked.identity`: a memory that was made by another expression, or of tags in other units,
is another thing, and is not taken. Which fields of a function last is said by the function itself (`State.lasting`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import orjson
from numpy.typing import NDArray

from engine.core.state import State

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Remembering:
    """Derived tags that share the arrays of their functions."""

    identities: Mapping[str, str]
    """tag -> `Checked.identity`, in the order of the arrays"""
    states: Sequence[State]


class Memory:
    """The memory of all derived tags of a table; what never changes of it is encoded once."""

    def __init__(self, groups: Sequence[Remembering]) -> None:
        self._groups = [group for group in groups if any(state.lasting for state in group.states)]
        self._tags = [orjson.Fragment(orjson.dumps(dict(group.identities))) for group in self._groups]

    def packed(self) -> bytes:
        """JSON, in which every number keeps all its bits and NaN is null."""
        groups = [
            {
                "tags": tags,
                "functions": [{name: state.fields[name] for name in state.lasting} for state in group.states],
            }
            for tags, group in zip(self._tags, self._groups, strict=True)
        ]
        return orjson.dumps({"format": FORMAT, "groups": groups}, option=orjson.OPT_SERIALIZE_NUMPY)

    def take(self, packed: bytes) -> list[str]:
        """Take what still fits; return a sentence on every tag whose memory could not be taken.

        Raises `ValueError` for what is no memory; then nothing was taken.
        """
        kept = _unpacked(packed)
        places = {
            tag: (group, place) for group, each in enumerate(self._groups) for place, tag in enumerate(each.identities)
        }
        lost: list[str] = []
        for former in kept:
            pairs: dict[int, list[tuple[int, int]]] = {}
            for there, (tag, identity) in enumerate(former.identities.items()):
                group, here = places.get(tag, (None, 0))
                if group is None:
                    lost.append(f"{tag}: nothing of this name has a memory now; what it remembered is dropped")
                elif identity != (new := self._groups[group].identities[tag]):
                    lost.append(f"{tag}: was {identity}, and is now {new}: it begins anew")
                elif not former.fits(self._groups[group]):
                    lost.append(f"{tag}: was kept by a version that remembers otherwise: it begins anew")
                else:
                    pairs.setdefault(group, []).append((here, there))
            for group, found in pairs.items():
                here, there = np.array(found, np.intp).T
                for state, fields in zip(self._groups[group].states, former.functions, strict=True):
                    state.recall(fields, here, there)
        return lost


@dataclass(frozen=True, slots=True)
class _Kept:
    """A group as it was packed."""

    identities: Mapping[str, str]
    functions: Sequence[Mapping[str, NDArray[np.float64]]]

    def fits(self, group: Remembering) -> bool:
        """Whether the functions remember what they remembered then."""
        return [set(fields) for fields in self.functions] == [set(state.lasting) for state in group.states]


def _unpacked(packed: bytes) -> list[_Kept]:
    try:
        content = orjson.loads(packed)
        if content["format"] != FORMAT:
            raise ValueError(f"it is in format {content['format']}, and this version reads {FORMAT}")
        kept = [
            _Kept(
                {str(tag): str(identity) for tag, identity in group["tags"].items()},
                [
                    {str(name): np.array(values, np.float64) for name, values in function.items()}
                    for function in group["functions"]
                ],
            )
            for group in content["groups"]
        ]
        for group in kept:
            for values in (values for function in group.functions for values in function.values()):
                if values.shape != (len(group.identities),):
                    raise ValueError(f"it has {values.size} numbers for {len(group.identities)} tags")
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"these {len(packed)} bytes are no memory of derived tags: {error}") from error
    return kept
