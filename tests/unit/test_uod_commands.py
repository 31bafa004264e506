"""What commands of a UOD become: steps, functions, arguments, and what excludes what."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from engine.runs.pcode import LineReader
from engine.uod.draft import draft_of
from engine.uod.function import CommandContext, CommandFunction, Value
from engine.uod.info import uod_info
from engine.uod.reader import read_uod
from engine.uod.resolve import resolve
from engine.uod.schema import uod_schema
from engine.uod.skid import RESERVED_COMMANDS, ArgumentSpec, CommandSpec, SetStep, Skid, UntilStep, WaitStep
from protocol.models import PlotConfiguration

OUTPUT = {"device": "box", "direction": "both", "safe_value": 0}
PARTS: dict[str, Any] = {
    "uod": "Test",
    "devices": {"box": {"driver": "simulated"}},
    "tags": {
        "PU01": OUTPUT | {"unit": "%", "min": 0, "max": 100},
        "PU02": OUTPUT | {"unit": "%", "min": 10, "max": 120, "safe_value": 10},
        "VA01": OUTPUT | {"choices": {"Closed": 0, "Open": 1}, "safe_value": "Closed"},
    },
}


class Nothing(CommandFunction):
    def start(self, context: CommandContext, argument: Value | None) -> None: ...

    def progress(self, context: CommandContext) -> float | None:
        return 1.0


def skid(**commands: Any) -> Skid:
    draft, findings = draft_of(PARTS | {"commands": commands})
    assert draft is not None
    assert not findings
    found, findings = resolve(draft, "test.yaml")
    assert found is not None, findings
    return found


def fault(**keys: Any) -> str:
    """The one thing that is wrong with a command."""
    draft, findings = draft_of(PARTS | {"commands": {"It": keys}})
    assert draft is not None
    (found,) = findings or resolve(draft, "test.yaml")[1]
    return f"{found.message}; {found.hint}"


def test_steps_are_resolved_and_their_argument_has_the_limits_of_all_that_take_it() -> None:
    (command,) = skid(
        It={
            "steps": [
                {"set": "VA01", "to": "Open"},
                {"wait_s": 5},
                {"set": "PU01", "to": "argument"},
                {"set": "PU02", "to": "argument"},
                {"wait_until": "PU01 > 5", "timeout_s": 60},
            ]
        }
    ).commands
    assert command.steps == (
        SetStep(2, "Open"),
        WaitStep(5),
        SetStep(0),
        SetStep(1),
        UntilStep("It Step 5", "PU01 > 5", 60.0),
    )
    assert command.argument == ArgumentSpec("number", "%", {"%": (1.0, 0.0)}, 10.0, 100.0)


def test_a_wait_can_take_the_argument() -> None:
    (command,) = skid(It={"steps": [{"wait_s": "argument"}]}).commands
    assert command.steps == (WaitStep(None),)
    units = {"s": (1.0, 0.0), "min": (60.0, 0.0), "h": (3600.0, 0.0)}
    assert command.argument == ArgumentSpec("number", "s", units, 0.0)


def test_what_is_excluded_on_one_side_is_excluded_on_both() -> None:
    found = skid(A={"sets": "PU01", "excludes": ["B"]}, B={"sets": "PU02"}, C={"sets": "VA01", "excludes": ["B"]})
    assert {command.name: set(command.excludes) for command in found.commands} == {
        "A": {"B"},
        "B": {"A", "C"},
        "C": {"B"},
    }


def test_a_function_gets_its_argument_in_the_first_of_its_units() -> None:
    (command,) = skid(It={"runs": Nothing, "argument": "number", "units": ["L", "mL"], "max": 20}).commands
    argument = ArgumentSpec("number", "L", {"L": (1.0, 0.0), "mL": (0.001, 0.0)}, None, 20.0)
    assert command == CommandSpec("It", argument=argument, function=Nothing)
    (choice,) = skid(It={"runs": Nothing, "argument": "choice", "choices": ["Gently", "Hard"]}).commands
    assert choice.argument == ArgumentSpec("choice", choices=("Gently", "Hard"))
    (bare,) = skid(It={"runs": partial(Nothing)}).commands
    assert bare.argument is None


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"runs": Nothing, "argument": "choice"}, "nothing to choose from; list the words under choices"),
        ({"runs": Nothing, "units": ["L"]}, "this does nothing where the argument is not given"),
        ({"runs": Nothing, "argument": "text", "min": 1}, "this does nothing where the argument is text"),
        ({"runs": Nothing, "argument": "number", "min": 2, "max": 1}, "min 2 is not below max 1"),
        ({"runs": Nothing, "argument": "number", "units": ["L", "bar"]}, "what the function gets is in L"),
        ({"runs": "Nothing"}, "expected a class; only a UOD in Python can give one"),
        ({"runs": CommandSpec}, "CommandSpec has no method start; inherit from CommandFunction"),
        ({"runs": Nothing, "sets": "PU01"}, "give one of sets, steps and, in a Python UOD, runs"),
    ],
)
def test_a_function_that_does_not_work_out(keys: dict[str, Any], why: str) -> None:
    assert why in fault(**keys)


def test_a_process_value_can_be_set_by_steps_that_are_named_but_gets_no_other_ones() -> None:
    draft, _ = draft_of(
        PARTS
        | {
            "commands": {"Ramp": {"steps": [{"wait_s": 1}, {"set": "PU01", "to": "argument"}]}},
            "process_values": [{"entry": "PU01", "command": "Ramp"}, {"entry": "PU01"}],
        }
    )
    assert draft is not None
    found, findings = resolve(draft, "test.yaml")
    assert found is not None, findings
    assert [found.commands[value.command or 0].name for value in found.process_values] == ["Ramp", "PU01"]


def test_the_editor_of_open_pectus_knows_what_may_follow() -> None:
    definitions = uod_info(
        skid(
            Bare={"steps": [{"wait_s": 1}]},
            Flush={"steps": [{"wait_s": "argument"}]},
            Wash={"runs": Nothing, "argument": "choice", "choices": ["Gently", "Hard"]},
        ),
        PlotConfiguration.empty(),
    ).uod_definition.commands
    assert [(each.name, each.validator, each.docstring) for each in definitions if each.name != "Wash"] == [
        ("Bare", "RNAP-v1-^$", "Bare"),
        (
            "Flush",
            r"RNAP-v1-^\s*(?P<number>-?[0-9]+[.][0-9]*?|-?[.][0-9]+|-?[0-9]+)\s* ?(?P<number_unit>s|min|h)?\s*$",
            "Flush: 0 s",
        ),
    ]
    assert definitions[2].docstring == "Wash: Gently"


def test_the_editor_of_open_pectus_knows_the_words_that_the_engine_takes() -> None:
    found = skid(It={"sets": "PU01"})
    reader = LineReader(found)
    definitions = uod_info(found, PlotConfiguration.empty()).uod_definition.system_commands
    assert {each.name for each in definitions} < RESERVED_COMMANDS
    for each in definitions:
        assert each.validator is not None
        assert each.docstring is not None
        line = each.docstring.splitlines()[-1].replace("PT01 = 1.5 bar", "PU01 = 1.5 %").replace("PT01", "PU01")
        assert reader.read(line).text.startswith(each.name)
        argument = line.partition(": ")[2]
        assert re.search(each.validator.removeprefix("RNAP-v1-"), argument)


def test_a_function_without_a_method_is_a_fault_at_its_own_line(tmp_path: Path) -> None:
    file = tmp_path / "uod.py"
    file.write_text(
        "from engine.uod.model import Command, Uod\n"
        "class Half:\n"
        "    def start(self, context, argument): ...\n"
        "def create():\n"
        '    return Uod(uod="Test", commands={"It": Command(runs=Half)})\n'
    )
    (found,) = read_uod(file).faults
    assert (found.line, found.message) == (5, "Half has no method progress; inherit from CommandFunction")


def test_the_schema_offers_steps_and_no_functions() -> None:
    definitions = uod_schema()["$defs"]
    assert "steps" in definitions["Command"]["properties"]
    assert "runs" not in definitions["Command"]["properties"]
    assert definitions["Step"]["properties"].keys() == {"set", "to", "wait_s", "wait_until", "timeout_s"}
