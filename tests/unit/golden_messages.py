"""The messages in the captured frames of the real engine and the real aggregator."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).parents[1] / "golden"

WHOLE = ["demo_engine_error_replies", "demo_handshake_idle", "demo_run", "reconnect_after_reset"]
"""Between the real engine and the real aggregator: every field is there."""
SPARSE = ["one_of_each", "error_replies", "mini_client_session", "registration"]
"""Also from a client by hand, that left out what has a default, and sent what it should not."""


def messages_in(value: Any) -> Iterator[dict[str, Any]]:
    """Find the messages in a frame, also the reply that is JSON text inside the JSON."""
    if isinstance(value, dict):
        if "_type" in value:
            yield value
        elif isinstance(result := value.get("result"), str) and result.startswith("{"):
            yield from messages_in(json.loads(result))
        else:
            for part in value.values():
                yield from messages_in(part)


@cache
def golden(file: str) -> list[dict[str, Any]]:
    frames = [json.loads(line).get("raw", "") for line in (GOLDEN / f"{file}.jsonl").read_text().splitlines()]
    return [message for frame in frames if frame.startswith("{") for message in messages_in(json.loads(frame))]
