"""Modbus values: every type in every order against a decoder written with `struct`, and what is refused."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.contract import Image
from drivers.modbus.codec import Decoder, Field, UnfitError, encode, field_of, mask_of
from drivers.modbus.datatypes import ORDERS
from drivers.modbus.options import PointOptions

FORMATS = {
    "int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "int64": "q", "uint64": "Q",
    "float16": "e", "float32": "f", "float64": "d",
}  # fmt: skip
SHAPES = [(name, order) for name, fmt in FORMATS.items() for order in ORDERS[struct.calcsize(fmt) // 2]]


def field(row: int = 0, device_order: str = "ABCD", **options: Any) -> Field:
    return field_of(row, f"T{row}", PointOptions(**options), device_order)


def decoded(fields: list[Field], raw: bytes, starts: list[int]) -> tuple[list[Any], list[int]]:
    image = Image([field.data_type.kind for field in fields])
    decoder = Decoder(fields, dict(enumerate(starts)), image)
    invalid = decoder.decode(np.frombuffer(raw, np.uint8), image)
    return [image.value(row) for row in range(len(fields))], sorted(invalid.tolist())


def reference(name: str, order: str, wire: bytes) -> Any:
    """The bytes put in the order of the letters, then read by `struct`."""
    ordered = bytes(byte for _, byte in sorted(zip(order, wire, strict=True)))
    return struct.unpack(f">{FORMATS[name]}", ordered)[0]


def same(one: Any, other: Any) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


@given(st.lists(st.tuples(st.sampled_from(SHAPES), st.binary(min_size=8, max_size=8)), min_size=1, max_size=30))
def test_decoding_equals_struct(cases: list[tuple[tuple[str, str], bytes]]) -> None:
    fields = [field(row, holding=4 * row, type=name, word_order=order) for row, ((name, order), _) in enumerate(cases)]
    raw = b"".join(data for _, data in cases)
    values, _ = decoded(fields, raw, [8 * row for row in range(len(cases))])
    for value, ((name, order), data) in zip(values, cases, strict=True):
        assert same(value, reference(name, order, data[: len(order)]))


@given(st.sampled_from(SHAPES), st.data())
def test_encoding_round_trips(shape: tuple[str, str], data: st.DataObject) -> None:
    name, order = shape
    size = len(order)
    if name.startswith("float"):
        value: Any = data.draw(st.floats(width=8 * size, allow_nan=False, allow_infinity=False))  # type: ignore[arg-type]
    else:
        limits = np.iinfo(name)
        value = data.draw(st.integers(int(limits.min), int(limits.max)))
    one = field(holding=0, type=name, word_order=order)
    wire = encode(one, value)
    assert len(wire) == size
    assert reference(name, order, wire) == value
    assert decoded([one], wire, [0])[0] == [value]


@pytest.mark.parametrize(
    ("device_order", "name", "wire", "value"),
    [
        ("CDAB", "uint64", "0708050603040102", 0x0102030405060708),
        ("BADC", "uint64", "0201040306050807", 0x0102030405060708),
        ("DCBA", "uint64", "0807060504030201", 0x0102030405060708),
        ("DCBA", "uint16", "0201", 0x0102),
        ("CDAB", "uint16", "0102", 0x0102),
        ("ABCD", "int8_high", "ff7f", -1),
        ("ABCD", "uint8_low", "ff7f", 0x7F),
        ("BADC", "uint8_low", "7fff", 0x7F),
        ("ABCD", "bcd16", "1234", 1234),
        ("CDAB", "bcd32", "56781234", 12345678),
        ("ABCD", "bool", "0100", True),
        ("ABCD", "bool", "0000", False),
    ],
)
def test_known_values(device_order: str, name: str, wire: str, value: Any) -> None:
    assert decoded([field(device_order=device_order, holding=0, type=name)], bytes.fromhex(wire), [0]) == ([value], [])


@given(st.integers(0, 0xFFFF), st.sampled_from(["AB", "BA"]))
def test_bits_of_a_register(register: int, order: str) -> None:
    fields = [field(bit, holding=0, bit=bit, word_order=order) for bit in range(16)]
    raw = register.to_bytes(2, "big" if order == "AB" else "little")
    assert decoded(fields, raw, [0] * 16)[0] == [bool(register >> bit & 1) for bit in range(16)]


@given(st.integers(0, 99_999_999))
def test_bcd_round_trips(value: int) -> None:
    one = field(holding=0, type="bcd32", word_order="CDAB")
    assert decoded([one], encode(one, value), [0]) == ([value], [])


def test_bytes_that_are_no_decimal_digits_are_invalid() -> None:
    fields = [field(0, holding=0, type="bcd16"), field(1, holding=1, type="bcd16")]
    assert decoded(fields, bytes.fromhex("12a41234"), [0, 2])[1] == [0]


@pytest.mark.parametrize(
    ("order", "wire", "text"),
    [
        ("ABCD", b"PUMP-7\0\0", "PUMP-7"),
        ("CDAB", b"PUMP-7  ", "PUMP-7"),
        ("BADC", b"UPPM7-\0\0", "PUMP-7"),
        ("ABCD", b"A\0rest..", "A"),
        ("ABCD", "12 µm".encode().ljust(8, b"\0"), "12 µm"),
        ("ABCD", b"12 \xb5m\0\0\0", "12 µm"),
    ],
)
def test_text(order: str, wire: bytes, text: str) -> None:
    assert decoded([field(holding=0, type="string", length=4, word_order=order)], wire, [0])[0] == [text]


@given(st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=8), st.sampled_from(["ABCD", "DCBA"]))
def test_text_round_trips(text: str, order: str) -> None:
    one = field(holding=0, type="string", length=4, word_order=order)
    assert decoded([one], encode(one, text), [0])[0] == [text.rstrip(" ")]


@pytest.mark.parametrize(
    ("options", "value", "message"),
    [
        ({"type": "uint16"}, 65_536, "uint16 and takes 0 to 65535, not 65536"),
        ({"type": "uint16"}, -5, "not -5"),
        ({"type": "int64"}, 2**63, "takes -9223372036854775808 to 9223372036854775807"),
        ({"type": "uint16"}, 5.5, "not 5.5: set scale"),
        ({"type": "uint16"}, math.inf, "not inf: set scale"),
        ({"type": "uint16"}, "5", "a whole number, not '5'"),
        ({"type": "uint16"}, True, "a whole number, not True"),
        ({"type": "float32"}, 1e39, "finite number up to"),
        ({"type": "float32"}, math.nan, "not nan"),
        ({"type": "float64"}, 10**400, "finite number up to"),
        ({"type": "float32"}, "1", "takes a number"),
        ({"type": "bcd16"}, 10_000, "takes 0 to 9999"),
        ({"type": "string", "length": 2}, "PUMPE", "room for 4 bytes, and the text takes 5"),
        ({"type": "string", "length": 2}, 3, "takes a text, not 3"),
        ({"bit": 3}, 2, "true or false, not 2"),
        ({"bit": 3}, "on", "true or false, not 'on'"),
    ],
)
def test_values_that_do_not_fit_are_refused(options: dict[str, Any], value: Any, message: str) -> None:
    with pytest.raises(UnfitError, match=message):
        encode(field(holding=0, **options), value)


def test_whole_floats_fit_integers() -> None:
    assert encode(field(holding=0, type="uint16"), 5.0) == b"\0\5"


@pytest.mark.parametrize("order", ["AB", "BA"])
@given(st.integers(0, 0xFFFF), st.lists(st.tuples(st.integers(0, 15), st.integers(0, 15)), min_size=1, max_size=8))
def test_bit_fields_are_cut_out_and_put_back(order: str, register: int, ranges: list[tuple[int, int]]) -> None:
    ends = [(min(pair), max(pair)) for pair in ranges]
    fields = [field(row, holding=0, bits=f"{low}-{high}", word_order=order) for row, (low, high) in enumerate(ends)]
    wire = register.to_bytes(2, "big" if order == "AB" else "little")
    values, _ = decoded(fields, wire, [0] * len(fields))
    assert values == [int(f"{register:016b}"[15 - high : 16 - low], 2) for low, high in ends]
    for one, value in zip(fields, values, strict=True):
        mask = mask_of(one)
        assert mask is not None
        assert int.from_bytes(encode(one, value)) == int.from_bytes(wire) & mask


def test_a_bit_field_takes_no_more_than_its_bits() -> None:
    with pytest.raises(UnfitError, match="is 3 bits and takes 0 to 7, not 8"):
        encode(field(holding=0, bits="4-6"), 8)


@given(
    st.sampled_from([*FORMATS, "string", "bit", "int8_high", "uint8_low", "coil"]),
    st.integers(0, 20),
    st.binary(min_size=256, max_size=256),
)
def test_an_element_of_an_array_is_where_struct_finds_it(name: str, index: int, raw: bytes) -> None:
    options: dict[str, Any] = {"holding": 0, "type": name, "index": index}
    expected: Any
    if name == "string":
        options["length"] = 3
        raw = bytes(byte & 0x7F for byte in raw)
        expected = raw[6 * index : 6 * index + 6].split(b"\0", 1)[0].rstrip(b" ").decode()
    elif name == "bit":
        options = {"holding": 0, "bit": 3, "index": index}
        register, bit = divmod(3 + index, 16)
        expected = bool(struct.unpack_from(">H", raw, 2 * register)[0] >> bit & 1)
    elif name in {"int8_high", "uint8_low"}:
        place = index + (name == "uint8_low")
        expected = struct.unpack_from("b" if name == "int8_high" else "B", raw, place)[0]
    elif name == "coil":
        options = {"coil": 5, "index": index}
        raw = bytes(byte & 1 for byte in raw)
        expected = bool(raw[5 + index])
    else:
        expected = struct.unpack_from(f">{FORMATS[name]}", raw, index * struct.calcsize(FORMATS[name]))[0]
    one = field(**options)
    width = 1 if one.table.is_bits else 2
    values, _ = decoded([one], raw, [width * one.address])
    assert same(values[0], expected)


def test_texts_of_one_group_keep_apart_whatever_lies_between() -> None:
    fields = [
        field(0, holding=0, type="string", length=3),
        field(1, holding=3, type="uint16"),
        field(2, holding=4, type="string", length=3),
        field(3, holding=7, type="string", length=2, word_order="BA"),
        field(4, holding=9, type="string", length=3, word_order="BA"),
    ]
    raw = b"PUMP\0\0" + b"\0\7" + b"VALVE " + b"1B2C" + b"BADCFE"
    assert decoded(fields, raw, [0, 6, 8, 14, 18])[0] == ["PUMP", 7, "VALVE", "B1C2", "ABCDEF"]
