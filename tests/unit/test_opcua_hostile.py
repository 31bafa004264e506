"""Answers of a server that is broken or means harm: refused or read, in the time and memory that their size allows."""

from __future__ import annotations

import struct
import tracemalloc
from typing import Any

import asyncua.ua
import pytest
from asyncua.ua import ua_binary
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.contract import Image, Kind, Quality
from drivers.opcua.codec import MOST_TEXT, Cell, decode
from drivers.opcua.decoding import MOST_ELEMENTS, values_of
from drivers.opcua.fastpath import Reader
from drivers.opcua.notification import parse
from drivers.opcua.records import READ_RESPONSE, results_begin, type_id
from drivers.reasons import reason_text

ua: Any = asyncua.ua
V = ua.VariantType
patient = settings(deadline=None)

MOST_BYTES = 10_000_000
COUNT = struct.Struct("<i").pack
MANY = COUNT(50_000_000)
NULLS = b"\x80" + MANY
"""A Variant that is an array of fifty million nulls, each of no size."""
INT32 = b"\x06" + COUNT(7)
NONE = COUNT(-1)


def answer(*variants: bytes, header: bytes = READ_RESPONSE + bytes(24)) -> bytes:
    """A read response with these Variants, good and without times."""
    return header + COUNT(len(variants)) + b"".join(b"\x01" + each for each in variants) + NONE


def structure(body: bytes, encoding: int) -> bytes:
    return type_id(encoding) + b"\x01" + COUNT(len(body)) + body


def nested(first: bytes, levels: int, last: bytes) -> bytes:
    return first * levels + last


BOMBS = {
    "nulls": NULLS,
    "a matrix of nulls": b"\xc0" + MANY + COUNT(2) + COUNT(50_000) + COUNT(1000),
    "nulls within": b"\x98" + COUNT(2) + NULLS + NULLS,
    "nulls in a data value": b"\x17\x01" + NULLS,
    "nulls in a structure": b"\x16" + structure(b"\x01" + NULLS, ua.ObjectIds.DataValue),
    "nulls in a known structure": b"\x16" + structure(NULLS, ua.ObjectIds.LiteralOperand_Encoding_DefaultBinary),
    "nulls in an array of structures": b"\x96"
    + COUNT(1)
    + structure(NULLS, ua.ObjectIds.LiteralOperand_Encoding_DefaultBinary),
    "a matrix that is said to be large": b"\xc6" + COUNT(1) + COUNT(7) + COUNT(2) + COUNT(1_000_000) + COUNT(0),
    "a matrix of many dimensions": b"\xc6" + COUNT(1) + COUNT(7) + COUNT(5000) + COUNT(1) * 5000,
    "data values within each other": b"\x17" + nested(b"\x01\x17", 90, b"\x00"),
}


def by_both(body: bytes, kind: Kind = Kind.INT, index: int | None = None, row_count: int = 2) -> list[Image]:
    """What the fast path and asyncua's decoder make of an answer."""
    images = [Image([kind] * row_count) for _ in range(2)]
    cells = [Cell(row, row, kind, row, index if row == 0 else None) for row in range(row_count)]
    Reader(row_count, cells, "source").layout_of(body).fill(body, images[0])
    decode(values_of(body, row_count), cells, images[1], "source")
    return images


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
@pytest.mark.parametrize("index", [None, 0])
def test_a_small_answer_takes_little_memory_whatever_it_announces(bomb: bytes, index: int | None) -> None:
    tracemalloc.start()
    try:
        images = by_both(answer(bomb, INT32), index=index)
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()
    for image in images:
        assert image.quality[1] == Quality.GOOD
        assert image.value(1) == 7
    assert images[0].quality.tolist() == images[1].quality.tolist()
    assert images[0].reason.tolist() == images[1].reason.tolist()


@pytest.mark.parametrize(
    "bomb",
    [
        b"\x8c" + COUNT(250_000) + NONE * 250_000,
        b"\x98" + COUNT(250) + (b"\x18" * 95 + b"\x00") * 250,
        b"\x99" + COUNT(250) + (b"\x40" * 95 + b"\x00") * 250,
        b"\x98" + COUNT(250_000) + bytes(250_000),
        b"\x18" * 150 + b"\x00",
        b"\x19" + b"\x40" * 150 + b"\x00",
        b"\x8b" + MANY,
        b"\x0c" + MANY,
    ],
    ids=[
        "texts",
        "variants within each other",
        "diagnostics within each other",
        "variants",
        "nested variants",
        "nested diagnostics",
        "numbers that do not come",
        "text that does not",
    ],
)
def test_what_no_sound_server_sends_is_refused(bomb: bytes) -> None:
    with pytest.raises(ua.UaError):
        by_both(answer(bomb, INT32))


