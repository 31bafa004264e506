"""What a server publishes: every part of a message counts, and what is not whole is refused."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import asyncua.ua
import pytest
from asyncua.ua import ua_binary

from drivers.opcua.decoding import decode_each
from drivers.opcua.notification import HANDLE_SIZE, Change, parse
from drivers.opcua.records import type_id
from tests.unit.opcua_published import data_change, published, status_change

ua: Any = asyncua.ua
V = ua.VariantType
BAD_TIMEOUT = ua.StatusCodes.BadTimeout


def values(body: bytes, change: Change) -> dict[int, float]:
    found: list[Any] = decode_each(body, change.records, HANDLE_SIZE)
    return {
        handle: value.Value.Value for handle, value in zip(change.handles.tolist(), found, strict=True) if value.Value
    }


@pytest.mark.parametrize("available", [(), (7,), (7, 8, 9)])
def test_the_numbers_of_a_message(available: Sequence[int]) -> None:
    body = published(data_change(h0=1.5, h3=-2.5), available=available)
    found = parse(body)
    assert (found.subscription, found.sequence, found.keep_alive, found.ended) == (5, 9, False, None)
    assert [values(body, change) for change in found.changes] == [{0: 1.5, 3: -2.5}]


@pytest.mark.parametrize("parts", [2, 3, 16])
def test_the_values_of_every_part_are_there(parts: int) -> None:
    body = published(*(data_change(**{f"h{part}": float(part), "h99": -1.0}) for part in range(parts)))
    found = parse(body)
    assert [values(body, change) for change in found.changes] == [{part: part, 99: -1.0} for part in range(parts)]


@pytest.mark.parametrize("first", [True, False])
def test_a_subscription_that_has_ended_says_why_beside_its_last_values(first: bool) -> None:
    parts = [status_change(BAD_TIMEOUT), data_change(h1=4.0)]
    body = published(*(parts if first else reversed(parts)))
    found = parse(body)
    assert found.ended == BAD_TIMEOUT
    assert not found.keep_alive
    assert [values(body, change) for change in found.changes] == [{1: 4.0}]


def test_a_status_change_that_is_good_is_one_all_the_same() -> None:
    """A transferred subscription ends with a good status: OPC 10000-4 5.14.7."""
    assert parse(published(status_change(ua.StatusCodes.GoodSubscriptionTransferred))).ended == 0x002D_0000
    assert parse(published(status_change(0))).ended == 0


def test_events_are_passed_over() -> None:
    body = published(ua.EventNotificationList(), data_change(h2=8.0))
    found = parse(body)
    assert [values(body, change) for change in found.changes] == [{2: 8.0}]
    assert found.ended is None


@pytest.mark.parametrize("count", [0, -1])
def test_a_message_without_parts_is_a_keep_alive(count: int) -> None:
    empty = published(sequence=12)
    assert empty.endswith(struct.pack("<iii", 0, 0, 0)), "no parts, results or diagnostics"
    found = parse(empty[:-12] + struct.pack("<i", count) + empty[-8:])
    assert (found.sequence, found.keep_alive, found.changes, found.ended) == (12, True, (), None)


def test_a_part_named_by_a_longer_node_id_counts_as_well() -> None:
    """OPC 10000-6 5.2.2.9 lets a server use the four-byte or the full numeric form."""
    short = type_id(ua.ObjectIds.DataChangeNotification_Encoding_DefaultBinary)
    long = struct.pack("<BHI", 2, 0, ua.ObjectIds.DataChangeNotification_Encoding_DefaultBinary)
    body = published(data_change(h4=6.5)).replace(short, long)
    assert [values(body, change) for change in parse(body).changes] == [{4: 6.5}]


def test_a_message_that_is_cut_off_is_refused_wherever_it_ends() -> None:
    whole = published(data_change(h0=1.5), data_change(h1=2.5), status_change(BAD_TIMEOUT))
    last = len(whole) - 8  # results and diagnostics of what was acknowledged, which nobody reads
    for end in range(last):
        with pytest.raises(ua.UaError):
            parse(whole[:end])
    assert len(parse(whole[:last]).changes) == 2


def test_a_part_whose_values_go_on_behind_its_end_is_refused() -> None:
    body = bytearray(published(data_change(h0=1.5), data_change(h1=2.5)))
    at = body.index(type_id(ua.ObjectIds.DataChangeNotification_Encoding_DefaultBinary)) + 5
    body[at] -= 12
    with pytest.raises(ua.UaError):
        parse(bytes(body))


def test_more_parts_than_any_server_sends_are_refused() -> None:
    with pytest.raises(ua.UaError, match="17 parts"):
        parse(published(*(data_change(h0=1.0) for _ in range(17))))


def test_an_error_of_the_server_is_raised() -> None:
    fault = ua.ServiceFault()
    fault.ResponseHeader.ServiceResult = ua.StatusCode(ua.UInt32(ua.StatusCodes.BadNoSubscription))
    with pytest.raises(ua.UaStatusCodeError, match="BadNoSubscription"):
        parse(ua_binary.struct_to_binary(fault))
    answer = ua_binary.struct_to_binary(ua.ReadResponse())
    with pytest.raises(ua.UaError, match="i=634"):
        parse(answer)
