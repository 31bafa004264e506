"""What a server publishes, taken from its bytes: no I/O in this file.

Message: OPC 10000-4 5.14.5 (Publish), 7.25 (NotificationData); ids of the encodings: OPC 10000-6 Annex A.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua import ua_binary
from asyncua.ua.object_ids import ObjectIds
from numpy.typing import NDArray

from drivers.opcua.fastpath import Records, anywhere, results_begin, scan_values, type_id

_PUBLISH_RESPONSE = type_id(ObjectIds.PublishResponse_Encoding_DefaultBinary)
_DATA_CHANGE = type_id(ObjectIds.DataChangeNotification_Encoding_DefaultBinary)
_STATUS_CHANGE = type_id(ObjectIds.StatusChangeNotification_Encoding_DefaultBinary)
HANDLE_SIZE = 4


@dataclass(frozen=True, slots=True)
class Change:
    """Values that have changed."""

    handles: NDArray[np.uint32]
    """(n,) whose each value is."""
    records: Records


@dataclass(frozen=True, slots=True)
class Notification:
    """One answer to a publish request."""

    subscription: int
    sequence: int
    changes: tuple[Change, ...]
    keep_alive: bool
    """It only says that the subscription lives; its sequence number is that of the next one."""
    ended: int | None
    """The status by which the server has ended the subscription."""


def parse(body: bytes) -> Notification:
    """Raises `ua.UaError` when it is an error, or not whole."""
    position = results_begin(body, _PUBLISH_RESPONSE)
    try:
        subscription, available = struct.unpack_from("<Ii", body, position)
        position += 8 + 4 * max(available, 0) + 1
        sequence, _, count = struct.unpack_from("<IqI", body, position)
        position += 16
        changes: list[Change] = []
        ended = None
        parts = 0 if count == 0xFFFF_FFFF else count
        for _ in range(parts):
            kind = body[position : position + 4]
            buffer: Any = Buffer(body, position)
            ua_binary.nodeid_from_binary(buffer)
            begin = buffer.cur_pos + 5  # after the encoding and the length
            length = struct.unpack_from("<i", body, begin - 4)[0]
            if kind == _DATA_CHANGE:
                changes.append(_change(body, begin))
            elif kind == _STATUS_CHANGE:
                ended = struct.unpack_from("<I", body, begin)[0]
            position = begin + max(length, 0)
    except (IndexError, struct.error) as error:
        raise ua.UaError("the notification ends before its last value") from error
    return Notification(subscription, sequence, tuple(changes), parts == 0, ended)


def _change(body: bytes, position: int) -> Change:
    count = struct.unpack_from("<i", body, position)[0]
    records = scan_values(body, position + 4, count, HANDLE_SIZE)
    return Change(anywhere(body, np.dtype("<u4"))[records.begins], records)
