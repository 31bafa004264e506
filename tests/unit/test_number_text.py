"""Numbers as they are typed, and the sentence that shows how they are written."""

from __future__ import annotations

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from engine.cli.number_option import number_option
from engine.uod.number_text import how_to_write, is_number


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("5,5", "write 5.5: the decimal sign is a point"),
        ("5,5 bar", "write 5.5 bar: the decimal sign is a point"),
        ("5,5bar", "write 5.5 bar: the decimal sign is a point"),
        (",5", "write 0.5: the decimal sign is a point"),
        ("0,125", "write 0.125: the decimal sign is a point"),
        ("1.000,5", "write 1000.5: the decimal sign is a point"),
        ("1,000.5", "write 1000.5: the decimal sign is a point"),
        ("1,000", "write 1000 or 1.000: the decimal sign is a point"),
        ("-1,000 L", "write -1000 L or -1.000 L: the decimal sign is a point"),
        ("1.000.000", "write 1000000: a number has no separators in it"),
        ("1 000", "write 1000: a number has no separators in it"),
        ("1\u202f000", "write 1000: a number has no separators in it"),
        ("1'000", "write 1000: a number has no separators in it"),
        ("1\u2019000", "write 1000: a number has no separators in it"),
        ("1_000", "write 1000: a number has no separators in it"),
        ("1 000,5 mL", "write 1000.5 mL: the decimal sign is a point"),
        ("5 .5", "write 5.5: a number has no separators in it"),
        ("\u22125", "write -5: the minus sign is the plain -"),
        ("\u20135,5", "write -5.5: the decimal sign is a point"),
        ("1,5e-3", "write 1.5e-3: the decimal sign is a point"),
        ("1/10", "write 0.1: a number is not a fraction"),
    ],
)
def test_a_number_of_some_country_is_shown_as_it_is_written_here(text: str, sentence: str) -> None:
    assert how_to_write(text) == sentence


@pytest.mark.parametrize(
    "text",
    ["5", "-5.5", "5.5 bar", "1e-3", "5 1/min", "5 m2", "Open", "", "5,5,5", "192.168.1.10", "12:30", "1/0", "5,"],
)
def test_any_other_text_is_not_judged(text: str) -> None:
    assert how_to_write(text) is None


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_as_it_is_written_here_is_right(number: float) -> None:
    assert how_to_write(repr(number)) is None
    assert is_number(repr(number))


@given(st.floats(-1e9, 1e9).map(lambda number: f"{number:.3f}"))
def test_a_decimal_comma_becomes_a_point(text: str) -> None:
    if len(text.lstrip("-").partition(".")[0]) > 3:  # else it may be a thousand
        assert how_to_write(text.replace(".", ",")) == f"write {text}: the decimal sign is a point"


@given(st.text(max_size=80))
def test_any_text_is_read(text: str) -> None:
    how_to_write(text)


def test_an_option_of_the_command_line_shows_the_point() -> None:
    assert number_option("1.5") == 1.5
    assert number_option(30.0) == 30.0
    with pytest.raises(typer.BadParameter, match=r"write 1\.5: the decimal sign is a point"):
        number_option("1,5")
    with pytest.raises(typer.BadParameter, match="below zero"):
        number_option("-1")
    with pytest.raises(typer.BadParameter, match="write it as"):
        number_option("nan")
