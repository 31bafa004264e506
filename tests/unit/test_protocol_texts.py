"""Texts from anywhere, on their way to the aggregator."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.engine_messages import ErrorLogMsg, MethodMsg, RunLogMsg
from protocol.frames import message_body
from protocol.messages import ErrorMessage
from protocol.models import ErrorLog, ErrorLogEntry, Method, RunLog, RunLogLine, TagValue
from protocol.pack import TagPacker
from protocol.serialization import encode
from protocol.texts import LONGEST, clean_json, clean_text

ANY_TEXT = st.text(st.characters(codec=None))
"""Surrogates, too."""


def is_clean(text: str) -> bool:
    return not any(
        (ord(letter) < 0x20 and letter not in "\t\n\r")
        or 0x7F <= ord(letter) <= 0x9F
        or 0xD800 <= ord(letter) <= 0xDFFF
        for letter in text
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("µS/cm 20 °C", "µS/cm 20 °C"),
        ("a\tb\nc", "a\tb\nc"),
        ("V1.0\x00\x00", "V1.0\\x00\\x00"),
        ("\x1b[31mred\x7f\x85", "\\x1b[31mred\\x7f\\x85"),
        ("half \ud800", "half ?"),
        (r"C:\b\u0000", r"C:\b\u0000"),
    ],
)
def test_control_characters_are_shown(text: str, expected: str) -> None:
    assert clean_text(text) == expected
    assert json.loads(clean_json(text)) == expected


@given(ANY_TEXT)
def test_texts_alone_and_in_json_come_to_the_same(text: str) -> None:
    cleaned = clean_text(text, 10_000)
    assert is_clean(cleaned)
    assert json.loads(clean_json({text: [text, 1, None]})) == {cleaned: [cleaned, 1, None]}
    if is_clean(text):
        assert cleaned == text


def test_a_long_text_is_cut() -> None:
    assert clean_text("x" * LONGEST) == "x" * LONGEST
    cut = clean_text("x" * 1_000_000)
    assert (len(cut), cut[-2:]) == (LONGEST, "x…")


def packed(values: list[Any]) -> list[dict[str, Any]]:
    names, columns = [f"T{row}" for row in range(len(values))], [np.array(values, object)]
    packer = TagPacker(names, [None] * len(values), ["input"] * len(values), columns, {})
    return json.loads(packer.pack(np.arange(len(values)), None, 1.0))


def test_values_of_text_tags_are_clean() -> None:
    values = [tag["value"] for tag in packed(["ok", "V1\x00", "\ud800", "x" * 100_000])]
    assert values == ["ok", "V1\\x00", "?", "x" * (LONGEST - 1) + "…"]
    again = [TagValue(tick_time=1, value=value, value_unit=None).value for value in ("ok", "V1\x00", "\ud800")]
    assert again == values[:3], "the run log shows the same"


def test_names_in_the_samples_and_in_the_readings_stay_equal() -> None:
    packer = TagPacker(["T\x001"], ["b\x1bar"], ["input"], [np.zeros(1)], {})
    (tag,) = json.loads(packer.pack(np.arange(1), None, 1.0))
    assert [tag["name"], tag["value_unit"]] == json.loads(clean_json(["T\x001", "b\x1bar"]))


@pytest.mark.parametrize("text", ["\ud83d", "a\x00b", "\x1b]0;title\x07", "\x85"])
def test_no_message_fails_or_carries_a_control_character(text: str) -> None:
    line = RunLogLine(id="1", command_name=text, start=0, end=None, progress=None, start_values=[], end_values=[])
    for body in (
        message_body(ErrorLogMsg(log=ErrorLog(entries=[ErrorLogEntry(message=text, created_time=1, severity=40)]))),
        message_body(RunLogMsg(id="1", run_id="r", runlog=RunLog(lines=[line]))),
        message_body(MethodMsg(method=Method.from_pcode(f"Mark: {text}"))),
        encode(ErrorMessage(message=text)),
    ):
        assert is_clean(body.decode())
        assert b"\\u00" not in body


def test_a_message_of_an_error_log_and_a_line_of_a_run_log_are_cut() -> None:
    entry = ErrorLogEntry(message="x" * 1_000_000, created_time=1, severity=40)
    line = RunLogLine(
        id="1", command_name="x" * 1_000_000, start=0, end=None, progress=None, start_values=[], end_values=[]
    )
    assert (len(entry.message), len(line.command_name)) == (LONGEST, LONGEST)


def test_what_needs_no_cleaning_stays_as_orjson_writes_it() -> None:
    value = {"a": [1, 1.5, None, True, "\\b \\u0000 \\\\x", "é\n"]}
    assert clean_json(value) == orjson.dumps(value)
