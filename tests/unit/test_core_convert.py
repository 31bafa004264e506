"""Conversion of images, against a scalar reference in exact arithmetic."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.contract import DTYPES, Image, Kind, Quality
from drivers.reasons import reason_code
from engine.core.convert import ABOVE, BELOW, NO_CHOICE, NOT_AVAILABLE, NOT_FINITE
from engine.core.core import Core
from engine.core.scaling import OVERFLOW
from engine.core.spec import FromPoint, TagSpec
from engine.core.table import TagKind

REFUSED = reason_code("the device refuses: illegal data address")
INTEGERS = {Kind.INT: (-(2**63), 2**63 - 1), Kind.UINT: (0, 2**64 - 1)}
whole_scales = st.sampled_from((1, 1, 2, -1, -3, 10, 1000, 2**40, 0))
scales = st.one_of(whole_scales, st.floats(-1e6, 1e6, allow_subnormal=False))
offsets = st.one_of(st.integers(-(2**40), 2**40), st.floats(-1e6, 1e6, allow_subnormal=False), st.just(0))
limits = st.one_of(st.none(), st.floats(-1e6, 1e6), st.integers(-100, 100))


@st.composite
def points(draw: st.DrawFn) -> tuple[Kind, object, TagSpec]:
    """A raw value of any kind, and a tag that makes something of it."""
    kind = draw(st.sampled_from(tuple(Kind)))
    if kind in INTEGERS:
        low, high = INTEGERS[kind]
        raw: object = draw(st.one_of(st.integers(low, high), st.sampled_from((low, high, 0, 1, 65_535))))
    elif kind is Kind.BOOL:
        raw = draw(st.booleans())
    elif kind is Kind.TEXT:
        raw = draw(st.text(max_size=5))
    else:
        # Not so near to the largest float that one rounding more or less decides whether there is a result.
        wide = st.floats(-1e290, 1e290) if kind is Kind.FLOAT else st.floats(width=32)
        raw = draw(st.one_of(wide, st.sampled_from((math.nan, math.inf, -math.inf, 0.0, 1.0, 65_535.0))))
    low, high = sorted((draw(limits), draw(limits)), key=lambda limit: -math.inf if limit is None else limit)
    spec = TagSpec(
        "T",
        FromPoint(0, 0),
        scale=draw(scales),
        offset=draw(offsets),
        minimum=low,
        maximum=high,
        outside=draw(st.sampled_from(("reject", "clamp"))),
        not_available=draw(st.sampled_from(((), (65_535,), (0.0, 1.0)))),
    )
    return kind, raw, spec


def reference(kind: Kind, raw: object, spec: TagSpec) -> tuple[object, int]:
    """The value, and 0; or nothing, and why."""
    if kind is Kind.TEXT:
        return raw, 0
    if kind is Kind.BOOL and spec.scale == 1 and spec.offset == 0:
        return raw, 0
    assert isinstance(raw, (bool, int, float))
    if kind is not Kind.BOOL and raw in spec.not_available:
        return None, NOT_AVAILABLE
    if not math.isfinite(raw):
        return None, NOT_FINITE
    whole = float(spec.scale).is_integer() and float(spec.offset).is_integer()
    if kind in INTEGERS and whole:
        value: float | int = raw * int(spec.scale) + int(spec.offset)
        signed = kind is Kind.INT or spec.scale < 0 or spec.offset < 0
        low, high = INTEGERS[Kind.INT if signed else Kind.UINT]
        if not low <= value <= high:
            return None, OVERFLOW
    elif spec.scale == 1 and spec.offset == 0:
        value = raw
    else:
        exact = Fraction(raw) * Fraction(spec.scale) + Fraction(spec.offset)
        if abs(exact) > Fraction(1.7976931348623157e308):
            return None, NOT_FINITE
        value = float(exact)
    unsigned = type(value) is int and not (kind is Kind.INT or spec.scale < 0 or spec.offset < 0)
    if unsigned and spec.maximum is not None and spec.maximum < 0:
        return None, ABOVE
    narrow = kind is Kind.FLOAT32 and spec.scale == 1 and spec.offset == 0
    low, high = limit_of(spec.minimum, narrow, value, math.ceil), limit_of(spec.maximum, narrow, value, math.floor)
    for limit, beyond, code in ((low, -1, BELOW), (high, 1, ABOVE)):
        if limit is not None and (value - limit) * beyond > 0:
            if spec.outside == "reject":
                return None, code
            value = limit
    return value, 0


def limit_of(
    limit: float | None, narrow: bool, value: float | int, whole: Callable[[float], int]
) -> float | int | None:
    """A limit as a value of the column can be: a whole number, or a float32."""
    if limit is None:
        return None
    if type(value) is int:
        return whole(limit)
    return float(np.float32(limit)) if narrow else limit


@given(st.lists(points(), min_size=1, max_size=12), st.integers(0, 3))
@settings(max_examples=150, deadline=None)
def test_conversion(drawn: list[tuple[Kind, object, TagSpec]], refused: int) -> None:
    image = Image([kind for kind, _, _ in drawn])
    specs: list[TagSpec] = []
    for row, (kind, raw, spec) in enumerate(drawn):
        image.columns[kind][image.cells[row]] = raw
        specs.append(replace(spec, name=f"T{row}", source=FromPoint(0, row)))
    image.quality[:], image.reason[:] = Quality.GOOD, 0
    if refused < len(drawn):
        image.quality[refused], image.reason[refused] = Quality.BAD, REFUSED
    core = Core(specs, [image])
    core.take(0)
    for row, (kind, raw, spec) in enumerate(drawn):
        place = core.table.row_of(f"T{row}")
        value, code = reference(kind, raw, spec)
        if row == refused:
            value, code = None, REFUSED
        found = core.table.value(place)
        if code == 0 and kind in (Kind.FLOAT, Kind.FLOAT32, Kind.INT, Kind.UINT, Kind.BOOL) and type(found) is float:
            # Beside the very limit, one rounding more or less decides; far from it, nothing does.
            scale = abs(float(raw) * spec.scale) + abs(spec.offset) if isinstance(raw, (int, float)) else 0.0
            assert found == pytest.approx(
                value, rel=1e-6 if kind is Kind.FLOAT32 else 1e-12, abs=1e-12 * scale + 1e-300
            )
        else:
            assert found == value
            assert core.table.reason[place] == code
        assert core.table.quality[place] == (Quality.GOOD if code == 0 else Quality.BAD)


@pytest.mark.parametrize("kind", [Kind.INT, Kind.UINT])
@given(data=st.data())
@settings(deadline=None)
def test_integers_are_exact_to_the_last_bit(kind: Kind, data: st.DataObject) -> None:
    raw = data.draw(st.integers(*INTEGERS[kind]))
    image = Image([kind])
    image.columns[kind][0] = raw
    image.quality[:] = Quality.GOOD
    core = Core([TagSpec("T", FromPoint(0, 0))], [image])
    core.take(0)
    assert core.table.value(0) == raw
    assert core.table.columns[TagKind(kind)].dtype == DTYPES[kind]


def image_of(kind: Kind, raw: object) -> Image:
    image = Image([kind])
    image.columns[kind][0] = raw
    image.quality[:], image.reason[:] = Quality.GOOD, 0
    return image


@pytest.mark.parametrize(
    ("kind", "raw", "word"),
    [
        (Kind.UINT, 1, "Open"),
        (Kind.INT, 0, "Closed"),
        (Kind.BOOL, True, "Open"),
        (Kind.BOOL, False, "Closed"),
        (Kind.FLOAT32, 1.0, "Open"),
        (Kind.UINT, 2**64 - 1, None),
        (Kind.INT, -1, "Fault"),
        (Kind.FLOAT, 0.5, None),
        (Kind.FLOAT, math.nan, None),
    ],
)
def test_choices(kind: Kind, raw: object, word: str | None) -> None:
    image = image_of(kind, raw)
    core = Core([TagSpec("V", FromPoint(0, 0), choices={"Closed": 0, "Open": 1, "Fault": -1})], [image])
    core.take(0)
    assert core.table.value(0) == word
    assert core.table.reason[0] == (0 if word else NO_CHOICE)


def test_what_is_bad_leaves_the_last_good_value() -> None:
    image = image_of(Kind.FLOAT32, 1.5)
    core = Core([TagSpec("T", FromPoint(0, 0), maximum=10.0)], [image])
    core.take(0)
    image.columns[Kind.FLOAT32][0] = np.inf
    core.take(0)
    assert core.table.value(0) is None
    assert core.table.last_value(0) == 1.5
    assert core.table.why(0) == "not a finite number"
    image.columns[Kind.FLOAT32][0] = 2.5
    core.take(0)
    assert core.table.value(0) == 2.5


def test_views_are_read_only() -> None:
    core = Core([TagSpec("T", FromPoint(0, 0))], [image_of(Kind.FLOAT, 1.0)])
    for view in (core.table.columns[TagKind.FLOAT], core.table.quality, core.table.reason, core.table.simulated):
        with pytest.raises(ValueError, match="read-only"):
            view[0] = 1
