"""How a connection begins: registering, and bringing the aggregator to the run that what waits belongs to."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from engine.uplinks import aggregator as uplinks
from engine.uplinks.aggregator import STEADY_S, AggregatorUplink
from protocol.messages import ErrorMessage, SuccessMessage
from protocol.serialization import decode
from tests.clock import IN_FLIGHT_S, Clock
from tests.interop.small_engine import SmallEngine
from tests.system.small_aggregator import SmallAggregator, registration_reply, running

REFUSED: dict[str, Any] = {"success": False, "engine_id": None, "secret_match": None, "version_match": None}
PLOT_LOG = "/api/process_unit/lab-pc_SmallUod/plot_log"
OURS = "openpectus.protocol.aggregator_messages"


async def told(aggregator: SmallAggregator, count: int) -> list[tuple[str, Any]]:
    """The next messages: their types, with the run or the values that they are about."""
    found: list[tuple[str, Any]] = []
    for _ in range(count):
        message = await aggregator.messages.get()
        about = message.get("run_id")
        if message["_type"] == "TagsUpdatedMsg":
            about = {tag["name"]: tag["value"] for tag in message["tags"]}
        found.append((message["_type"], about))
    return found


async def test_an_aggregator_of_another_version_is_asked_to_ignore_ours(aggregator: SmallAggregator) -> None:
    other = REFUSED | {"secret_match": True, "version_match": False, "aggregator_build_number": "9.9"}
    aggregator.registration_replies = [(200, registration_reply(**other))]
    async with running(AggregatorUplink(SmallEngine(FT01=0), aggregator.address)):
        await told(aggregator, 1)
    first, second = aggregator.registrations
    assert (first["engine_version"], first["ignore_version_error"]) == ("0.1.1585", False)
    assert (second["engine_version"], second["ignore_version_error"]) == ("9.9", True)


async def test_a_refused_secret_is_tried_again_after_ten_seconds(aggregator: SmallAggregator, clock: Clock) -> None:
    aggregator.registration_replies = [(200, registration_reply(**REFUSED | {"secret_match": False}))]
    async with running(AggregatorUplink(SmallEngine(FT01=0), aggregator.address)) as uplink:
        async with asyncio.timeout(60):
            while "secret" not in uplink.status.state:
                await asyncio.sleep(IN_FLIGHT_S)  # the status is a plain field, written for a table
        clock.leap(9.0)
        await asyncio.sleep(10 * IN_FLIGHT_S)  # that nothing comes has no event
        assert len(aggregator.registrations) == 1
        clock.leap(1.0)
        await told(aggregator, 1)
    assert len(aggregator.registrations) == 2


async def test_waits_grow_with_failures_and_begin_anew_after_a_steady_connection(
    aggregator: SmallAggregator, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[int] = []

    def no_wait(count: int, longest_s: float) -> float:
        assert longest_s == uplinks.LONGEST_WAIT_S
        failures.append(count)
        return 0.0

    monkeypatch.setattr(uplinks, "backoff_s", no_wait)
    aggregator.registration_replies = [(500, "no"), (500, "no"), (200, "{}")]
    engine = SmallEngine(FT01=0)
    async with running(AggregatorUplink(engine, aggregator.address)) as uplink:
        await told(aggregator, 4)
        assert failures == [1, 2, 3]
        await aggregator.connection.close()
        await told(aggregator, 4)
        assert failures == [1, 2, 3, 4], "it had not been steady"
        clock.leap(STEADY_S)
        uplink.put(engine.change(FT01=1))
        await told(aggregator, 1)
        await aggregator.connection.close()
        await told(aggregator, 4)
    assert failures == [1, 2, 3, 4, 0]


async def test_of_a_run_only_what_the_aggregator_has_not_stored_is_sent_again(aggregator: SmallAggregator) -> None:
    engine = SmallEngine(FT01=0)
    uplink = AggregatorUplink(engine, aggregator.address)
    uplink.put(engine.start("run-1"))
    frames = [engine.change(FT01=value) for value in (1, 2, 3)]
    for frame in frames:
        uplink.put(frame)
    stored = [{"value": value, "tick_time": frame.tick_time} for value, frame in enumerate(frames[:2])]
    aggregator.rest[PLOT_LOG] = {"entries": {"FT01": {"name": "FT01", "values": stored}}}
    async with running(uplink):
        assert await told(aggregator, 3) == [
            ("UodInfoMsg", None),
            ("RunStartedMsg", "run-1"),
            ("TagsUpdatedMsg", {"FT01": 3}),
        ]


async def test_a_run_that_goes_on_is_not_forgotten_though_there_is_a_record_of_it(aggregator: SmallAggregator) -> None:
    engine = SmallEngine(FT01=0)
    uplink = AggregatorUplink(engine, aggregator.address)
    uplink.put(engine.start("run-1"))
    uplink.put(engine.change(FT01=1))
    aggregator.rest["/api/recent_runs/run-1"] = {"run_id": "run-1"}
    async with running(uplink):
        assert await told(aggregator, 3) == [
            ("UodInfoMsg", None),
            ("RunStartedMsg", "run-1"),
            ("TagsUpdatedMsg", {"FT01": 1}),
        ]


async def test_a_run_that_is_recorded_is_left_out_and_the_next_one_is_sent(aggregator: SmallAggregator) -> None:
    engine = SmallEngine(FT01=0)
    uplink = AggregatorUplink(engine, aggregator.address)
    for run in ("run-1", "run-2"):
        uplink.put(engine.start(run))
        uplink.put(engine.change(FT01=run))
        uplink.put(engine.stop())
    aggregator.rest["/api/recent_runs/run-1"] = {"run_id": "run-1"}
    async with running(uplink):
        assert await told(aggregator, 4) == [
            ("UodInfoMsg", None),
            ("RunStartedMsg", "run-2"),
            ("TagsUpdatedMsg", {"FT01": "run-2"}),
            ("RunStoppedMsg", "run-2"),
        ]


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ({"_type": "InjectCodeMsg", "pcode": "PU01: 150"}, SuccessMessage()),
        ({"_type": "ExecuteControlCommandMsg", "name": "Stop"}, SuccessMessage()),
        ({"_type": "CancelMsg", "exec_id": "7"}, ErrorMessage(message="not now")),
        ({"_type": "MethodMsg", "method": {"version": 1, "lines": []}}, ErrorMessage(message="not now")),
    ],
)
async def test_a_refusal_is_an_error_reply_only_where_users_would_read_it(
    aggregator: SmallAggregator, command: dict[str, Any], reply: SuccessMessage | ErrorMessage
) -> None:
    engine = SmallEngine(FT01=0)
    engine.reply = ErrorMessage(message="not now")
    async with running(AggregatorUplink(engine, aggregator.address)):
        await aggregator.answers.get()
        await aggregator.call("dispatch_message_async", "c", message_json=command | {"_ns": OURS})
        assert decode((await aggregator.answers.get())["result"]) == reply
    assert len(engine.handled) == 1
