"""What is known and told of registers that a device does not answer."""

from __future__ import annotations

import asyncio

import pytest

from engine.links import Link
from tests.unit.memory_points import bad, driver_of, points
from tests.unit.memory_skid import Skid, exception, holding
from tests.unit.virtual_links import Virtually, working


def test_many_wrong_addresses_are_told_in_one_message(virtually: Virtually, caplog: pytest.LogCaptureFixture) -> None:
    skid = Skid(lambda asked: exception(asked, 2) if asked.touches(*range(100, 120)) else holding(asked))

    async def main() -> None:
        driver = driver_of(skid, points(*range(90, 120)))
        async with working(Link("line", driver)):
            await asyncio.sleep(100)
            assert len(bad(driver)) == 20

    virtually(main())
    told = [record.message for record in caplog.records if "Correct the address" in record.message]
    assert len(told) == 1
    assert told[0].startswith(
        "dev1: 20 places are not answered: illegal data address (exception 02), at holding 100 to 119; bad: T100, "
        "T101, T102, T103, T104 and 15 others. Correct the addresses"
    )


def test_what_is_known_of_a_place_outlasts_the_connection(virtually: Virtually) -> None:
    skid = Skid(lambda asked: exception(asked, 2) if asked.touches(13) else holding(asked))

    async def main() -> None:
        driver = driver_of(skid, points(*range(10, 40), write=True))
        async with working(Link("line", driver)):
            await asyncio.sleep(300)
            for _ in range(2):
                assert skid.outlet is not None
                skid.outlet.close()
                closed_at = asyncio.get_running_loop().time()
                await asyncio.sleep(20)
                assert skid.since(closed_at)
                assert sum(asked.touches(13) for asked in skid.since(closed_at)) <= 1
                assert bad(driver) == [3]

    virtually(main())
