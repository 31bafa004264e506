"""Our messages next to those of the real package: the same names, fields, defaults, texts and JSON."""

from __future__ import annotations

import json
import subprocess
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from protocol.exceptions import ProtocolDeserializationException
from protocol.messages import MessageBase
from protocol.serialization import deserialize, serialize
from tests.interop.describe_messages import describe
from tests.unit.golden_messages import SPARSE, WHOLE, golden


@cache  # a notification without a timestamp gets that of its making
def messages() -> list[MessageBase]:
    """Every golden message that can be read, as ours."""
    found: list[MessageBase] = []
    for file in (*WHOLE, *SPARSE):
        for raw in golden(file):
            try:
                found.append(deserialize(raw))
            except ProtocolDeserializationException:
                continue  # sent to be refused; tests/unit/test_protocol_golden.py names each
    return found


@pytest.fixture(scope="module")
def theirs(open_pectus_scripts: Path) -> dict[str, Any]:
    """What the real package says of the golden messages, written by us, and of its own classes."""
    script = Path(__file__).with_name("describe_messages.py")
    done = subprocess.run(
        [open_pectus_scripts / "python", script],
        input=json.dumps([serialize(message) for message in messages()]),
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_golden_message_says_and_serializes_the_same(theirs: dict[str, Any]) -> None:
    assert len(theirs["texts"]) > 400
    for message, other in zip(messages(), theirs["texts"], strict=True):
        assert str(message) == other["text"]
        assert getattr(message, "ident", None) == other["ident"]
        assert [str(value) for _, value in message] == other["parts"]
        assert serialize(message) == other["serialized"]


def test_every_class_has_the_same_fields_and_defaults(theirs: dict[str, Any]) -> None:
    """Where ours differ, they do so on purpose, and here is why."""
    on_purpose = {
        "aggregator_messages.RegisterEngineReplyMsg": {  # theirs is the version that is installed
            "aggregator_build_number": [False, "''"],
        },
        "models.MethodState": {  # an older peer does not send these two
            "content_locked_line_ids": [False, "[]"],
            "locked_line_ids": [False, "[]"],
        },
    }
    assert len(theirs["fields"]) > 40
    for name, fields in theirs["fields"].items():
        space, _, cls = name.partition(".")
        ours = describe(getattr(import_module(f"protocol.{space}"), cls))
        assert ours == fields | on_purpose.get(name, {}), name
        assert list(ours) == list(fields), f"{name}: the order of the fields shows in texts"
