"""The aggregator uplink when things go wrong, against a small aggregator with faults (which says why it is there)."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from engine.uplinks import aggregator as module
from engine.uplinks import registration
from engine.uplinks.aggregator import AggregatorUplink
from protocol.aggregator_messages import CancelMsg
from protocol.engine_messages import MethodMsg
from protocol.messages import ErrorMessage, MessageBase, ProtocolErrorMessage, SuccessMessage
from protocol.models import Method
from protocol.serialization import decode
from tests.clock import Clock
from tests.interop.small_engine import SmallEngine
from tests.system.conftest import LONG_S
from tests.system.small_aggregator import ACCEPTED, SmallAggregator, registration_reply, running

GREETING = ["UodInfoMsg", "RunStoppedMsg", "TagsUpdatedMsg", "ControlStateMsg"]
"""What comes first on each connection where no run is active: who we are, no run, all tags, all states."""
REFUSED = {"success": False, "engine_id": None, "secret_match": None, "version_match": None}


def values_of(message: dict[str, Any]) -> dict[str, Any]:
    return {tag["name"]: tag["value"] for tag in message["tags"]}


async def test_the_order_after_a_connect(aggregator: SmallAggregator) -> None:
    engine = SmallEngine(FT01=0, PT01=5)
    uplink = AggregatorUplink(engine, aggregator.address)
    uplink.put(engine.change(FT01=1))
    uplink.put(engine.change(FT01=2))
    async with running(uplink):
        messages = [await aggregator.messages.get() for _ in range(4)]
        uplink.put(engine.change(FT01=3))
        messages.append(await aggregator.messages.get())
    assert [message["_type"] for message in messages] == [*GREETING, "TagsUpdatedMsg"]
    assert values_of(messages[2]) == {"FT01": 2, "PT01": 5}, "outside a run what has waited is in the snapshot"
    assert values_of(messages[4]) == {"FT01": 3}
    assert [message["sequence_number"] for message in messages] == [1, 2, 3, 4, 5]
    assert {message["engine_id"] for message in messages} == {"lab-pc_SmallUod"}
    assert {message["_ns"] for message in messages} == {"openpectus.protocol.engine_messages"}
    assert aggregator.registrations[0]["engine_version"] == "0.1.1585"
    assert (await aggregator.answers.get())["result"] == "lab-pc_SmallUod"


@pytest.mark.parametrize("code", [1000, 1001, 1011, 1012])
async def test_every_close_leads_to_a_new_connection(aggregator: SmallAggregator, code: int) -> None:
    engine = SmallEngine(FT01=0, PT01=5)
    async with running(AggregatorUplink(engine, aggregator.address)) as uplink:
        assert await aggregator.next_types(len(GREETING)) == GREETING
        await aggregator.connection.close(code)
        uplink.put(engine.change(FT01=1))
        again = [await aggregator.messages.get() for _ in GREETING]
    assert [message["_type"] for message in again] == GREETING
    assert values_of(again[2]) == {"FT01": 1, "PT01": 5}


@pytest.mark.parametrize(("steady_s", "warnings"), [(1000.0, 1), (0.0, 3)])
async def test_a_connection_that_breaks_again_and_again_is_no_news(
    aggregator: SmallAggregator,
    steady_s: float,
    warnings: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(module, "STEADY_S", steady_s)
    async with running(AggregatorUplink(SmallEngine(FT01=0), aggregator.address)):
        for _ in range(3):
            assert await aggregator.next_types(len(GREETING)) == GREETING
            await aggregator.connection.close(1000)
        await aggregator.next_types(len(GREETING))
    assert [record.levelname for record in caplog.records].count("WARNING") == warnings


async def test_what_was_not_answered_is_sent_again(aggregator: SmallAggregator, clock: Clock) -> None:
    """A deaf aggregator keeps its socket open and says nothing; only the time-out finds it."""
    engine = SmallEngine(FT01=0)
    async with running(AggregatorUplink(engine, aggregator.address)) as uplink:
        await aggregator.next_types(len(GREETING))
        started = engine.start("run")
        uplink.put(started)
        uplink.put(engine.snapshot())
        assert await aggregator.next_types(2) == ["RunStartedMsg", "TagsUpdatedMsg"]

        async def silence(_: dict[str, Any]) -> None:
            aggregator.deaf = True
            clock.leap_soon(LONG_S)

        aggregator.reply = silence
        uplink.put(engine.change(FT01=1))
        assert values_of(await aggregator.messages.get()) == {"FT01": 1}
        aggregator.deaf = False
        aggregator.reply = aggregator._accept
        uplink.put(engine.change(FT01=2))
        assert await aggregator.next_types(2) == ["UodInfoMsg", "RunStartedMsg"]
        again = [await aggregator.messages.get() for _ in range(3)]
    assert [values_of(message) for message in again] == [{"FT01": 1}, {"FT01": 2}, {"FT01": 2}]
    assert {message["run_id"] for message in again} == {"run"}
    assert len(aggregator.connections) == 2
    assert uplink.status.queued == 0


async def test_an_idle_link_that_has_died_is_found(
    aggregator: SmallAggregator, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    monkeypatch.setattr(module, "IDLE_S", 0.05)
    async with running(AggregatorUplink(SmallEngine(FT01=0), aggregator.address)):
        await aggregator.next_types(len(GREETING))
        for _ in range(3):
            await aggregator.pings.get()
        aggregator.deaf = True
        await aggregator.ignored.wait()
        aggregator.deaf = False
        clock.leap(LONG_S)
        assert await aggregator.next_types(len(GREETING)) == GREETING


async def test_one_message_is_in_flight_at_a_time(aggregator: SmallAggregator) -> None:
    async def never(_: dict[str, Any]) -> None:
        return None

    engine = SmallEngine(FT01=0)
    async with running(AggregatorUplink(engine, aggregator.address)) as uplink:
        await aggregator.next_types(len(GREETING))
        aggregator.reply = never
        uplink.put(engine.change(FT01=1))
        uplink.put(engine.change(FT01=2))
        assert values_of(await aggregator.messages.get()) == {"FT01": 1}
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await aggregator.messages.get()


async def test_a_slow_aggregator_is_waited_for(aggregator: SmallAggregator) -> None:
    async def slow(_: dict[str, Any]) -> MessageBase:
        await asyncio.sleep(0.05)  # this is the slowness
        return SuccessMessage()

    aggregator.reply = slow
    engine = SmallEngine(FT01=0)
    async with running(AggregatorUplink(engine, aggregator.address)) as uplink:
        await aggregator.next_types(len(GREETING))
        for number in range(10):
            uplink.put(engine.change(FT01=number))
        await uplink.close()
    assert len(aggregator.connections) == 1
    assert (uplink.status.sent, uplink.status.queued) == (14, 0)


@pytest.mark.parametrize(
    "refusal",
    [
        ProtocolErrorMessage(protocol_msg="bad"),
        ErrorMessage(message="bad"),
        '{"_type": "bad", "_ns": "openpectus.protocol.messages"}',
        "bad",
    ],
)
async def test_what_is_refused_is_counted_and_not_sent_again(
    aggregator: SmallAggregator, refusal: MessageBase | str, caplog: pytest.LogCaptureFixture
) -> None:
    async def refuse(message: dict[str, Any]) -> MessageBase | str:
        return refusal if values_of(message).get("FT01") == "bad" else SuccessMessage()

    engine = SmallEngine(FT01=0)
    async with running(AggregatorUplink(engine, aggregator.address)) as uplink:
        await aggregator.next_types(len(GREETING))
        aggregator.reply = refuse
        for _ in range(11):
            uplink.put(engine.change(FT01="bad"))
        uplink.put(engine.change(FT01=1))
        await uplink.close()
    assert len(aggregator.connections) == 1
    assert (uplink.status.refused, uplink.status.sent, uplink.status.queued) == (11, 5, 0)
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert len(errors) == 2, "the first and the tenth"
    assert "bad" in errors[0] or "not JSON" in errors[0]


async def test_a_message_beyond_the_aggregators_limit_is_left_out(
    aggregator: SmallAggregator, caplog: pytest.LogCaptureFixture
) -> None:
    """Above 16 MiB the real one closes the connection, and would again and again."""
    engine = SmallEngine(FT01=0)
    async with running(AggregatorUplink(engine, aggregator.address)) as uplink:
        await aggregator.next_types(len(GREETING))
        uplink.put(MethodMsg(method=Method.from_pcode("x" * (2**24 - 2**19))))
        uplink.put(engine.change(FT01=1))
        assert values_of(await aggregator.messages.get()) == {"FT01": 1}
    assert len(aggregator.connections) == 1
    assert uplink.status.refused == 1
    assert "16 MiB is more than it takes" in caplog.text


async def test_a_command_is_answered_while_a_message_hangs(aggregator: SmallAggregator) -> None:
    async def hang(_: dict[str, Any]) -> None:
        return None

    engine = SmallEngine(FT01=0)
    engine.reply = ErrorMessage(message="not now", caller_error=True)
    async with running(AggregatorUplink(engine, aggregator.address)) as uplink:
        await aggregator.next_types(len(GREETING))
        await aggregator.answers.get()
        aggregator.reply = hang
        uplink.put(engine.change(FT01=1))
        await aggregator.messages.get()
        command = {"_type": "CancelMsg", "_ns": "openpectus.protocol.aggregator_messages", "exec_id": "7"}
        async with asyncio.timeout(LONG_S / 2):
            await aggregator.call("dispatch_message_async", "c7", message_json=command)
            answer = await aggregator.answers.get()
    assert engine.handled == [CancelMsg(exec_id="7")]
    assert answer["call_id"] == "c7"
    assert decode(answer["result"]) == engine.reply


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ({"_type": "NewMsg", "_ns": "openpectus.protocol.aggregator_messages"}, "no message is named 'NewMsg'"),
        ({"_type": "CancelMsg", "_ns": "openpectus.protocol.aggregator_messages"}, "exec_id: Field required"),
        ({"_type": "PingMsg", "_ns": "openpectus.protocol.engine_messages"}, "PingMsg is no command"),
        (None, "cannot read"),
    ],
)
async def test_what_is_no_command_is_answered(
    aggregator: SmallAggregator, command: dict[str, Any] | None, text: str
) -> None:
    engine = SmallEngine(FT01=0)
    async with running(AggregatorUplink(engine, aggregator.address)):
        await aggregator.answers.get()
        await aggregator.call("dispatch_message_async", "c", message_json=command)
        reply = decode((await aggregator.answers.get())["result"])
    assert isinstance(reply, ErrorMessage)
    assert text in str(reply.message)
    assert engine.handled == []


async def test_an_aggregator_that_does_not_ask_who_we_are_is_tried_again(
    aggregator: SmallAggregator, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    aggregator.asks_who = False
    async with running(AggregatorUplink(SmallEngine(FT01=0), aggregator.address)):
        await aggregator.pings.get()
        aggregator.asks_who = True
        clock.leap_soon(LONG_S)
        assert await aggregator.next_types(len(GREETING)) == GREETING
    assert "did not ask who we are" in caplog.text


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        ((200, registration_reply(**{**REFUSED, "secret_match": False})), "does not accept our secret; it wants one"),
        (
            (200, registration_reply(**{**REFUSED, "secret_match": True, "engine_id": "x"})),
            "has an engine x connected already",
        ),
        ((200, registration_reply(**{**REFUSED, "version_match": True})), "does not say why"),
        ((200, registration_reply(**{**ACCEPTED, "engine_id": None})), "does not say why"),
        ((500, "Internal Server Error"), "a registration is answered with 500: Internal Server Error"),
        ((200, "<html>"), "is not answered as an Open Pectus aggregator does it"),
        (
            (200, '{"_type": "SuccessMessage", "_ns": "openpectus.protocol.messages"}'),
            "a registration is answered with Succ",
        ),
    ],
)
async def test_each_refusal_is_named_once_and_outlasted(
    aggregator: SmallAggregator,
    reply: tuple[int, str],
    text: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(registration, "SECRET_WAIT_S", 0.0)
    monkeypatch.setattr(registration, "TAKEN_WAIT_S", 0.0)
    aggregator.registration_replies = [reply, reply]
    async with running(AggregatorUplink(SmallEngine(FT01=0), aggregator.address)) as uplink:
        assert await aggregator.next_types(len(GREETING)) == GREETING
        assert uplink.status.connected
    assert caplog.text.count(text) == 1


@pytest.mark.parametrize("version", [(200, "<html>"), (404, "{}"), (200, "7")])
async def test_an_aggregator_that_does_not_tell_its_version_is_asked_to_ignore_ours(
    aggregator: SmallAggregator, version: tuple[int, str]
) -> None:
    aggregator.version = version
    async with running(AggregatorUplink(SmallEngine(FT01=0), aggregator.address)):
        await aggregator.next_types(len(GREETING))
    assert aggregator.registrations[0]["ignore_version_error"] is True


async def test_nobody_there(closed_port: int, caplog: pytest.LogCaptureFixture) -> None:
    uplink = AggregatorUplink(SmallEngine(FT01=0), f"127.0.0.1:{closed_port}")
    async with running(uplink):
        async with asyncio.timeout(60):
            while "no answer" not in uplink.status.state:
                await asyncio.sleep(0.01)  # the status is a plain field, written for a table that is drawn by time
    assert f"127.0.0.1:{closed_port}" in caplog.text


async def test_the_end_does_not_wait_for_ever(
    aggregator: SmallAggregator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "CLOSE_WITHIN_S", 0.1)
    engine = SmallEngine(FT01=0)
    async with running(AggregatorUplink(engine, aggregator.address)) as uplink:
        await aggregator.next_types(len(GREETING))
        aggregator.deaf = True
        uplink.put(engine.change(FT01=1))
        async with asyncio.timeout(LONG_S):
            await uplink.close()
    assert "1 messages could not be delivered" in caplog.text


async def test_the_frame_of_tags_is_not_parsed_on_its_way(aggregator: SmallAggregator) -> None:
    """A number that JSON can write and Python cannot keep arrives digit by digit."""
    engine = SmallEngine()
    async with running(AggregatorUplink(engine, aggregator.address)) as uplink:
        await aggregator.next_types(len(GREETING))
        frame = engine.change(FT01=1)
        exact = b'[{"name":"FT01","tick_time":1.50,"value":0.1000000000000000055511151231257827,"value_unit":null}]'
        uplink.put(type(frame)(exact, frame.tick_time, "run 7"))
        message = await aggregator.messages.get()
    assert message["run_id"] == "run 7"
    assert message["tags"] == json.loads(exact)
