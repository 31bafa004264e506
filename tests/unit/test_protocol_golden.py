"""Every message that the real engine and the real aggregator were seen to exchange reads, and writes back the same."""

from __future__ import annotations

import json

import pytest

from protocol.exceptions import ProtocolDeserializationException
from protocol.serialization import decode, deserialize, encode, serialize
from tests.unit.golden_messages import SPARSE, WHOLE, golden

NO_HOLDING, NO_PAUSED = "control_state.is_holding: Field required", "control_state.is_paused: Field required"
FAULTY = {
    "one_of_each": [],
    "error_replies": [
        ("FooMsg", "no message is named 'FooMsg' in 'openpectus.protocol.engine_messages'"),
        ("PingMsg", "no message is named 'PingMsg' in 'None'"),
        ("ControlStateMsg", f"ControlStateMsg cannot be read: {NO_HOLDING}; {NO_PAUSED}"),
        ("TagsUpdatedMsg", "TagsUpdatedMsg cannot be read: tags.0.value_unit: Field required"),
    ],
    "mini_client_session": [],
    "registration": [
        ("RegisterEngineMsg", "RegisterEngineMsg cannot be read: uod_filename: Field required"),
        ("HelloMsg", "no message is named 'HelloMsg' in 'openpectus.protocol.engine_messages'"),
    ],
}
"""What the aggregator refused to read: (type, what is wrong), in the order of the file."""


@pytest.mark.parametrize("file", WHOLE)
def test_messages_of_the_real_peers_write_back_the_same(file: str) -> None:
    messages = golden(file)
    assert len(messages) >= 10
    for message in messages:
        assert serialize(deserialize(message)) == message
        assert json.loads(encode(decode(json.dumps(message)))) == message


@pytest.mark.parametrize("file", SPARSE)
def test_messages_of_a_sparse_client_write_back_with_the_defaults_filled_in(file: str) -> None:
    faulty: list[tuple[str, str]] = []
    read = 0
    for message in golden(file):
        try:
            found = deserialize(message)
        except ProtocolDeserializationException as error:
            faulty.append((message["_type"], str(error)))
            continue
        given = {key: message[key] for key in message if key not in {"_type", "_ns"}}
        assert found.model_dump(mode="json", exclude_unset=True) == given
        assert deserialize(serialize(found)) == found
        read += 1
    assert read >= 10
    assert faulty == FAULTY[file]


def test_the_golden_files_hold_every_message_of_the_wire() -> None:
    seen = {message["_type"] for file in (*WHOLE, *SPARSE) for message in golden(file)}
    assert seen >= {
        *("SuccessMessage", "ErrorMessage", "ProtocolErrorMessage", "RegisterEngineMsg", "RegisterEngineReplyMsg"),
        *("UodInfoMsg", "TagsUpdatedMsg", "TagsBufferedMsg", "RunLogMsg", "QueuedRunLogMsg", "ErrorLogMsg", "PingMsg"),
        *("MethodMsg", "MethodStateMsg", "ControlStateMsg", "RunStartedMsg", "RunStoppedMsg"),
        *("WebPushNotificationMsg", "ExecuteControlCommandMsg", "InjectCodeMsg", "CancelMsg", "ForceMsg"),
    }
