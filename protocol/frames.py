"""Frames of the RPC channel and the bodies of messages in them, as bytes.

A body is the JSON object of an engine message without `sequence_number` and `engine_id`: those are known when it is
sent, which may be long after it was made. Bodies are put together, never parsed again, so that a frame of thousands
of tags costs a few copies.
"""

from __future__ import annotations

import orjson

from protocol.engine_messages import EngineMessage
from protocol.serialization import ENGINE_MESSAGES, serialize
from protocol.texts import clean_json

_TAGS_UPDATED_TAIL = b',"_type":"TagsUpdatedMsg","_ns":"' + ENGINE_MESSAGES.encode() + b'"}'


def message_body(message: EngineMessage) -> bytes:
    """The body of any engine message."""
    fields = serialize(message)
    del fields["sequence_number"], fields["engine_id"]
    return clean_json(fields)


def tags_updated_body(tags: bytes, run_id: str | None) -> bytes:
    """The body of a `TagsUpdatedMsg` around an encoded JSON array of tag values."""
    return b"".join((b'{"version":0,"tags":', tags, b',"run_id":', orjson.dumps(run_id), _TAGS_UPDATED_TAIL))


def addressed(body: bytes, engine_id: str, sequence_number: int) -> bytes:
    """A whole message: the body with its sender and number put in front."""
    head = b'{"sequence_number":%d,"engine_id":%b,' % (sequence_number, orjson.dumps(engine_id))
    return b"".join((head, memoryview(body)[1:]))


def request_frame(method: str, arguments: bytes, call_id: str) -> bytes:
    """A call of the other side; `arguments` is an encoded JSON object."""
    return b"".join(
        (
            b'{"request":{"method":"',
            method.encode(),
            b'","arguments":',
            arguments,
            b',"call_id":"',
            call_id.encode(),
            b'"},"response":null}',
        )
    )


def response_frame(result: str, call_id: object) -> bytes:
    """The answer to a call of the other side; a result is always text here, `call_id` is what the call had."""
    response = {"result": result, "result_type": "str", "call_id": call_id}
    return orjson.dumps({"request": None, "response": response})
