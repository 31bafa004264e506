"""The plan, once the server's nodes are known: which node each row reads, in which column, and what it can not."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds

from drivers.contract import Image, Kind, Quality, Value
from drivers.opcua.codec import ARRAY, KINDS, MIXED, NOT_ARRAY, STRUCTURE, Cell, Type, encode
from drivers.opcua.enumerations import Texts
from drivers.opcua.nodes import Absent, Node
from drivers.opcua.plan import Place, Plan
from drivers.reasons import reason_code

NO_TEXTS = "the server has no texts for the numbers of the node: delete server_texts"
WHOLE_ARRAY = (
    "the server cannot write one element of an array, only all of it: write to a node that holds this value alone"
)


_SHOWN = 100
"""Characters of a value in a message."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a group reads of the server as it is now."""

    nodes: Sequence[ua.ReadValueId]
    """Each node once."""
    cells: Sequence[Cell]


@dataclass(frozen=True, slots=True)
class Binding:
    """What holds from one `open` to the next."""

    image: Image
    requests: Sequence[Request]
    """One a group."""
    unfit: Mapping[int, str]
    """row -> why it cannot be read as long as this session lasts"""


NO_BINDING = Binding(Image(()), (), {})


def bind(plan: Plan, nodes: Sequence[Node | Absent], texts: Mapping[int, Texts], image: Image) -> Binding:
    """Give every row the column of what its node sends; `image` stays where that is what it has already.

    `texts` is node -> the server's texts for its numbers, of the nodes whose texts are wanted.
    """
    kinds = [Kind(kind) for kind in image.kinds.tolist()]
    unfit: dict[int, str] = {}
    for row, place in enumerate(plan.places):
        node = nodes[place.node]
        if reason := _unfit(place, node) or _textless(place, texts):
            unfit[row] = reason
        elif isinstance(node, Node) and place.server_texts:
            kinds[row] = Kind.TEXT
        elif isinstance(node, Node) and place.declared is None and node.sends is not None:
            kinds[row] = KINDS[_sent(place, node) or node.sends]
    if kinds != image.kinds.tolist():
        image = _with_kinds(image, kinds)
    for row, reason in unfit.items():
        image.quality[row] = Quality.BAD
        image.reason[row] = reason_code(reason)
    requests = [_request(plan, nodes, texts, image, group.rows.tolist(), unfit) for group in plan.groups]
    return Binding(image, requests, unfit)


def _with_kinds(image: Image, kinds: Sequence[Kind]) -> Image:
    """An image of other kinds that has what is known of the rows whose kind stays."""
    found = Image(kinds)
    for row in np.flatnonzero(found.kinds == image.kinds).tolist():
        kind = kinds[row]
        found.columns[kind][found.cells[row]] = image.columns[kind][image.cells[row]]
        for mine, theirs in (
            (found.quality, image.quality),
            (found.reason, image.reason),
            (found.source_time, image.source_time),
            (found.received, image.received),
        ):
            mine[row] = theirs[row]
    return found


def write_value(place: Place, node: Node | Absent, value: Value, texts: Texts | None = None) -> ua.WriteValue:
    """What is sent to set a point. Raises `ValueError` with the reason where the value or the node does not fit."""
    if isinstance(node, Absent):
        raise ValueError(node.reason)  # noqa: TRY004 - a refusal like the others, not a mistake of the caller
    if node.takes is None:
        raise ValueError("the server does not tell the type of the node: give the node a data type on the server")
    if reason := _misshapen(place, node):
        raise ValueError(reason)
    if _is_byte(place, node):
        raise ValueError(
            "the node is a byte string, of which one byte cannot be written: delete index to write all of it"
        )
    if place.server_texts:
        value = _number(value, texts or {}, node.takes)
    try:
        content = encode(value, node.takes)
    except ValueError as error:
        raise ValueError(f"the node {node.id.to_string()} {error}") from None
    if place.index is not None:
        content = ua.Variant([content.Value], node.takes)
    return ua.WriteValue(
        node.id,
        ua.IntegerId(AttributeIds.Value),
        None if place.index is None else str(place.index),
        ua.DataValue(content, StatusCode=None),
    )


