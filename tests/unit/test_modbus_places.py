"""One register that a device does not answer, in whatever way, costs no other point and no other device."""

from __future__ import annotations

import asyncio

import pytest

from drivers.reasons import reason_text
from engine.links import Link, LinkState
from tests.unit.memory_points import bad, driver_of, points
from tests.unit.memory_skid import Asked, Behaviour, ClosedError, Skid, exception, holding, longest_gap, noted_times
from tests.unit.virtual_links import Virtually, working


def turn(skid: Skid) -> list[tuple[int, int]]:
    """What is asked for in the last whole second, as address and count."""
    last = skid.asked[-1].at
    return sorted({(asked.address, asked.count) for asked in skid.since(last - 1)})


def short(asked: Asked) -> bytes:
    return holding(Asked(asked.at, asked.device_id, asked.function, asked.address, asked.count - 1, 0))


def long(asked: Asked) -> bytes:
    return holding(Asked(asked.at, asked.device_id, asked.function, asked.address, asked.count + 1, 0))


def wrong_count(asked: Asked) -> bytes:
    pdu = bytearray(holding(asked))
    pdu[1] = (pdu[1] + 2) & 0xFF
    return bytes(pdu)


def closed(_: Asked) -> bytes:
    raise ClosedError


def silence(_: Asked) -> None:
    return None


FAILURES: dict[str, Behaviour] = {
    **{f"exception {code:02X}": lambda asked, code=code: exception(asked, code) for code in (1, 2, 3, 4, 7, 8, 0x55)},
    "short": short,
    "long": long,
    "wrong byte count": wrong_count,
    "closed": closed,
    "silence": silence,
}


WAYS: dict[str, tuple[bool, bool, int]] = {
    "inputs": (False, True, 1),
    "outputs": (True, True, 1),
    "pipelined": (False, True, 8),
    "rtu": (False, False, 1),
}
"""Whether its points can be written, whether frames bear numbers, and how many requests are open at a time."""


