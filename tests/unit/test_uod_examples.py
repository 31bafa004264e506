"""Examples of commands: sent as they stand, they do no harm."""

from __future__ import annotations

from typing import Any

import pytest

from engine.runs.arguments import argument_of
from engine.uod.draft import draft_of
from engine.uod.examples import example_of
from engine.uod.faults import Finding
from engine.uod.function import CommandContext, CommandFunction, Value
from engine.uod.resolve import resolve
from engine.uod.skid import Skid


class Nothing(CommandFunction):
    def start(self, context: CommandContext, argument: Value | None) -> None: ...

    def progress(self, context: CommandContext) -> float | None: ...


def read(tags: dict[str, dict[str, Any]], commands: dict[str, Any]) -> tuple[Skid | None, list[Finding]]:
    outputs = {name: {"device": "sim", "direction": "output", **keys} for name, keys in tags.items()}
    draft, _ = draft_of(
        {"uod": "T", "devices": {"sim": {"driver": "simulated"}}, "tags": outputs, "commands": commands}
    )
    assert draft is not None
    return resolve(draft, "test.yaml")


def example(command: dict[str, Any], **tags: dict[str, Any]) -> str:
    skid, findings = read(tags, {"It": command})
    assert skid is not None, findings
    shown = example_of(skid, skid.commands[0])
    argument_of(skid.commands[0], shown.partition(":")[2].strip())  # raises where the command would refuse it
    return shown


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ({"unit": "L/h", "min": 0, "max": 2000, "safe_value": 0}, "It: 0 L/h"),
        ({"unit": "L/h", "min": 0, "max": 2000, "safe_value": 150}, "It: 150 L/h"),
        ({"unit": "L/h", "min": 0, "max": 2000}, "It: 0 L/h"),
        ({"unit": "degC", "min": 4, "max": 40}, "It: 4 degC"),
        ({"unit": "degC", "min": -40, "max": -10}, "It: -10 degC"),
        ({"max": 2000}, "It: 0"),
        ({}, "It: 0"),
        ({"type": "int64", "choices": {"Open": 1, "Closed": 0}}, "It: Closed"),
        ({"type": "int64", "choices": {"Closed": 0, "Open": 1}, "safe_value": "Open"}, "It: Open"),
        ({"type": "string", "safe_value": "idle"}, "It: idle"),
        ({"type": "string", "safe_value": ""}, "It:"),
    ],
)
def test_the_example_of_a_command_that_sets_an_output(tag: dict[str, Any], expected: str) -> None:
    assert example({"sets": "PU01"}, PU01=tag) == expected


def test_one_argument_of_two_outputs_has_the_safe_value_that_is_safe_for_both() -> None:
    both = {"steps": [{"set": "A", "to": "argument"}, {"set": "B", "to": "argument"}]}
    assert example(both, A={"max": 9, "safe_value": 5}, B={"max": 9, "safe_value": 5}) == "It: 5"
    assert example(both, A={"max": 9, "safe_value": 5}, B={"max": 9, "safe_value": 7}) == "It: 0"


def test_the_example_of_a_function_asks_for_as_little_as_it_takes() -> None:
    assert example({"runs": Nothing, "argument": "number", "units": ["L"], "min": 0.1, "max": 50}) == "It: 0.1 L"
    assert example({"runs": Nothing, "argument": "choice", "choices": ["Gently", "Hard"]}) == "It: Gently"
    assert example({"runs": Nothing}) == "It"


def test_the_authors_own_example_comes_first() -> None:
    tag = {"unit": "L/h", "max": 2000, "safe_value": 0}
    assert example({"sets": "PU01", "example": "200 L/h"}, PU01=tag) == "It: 200 L/h"


@pytest.mark.parametrize(
    ("written", "fault"),
    [("3000 L/h", "is above its max of 2000 L/h"), ("fast", "takes a number"), ("2 kg", "kg (mass) does not convert")],
)
def test_an_example_that_the_command_would_refuse_is_a_fault(written: str, fault: str) -> None:
    tag = {"unit": "L/h", "max": 2000, "safe_value": 0}
    skid, findings = read({"PU01": tag}, {"It": {"sets": "PU01", "example": written}})
    assert skid is None
    (finding,) = findings
    assert finding.path == ("commands", "It", "example")
    assert fault in finding.message
