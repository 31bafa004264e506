"""What may stand in a tag on the wire."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.values import INT_MAX, INT_MIN, wire_value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("", ""),
        ("3", "3"),
        ("æ°C\x00", "æ°C\\x00"),
        ("a\ud800b", "a?b"),
        (True, 1),
        (False, 0),
        (0, 0),
        (INT_MAX, INT_MAX),
        (INT_MIN, INT_MIN),
        (INT_MAX + 1, 9223372036854775808.0),
        (INT_MIN - 1, -9223372036854775808.0),
        (2**64 - 1, 18446744073709551616.0),
        (10**400, None),
        (1.5, 1.5),
        (-0.0, -0.0),
        (math.nan, None),
        (math.inf, None),
        (-math.inf, None),
        (np.float32(0.1), 0.1),
        (np.float16(0.1), 0.1),
        (np.float64(0.1), 0.1),
        (np.float32("nan"), None),
        (np.float64("inf"), None),
        (np.longdouble(0.5), 0.5),
        (np.int16(-3), -3),
        (np.uint16(65535), 65535),
        (np.uint64(2**63), 9223372036854775808.0),
        (np.bool_(True), 1),
        (np.str_("text"), "text"),
        (Decimal("1.25"), 1.25),
        (Decimal("sNaN"), None),
        (Fraction(1, 4), 0.25),
    ],
)
def test_a_value_becomes_what_the_wire_can_carry(value: Any, expected: Any) -> None:
    found = wire_value(value)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize("value", [[1], {"a": 1}, b"bytes", 1j, np.array([1, 2]), np.datetime64("2026-01-01")])
def test_what_is_no_value_is_an_error_of_the_caller(value: Any) -> None:
    with pytest.raises(TypeError, match="a tag's value is a number"):
        wire_value(value)


@given(st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.decimals())
def test_every_value_is_strict_json_of_64_bits(value: Any) -> None:
    found = wire_value(value)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert type(found) in {int, float, str, type(None)}
    if isinstance(found, int):
        assert INT_MIN <= found <= INT_MAX
