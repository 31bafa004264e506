"""Points whose kind only their device knows: everything is possible until it has been asked, and then what fits."""

from __future__ import annotations

import pytest

from drivers.contract import Image, Kind, Quality
from engine.core.checking import ExpressionError
from engine.core.core import Core
from engine.core.spec import FromExpression, FromPoint, TagSpec

SPECS = [
    TagSpec("A", FromPoint(0, 0)),
    TagSpec("B", FromPoint(0, 1)),
    TagSpec("Chosen", FromExpression("where(A, 1, 0)")),
    TagSpec("Total", FromExpression("A + B")),
    TagSpec("Same", FromExpression("B == 'on'")),
    TagSpec("Half", FromExpression("Total / 2")),
]


def image_of(kinds: list[Kind], *values: bool | float | str) -> Image:
    image = Image(kinds)
    for row, value in enumerate(values):
        image.columns[kinds[row]][image.cells[row]] = value
    image.quality[:], image.reason[:] = Quality.GOOD, 0
    return image


def shown(core: Core) -> dict[str, tuple[object, str]]:
    core.take(0)
    core.derive(1.0)
    rows = [core.table.row_of(spec.name) for spec in SPECS[2:]]
    return {core.table.names[row]: (core.table.value(row), core.table.why(row)) for row in rows}


def test_nothing_is_known_before_the_device_has_been_asked() -> None:
    core = Core(SPECS, [Image([Kind.FLOAT] * 2, [False, False])])
    assert core.unfit == ()
    assert shown(core) == dict.fromkeys(("Chosen", "Total", "Same", "Half"), (None, "not read yet"))


@pytest.mark.parametrize(
    ("image", "expected", "unfit"),
    [
        (image_of([Kind.BOOL, Kind.TEXT], True, "on"), {"Chosen": 1.0, "Same": True}, {"Total"}),
        (image_of([Kind.FLOAT, Kind.INT], 1.5, 2), {"Total": 3.5, "Half": 1.75}, {"Chosen", "Same"}),
    ],
)
def test_what_does_not_fit_is_bad_and_says_why(image: Image, expected: dict[str, object], unfit: set[str]) -> None:
    before = Core(SPECS, [Image([Kind.FLOAT] * 2, [False, False])])
    shown(before)
    core = Core(SPECS, [image])
    core.adopt(before)
    found = shown(core)
    assert {name: value for name, (value, _) in found.items() if value is not None} == expected
    assert {fault.tag for fault in core.unfit} == unfit
    for name in unfit:
        assert found[name][1].startswith("its expression does not fit: ")


def test_an_author_s_own_fault_is_raised_even_so() -> None:
    with pytest.raises(ExpressionError, match="no tag is named C"):
        Core([*SPECS, TagSpec("D", FromExpression("C + A"))], [image_of([Kind.TEXT] * 2, "x", "y")])
