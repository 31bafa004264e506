"""What a technician reads when no connection can be made."""

from __future__ import annotations

import errno
import socket

import pytest

from drivers.network_faults import network_fault


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('127.0.0.1', 502)"), "nothing listens"),
        (
            OSError(
                "Multiple exceptions: [Errno 111] Connect call failed ('::1', 502, 0, 0), "
                "[Errno 111] Connect call failed ('127.0.0.1', 502)".replace("111", str(errno.ECONNREFUSED))
            ),
            "nothing listens at this port: start the server, or correct port",
        ),
        (
            OSError(
                f"Multiple exceptions: [Errno {errno.ENETUNREACH}] Network is unreachable, "
                f"[Errno {errno.EHOSTUNREACH}] No route to host"
            ),
            "no way to the host",
        ),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "no way to the host"),
        (socket.gaierror(-2, "Name or service not known"), "the host name is not known: correct host"),
    ],
)
def test_what_is_wrong_and_what_to_do_is_said(error: OSError, words: str) -> None:
    said = network_fault(error, host="host", port="port")
    assert said is not None
    assert said.startswith(words)
    assert "Errno" not in said
    assert "Connect call" not in said


@pytest.mark.parametrize(
    "error", [OSError("broken"), ConnectionResetError(errno.ECONNRESET, "reset"), TimeoutError(), None]
)
def test_other_errors_are_left_to_the_driver(error: BaseException | None) -> None:
    assert network_fault(error, host="host", port="port") is None
