"""Output to somebody who does not read."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from io import StringIO

import pytest

from engine.cli.unblocked import Unblocked

ENOUGH_S = 60.0


class Stopped(StringIO):
    """A terminal that takes nothing until it is let go, as after Ctrl-S."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.asked = threading.Event()

    def write(self, text: str, /) -> int:
        self.asked.set()
        assert self.go.wait(ENOUGH_S)
        return super().write(text)


@pytest.fixture
def stopped() -> Iterator[Stopped]:
    terminal = Stopped()
    yield terminal
    terminal.go.set()


def test_all_is_written_in_order() -> None:
    stream = StringIO()
    unblocked = Unblocked(stream)
    for number in range(1000):
        unblocked.write(f"{number}\n")
    unblocked.finish(ENOUGH_S)
    assert stream.getvalue() == "".join(f"{number}\n" for number in range(1000))


def test_a_stopped_terminal_holds_up_nobody_and_what_is_left_out_is_counted(stopped: Stopped) -> None:
    unblocked = Unblocked(stopped, most=100)
    unblocked.write("first ")
    assert stopped.asked.wait(ENOUGH_S)
    for _ in range(100):
        unblocked.write("0123456789")
    unblocked.finish(0.0)
    stopped.go.set()
    unblocked.finish(ENOUGH_S)
    text = stopped.getvalue()
    assert text.startswith("first 0123456789")
    assert text.count("0123456789") == 9, "as many as fit beside what is being written"
    assert "91 outputs are left out here" in text


def test_a_reader_who_goes_away_is_no_fault() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        unblocked = Unblocked(stream)
        unblocked.write("for nobody\n")
        unblocked.write("for nobody\n")
        unblocked.finish(ENOUGH_S)


def test_a_pipe_that_nobody_reads_holds_up_nobody() -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream:
        unblocked = Unblocked(stream)
        for _ in range(100):
            unblocked.write("x" * 100_000)
        unblocked.finish(0.0)
        os.close(reader)
        unblocked.finish(ENOUGH_S)
    assert not unblocked._writer.is_alive()
