"""Values of OPC UA to an image and back, without a server."""

from __future__ import annotations

from typing import Any

import asyncua.ua
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.contract import Image, Kind, Quality
from drivers.opcua.codec import INTEGERS, KINDS, Cell, decode, encode, quality_of
from drivers.reasons import reason_text

ua: Any = asyncua.ua
V = ua.VariantType

numbers = st.one_of(
    st.sampled_from(list(INTEGERS)).flatmap(
        lambda target: st.tuples(st.just(target), st.integers(int(INTEGERS[target].min), int(INTEGERS[target].max)))
    ),
    st.tuples(st.just(V.Float), st.floats(allow_nan=False, allow_infinity=False, width=32)),
    st.tuples(st.just(V.Double), st.floats(allow_nan=False, allow_infinity=False)),
    st.tuples(st.just(V.Boolean), st.booleans()),
    st.tuples(st.just(V.String), st.text()),
)


@settings(deadline=None)
@given(numbers)
def test_what_is_written_is_what_is_read(case: tuple[Any, Any]) -> None:
    target, value = case
    image = Image([KINDS[target]])
    answer = ua.DataValue(encode(value, target))
    assert decode([answer], [Cell(0, 0, KINDS[target], 0, None)], image, "source") == []
    assert image.value(0) == value
    assert image.quality[0] == Quality.GOOD
    assert np.isnan(image.source_time[0])


@settings(deadline=None)
@given(st.sampled_from(list(INTEGERS)), st.integers())
def test_an_integer_beyond_its_type_is_refused(target: Any, value: int) -> None:
    limits = INTEGERS[target]
    if int(limits.min) <= value <= int(limits.max):
        assert encode(value, target).Value == value
    else:
        with pytest.raises(ValueError, match=str(limits.max)):
            encode(value, target)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_quality_is_by_the_severity_bits(status: int) -> None:
    quality, reason = quality_of(status)
    expected = (Quality.GOOD, Quality.UNCERTAIN, Quality.BAD, Quality.BAD)[status >> 30]
    assert quality is (Quality.STALE if status & 0xFFFF_0000 in NO_MEASUREMENT else expected)
    assert (reason == 0) == (quality is Quality.GOOD)


NO_MEASUREMENT = {0x408F_0000, 0x4090_0000, 0x4091_0000, 0x4092_0000}
"""No communication, last usable value, substitute value, initial value."""


@pytest.mark.parametrize("flags", [0, 0x0400, 0x0480, 0x0500, 0x0700, 0x07FF, 0x8000, 0xFFFF])
@pytest.mark.parametrize(
    ("code", "expected"),
    [
        *((code, (Quality.STALE, Quality.UNCERTAIN, Quality.STALE)) for code in sorted(NO_MEASUREMENT)),
        *(
            (code, (Quality.UNCERTAIN, Quality.UNCERTAIN, Quality.STALE))
            for code in (0x4000_0000, 0x4093_0000, 0x4094_0000, 0x4095_0000, 0x40A4_0000, 0x40AB_0000)
        ),
        *((code, (Quality.GOOD,) * 3) for code in (0, 0x0030_0000, 0x0096_0000, 0x00EB_0000)),
        *((code, (Quality.BAD,) * 3) for code in (0x8000_0000, 0x8031_0000, 0x8032_0000, 0xC08F_0000)),
    ],
)
def test_limit_bits_and_the_like_make_no_other_quality(code: int, expected: tuple[Quality, ...], flags: int) -> None:
    assert tuple(quality_of(code | flags, each)[0] for each in (None, "publish", "stale")) == expected


def test_an_uncertain_answer_without_a_value_is_bad_and_says_its_status() -> None:
    image = Image([Kind.FLOAT])
    empty = ua.DataValue(StatusCode=ua.StatusCode(ua.UInt32(0x4092_0000)))
    decode([empty], [Cell(0, 0, Kind.FLOAT, 0, None)], image, "tick")
    assert image.quality[0] == Quality.BAD
    assert reason_text(int(image.reason[0])).startswith("the server says UncertainInitialValue")


def test_flags_of_a_status_make_no_new_reason() -> None:
    assert quality_of(0x80310000) == quality_of(0x80310480)
    assert "BadNoCommunication" in reason_text(quality_of(0x80310000)[1])


@pytest.mark.parametrize(
    ("sent", "column"), [(V.Int32, Kind.UINT), (V.UInt32, Kind.INT), (V.Double, Kind.FLOAT32), (V.Boolean, Kind.INT)]
)
def test_a_value_never_changes_its_kind_in_silence(sent: Any, column: Kind) -> None:
    image = Image([column])
    cell = Cell(0, 0, column, 0, None)
    assert decode([ua.DataValue(ua.Variant(1, sent))], [cell], image, "tick") == [cell]
    assert image.value(0) == 0
    assert image.quality[0] == Quality.BAD
    assert sent.name in reason_text(int(image.reason[0]))


def test_text_that_is_no_utf8_can_still_be_published() -> None:
    image = Image([Kind.TEXT])
    broken = b"\xff\xfe".decode("utf-8", "surrogateescape")
    decode([ua.DataValue(ua.Variant(broken, V.String))], [Cell(0, 0, Kind.TEXT, 0, None)], image, "tick")
    assert str(image.value(0)).encode() == "\ufffd\ufffd".encode()
