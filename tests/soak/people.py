"""People who work the skids meanwhile: at their panels, by hand at their sensors, and from the aggregator."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Sequence

from tests.soak.receiver import Receiver
from uod_examples.skid import Skid

SPANS = {"LT01": 100.0, "FT01": 2000.0, "PT01": 4.0, "PT02": 4.0, "TT01": 80.0, "CT01": 30.0}
BREAKABLE = [name for name in SPANS if name != "LT01"]


async def work(skids: Sequence[Skid], receiver: Receiver, chance: random.Random) -> None:
    """Change something now and then, until cancelled."""
    while True:
        await asyncio.sleep(chance.uniform(0.2, 1.5))
        model = chance.choice(skids).model
        match chance.randrange(6):
            case 0:
                model.write({"PU01": round(chance.uniform(0, 100), 1)})
            case 1:
                model.write({chance.choice(("VA01", "VA02", "VA03")): chance.random() < 0.7})
            case 2:
                model.write({"MO01": chance.randrange(3), "BA01": f"B-{chance.randrange(10_000)}"})
            case 3 | 4:
                broken = chance.random() < 0.15
                name = chance.choice(BREAKABLE if broken else list(SPANS))
                model.force({name: math.nan if broken else chance.uniform(0, SPANS[name])})
                asyncio.get_running_loop().call_later(chance.uniform(0.5, 4.0), model.release)
            case _:
                await receiver.inject(f"Pump: {chance.uniform(0, 100):.1f} %")
