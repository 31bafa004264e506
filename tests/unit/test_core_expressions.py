"""Expressions at load: what is understood, and how faults are told."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.checking import ExpressionFault, Formula, Known, check_expressions
from engine.core.expression import MAX_LENGTH, Call, FaultInExpression, Number, Tag, parse, quoted
from engine.core.table import TagKind

TAGS = {
    "PT01": Known(TagKind.FLOAT32, "bar"),
    "PT02": Known(TagKind.FLOAT, "mbar"),
    "FT01": Known(TagKind.FLOAT, "L/h"),
    "TT01": Known(TagKind.FLOAT, "degC"),
    "TT02": Known(TagKind.FLOAT, "degF"),
    "LT-1 top": Known(TagKind.FLOAT, "mm"),
    "PU01": Known(TagKind.FLOAT, "%"),
    "RT01": Known(TagKind.FLOAT, "ohm"),
    "Odd": Known(TagKind.FLOAT, "frobs"),
    "Bare": Known(TagKind.FLOAT),
    "Running": Known(TagKind.BOOL),
    "Serial": Known(TagKind.TEXT),
    "VA01": Known(TagKind.CHOICE, None, ("Closed", "Open")),
    "dTT": Known(TagKind.FLOAT, "delta_degC"),
    "Node": Known(None),
    "Other node": Known(None),
}


def faults_of(text: str, unit: str | None = None) -> list[ExpressionFault]:
    return check_expressions(TAGS, {"D": Formula(text, unit)})[1]


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("PT01 - PT02", "bar"),
        ("PT01 + 0.5", "mbar"),
        ("integral(FT01)", "L"),
        ("FT01 * PU01", "L/min"),
        ("TT01 - TT02", "K"),
        ("(TT01 + TT02) / 2", "K"),
        ("max(TT01, TT02, 20)", "degC"),
        ("sqrt(PT01 * PT02)", "bar"),
        ("PT01 ^ 2 / PT02", "bar"),
        ("rate(PT01)", "mbar/min"),
        ("pt100(RT01)", "K"),
        ("`LT-1 top` * 3", "cm"),
        ("where(Running and VA01 == 'Open', FT01, 0)", "L/h"),
        ("where(PT01 > PT02, PT01, PT02)", "Pa"),
        ('on_time(Serial != "x")', "h"),
        ("exp(PT01 / PT02)", None),
        ("polynomial(PT01, 1, 2, 3)", "degC"),
        ("Odd + PT01", "bar"),
        ("Bare + PT01 * 3", "mS/cm"),
        ("-PT01 ** 2", None),
        ("not Running or count(Running) > 3", None),
        ("stdev(TT01, 60)", "K"),
        ("TT01 + ema(TT01 - TT02, 5)", "degC"),
        *(("TT01 - TT02", unit) for unit in ("degC", "degF", "K", "degR", "delta_degC", "delta_degF")),
        ("rate(TT01)", "delta_degC/min"),
        ("TT01 + dTT", "degC"),
        ("TT01 - dTT / 2", "degF"),
        ("where(Node, 1, 0)", None),
        ("Node + 1", "bar"),
        ("Node and not Running", None),
        ("where(Running, Node, Running)", None),
        ("where(Running, Node, PT01)", "bar"),
        ("where(Node, Node, `Other node`) + 1", None),
        ("Node == 'Open' or count(Node) > 2", None),
        ("latch(Node, `Other node`)", None),
    ],
)
def test_sound_expressions(text: str, unit: str | None) -> None:
    assert faults_of(text, unit) == []


@pytest.mark.parametrize(
    ("text", "unit", "column", "message", "near"),
    [
        (
            "PT01 + FT01",
            None,
            6,
            r"'\+' cannot join bar and L/h: L/h \(flow\) does not convert to bar",
            None,
        ),
        ("PT01 * 2", "L/h", 1, r"bar cannot become L/h: bar \(pressure\) does not convert to L/h \(flow\)", None),
        ("PT1 + 1", None, 1, "no tag is named PT1", "PT01"),
        ("1 + LT", None, 5, "no tag is named LT", "`LT-1 top`"),
        ("squirt(PT01)", None, 1, "no function is named 'squirt'", "sqrt"),
        ("sqrt(PT01, 2)", None, 1, r"takes 1 argument, not 2: sqrt\(a\)", None),
        ("PT01 and Running", None, 6, "argument 1 has to be a condition, not a number", None),
        ("Running + 1", None, 9, "argument 1 has to be a number, not a condition", None),
        ("mean(PT01, PT02)", None, 1, "argument 2 has to be a plain number, not a number", None),
        ("mean(PT01, -5)", None, 1, "the seconds have to be more than 0", None),
        ("interpolate(PT01, 1, 2, 0, 4)", None, 1, "each x has to be more than the one before", None),
        ("VA01 == 'Opn'", None, 9, "VA01 has no choice 'Opn', only 'Closed', 'Open'", "'Open'"),
        ("VA01 > 0", None, 1, "VA01 is a choice: compare it, == 'Closed'", None),
        ("Serial", None, 1, "Serial is a text", None),
        ("PT01 == 'x'", None, 9, "PT01 is no text", None),
        ("sin(PT01)", None, 1, "sin: bar cannot become rad", None),
        ("TT01", "delta_degC", 1, "degC cannot become delta_degC", None),
        ("mean(PT01, Node)", None, 1, "argument 2 has to be a plain number", None),
        ("where(Running, Node, PT01) and Running", None, 28, "argument 1 has to be a condition, not a number", None),
        ("PT01 +", None, 7, "the expression ends where a tag, a number or a function is expected", None),
        ("(PT01", None, 6, r"the expression ends where '\)' is expected", None),
        ("PT01 PT02", None, 6, "'PT02' stands where an operator is expected", None),
        ("PT01 = 2", None, 6, "compare with ==", None),
        ("PT01.real", None, 5, "an expression has no attributes", None),
        ("PT01[0]", None, 5, "an expression has no lists", None),
        ("`PT01", None, 1, "this ` is never closed", None),
        ("1 < PT01 < 2", None, 10, "two comparisons in a row", None),
        ("PT01 & PT02", None, 6, "write 'and'", None),
        ("", None, 1, "the expression ends where", None),
    ],
)
def test_faults(text: str, unit: str | None, column: int, message: str, near: str | None) -> None:
    (fault,) = faults_of(text, unit)
    assert (fault.tag, fault.column, fault.near) == ("D", column, near)
    assert re.search(message, fault.message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("PT01 < 3 and Running", None),
        ("Running", None),
        ("Node", None),
        ("PT01", "this is a number, but has to be a condition"),
        ("1", "this is a plain number, but has to be a condition"),
    ],
)
def test_a_condition_is_true_or_false(text: str, message: str | None) -> None:
    sound, faults = check_expressions(TAGS, {"it": Formula(text, is_condition=True)})

    if message is None:
        assert sound["it"].kind is TagKind.BOOL
    else:
        assert [fault.message.startswith(message) for fault in faults] == [True]


def test_all_faults_at_once_and_the_sound_ones_in_order() -> None:
    sound, faults = check_expressions(
        TAGS,
        {
            "Third": Formula("Second + First"),
            "Second": Formula("First * 2"),
            "Broken": Formula("PT1 + nothing(FT1)"),
            "First": Formula("PT01"),
            "Worse": Formula("1 +"),
        },
    )
    assert list(sound) == ["First", "Second", "Third"]
    assert [(fault.tag, fault.column) for fault in faults] == [("Worse", 4), ("Broken", 1), ("Broken", 7)]


def test_a_cycle_is_shown() -> None:
    _, faults = check_expressions(
        TAGS, {"A": Formula("PT01 + B"), "B": Formula("2 * `C 1`"), "C 1": Formula("A"), "D": Formula("PT01")}
    )
    (fault,) = faults
    assert fault.message in {
        "a cycle: A needs B needs `C 1` needs A",
        "a cycle: B needs `C 1` needs A needs B",
        "a cycle: `C 1` needs A needs B needs `C 1`",
    }


def test_the_order_of_operators() -> None:
    assert _shape("a + b * c ^ -2 ^ d") == _shape("a + (b * (c ^ (-(2 ^ d))))")
    assert _shape("not a == b and c or d") == _shape("((not (a == b)) and c) or d")
    assert _shape("-a ^ 2") == _shape("-(a ^ 2)")
    assert _shape("a - b - c") == _shape("(a - b) - c")


def _shape(text: str) -> object:
    def strip(node: object) -> object:
        match node:
            case Call(name, arguments):
                return (name, *(strip(argument) for argument in arguments))
            case Tag(name) | Number(name):
                return name
            case _:
                return node

    return strip(parse(text))


@given(st.text(alphabet="abPT01 +-*/^%()<>=!,.'\"`&[]{}:\\µé\n\t", max_size=60))
@settings(max_examples=500, deadline=None)
def test_any_text_is_understood_or_refused(text: str) -> None:
    try:
        parse(text)
        column = 1
    except FaultInExpression as fault:
        column = fault.column
    assert 1 <= column <= len(text) + 1


@pytest.mark.parametrize(
    "text",
    ["(" * 1000 + "1" + ")" * 1000, "-" * 1900 + "1", "1" + "+1" * 900, "2^" * 900 + "2", "abs(" * 400, "1" * 2001],
)
def test_depth_and_size_are_bounded(text: str) -> None:
    with pytest.raises(FaultInExpression):
        parse(text)
    assert len(text) <= MAX_LENGTH + 1


@pytest.mark.parametrize("name", ["PT01", "Run Time", "and", "PT-1", "Søjle", "1st", "µ"])
def test_any_name_can_be_written(name: str) -> None:
    node = parse(quoted(name))
    assert isinstance(node, Tag)
    assert node.name == name