def _number(text: object, texts: Texts, target: Type) -> int | bool:
    """The number that the server has for a text. Raises `ValueError` with its texts."""
    for number, known in texts.items():
        if known == text:
            return bool(number) if target is Type.Boolean else number
    raise ValueError(f"takes one of {', '.join(map(repr, texts.values()))}, not {text!r}" if texts else NO_TEXTS)


def element_of(written: Any) -> ua.ReadValueId:
    """What to read to see whether the server can tell the one element of an array that is to be written."""
    return ua.ReadValueId(written.NodeId, ua.IntegerId(AttributeIds.Value), written.IndexRange)


def is_same(written: Any, answer: ua.DataValue) -> bool:
    """Whether a node holds what was written to it; a number may have taken the nearest value of the node's type."""
    wanted, found = written.Value.Value, answer.Value
    if found is None or found.VariantType is not wanted.VariantType:
        return False
    if wanted.VariantType is Type.Float:
        return bool(np.all(np.float32(wanted.Value) == np.float32(found.Value)))
    return bool(found.Value == wanted.Value)


def held(answer: Any) -> str:
    """The value in an answer or in a write, for a message."""
    shown = "nothing" if answer.Value is None else repr(answer.Value.Value)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."


def is_whole_array(answer: ua.DataValue) -> bool:
    """Whether a server that was asked for one element has answered with more."""
    return answer.Value is not None and bool(answer.Value.is_array) and len(answer.Value.Value or ()) > 1


def _unfit(place: Place, node: Node | Absent) -> str:
    """Why a point cannot be read from its node; "" when it can."""
    if isinstance(node, Absent):
        return node.reason
    if node.sends is None:
        return ""
    if node.sends not in KINDS:
        return MIXED if node.sends is Type.Variant else STRUCTURE
    sent = _sent(place, node) or node.sends
    if place.declared is not None and KINDS[sent] is not place.kind:
        return f"type is given as {place.declared.name}, but the node is {sent.name}: correct it, or leave it out"
    return _misshapen(place, node)


def _sent(place: Place, node: Node) -> Type | None:
    """The type of the value that a point takes of what its node sends: a byte of a byte string, or all of it."""
    return Type.Byte if _is_byte(place, node) else node.sends


def _is_byte(place: Place, node: Node) -> bool:
    return place.index is not None and node.sends is Type.ByteString and not node.is_array


def _textless(place: Place, texts: Mapping[int, Texts]) -> str:
    return NO_TEXTS if place.server_texts and not texts.get(place.node) else ""


def _misshapen(place: Place, node: Node) -> str:
    if node.is_array is None or node.is_array == (place.index is not None) or _is_byte(place, node):
        return ""
    return ARRAY if node.is_array else NOT_ARRAY


def _request(
    plan: Plan,
    nodes: Sequence[Node | Absent],
    texts: Mapping[int, Texts],
    image: Image,
    rows: Sequence[int],
    unfit: Collection[int],
) -> Request:
    answers: dict[int, int] = {}
    wanted: list[ua.ReadValueId] = []
    cells: list[Cell] = []
    for row in rows:
        place = plan.places[row]
        node = nodes[place.node]
        if row in unfit or isinstance(node, Absent):
            continue
        if place.node not in answers:
            answers[place.node] = len(wanted)
            wanted.append(ua.ReadValueId(node.id, ua.IntegerId(AttributeIds.Value)))
        kind = Kind(int(image.kinds[row]))
        own = texts[place.node] if place.server_texts else None
        cell = Cell(answers[place.node], row, kind, int(image.cells[row]), place.index, own, place.on_uncertain)
        cells.append(cell)
    return Request(wanted, cells)