@pytest.mark.parametrize(
    ("failure", "way"),
    [(failure, "inputs") for failure in FAILURES]
    + [(failure, way) for failure in ("exception 04", "short", "closed", "silence") for way in list(WAYS)[1:]],
)
def test_a_register_that_fails_is_found_named_read_around_and_taken_back_each_time(
    virtually: Virtually, failure: str, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    fails = False
    write, numbered, window = WAYS[way]
    skid = Skid(
        lambda asked: FAILURES[failure](asked) if fails and asked.touches(13) else holding(asked), numbered=numbered
    )

    async def main() -> None:
        nonlocal fails
        read = points(10, 12, 13, 14, 20, 60, write=write, every_ms=250)
        driver = driver_of(skid, read, max_in_flight=window)
        async with working(Link("line", driver)) as link:
            await asyncio.sleep(1)
            whole = turn(skid)
            assert whole == [(10, 11), (60, 1)]
            for _ in range(2):
                fails = True
                await asyncio.sleep(45)
                assert bad(driver) == [2], reason_text(int(driver.image.reason[2]))
                assert "holding 13" in reason_text(int(driver.image.reason[2]))
                assert link.state is LinkState.UP
                opened = len(skid.opened)
                asked = len(skid.asked)
                await asyncio.sleep(60)
                assert len(skid.opened) - opened <= 4
                assert len(skid.asked) - asked <= 3 * 240 + 30, "three a reading, a few for the rest"
                fails = False
                await asyncio.sleep(125)
                assert bad(driver) == []
                assert turn(skid) == whole

    virtually(main())
    assert "T13" in caplog.text


@pytest.mark.parametrize("failure", FAILURES)
def test_a_register_that_fails_from_the_start_and_alone_is_named(virtually: Virtually, failure: str) -> None:
    """There is one block only, so that nothing else is answered while it fails."""
    skid = Skid(lambda asked: FAILURES[failure](asked) if asked.touches(13) else holding(asked))

    async def main() -> None:
        driver = driver_of(skid, points(10, 12, 13, 14, 20, every_ms=250))
        async with working(Link("line", driver)):
            await asyncio.sleep(60)
            assert bad(driver) == [2]
            await asyncio.sleep(200)
            asked = len(skid.asked)
            await asyncio.sleep(60)
            assert bad(driver) == [2]
            assert len(skid.asked) - asked <= 2 * 240 + 20

    virtually(main())


@pytest.mark.parametrize("failure", ["exception 04", "closed", "silence"])
def test_a_group_of_one_register_that_fails_leaves_the_link_up(virtually: Virtually, failure: str) -> None:
    skid = Skid(lambda asked: FAILURES[failure](asked) if asked.touches(13) else holding(asked))

    async def main() -> None:
        driver = driver_of(skid, [*points(1), *points(13, every_ms=500)])
        async with working(Link("line", driver)) as link:
            await asyncio.sleep(60)
            assert bad(driver) == [1]
            broken = link.counters.broken
            await asyncio.sleep(200)
            assert link.state is LinkState.UP
            assert link.counters.broken - broken <= 5
            assert driver.image.received[0] > asyncio.get_running_loop().time() - 1

    virtually(main())


BLOCKS = [base + place for base in (0, 200, 400) for place in range(80)]


@pytest.mark.parametrize("outage_s", [2, 45])
@pytest.mark.parametrize("code", [1, 2, 4])
def test_a_device_that_rejects_everything_for_a_while_is_asked_gently_and_is_back_at_once(
    virtually: Virtually, code: int, outage_s: int, caplog: pytest.LogCaptureFixture
) -> None:
    restarting = False
    skid = Skid(lambda asked: exception(asked, code) if restarting else holding(asked))

    async def main() -> None:
        nonlocal restarting
        loop = asyncio.get_running_loop()
        driver = driver_of(skid, points(*BLOCKS))
        async with working(Link("line", driver)):
            await asyncio.sleep(2)
            usual = turn(skid)
            assert len(usual) == 3
            for _ in range(2):
                restarting, began = True, loop.time()
                await asyncio.sleep(outage_s)
                asked = [each for each in skid.since(began) if each.at < began + min(outage_s, 9)]
                assert len(asked) <= 1 * 10 * outage_s + 3, "one request a reading"
                assert bad(driver) == list(range(len(BLOCKS)))
                restarting, ended = False, loop.time()
                while bad(driver):
                    await asyncio.sleep(0.01)
                assert loop.time() - ended < (0.3 if outage_s < 9 else 5)
                await asyncio.sleep(125)
                assert turn(skid) == usual
                before = len(skid.asked)
                await asyncio.sleep(60)
                assert len(skid.asked) - before <= 3 * 600 + 3

    virtually(main())
    assert caplog.text.count("rejects everything that it is asked for") == 2


def test_a_device_that_rejects_everything_at_the_start_is_back_soon(virtually: Virtually) -> None:
    restarting = True
    skid = Skid(lambda asked: exception(asked, 2) if restarting else holding(asked))

    async def main() -> None:
        nonlocal restarting
        loop = asyncio.get_running_loop()
        driver = driver_of(skid, points(*BLOCKS))
        async with working(Link("line", driver)):
            await asyncio.sleep(20)
            assert len(skid.asked) < 3000
            restarting, ended = False, loop.time()
            while bad(driver):
                await asyncio.sleep(0.01)
            assert loop.time() - ended < 5
            await asyncio.sleep(125)
            assert len(turn(skid)) == 3

    virtually(main())


def test_one_block_of_several_that_is_rejected_for_a_while_is_joined_again_each_time(virtually: Virtually) -> None:
    restarting = False
    skid = Skid(
        lambda asked: exception(asked, 2) if restarting and asked.address in range(200, 280) else holding(asked)
    )

    async def main() -> None:
        nonlocal restarting
        loop = asyncio.get_running_loop()
        driver = driver_of(skid, points(*BLOCKS))
        async with working(Link("line", driver)):
            await asyncio.sleep(2)
            usual = turn(skid)
            for _ in range(2):
                restarting = True
                await asyncio.sleep(2)
                assert len(bad(driver)) == 80
                restarting, ended = False, loop.time()
                while bad(driver):
                    await asyncio.sleep(0.01)
                assert loop.time() - ended < 5
                await asyncio.sleep(65)
                assert turn(skid) == usual

    virtually(main())


def test_looking_for_holes_does_not_hold_up_the_other_devices(virtually: Virtually) -> None:
    """Every second register of one device is a hole, and the line is slow."""
    skid = Skid(
        lambda asked: (
            exception(asked, 2) if asked.device_id == 2 and (asked.count > 1 or asked.address % 2) else holding(asked)
        ),
        delay_s=0.05,
        numbered=False,
    )

    async def main() -> None:
        driver = driver_of(skid, [*points(1), *points(*range(40), device="dev2", every_ms=1000)])
        received: list[float] = []
        async with working(Link("line", driver)):
            with noted_times(received, lambda: float(driver.image.received[0])):
                await asyncio.sleep(60)
            assert bad(driver) == list(range(2, 41, 2))
            assert longest_gap(received[1:]) < 2.2, "eight requests of 50 ms, some with wider forms or a probe before"

    virtually(main())


@pytest.mark.parametrize("write", [False, True], ids=["inputs", "outputs"])
def test_a_device_that_ends_each_connection_after_ten_answers_has_no_gaps(virtually: Virtually, write: bool) -> None:
    counts: dict[int, int] = {}

    def behave(asked: Asked) -> bytes:
        counts[asked.connection] = counts.get(asked.connection, 0) + 1
        if counts[asked.connection] > 10:
            raise ClosedError
        return holding(asked)

    skid = Skid(behave)

    async def main() -> None:
        driver = driver_of(skid, points(1, 60, 120, write=write))
        received: list[float] = []
        async with working(Link("line", driver)):
            await asyncio.sleep(1)
            with noted_times(received, lambda: float(driver.image.received[0])):
                await asyncio.sleep(60)
            assert longest_gap(received) < 0.7
            assert len(skid.opened) > 100
            assert bad(driver) == []

    virtually(main())


def test_a_device_that_ends_idle_connections_between_two_readings_loses_none(virtually: Virtually) -> None:
    skid = Skid()

    async def main() -> None:
        driver = driver_of(skid, points(1, 60, every_ms=30_000))
        async with working(Link("line", driver)) as link:
            for _ in range(6):
                await asyncio.sleep(20)
                assert skid.outlet is not None
                skid.outlet.close()
                await asyncio.sleep(10)
                assert link.state is LinkState.UP
            assert link.counters.broken == 0
            assert link.counters.reads >= 6
            assert bad(driver) == []
            assert driver.link.counters.reconnects >= 5

    virtually(main())


def test_a_device_that_ends_every_connection_without_an_answer_is_tried_less_and_less_often(
    virtually: Virtually,
) -> None:
    skid = Skid(closed)

    async def main() -> None:
        driver = driver_of(skid, points(1, 60))
        async with working(Link("line", driver)) as link:
            await asyncio.sleep(100)
            assert link.state is LinkState.DOWN
            assert 10 <= len(skid.opened) <= 60
            skid.behave = holding
            await asyncio.sleep(12)
            assert link.state is LinkState.UP
            await asyncio.sleep(70)
            assert bad(driver) == []

    virtually(main())


def test_a_block_that_is_always_answered_short_leaves_the_link_up(virtually: Virtually) -> None:
    skid = Skid(lambda asked: short(asked) if asked.count > 10 else holding(asked))

    async def main() -> None:
        driver = driver_of(skid, points(1, *range(30, 60)))
        async with working(Link("line", driver)) as link:
            await asyncio.sleep(30)
            assert bad(driver) == []
            assert link.counters.broken == 0
            assert len(turn(skid)) <= 6

    virtually(main())
