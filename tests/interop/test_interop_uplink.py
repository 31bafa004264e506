"""The aggregator uplink against the real aggregator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import quote

import httpx
import pytest

from engine.uplinks.address import parse_address
from engine.uplinks.aggregator import AggregatorUplink
from engine.uplinks.registration import RefusedError, register
from protocol.aggregator_messages import ExecuteControlCommandMsg
from protocol.engine_messages import ErrorLogMsg
from protocol.models import ErrorLog, ErrorLogEntry
from tests.interop.aggregator import Aggregator
from tests.interop.small_engine import SmallEngine

ENGINE_ID = "lab-pc_SmallUod"
SECRET = "s3cret"  # noqa: S105  # of an aggregator that lives for a second


@asynccontextmanager
async def running(uplink: AggregatorUplink) -> AsyncGenerator[AggregatorUplink, None]:
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(uplink.run())
        try:
            yield uplink
        finally:
            await uplink.close()
            task.cancel()


async def test_the_unit_and_its_tags_appear_and_follow(aggregator: Aggregator) -> None:
    engine = SmallEngine(FT01=1.5, VA01="Open", Counter=2**63 - 1, Gone=None)
    async with running(AggregatorUplink(engine, aggregator.address)) as uplink:
        found = await aggregator.values(ENGINE_ID, lambda values: len(values) == 4)
        assert found == {"FT01": 1.5, "VA01": "Open", "Counter": 2**63 - 1, "Gone": None}
        uplink.put(engine.change(FT01=2.5))
        uplink.put(engine.change(VA01="Closed"))
        await aggregator.values(ENGINE_ID, lambda values: values["FT01"] == 2.5 and values["VA01"] == "Closed")
        readings = await aggregator.get(f"/api/process_unit/{ENGINE_ID}/process_values")
        assert {reading["name"] for reading in readings} == set(engine.tags)
        (unit,) = await aggregator.get("/api/process_units")
        assert unit["state"]["state"] == "ready"
        assert unit["uod_author_name"] == "An Author"
        assert (uplink.status.sent, uplink.status.refused, uplink.status.queued) == (6, 0, 0)


async def test_an_odd_name_is_found_by_the_id_that_the_aggregator_made(aggregator: Aggregator) -> None:
    engine = SmallEngine("Skid 1/æ a%b", FT01=1.0)
    async with running(AggregatorUplink(engine, aggregator.base_url)) as uplink:
        (unit,) = await aggregator.until("/api/process_units", lambda units: len(units) == 1)
        await aggregator.values(unit["id"], lambda values: values == {"FT01": 1.0})
        assert uplink.status.connected
        assert unit["id"] == f"lab-pc_{quote('Skid 1/æ a%b', safe='')}"


async def test_a_text_of_a_device_arrives_as_a_page_can_show_it(aggregator: Aggregator) -> None:
    engine = SmallEngine(Label="V1.0\x00\x1b[31m", Long="x" * 100_000, Half="\ud800")
    async with running(AggregatorUplink(engine, aggregator.address)) as uplink:
        found = await aggregator.values(ENGINE_ID, lambda values: len(values) == 3)
        assert found == {"Label": "V1.0\\x00\\x1b[31m", "Long": "x" * 1_999 + "…", "Half": "?"}
        entry = ErrorLogEntry(message="no \x00 and no \udfff", created_time=1.0, severity=40)
        uplink.put(ErrorLogMsg(log=ErrorLog(entries=[entry])))
        path = f"/api/process_unit/{ENGINE_ID}/error_log"
        errors = await aggregator.until(path, lambda log: log["entries"] != [])
        assert [error["message"] for error in errors["entries"]] == ["no \\x00 and no ?"]
        assert uplink.status.refused == 0


async def test_a_button_of_the_web_page_reaches_the_engine(aggregator: Aggregator) -> None:
    engine = SmallEngine(FT01=1.0)
    async with running(AggregatorUplink(engine, aggregator.address)):
        await aggregator.values(ENGINE_ID, lambda values: "FT01" in values)
        path = f"{aggregator.base_url}/api/process_unit/{ENGINE_ID}/execute_control_button_command"
        async with httpx.AsyncClient() as http:
            response = await http.post(path, json={"command": "Start", "source": "unit_button"})
        assert response.is_success
        assert engine.handled == [ExecuteControlCommandMsg(name="Start")]


@pytest.mark.parametrize("end", [Aggregator.terminate, Aggregator.kill])
async def test_every_tag_is_shown_again_after_a_restart(
    aggregator: Aggregator, end: Callable[[Aggregator], Awaitable[None]], caplog: pytest.LogCaptureFixture
) -> None:
    engine = SmallEngine(FT01=0, Constant="never changes")
    async with running(AggregatorUplink(engine, aggregator.address)) as uplink:
        await aggregator.values(ENGINE_ID, lambda values: len(values) == 2)
        await end(aggregator)
        for number in range(1, 30):
            uplink.put(engine.change(FT01=number))
        await aggregator.start()
        everything = {"FT01": 29, "Constant": "never changes"}
        await aggregator.values(ENGINE_ID, lambda values: values == everything)
        assert (uplink.status.queued, uplink.status.dropped, uplink.status.refused) == (0, 0, 0)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_the_scan_need_not_wait_for_an_aggregator(aggregator: Aggregator) -> None:
    await aggregator.terminate()
    engine = SmallEngine(FT01=0)
    async with running(AggregatorUplink(engine, aggregator.address)) as uplink:
        uplink.put(engine.change(FT01=1))
        await aggregator.start()
        await aggregator.values(ENGINE_ID, lambda values: values == {"FT01": 1})


@pytest.mark.parametrize("aggregator", [("-secret", SECRET)], indirect=True)
@pytest.mark.parametrize(("secret", "cure"), [("", "it wants one"), ("wrong", "the one that it was started with")])
async def test_a_wrong_secret_is_named(
    aggregator: Aggregator, secret: str, cure: str, caplog: pytest.LogCaptureFixture
) -> None:
    uplink = AggregatorUplink(SmallEngine(FT01=0), aggregator.address, secret=secret)
    async with running(uplink):
        async with asyncio.timeout(60):
            while "secret" not in uplink.status.state:
                await asyncio.sleep(0.02)  # the status is a plain field, written for a table that is drawn by time
    assert cure in caplog.text
    assert not uplink.status.connected


@pytest.mark.parametrize("aggregator", [("-secret", SECRET)], indirect=True)
async def test_the_right_secret_lets_us_in(aggregator: Aggregator) -> None:
    async with running(AggregatorUplink(SmallEngine(FT01=0), aggregator.address, secret=SECRET)):
        await aggregator.values(ENGINE_ID, lambda values: values == {"FT01": 0})


async def test_a_second_engine_of_the_same_name_is_refused(aggregator: Aggregator) -> None:
    engine = SmallEngine(FT01=0)
    async with running(AggregatorUplink(engine, aggregator.address)):
        await aggregator.values(ENGINE_ID, lambda values: len(values) == 1)
        async with httpx.AsyncClient() as http:
            with pytest.raises(RefusedError, match=f"has an engine {ENGINE_ID} connected already"):
                await register(http, parse_address(aggregator.address), engine.registration())


class Body(httpx.AsyncByteStream):
    """A body that comes over the network, as far as its reader can tell."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._content


async def test_any_version_is_let_in_after_asking(aggregator: Aggregator, caplog: pytest.LogCaptureFixture) -> None:
    """The aggregator's own version is what it accepts; here something between us names another one."""

    async def other_version(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/version":
            return httpx.Response(200, stream=Body(b'"0.0.1"'))
        async with httpx.AsyncClient() as direct:
            answer = await direct.post(
                request.url, content=request.content, headers={"content-type": "application/json"}
            )
        return httpx.Response(answer.status_code, stream=Body(answer.content))

    async with httpx.AsyncClient(transport=httpx.MockTransport(other_version)) as http:
        assert await register(http, parse_address(aggregator.address), SmallEngine().registration()) == ENGINE_ID
    assert "does not let in version '0.0.1'; asking it to ignore that" in caplog.text
