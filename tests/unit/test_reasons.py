"""Reasons of bad values: numbered, and bounded whatever devices say."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from drivers import reasons
from drivers.reasons import LONGEST, MOST, MOST_CHARACTERS, TOO_MANY, reason_code, reason_text


@pytest.fixture(autouse=True)
def _numbered_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reasons of a process are one list, which a test must not fill for the others."""
    fresh = reasons._Reasons()
    for text in reasons._reasons.texts[1:]:
        fresh.number(text)
    monkeypatch.setattr(reasons, "_reasons", fresh)


def test_equal_reasons_have_one_number() -> None:
    code = reason_code("the device refuses: illegal data address")
    assert code == reason_code("the device refuses: illegal data address")
    assert code != reason_code("the device refuses: illegal data value")
    assert reason_text(code) == "the device refuses: illegal data address"
    assert reason_text(0) == ""


def test_more_different_reasons_than_a_column_has_numbers_for(caplog: pytest.LogCaptureFixture) -> None:
    first = reason_code("the server says 0")
    codes = [reason_code(f"the server says {number}") for number in range(70_000)]
    assert codes[0] == first
    assert max(codes) <= np.iinfo(np.uint16).max
    assert reason_text(codes[-1]) == TOO_MANY
    assert reason_text(codes[100]) == "the server says 100", "what was numbered keeps its number"
    assert reason_code("the server says 100") == codes[100]
    assert len(reasons._reasons.texts) == MOST
    told = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert len(told) == 1
    assert "the server says" in told[0]


def test_long_reasons_are_cut_and_keep_what_to_do() -> None:
    text = reason_text(reason_code(f"the server says {'x' * 100_000}: switch it on again"))
    assert len(text) == LONGEST
    assert text.startswith("the server says xxx")
    assert text.endswith(": switch it on again")


def test_all_reasons_together_have_a_bound() -> None:
    codes = [reason_code(f"{number} {'x' * 100_000}") for number in range(30_000)]
    assert reason_text(codes[-1]) == TOO_MANY
    assert sum(map(len, reasons._reasons.texts)) <= MOST_CHARACTERS