@pytest.mark.parametrize(
    "header",
    [
        READ_RESPONSE + bytes(16) + b"\x40" * 5000 + b"\x00" + NONE + bytes(3),
        READ_RESPONSE + bytes(16) + b"\x00" + MANY + bytes(3),
        READ_RESPONSE + bytes(16) + b"\x00" + NONE,
    ],
    ids=["diagnostics", "strings", "cut off"],
)
def test_a_header_can_be_hostile_too(header: bytes) -> None:
    with pytest.raises(ua.UaError):
        results_begin(header)


def test_a_header_with_diagnostics_and_strings_is_read() -> None:
    response = ua.ReadResponse()
    response.ResponseHeader.StringTable = ["one", "two"]
    response.ResponseHeader.ServiceDiagnostics = ua.DiagnosticInfo(SymbolicId=1, AdditionalInfo="why")
    response.Results = [ua.DataValue(ua.Variant(5, V.Int32))]
    (value,) = values_of(ua_binary.struct_to_binary(response))
    assert value.Value is not None
    assert value.Value.Value == 5


@pytest.mark.parametrize("index", [0, MOST_ELEMENTS + 5])
def test_one_element_of_a_long_array_is_read(index: int) -> None:
    numbers = range(MOST_ELEMENTS + 10)
    body = answer(b"\x86" + struct.pack(f"<i{len(numbers)}i", len(numbers), *numbers), INT32)
    image = Image([Kind.INT])
    Reader(2, [Cell(0, 0, Kind.INT, 0, index)], "tick").layout_of(body).fill(body, image)
    assert image.value(0) == index


@pytest.mark.parametrize("letter", ["x", "ü", "€", "😀"])
@pytest.mark.parametrize("longer", [0, 1, 1_000_000])
def test_a_long_text_is_cut(letter: str, longer: int) -> None:
    text = (letter * (MOST_TEXT + longer)).encode()
    for image in by_both(answer(b"\x0c" + COUNT(len(text)) + text, b"\x0c" + NONE), Kind.TEXT):
        shown = str(image.value(0))
        assert len(shown) == MOST_TEXT
        assert shown == (letter * MOST_TEXT if not longer else letter * (MOST_TEXT - 1) + "…")


def test_long_bytes_are_cut() -> None:
    for image in by_both(answer(b"\x0f" + COUNT(5000) + bytes(5000), b"\x0c" + NONE), Kind.TEXT):
        assert str(image.value(0)) == "0" * (MOST_TEXT - 1) + "…"


ENCODINGS = st.integers(0, 255)
JUNK = st.one_of(
    st.binary(max_size=60),
    st.lists(
        st.one_of(
            ENCODINGS.map(lambda each: bytes((each,))),
            st.integers(-2, 9).map(COUNT),
            st.sampled_from([MANY, NULLS, INT32, NONE, type_id(ua.ObjectIds.EnumValueType_Encoding_DefaultBinary)]),
        ),
        max_size=20,
    ).map(b"".join),
)


@patient
@given(JUNK, st.sampled_from([Kind.INT, Kind.TEXT, Kind.FLOAT]), st.sampled_from([None, 0, 3]))
def test_junk_is_refused_or_read_alike(junk: bytes, kind: Kind, index: int | None) -> None:
    """No error but `ua.UaError` comes out, and nothing large is made of little."""
    body = READ_RESPONSE + bytes(24) + COUNT(2) + junk
    tracemalloc.start()
    try:
        images = by_both(body, kind, index)
    except ua.UaError:
        return
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < MOST_BYTES
    assert images[0].quality.tolist() == images[1].quality.tolist()
    assert [reason_text(code) for code in images[0].reason.tolist()] == [
        reason_text(code) for code in images[1].reason.tolist()
    ]


@patient
@given(st.binary(max_size=100), st.integers(-2, 2**31 - 1))
def test_a_junk_notification_is_refused_or_read(junk: bytes, parts: int) -> None:
    head = type_id(ua.ObjectIds.PublishResponse_Encoding_DefaultBinary) + bytes(24)
    try:
        parse(head + struct.pack("<IiBIqi", 1, 0, 0, 1, 0, parts) + junk)
    except ua.UaError:
        return
