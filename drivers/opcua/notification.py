"""What a server publishes, taken from its bytes: no I/O in this file.

Message: OPC 10000-4 5.14.5 (Publish), 7.25 (NotificationData); ids of the encodings: OPC 10000-6 Annex A.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from asyncua import ua
from asyncua.ua.object_ids import ObjectIds
from numpy.typing import NDArray

from drivers.opcua.records import Records, after_node_id, anywhere, results_begin, scan_values, standard_id, type_id

_PUBLISH_RESPONSE = type_id(ObjectIds.PublishResponse_Encoding_DefaultBinary)
_MOST_PARTS = 16
"""There are three kinds of them, and we ask for no events."""
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
        sequence, _, count = struct.unpack_from("<Iqi", body, position)
        position += 16
        if count > _MOST_PARTS:
            raise ua.UaError(f"the notification has {count} parts")
        changes: list[Change] = []
        ended = None
        for _ in range(count):
            begin = after_node_id(body, position) + 5  # after the encoding and the length
            end = begin + max(struct.unpack_from("<i", body, begin - 4)[0], 0)
            if end > len(body):
                raise ua.UaError("the notification ends before its last part")
            match standard_id(body, position):
                case ObjectIds.DataChangeNotification_Encoding_DefaultBinary:
                    changes.append(_change(body[:end], begin))
                case ObjectIds.StatusChangeNotification_Encoding_DefaultBinary:
                    ended = struct.unpack_from("<I", body, begin)[0]
                case _:
                    pass  # events, which nobody has asked for
            position = end
    except (IndexError, struct.error) as error:
        raise ua.UaError("the notification ends before its last value") from error
    return Notification(subscription, sequence, tuple(changes), count <= 0, ended)


def _change(body: bytes, position: int) -> Change:
    count = struct.unpack_from("<i", body, position)[0]
    records = scan_values(body, position + 4, count, HANDLE_SIZE)
    return Change(anywhere(body, np.dtype("<u4"))[records.begins], records)
