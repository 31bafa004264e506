"""Answers to publish requests, made by asyncua's encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncua.ua
from asyncua.ua import ua_binary

ua: Any = asyncua.ua


def data_change(**values: float) -> Any:
    """A part with the values of some handles, for example `h7=1.5`."""
    part = ua.DataChangeNotification()
    part.MonitoredItems = [
        ua.MonitoredItemNotification(
            ClientHandle=ua.IntegerId(int(handle[1:])), Value=ua.DataValue(ua.Variant(value, ua.VariantType.Double))
        )
        for handle, value in values.items()
    ]
    return part


def status_change(status: int) -> Any:
    """A part that says that the subscription has another status."""
    return ua.StatusChangeNotification(Status=ua.StatusCode(ua.UInt32(status)))


def published(*parts: Any, available: Sequence[int] = (), sequence: int = 9) -> bytes:
    """A message of subscription 5 with these parts."""
    response = ua.PublishResponse()
    response.Parameters.SubscriptionId = ua.IntegerId(5)
    response.Parameters.AvailableSequenceNumbers = list(available)
    response.Parameters.NotificationMessage.SequenceNumber = ua.Counter(sequence)
    response.Parameters.NotificationMessage.NotificationData = list(parts)
    return ua_binary.struct_to_binary(response)
