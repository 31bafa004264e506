"""Outputs of which only the author's own texts tell that they take texts, before their device has been asked."""

from __future__ import annotations

from typing import Any

import pytest

from drivers.contract import Kind
from engine.core.spec import FromEngine
from engine.uod.draft import draft_of
from engine.uod.resolve import resolve
from engine.uod.skid import Skid


def skid(commands: dict[str, Any], **keys: Any) -> Skid:
    output = {"device": "plc", "node": "ns=2;s=RC01", "direction": "output"} | keys
    draft, findings = draft_of({
        "uod": "Texts",
        "devices": {"plc": {"driver": "opcua", "endpoint": "opc.tcp://192.0.2.10:4840"}},
        "tags": {"RC01": output},
        "commands": commands,
    })  # fmt: skip
    assert draft is not None
    assert not findings
    found, findings = resolve(draft, "test.yaml")
    assert found is not None, findings
    return found


@pytest.mark.parametrize(
    ("commands", "keys", "kind"),
    [
        ({}, {}, Kind.FLOAT),
        ({}, {"safe_value": "water"}, Kind.TEXT),
        ({"RC01": {"sets": "RC01", "argument": "text"}}, {}, Kind.TEXT),
        ({"RC01": {"sets": "RC01"}}, {}, Kind.FLOAT),
        ({"Go": {"steps": [{"set": "RC01", "to": "water"}]}}, {}, Kind.TEXT),
        ({"Go": {"argument": "text", "steps": [{"set": "RC01", "to": "argument"}]}}, {}, Kind.TEXT),
        ({"Go": {"steps": [{"set": "RC01", "to": "argument"}]}}, {}, Kind.FLOAT),
        ({"Go": {"steps": [{"set": "RC01", "to": "On"}]}}, {"choices": {"On": 1, "Off": 0}}, Kind.FLOAT),
        ({"RC01": {"sets": "RC01"}}, {"type": "string"}, Kind.TEXT),
    ],
)
def test_the_engine_remembers_a_text_as_a_text(commands: dict[str, Any], keys: dict[str, Any], kind: Kind) -> None:
    assert skid(commands, **keys).tags[0].source == FromEngine(kind)


def test_its_command_takes_a_text_where_nothing_else_is_said() -> None:
    argument = skid({"RC01": {"sets": "RC01"}}, safe_value="water").commands[0].argument
    assert argument is not None
    assert argument.kind == "text"
