"""Skidlink's side of `bench.tick`: single ticks without I/O, and an engine that keeps a cadence in real time."""

from __future__ import annotations

import asyncio
import gc
import tempfile
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np

from bench.worker import serve
from drivers.contract import Kind, Quality
from engine.cli.loop import LoopName, run_in
from engine.engine import Engine
from engine.links import LinkState
from engine.timing import AT_ONCE, TIMED, Timing
from engine.uod.reader import read_uod
from engine.uplinks.contract import TagsFrame, UplinkStatus
from protocol.engine_messages import EngineMessage

MARKS = 20_000
"""How often marks are taken to find out what they cost."""


class Void:
    """An uplink that forgets."""

    name = "void"

    def __init__(self) -> None:
        self.status = UplinkStatus()

    async def run(self) -> None:
        await asyncio.Event().wait()

    def put(self, item: TagsFrame | EngineMessage) -> None:
        """Nothing is kept."""

    async def close(self) -> None:
        """Nothing is open."""


UOD = """
from engine.uod.model import Derived, Device, Tag, Uod

def create() -> Uod:
    return Uod(
        uod="Bench",
        tick_ms={tick_ms},
        devices={{"box": Device(driver="simulated")}},
        tags={{
            f"T{{row}}": Tag(device="box", unit="bar", stale_after_ms=60_000, {keys})
            for row in range({tags})
        }},
        derived={{"D": Derived(expr="T0 - T1", unit="bar"), "V": Derived(expr="integral(T2)", unit="bar*s")}},
        process_values=["T0", "D"],
    )
"""


def engine_of(tags: int, tick_ms: int, keys: str = "") -> Engine:
    """An engine on a simulated device of so many tags."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bench_uod.py"
        file.write_text(UOD.format(tick_ms=tick_ms, tags=tags, keys=keys))
        reading = read_uod(file)
    if reading.skid is None:
        raise ValueError(f"the UOD of the bench has faults: {reading.faults}")
    return Engine(reading.skid)


def tick(request: dict[str, int]) -> dict[str, float]:
    """Median microseconds of a tick of so many tags of which one in `every` has changed, from the image of their link
    to the finished JSON."""
    tags, every = request["tags"], request["every"]
    engine = engine_of(tags, 100)
    engine.uplinks.append(Void())
    (link,) = engine.links
    link.state = LinkState.UP
    image, random = link.image, np.random.default_rng(1)
    image.quality[:], image.reason[:] = Quality.GOOD, 0
    costs: list[float] = []
    for turn in range(request["ticks"]):
        if every:
            column = image.columns[Kind.FLOAT][turn % every :: every]
            column[:] = random.uniform(0, 1000, column.size)
        now = 1000.0 + 0.1 * turn
        image.received[:] = now
        link.fresh = True
        start = process_time()
        engine.scan.tick(now, 1.8e9 + now)
        costs.append(process_time() - start)
    return {"us": float(np.median(costs)) * 1e6}


def marks(_: dict[str, int]) -> dict[str, float]:
    """Mean microseconds that it costs a tick to take its marks and to sort them in."""
    timing = Timing()
    start = process_time()
    for turn in range(1, MARKS + 1):
        a, b, c, d = perf_counter(), perf_counter(), perf_counter(), perf_counter()
        e, f, g, h = perf_counter(), perf_counter(), perf_counter(), perf_counter()
        timing.add((0.0, a, b, c, d, e, f, g, h))
        if not turn % AT_ONCE:
            timing.sort_in()
    spread = process_time() - start
    return {"us": spread / MARKS * 1e6}


def keep(request: dict[str, Any]) -> dict[str, Any]:
    """How an engine on a simulated skid keeps its cadence for some seconds: overruns, and spreads in milliseconds."""
    engine = engine_of(request["tags"], request["tick_ms"], 'signal="sine", period_s=10 + row')
    gc.enable()
    if request["frozen"]:
        gc.collect()
        gc.freeze()

    async def run() -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(request["seconds"], stop.set)
        await engine.run(stop)

    start = process_time()
    run_in(LoopName(request["loop"]), run())
    spent = process_time() - start
    gc.unfreeze()
    gc.disable()
    counters, timing = engine.scan.counters, engine.scan.timing
    spreads = {name: timing.spread(name) for name in TIMED}
    return {
        "ticks": counters.ticks,
        "overruns": counters.overruns,
        "cpu": spent / request["seconds"],
        **{
            name: [round(1e3 * seconds, 3) for seconds in (spread.p50, spread.p99, spread.max)]
            for name, spread in spreads.items()
        },
    }


if __name__ == "__main__":
    serve({"tick": tick, "marks": marks, "keep": keep})
