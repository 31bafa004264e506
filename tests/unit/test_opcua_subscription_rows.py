"""Notifications put into the rows of a subscription, in their order and without a gap; no server is asked."""

from __future__ import annotations

from typing import Any

import asyncua.ua
import numpy as np
import pytest

from drivers.contract import Group, Image, Kind, Quality
from drivers.opcua.binding import Request
from drivers.opcua.codec import Cell
from drivers.opcua.link import Link
from drivers.opcua.node_ids import value_of
from drivers.opcua.notification import parse
from drivers.opcua.options import DeviceOptions, PointOptions
from drivers.opcua.subscription import Subscription
from tests.unit.opcua_published import data_change, published, status_change

ua: Any = asyncua.ua
ENDPOINT = "opc.tcp://192.0.2.10:4840"
COUNT = 3
LAST = 0xFFFF_FFFF


class Rows:
    """A subscription to three nodes, as it is once its server monitors them."""

    def __init__(self, *, fast_path: bool = True) -> None:
        self.image = Image([Kind.FLOAT] * COUNT)
        nodes = [value_of(ua.NodeId(f"N{row}", 2)) for row in range(COUNT)]
        request = Request(nodes, [Cell(row, row, Kind.FLOAT, row, None) for row in range(COUNT)])
        wishes = {row: PointOptions(node=f"ns=2;s=N{row}") for row in range(COUNT)}
        options = DeviceOptions(endpoint=ENDPOINT, fast_path=fast_path)
        self.taken: list[list[float]] = []
        self.subscription = Subscription(
            Link(ENDPOINT, 60.0),
            Group("plc", 100, np.arange(COUNT), stamps=True),
            request,
            self.image,
            options,
            wishes,
            60.0,
            lambda: self.taken.append(self.values),
        )

    @property
    def values(self) -> list[float]:
        return self.image.columns[Kind.FLOAT].tolist()

    def take(self, sequence: int, *parts: Any) -> None:
        body = published(*parts, sequence=sequence)
        self.subscription.take(body, parse(body))


@pytest.mark.parametrize("fast_path", [True, False])
def test_values_of_all_parts_come_in_their_order(fast_path: bool) -> None:
    rows = Rows(fast_path=fast_path)
    rows.take(1, data_change(h0=1.0, h1=1.0), data_change(h1=2.0, h2=3.0))
    assert rows.values == [1.0, 2.0, 3.0]
    rows.take(2, data_change(h0=4.0, h1=5.0), data_change(h1=6.0))
    assert rows.values == [4.0, 6.0, 3.0]
    assert rows.image.quality.tolist() == [Quality.GOOD] * COUNT
    assert rows.taken == [[1.0, 2.0, 3.0], [4.0, 6.0, 3.0]], "told once a message, when all of it is in the rows"


@pytest.mark.parametrize("fast_path", [True, False])
def test_of_several_values_of_a_node_in_one_part_the_last_stays(fast_path: bool) -> None:
    rows = Rows(fast_path=fast_path)
    part = data_change(h0=1.0, h1=2.0)
    part.MonitoredItems += data_change(h0=7.0, h99=9.0).MonitoredItems
    rows.take(1, part)
    assert rows.values == [7.0, 2.0, 0.0], "and what nobody has asked for goes nowhere"


@pytest.mark.parametrize("sequence", [0, 1, 3, LAST])
def test_a_message_that_is_missing_or_comes_twice_breaks_it(sequence: int) -> None:
    rows = Rows()
    rows.take(1, data_change(h0=1.0))
    with pytest.raises(ua.UaError, match=f"notification 2 is missing, {sequence} has come"):
        rows.take(sequence, data_change(h0=9.0))
    assert rows.values == [1.0, 0.0, 0.0]


def test_a_keep_alive_has_the_number_of_the_next_message_and_renews_what_is_known() -> None:
    rows = Rows()
    rows.take(1)
    rows.take(1)
    assert np.isfinite(rows.image.received).all()
    rows.take(1, data_change(h0=1.0))
    rows.image.received[:] = -np.inf
    rows.take(2)
    assert np.isfinite(rows.image.received).all()
    assert rows.values == [1.0, 0.0, 0.0]
    rows.take(2, data_change(h0=2.0))
    with pytest.raises(ua.UaError, match="notification 3 is missing, 4 has come"):
        rows.take(4)


def test_after_the_last_number_comes_one() -> None:
    """OPC 10000-4 7.9: 0 is never used."""
    rows = Rows()
    rows.subscription._sequence = LAST - 1
    rows.take(LAST, data_change(h0=1.0))
    rows.take(1)
    rows.take(1, data_change(h0=2.0))
    rows.take(2, data_change(h0=3.0))
    assert rows.values[0] == 3.0


@pytest.mark.parametrize("parts", [(), (data_change(h0=5.0),)])
def test_a_subscription_that_the_server_has_ended_says_why(parts: tuple[Any, ...]) -> None:
    rows = Rows()
    with pytest.raises(ua.UaError, match="ended the subscription: BadTimeout"):
        rows.take(1, *parts, status_change(ua.StatusCodes.BadTimeout))
    with pytest.raises(ua.UaError, match="ended the subscription: GoodSubscriptionTransferred"):
        Rows().take(1, status_change(ua.StatusCodes.GoodSubscriptionTransferred))
