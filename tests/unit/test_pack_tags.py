"""Packed tags, against the pydantic message with every value made fit for the wire one by one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from protocol.engine_messages import TagsUpdatedMsg
from protocol.models import TagDirection, TagValue
from protocol.pack import EARLIEST, TagPacker
from protocol.serialization import encode
from protocol.values import wire_value

NOW = 1_795_331_917.5687
COLUMNS: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "float32": (np.float32, st.floats(width=32)),
    "float": (np.float64, st.floats()),
    "int": (np.int64, st.integers(-(2**63), 2**63 - 1)),
    "uint": (np.uint64, st.integers(0, 2**64 - 1)),
    "bool": (np.bool_, st.booleans()),
    "text": (object, st.text()),
    "choice": (np.int32, st.integers(0, 2)),
}
WORDS = ('Cl"osed', "Open", "Zu ✓")
DIRECTIONS = {"input": "input", "output": "output", "both": "output", "na": "na", "elsewhere": "unspecified"}
names = st.text(min_size=1, max_size=8)
units = st.sampled_from((None, "bar", "%", "µS/cm", 'a"b'))


@st.composite
def tables(draw: st.DrawFn) -> dict[str, Any]:
    columns: list[NDArray[Any]] = []
    for dtype, values in COLUMNS.values():
        drawn = draw(st.lists(values, max_size=4))
        column = np.empty(len(drawn), dtype)
        column[:] = drawn
        columns.append(column)
    count = sum(map(len, columns))

    def each(values: st.SearchStrategy[Any]) -> list[Any]:
        return draw(st.lists(values, min_size=count, max_size=count))

    times = st.sampled_from((np.nan, 0.0, NOW - 1.25, NOW, NOW + 1, 1e18, -np.inf, EARLIEST))
    return {
        "columns": columns,
        "names": each(names),
        "units": each(units),
        "directions": each(st.sampled_from(tuple(DIRECTIONS))),
        "rows": np.flatnonzero(np.array(each(st.booleans()), np.bool_)),
        "absent": np.array(each(st.booleans()), np.bool_),
        "simulated": np.array(each(st.booleans()), np.bool_),
        "times": np.array(each(times), np.float64),
    }


def packer_of(table: dict[str, Any]) -> TagPacker:
    first = sum(len(column) for column in table["columns"][:-1])
    words = dict.fromkeys(range(first, first + len(table["columns"][-1])), WORDS)
    return TagPacker(table["names"], table["units"], table["directions"], table["columns"], words)


def not_json(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


@given(tables())
@settings(max_examples=200, deadline=None)
def test_equal_to_the_serialized_message(table: dict[str, Any]) -> None:
    values = [value for column in table["columns"][:-1] for value in column]
    values += [WORDS[place] for place in table["columns"][-1]]
    rows: NDArray[np.intp] = table["rows"]
    expected = [
        TagValue(
            name=table["names"][row],
            tick_time=float(time) if EARLIEST <= (time := table["times"][row]) <= NOW else NOW,
            value=None if table["absent"][row] else wire_value(values[row]),
            value_unit=table["units"][row],
            direction=TagDirection(DIRECTIONS[table["directions"][row]]),
            simulated=bool(table["simulated"][row]),
        )
        for row in rows.tolist()
    ]
    packed = packer_of(table).pack(rows, table["absent"][rows], NOW, table["times"][rows], table["simulated"][rows])
    message = encode(TagsUpdatedMsg(tags=expected))
    found = json.loads(packed, parse_constant=not_json)
    assert found == json.loads(message)["tags"]
    # Equal numbers may be of different types: 1 is 1.0 and True. The wire tells them apart.
    assert [type(tag["value"]) for tag in found] == [type(tag.value) for tag in expected]


def packed_value(column: NDArray[Any]) -> bytes:
    packer = TagPacker(["T"], [None], ["input"], [column], {})
    text = packer.pack(np.array([0]), np.array([False]), NOW)
    return text.split(b'"value":')[1].split(b",")[0]


def test_a_float32_keeps_its_own_shortest_text() -> None:
    assert packed_value(np.array([0.1], np.float32)) == b"0.1"


@pytest.mark.parametrize(
    ("value", "text"),
    [(2**63 - 1, b"9223372036854775807"), (2**63, b"9223372036854775808.0"), (2**64 - 1, b"1.8446744073709552e19")],
)
def test_an_integer_beyond_63_bits_becomes_a_float(value: int, text: bytes) -> None:
    found = packed_value(np.array([value], np.uint64))
    assert json.loads(found) == json.loads(text)
    assert type(json.loads(found)) is type(json.loads(text))


def test_nothing_to_pack_is_an_empty_array() -> None:
    packer = TagPacker(["T"], [None], ["input"], [np.zeros(1)], {})
    assert packer.pack(np.array([], np.intp), np.array([], np.bool_), NOW) == b"[]"


def test_numbers_that_are_said_in_words_have_them_beside_the_number() -> None:
    columns = [np.array([90.5, 1.0, 7.0]), np.array([3])]
    said: dict[int, Callable[[float], str]] = {0: "{:g} s".format, 2: '"{:g}"'.format, 3: "{:.0f} times".format}
    packer = TagPacker(["A", "B", "C", "D"], ["s"] * 4, ["na"] * 4, columns, {}, said)

    def formatted(*rows: int, absent: int = -1) -> list[str | None]:
        chosen = np.array(rows)
        return [tag["value_formatted"] for tag in json.loads(packer.pack(chosen, chosen == absent, NOW))]

    assert formatted(0, 1, 2, 3) == ["90.5 s", None, '"7"', "3 times"]
    assert formatted(1, 2) == [None, '"7"']
    assert formatted(0, 3, absent=0) == [None, "3 times"], "what is missing is not said"


def test_each_tag_has_its_own_words() -> None:
    columns = [np.array([7.5]), np.array([1, 0, 2, 1], np.int32)]
    words = {1: ("Closed", "Open"), 2: ("Off", "On"), 3: ("A", "B", "C"), 4: ("Closed", "Open")}
    names = ["F", "V1", "V2", "S", "V3"]
    packer = TagPacker(names, [None] * 5, ["input"] * 5, columns, words)

    def shown(*rows: int) -> dict[str, object]:
        packed = json.loads(packer.pack(np.array(rows, np.intp), None, NOW))
        return {tag["name"]: tag["value"] for tag in packed}

    everything = {"F": 7.5, "V1": "Open", "V2": "Off", "S": "C", "V3": "Open"}
    assert shown(0, 1, 2, 3, 4) == everything
    for row, name in enumerate(names):
        assert shown(row) == {name: everything[name]}
    columns[1][:] = (0, 1, 0, 0)
    assert shown(2, 4) == {"V2": "On", "V3": "Closed"}
    absent = np.array([False, True, False, False, False])
    packed = json.loads(packer.pack(np.arange(5), absent, NOW))
    assert [tag["value"] for tag in packed] == [7.5, None, "On", "A", "Closed"]
