"""Messages and models: what they refuse, what they accept from older peers, and what they say of themselves."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from protocol import aggregator_messages as am
from protocol import engine_messages as em
from protocol.exceptions import ProtocolDeserializationException, ProtocolException
from protocol.messages import ErrorMessage, MessageBase, ProtocolErrorMessage, SuccessMessage
from protocol.models import (
    ErrorLog,
    Method,
    MethodState,
    PlotAxis,
    PlotConfiguration,
    ReadingCommand,
    ReadingInfo,
    RunLog,
    RunLogLine,
    TagDirection,
    TagValue,
)
from protocol.serialization import decode, deserialize, encode, serialize


def tag(value: Any) -> TagValue:
    return TagValue(name="FT01", tick_time=1.5, value=value, value_unit="L/h")


@pytest.mark.parametrize(
    ("value", "expected"),
    [(math.nan, None), (math.inf, None), (True, 1), (2**63, 2.0**63), (np.uint16(7), 7), (np.float32(0.1), 0.1)],
)
def test_no_value_poisons_the_aggregator(value: Any, expected: Any) -> None:
    message = em.TagsUpdatedMsg(tags=[tag(value)])
    found = serialize(message)["tags"][0]["value"]
    assert found == expected
    assert type(found) is type(expected)
    assert json.loads(encode(message))["tags"][0]["value"] == expected


def test_a_value_set_later_is_held_to_the_same_rules() -> None:
    found = tag(1.0)
    found.value = np.float64("nan")
    assert found.value is None
    with pytest.raises(ValidationError, match="tick_time"):
        found.tick_time = math.inf


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, np.float64("nan")])
def test_no_other_number_can_be_nan_or_infinite(bad: float) -> None:
    with pytest.raises(ValidationError):
        TagValue(tick_time=bad, value_unit=None)
    with pytest.raises(ValidationError):
        em.RunStartedMsg(run_id="r", started_tick=bad)
    with pytest.raises(ValidationError):
        PlotAxis(label="", process_value_names=[], y_max=bad, y_min=0, color="red")
    with pytest.raises(ValidationError):
        RunLogLine(id="1", command_name="x", start=0, end=None, progress=bad, start_values=[], end_values=[])


def test_numpy_scalars_become_plain_numbers_everywhere() -> None:
    message = em.RunStartedMsg(run_id="r", started_tick=np.float64(1.5), sequence_number=int(np.int64(3)))
    found = serialize(message)
    assert type(found["started_tick"]) is float
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_the_names_of_the_wire_do_not_follow_ours() -> None:
    assert serialize(em.MethodMsg(method=Method.empty()))["_ns"] == "openpectus.protocol.engine_messages"
    assert serialize(am.MethodMsg(method=Method.empty()))["_ns"] == "openpectus.protocol.aggregator_messages"
    assert serialize(SuccessMessage()) == {
        "version": 0,
        "_type": "SuccessMessage",
        "_ns": "openpectus.protocol.messages",
    }


def test_a_class_without_a_name_on_the_wire_cannot_be_sent() -> None:
    class Unknown(MessageBase):
        pass

    with pytest.raises(ProtocolException, match="Unknown is no message"):
        serialize(Unknown())


@pytest.mark.parametrize(
    "name",
    ["openpectus.protocol.messages", "openpectus.protocol.aggregator_messages"],
)
def test_replies_are_read_from_either_namespace(name: str) -> None:
    assert deserialize({"_type": "SuccessMessage", "_ns": name}) == SuccessMessage()
    assert deserialize({"_type": "ErrorMessage", "_ns": name, "message": "no"}) == ErrorMessage(message="no")


def test_an_older_peers_method_state_of_four_lists_is_read() -> None:
    four = {"started_line_ids": ["a"], "executed_line_ids": [], "injected_line_ids": [], "failed_line_ids": []}
    found = deserialize({"_type": "MethodStateMsg", "_ns": "openpectus.protocol.engine_messages", "method_state": four})
    assert isinstance(found, em.MethodStateMsg)
    assert found.method_state.started_line_ids == ["a"]
    assert serialize(found)["method_state"] == {**four, "content_locked_line_ids": [], "locked_line_ids": []}


def test_unknown_fields_are_ignored() -> None:
    raw = {"_type": "InjectCodeMsg", "_ns": "openpectus.protocol.aggregator_messages", "pcode": "Mark: a", "new": {}}
    assert deserialize(raw) == am.InjectCodeMsg(pcode="Mark: a")


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        ({}, "None"),
        ({"_type": "SuccessMessage"}, "None"),
        ({"_type": ["SuccessMessage"], "_ns": {}}, "no message is named"),
        ({"_type": "Sequence", "_ns": "openpectus.protocol.engine_messages"}, "no message is named 'Sequence'"),
        ({"_type": "SuccessMessage", "_ns": "protocol.messages"}, "'protocol.messages'"),
        ({"_type": "InjectCodeMsg", "_ns": "openpectus.protocol.aggregator_messages"}, "pcode: Field required"),
    ],
)
def test_what_is_no_message_is_refused(raw: dict[str, Any], fault: str) -> None:
    with pytest.raises(ProtocolDeserializationException, match=fault):
        deserialize(raw)


@pytest.mark.parametrize("text", ["", "no json", "[]", "null", b"\xff"])
def test_what_is_no_json_object_is_refused(text: str | bytes) -> None:
    with pytest.raises(ProtocolDeserializationException):
        decode(text)


@pytest.mark.parametrize(
    ("numbers", "text"),
    [([], ""), ([4], "4"), ([3, 1, 2], "1-3"), ([1, 2, 4, 7, 8], "1-2,4,7-8"), ([5, 5, 6], "5,5-6")],
)
def test_sequence_numbers_in_short(numbers: list[int], text: str) -> None:
    assert em.print_sequence_range([em.PingMsg(sequence_number=number) for number in numbers]) == text


def test_what_messages_say_of_themselves() -> None:
    assert em.PingMsg(sequence_number=7).ident == "seq:   7, type: PingMsg"
    assert str(em.PingMsg(engine_id="e", sequence_number=7)) == 'PingMsg(engine_id="e", sequence_number=7)'
    assert str(ProtocolErrorMessage(protocol_msg="no")) == 'ProtocolErrorMessage(version="0", protocol_msg="no")'
    assert str(MethodState.empty()).startswith("MethodState(started_line_ids=[], ")
    assert (
        str(tag(2)) == 'TagValue(name="FT01", value="2", value_unit="L/h", direction="unspecified"), simulated="None")'
    )


def test_models_say_what_a_reader_of_a_log_needs() -> None:
    choice = ReadingCommand(command_id="c", name="n", command="VA01", choice_names=["Open"])
    entry = choice.model_copy(update={"choice_names": []})
    assert str(choice) == 'ReadingCommand(command_id="c", name="n", command="VA01", choice_names=[\'Open\'])'
    assert str(entry) == 'ReadingCommand(command_id="c", name="n", command="VA01")'
    reading = ReadingInfo(
        discriminator="reading",
        tag_name="FT01",
        valid_value_units=["L/h"],
        entry_data_type=None,
        commands=[],
        command_options=None,
    )
    assert str(reading) == "ReadingInfo(tag_name=\"FT01\", valid_value_units=['L/h'])"
    assert not reading.has_command_id("c")
    reading.commands = [entry]
    assert reading.has_command_id("c")
    assert "commands=[ReadingCommand(command_id='c'" in str(reading)


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({"progress": None}, ""),
        ({"progress": 0.5}, ", progress=0.5"),
        ({"progress": 0.5, "forced": True}, ", forced=True"),
        ({"progress": 0.5, "forced": True, "cancelled": True}, ", cancelled=True"),
    ],
)
def test_a_run_log_line_says_its_most_telling_state(fields: dict[str, Any], state: str) -> None:
    line = RunLogLine(id="1", command_name="Mark", start=0, end=None, start_values=[], end_values=[], **fields)
    assert str(line) == f'RunLogLine(id="1", command_name="Mark"{state})'
    assert str(RunLog(lines=[line])) == f"RunLog(lines={[str(line)]})"


def test_what_is_empty() -> None:
    assert RunLog.empty().lines == []
    assert ErrorLog.empty().entries == []
    assert PlotConfiguration.empty().sub_plots == []


def test_a_method_keeps_its_text() -> None:
    method = Method.from_pcode("Base: s\n\nMark: {A}")
    assert [line.id for line in method.lines] == ["id_1", "id_2", "id_3"]
    assert method.as_pcode() == "Base: s\n\nMark: {A}"
    assert "Mark: {A}" in str(am.MethodMsg(method=method))


def test_directions_are_the_words_of_the_wire() -> None:
    assert [direction.value for direction in TagDirection] == ["input", "output", "na", "unspecified"]


def test_the_protocol_loads_no_other_room() -> None:
    code = "import sys, protocol.serialization; print({'drivers', 'engine'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"
