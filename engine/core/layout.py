"""How the tags of a table are laid out: which kind each is, where it stands, and on what it rests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from drivers.contract import Image, Kind
from engine.core.checking import Checked, ExpressionError, ExpressionFault, Formula, Known, check_expressions
from engine.core.convert import converted_kind, is_identity
from engine.core.shapes import Group
from engine.core.spec import FromEngine, FromExpression, FromPoint, TagSpec
from engine.core.table import Cells, TagKind


def check_specs(
    specs: Sequence[TagSpec], images: Sequence[Image]
) -> tuple[dict[str, Checked], tuple[ExpressionFault, ...]]:
    """The derived tags that can be compiled, and the faults of those that cannot as their devices are."""
    formulas = {
        spec.name: Formula(spec.source.text, spec.unit, spec.source.ignore_quality, spec.source.is_condition)
        for spec in specs
        if isinstance(spec.source, FromExpression)
    }
    if not formulas:
        return {}, ()
    known = {spec.name: known_of(spec, images) for spec in specs if not isinstance(spec.source, FromExpression)}
    checked, faults = check_expressions(known, formulas)
    if faults:
        points = {spec.name for spec in specs if isinstance(spec.source, FromPoint) and not spec.choices}
        open_minded = {name: replace(each, kind=None) if name in points else each for name, each in known.items()}
        _, lasting = check_expressions(open_minded, formulas)
        if lasting:
            raise ExpressionError(lasting)
    return checked, tuple(faults)


def known_of(spec: TagSpec, images: Sequence[Image]) -> Known:
    """What expressions may know of a tag that is not one itself."""
    kind = kind_of(spec, images)
    if isinstance(spec.source, FromPoint) and not images[spec.source.link].learned[spec.source.row]:
        return unlearned(spec, kind)
    return Known(kind, spec.unit, tuple(spec.choices))


def unlearned(spec: TagSpec, kind: TagKind) -> Known:
    """What is known of a tag whose raw kind is not: words are words, and what is scaled is a number."""
    is_open = not spec.choices and is_identity(spec)
    return Known(None if is_open else kind, spec.unit, tuple(spec.choices))


def kind_of(spec: TagSpec, images: Sequence[Image]) -> TagKind:
    """The kind of a tag, as its device is known now."""
    match spec.source:
        case FromPoint(link, row):
            return converted_kind(spec, Kind(int(images[link].kinds[row])))
        case FromEngine(kind):
            return TagKind.CHOICE if spec.choices else TagKind(kind)
        case FromExpression():  # one that cannot be compiled, or else the checker would say
            return TagKind.FLOAT


def layout(
    specs: Sequence[TagSpec], images: Sequence[Image], checked: dict[str, Checked], groups: Sequence[Group]
) -> tuple[list[TagSpec], list[TagKind]]:
    """Order the tags by kind; within a kind, what is converted and computed together stands together."""
    names = dict.fromkeys(name for each in groups for name in each.names)
    turn = {name: place for place, name in enumerate(names)}

    def place(entry: tuple[TagSpec, TagKind]) -> tuple[int, ...]:
        spec, kind = entry
        match spec.source:
            case FromPoint(link, row):
                return kind, 0, link, int(images[link].kinds[row]), row
            case FromExpression():
                return kind, 1, turn.get(spec.name, len(turn))
            case FromEngine():
                return kind, 2

    entries = [(spec, checked[spec.name].kind if spec.name in checked else kind_of(spec, images)) for spec in specs]
    entries.sort(key=place)
    return [spec for spec, _ in entries], [kind for _, kind in entries]


def set_sources(
    cells: Cells,
    starts: NDArray[np.intp],
    own: Sequence[str],
    checked: Mapping[str, Checked],
    unfit: Sequence[ExpressionFault],
) -> None:
    """Find out for each row on which sources it rests; what the engine sets itself is never old."""
    first = int(starts[-1])
    own_source = {name: first + place for place, name in enumerate(own)}
    cells.received[first:] = np.inf
    leaves: dict[str, set[int]] = {}
    for spec in cells.specs:
        if isinstance(spec.source, FromPoint):
            leaves[spec.name] = {int(starts[spec.source.link]) + spec.source.row}
        elif isinstance(spec.source, FromEngine):
            leaves[spec.name] = {own_source[spec.name]}
    for fault in unfit:
        leaves[fault.tag] = set()
    for name, each in checked.items():
        leaves[name] = set[int]().union(*(leaves[tag] for tag in each.inputs))
    for row, spec in enumerate(cells.specs):
        if not isinstance(spec.source, FromExpression):
            cells.origin[row] = next(iter(leaves[spec.name]))
        elif not leaves[spec.name]:
            leaves[spec.name] = {cells.received.size - 1}
    sizes = [len(leaves[spec.name]) for spec in cells.specs]
    cells.leaf_starts = np.cumsum([0, *sizes[:-1]]).astype(np.intp)[: len(sizes)]
    cells.leaves = np.array([source for spec in cells.specs for source in sorted(leaves[spec.name])], np.intp)
