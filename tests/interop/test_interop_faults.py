"""Networks and aggregators that fail in the middle of a run: after each fault nothing is missing and nothing is double.

The engine is a small one in this process. Its samples, and what the real aggregator has of them, are compared one by
one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from urllib.parse import quote

import httpx
import orjson
import pytest

from engine.runs.runlog import RunRecord
from engine.uplinks.aggregator import AggregatorUplink
from engine.uplinks.splitting import parts_of
from protocol.engine_messages import RunLogMsg
from protocol.models import TagValue
from tests.interop.aggregator import Aggregator
from tests.interop.logged_run import LoggedRun
from tests.interop.small_engine import SmallEngine
from uod_examples.skid.proxy import FaultProxy

BACK_WITHIN_S = 10.0
"""Half a second at most is waited between two tries; the rest is what a busy machine may take."""


@asynccontextmanager
async def delivering(engine: SmallEngine, address: str) -> AsyncGenerator[AggregatorUplink]:
    uplink = AggregatorUplink(engine, address)
    task = asyncio.create_task(uplink.run())
    try:
        yield uplink
    finally:
        await uplink.close()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def run_through_proxy(aggregator: Aggregator, name: str) -> AsyncGenerator[tuple[LoggedRun, FaultProxy, str]]:
    """A run that has gone on for half a second, over a proxy."""
    engine = SmallEngine(name, Counter=0, Constant="never changes")
    async with (
        FaultProxy("127.0.0.1", aggregator.port) as proxy,
        delivering(engine, f"127.0.0.1:{proxy.port}") as uplink,
    ):
        run = LoggedRun(engine, uplink)
        await connected(uplink)
        run.start()
        async with run.ticking():
            await asyncio.sleep(0.5)
            yield run, proxy, f"lab-pc_{name}"


async def connected(uplink: AggregatorUplink, within_s: float = 60.0) -> None:
    async with asyncio.timeout(within_s):
        while not uplink.status.connected:
            await asyncio.sleep(0.01)  # the status is a plain field, written for a table that is drawn by time


async def reset(proxy: FaultProxy) -> None:
    await proxy.drop()


async def refuse(proxy: FaultProxy) -> None:
    await proxy.refuse()
    await asyncio.sleep(2.0)
    await proxy.restore()


async def black_hole(proxy: FaultProxy) -> None:
    proxy.black_hole()
    await asyncio.sleep(4.0)
    await proxy.restore()


async def short_black_hole(proxy: FaultProxy) -> None:
    """Too short for a time-out: the connection survives."""
    proxy.black_hole()
    await asyncio.sleep(1.0)
    await proxy.restore()


async def delay(proxy: FaultProxy) -> None:
    proxy.delay = 1.0
    await asyncio.sleep(3.0)
    await proxy.restore()


@pytest.mark.parametrize("fault", [reset, refuse, black_hole, short_black_hole, delay])
async def test_nothing_is_missing_and_nothing_double_after(
    shared: Aggregator, fault: Callable[[FaultProxy], Awaitable[None]]
) -> None:
    async with run_through_proxy(shared, fault.__name__) as (run, proxy, unit):
        await fault(proxy)
        returned = time.monotonic()
        await connected(run.uplink)
        back_after_s = time.monotonic() - returned
        await asyncio.sleep(0.5)
        await run.check_live(shared, unit)
        run.stop()
        await run.check_recorded(shared)
    assert back_after_s < BACK_WITHIN_S
    assert (run.uplink.status.refused, run.uplink.status.dropped) == (0, 0)


async def test_a_connection_that_only_we_believe_in_is_found(shared: Aggregator) -> None:
    """The other side is gone without a word; what is sent into the void is sent again."""
    async with run_through_proxy(shared, "half_open") as (run, proxy, unit):
        await proxy.half_open()
        async with asyncio.timeout(60):
            while run.uplink.status.connected:
                await asyncio.sleep(0.01)  # a plain field, as above
        noticed = time.monotonic()
        await connected(run.uplink)
        assert time.monotonic() - noticed < BACK_WITHIN_S
        await run.check_live(shared, unit)
        run.stop()
        await run.check_recorded(shared)


async def test_a_hiccup_with_a_click_in_it(shared: Aggregator) -> None:
    """The aggregator hangs up on who does not answer a user within two seconds; the stock engine never comes back."""
    async with run_through_proxy(shared, "hiccup") as (run, proxy, unit):
        proxy.black_hole()
        path = f"{shared.base_url}/api/process_unit/{quote(unit, safe='')}/execute_control_button_command"
        async with httpx.AsyncClient(timeout=20) as http:
            click = asyncio.create_task(http.post(path, json={"command": "Stop", "source": "unit_button"}))
            await asyncio.sleep(5.0)
            await proxy.restore()
            returned = time.monotonic()
            await connected(run.uplink)
            assert time.monotonic() - returned < BACK_WITHIN_S
            assert (await click).status_code == 500
            assert run.engine.handled == [], "a click of seconds ago is not carried out"
            await run.delivered()
            again = await http.post(path, json={"command": "Stop", "source": "unit_button"})
            assert again.is_success
        await run.check_live(shared, unit)
        run.stop()
        await run.check_recorded(shared)


async def test_stop_is_pressed_while_the_outage_is_caught_up(shared: Aggregator) -> None:
    async with run_through_proxy(shared, "stopped") as (run, proxy, _):
        await proxy.refuse()
        for _ in range(300):
            run.tick()
        await proxy.restore()
        await connected(run.uplink)
        assert run.uplink.status.queued > 100, "there is something to overtake"
        run.stop()
        run.engine.tags["Counter"] = -1
        run.uplink.put(run.engine.snapshot())
        await run.check_recorded(shared)


async def test_two_runs_in_one_outage(shared: Aggregator) -> None:
    async with run_through_proxy(shared, "two_runs") as (run, proxy, unit):
        await proxy.refuse()
        run.tick()
        run.stop()
        second = LoggedRun(run.engine, run.uplink)
        second.start()
        second.tick()
        await proxy.restore()
        await connected(run.uplink)
        await run.check_recorded(shared)
        await second.check_live(shared, unit)
        second.stop()
        await second.check_recorded(shared)


async def test_a_second_engine_of_the_same_name_harms_nobody(
    shared: Aggregator, caplog: pytest.LogCaptureFixture
) -> None:
    async with run_through_proxy(shared, "twins") as (run, _, unit):
        twin = SmallEngine("twins", Counter=-5)
        async with delivering(twin, shared.address) as uplink:
            async with asyncio.timeout(60):
                while "connected already" not in uplink.status.state:
                    await asyncio.sleep(0.01)  # a plain field, as above
            await asyncio.sleep(1.0)  # so long that it is tried again, which must not change anything
            assert not uplink.status.connected
        await run.check_live(shared, unit)
        run.stop()
        await run.check_recorded(shared)
    assert caplog.text.count("connected already") == 1, "said once, tried again and again"


@pytest.mark.parametrize("end", [Aggregator.terminate, Aggregator.kill])
async def test_an_aggregator_that_ends_in_mid_run(
    aggregator: Aggregator, end: Callable[[Aggregator], Awaitable[None]]
) -> None:
    """Killed, it forgets that there is a run, and would drop the rest of it, answering success."""
    engine = SmallEngine(Counter=0, Constant="never changes")
    async with delivering(engine, aggregator.address) as uplink:
        await connected(uplink)
        run = LoggedRun(engine, uplink)
        run.start()
        async with run.ticking():
            await asyncio.sleep(0.5)
            await end(aggregator)
            await aggregator.start()
            started = time.monotonic()
            await connected(uplink)
            assert time.monotonic() - started < BACK_WITHIN_S
            await asyncio.sleep(0.5)
        await run.check_live(aggregator, "lab-pc_SmallUod")
        run.stop()
        await run.check_recorded(aggregator)


async def test_a_run_that_an_earlier_engine_left_is_closed_and_all_tags_are_shown(shared: Aggregator) -> None:
    """Its successor knows nothing of it, as after a new computer; the aggregator would drop all of its tags."""
    first = SmallEngine("left", Counter=0)
    async with delivering(first, shared.address) as uplink:
        await connected(uplink)
        run = LoggedRun(first, uplink)
        run.start()
        await run.check_live(shared, "lab-pc_left")
    second = SmallEngine("left", Counter=7, Constant="x")
    async with delivering(second, shared.address):
        await shared.values("lab-pc_left", lambda values: values == second.tags)
    (record,) = [found for found in await shared.get("/api/recent_runs/") if found["run_id"] == run.id]
    assert record["engine_id"] == "lab-pc_left"


async def test_twenty_megabytes_of_run_log(shared: Aggregator) -> None:
    """Above 16 MiB the aggregator hangs up, and the stock engine sends the same again for ever."""
    engine = SmallEngine("run_log", Counter=0)
    record = RunRecord()
    values = [TagValue(name=f"T{place}", tick_time=time.time(), value=1.5, value_unit="L/h") for place in range(14)]
    for number in range(6000):
        record.end(record.begin(f"Pump: {number}", time.time(), values), time.time(), values)
    async with delivering(engine, shared.address) as uplink:
        await connected(uplink)
        run = LoggedRun(engine, uplink)
        run.start()
        engine.run_log = RunLogMsg(id=run.id, run_id=run.id, runlog=record.log)
        run.uplink.put(engine.run_log)
        run.tick()
        path = "/api/process_unit/lab-pc_run_log/run_log"
        shown = await shared.until(path, lambda log: len(log["lines"]) == 6000)
        assert shown["lines"][-1]["command"]["command"] == "Pump: 5999"
        await run.check_live(shared, "lab-pc_run_log")
        assert uplink.status.refused == 0
        run.stop()
        await run.check_recorded(shared)


async def test_a_tick_of_several_messages_is_stored_whole(shared: Aggregator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each message is a little newer than the one before; here the line breaks between two of them.

    The limit is smaller than it is: of the thousands of tags of a megabyte the aggregator would take 4 ms each.
    """
    in_parts = partial(parts_of, limit=20_000)
    monkeypatch.setattr("engine.uplinks.aggregator.parts_of", in_parts)
    texts = {f"Text{number}": "" for number in range(24)}
    engine = SmallEngine("megabytes", Counter=0, **texts)
    async with (
        FaultProxy("127.0.0.1", shared.port) as proxy,
        delivering(engine, f"127.0.0.1:{proxy.port}") as uplink,
    ):
        await connected(uplink)
        run = LoggedRun(engine, uplink)
        run.start()
        wanted: dict[str, dict[float, str]] = {name: {} for name in texts}
        for letter in "abc":
            frame = engine.change(**{name: f"{name} {letter * 1_900}" for name in texts})
            parts = in_parts(frame)
            assert len(parts) == 3
            for part in parts:
                for tag in orjson.loads(part.tags):
                    wanted[tag["name"]][part.tick_time] = tag["value"]
            sent = uplink.status.sent
            uplink.put(frame)
            if letter == "b":
                while uplink.status.sent == sent:
                    await asyncio.sleep(0)  # a count, which no event tells of; the next part is on its way after it
                await proxy.drop()
            run.tick()
        await run.check_live(shared, "lab-pc_megabytes")
        run.stop()
        await run.check_recorded(shared)
        plot_log = await shared.get(f"/api/recent_runs/{run.id}/plot_log")
    for name, samples in wanted.items():
        values = plot_log["entries"][name]["values"]
        stored = {value["tick_time"]: value["value"] for value in values}
        assert len(stored) == len(values), "nothing is stored twice"
        assert samples.items() <= stored.items()
        assert list(dict.fromkeys(stored[tick] for tick in sorted(stored))) == ["", *samples.values()]
    assert (uplink.status.refused, uplink.status.dropped) == (0, 0)
