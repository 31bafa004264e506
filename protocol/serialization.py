"""Messages to JSON and back.

A message is a flat JSON object that names itself: `_type`, and `_ns` for the side that it comes from. Both are
constants of the wire and stand in the one table below, so that nothing of ours can be renamed onto the wire.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

import orjson
from pydantic import ValidationError

from protocol import aggregator_messages as am
from protocol import engine_messages as em
from protocol import messages as m
from protocol.exceptions import ProtocolDeserializationException, ProtocolException
from protocol.texts import clean_json

MESSAGES: Final = "openpectus.protocol.messages"
ENGINE_MESSAGES: Final = "openpectus.protocol.engine_messages"
AGGREGATOR_MESSAGES: Final = "openpectus.protocol.aggregator_messages"

_CLASSES: dict[tuple[str, str], type[m.MessageBase]] = {
    (MESSAGES, "MessageBase"): m.MessageBase,
    (MESSAGES, "SuccessMessage"): m.SuccessMessage,
    (MESSAGES, "ErrorMessage"): m.ErrorMessage,
    (MESSAGES, "ProtocolErrorMessage"): m.ProtocolErrorMessage,
    (ENGINE_MESSAGES, "EngineMessage"): em.EngineMessage,
    (ENGINE_MESSAGES, "EngineControlMessage"): em.EngineControlMessage,
    (ENGINE_MESSAGES, "EngineDataMessage"): em.EngineDataMessage,
    (ENGINE_MESSAGES, "PingMsg"): em.PingMsg,
    (ENGINE_MESSAGES, "RegisterEngineMsg"): em.RegisterEngineMsg,
    (ENGINE_MESSAGES, "UodInfoMsg"): em.UodInfoMsg,
    (ENGINE_MESSAGES, "TagsUpdatedMsg"): em.TagsUpdatedMsg,
    (ENGINE_MESSAGES, "TagsBufferedMsg"): em.TagsBufferedMsg,
    (ENGINE_MESSAGES, "RunLogMsg"): em.RunLogMsg,
    (ENGINE_MESSAGES, "QueuedRunLogMsg"): em.QueuedRunLogMsg,
    (ENGINE_MESSAGES, "ErrorLogMsg"): em.ErrorLogMsg,
    (ENGINE_MESSAGES, "MethodMsg"): em.MethodMsg,
    (ENGINE_MESSAGES, "MethodStateMsg"): em.MethodStateMsg,
    (ENGINE_MESSAGES, "ControlStateMsg"): em.ControlStateMsg,
    (ENGINE_MESSAGES, "RunStartedMsg"): em.RunStartedMsg,
    (ENGINE_MESSAGES, "RunStoppedMsg"): em.RunStoppedMsg,
    (ENGINE_MESSAGES, "WebPushNotificationMsg"): em.WebPushNotificationMsg,
    (AGGREGATOR_MESSAGES, "AggregatorMessage"): am.AggregatorMessage,
    (AGGREGATOR_MESSAGES, "RegisterEngineReplyMsg"): am.RegisterEngineReplyMsg,
    (AGGREGATOR_MESSAGES, "ExecuteControlCommandMsg"): am.ExecuteControlCommandMsg,
    (AGGREGATOR_MESSAGES, "InjectCodeMsg"): am.InjectCodeMsg,
    (AGGREGATOR_MESSAGES, "MethodMsg"): am.MethodMsg,
    (AGGREGATOR_MESSAGES, "CancelMsg"): am.CancelMsg,
    (AGGREGATOR_MESSAGES, "ForceMsg"): am.ForceMsg,
}
_NAMES = {cls: name for name, cls in _CLASSES.items()}

# Open Pectus reads these two by this name as well, but never writes it.
_ALIASES: dict[tuple[str, str], type[m.MessageBase]] = {
    (AGGREGATOR_MESSAGES, "SuccessMessage"): m.SuccessMessage,
    (AGGREGATOR_MESSAGES, "ErrorMessage"): m.ErrorMessage,
}


def serialize(message: m.MessageBase) -> dict[str, Any]:
    """Turn a message into plain JSON values: no enum, no set, no numpy scalar, no NaN.

    Raises `ProtocolException` for a class that has no name on the wire.
    """
    name = _NAMES.get(type(message))
    if name is None:
        raise ProtocolException(f"{type(message).__name__} is no message of the protocol")
    namespace, type_name = name
    return {**message.model_dump(mode="json"), "_type": type_name, "_ns": namespace}


def encode(message: m.MessageBase) -> bytes:
    """Serialize a message to JSON text; its texts are those of `protocol.texts`."""
    return clean_json(serialize(message))


def deserialize(json_dict: Mapping[str, Any]) -> m.MessageBase:
    """Read a message by what it names itself.

    Raises `ProtocolDeserializationException` when the name is unknown, a field is missing or has a wrong type.
    """
    name = (_name_in(json_dict, "_ns"), _name_in(json_dict, "_type"))
    cls = _CLASSES.get(name) or _ALIASES.get(name)
    if cls is None:
        raise ProtocolDeserializationException(f"no message is named {name[1]!r} in {name[0]!r}")
    try:
        return cls.model_validate(json_dict)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        shown = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"[:200] for fault in faults[:5])
        raise ProtocolDeserializationException(f"{name[1]} cannot be read: {shown}") from error


def _name_in(json_dict: Mapping[str, Any], key: str) -> str:
    """A part of the name of a message, as far as it is one."""
    found = json_dict.get(key)
    return found[:100] if isinstance(found, str) else str(None if found is None else type(found).__name__)


def decode(text: str | bytes) -> m.MessageBase:
    """Read a message from JSON text. Raises `ProtocolDeserializationException`, also when it is no JSON object."""
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ProtocolDeserializationException(f"not JSON: {error}") from error
    if not isinstance(found, dict):
        raise ProtocolDeserializationException(f"a message is a JSON object, not {type(found).__name__}")
    return deserialize(cast("dict[str, Any]", found))
