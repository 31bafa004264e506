"""Tags that show what is counted on a link, `{device: pump, counter: timeouts}`, or here, `{counter: overruns}`.

A device's own counter goes before one of its link of the same name; the link's can be had by any of its devices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from pydantic import Field, ValidationError

from drivers.contract import Kind
from engine.core.spec import Direction, FromEngine, TagSpec
from engine.links import Counters
from engine.outputs.watch import OUTPUT_COUNTERS
from engine.runs.function_call import FUNCTION_COUNTERS
from engine.scan import SCAN_COUNTERS
from engine.uod.draft import Draft, findings_of, keys_of
from engine.uod.faults import Finding, Path, did_you_mean
from engine.uod.model import Number, Strict, Tag
from engine.uod.skid import CounterSpec
from engine.uod.wiring import Wiring, is_counter

LINK_COUNTERS = tuple(field.name for field in fields(Counters))
"""What the worker of every link counts, whatever its driver."""


class CounterTag(Strict):
    """What has been counted on a link or with a device since the engine started, once a second."""

    device: str = ""
    """The name of the device, or of any device of the link; without one it is the engine itself that is looked at."""
    counter: str
    """What is counted: timeouts, exceptions_02, round_trip_p99_ms, silent, broken, late_reads, ... with a device;
    overruns, tick_p99_ms, late_p99_ms, derive_max_ms, slow_functions, output_deviations, ... without."""
    deadband: Number = Field(default=0, ge=0)
    """Published when it changes by more than this."""
    republish_every_s: Number | None = Field(default=None, gt=0)
    """Published at least this often, changed or not."""
    description: str = ""
    """For people."""


class CountedTags:
    """All such tags of a UOD; what is wrong with them is among the findings."""

    def __init__(self, draft: Draft, wiring: Wiring) -> None:
        self.findings: list[Finding] = []
        self.counters: list[CounterSpec] = []
        self.tags: dict[str, TagSpec] = {}
        self._wiring = wiring
        for name, tag in draft.uod.tags.items():
            if is_counter(tag):
                self._add(name, tag)

    def _add(self, name: str, tag: Tag) -> None:
        path = ("tags", name)
        try:
            part = CounterTag.model_validate(tag.model_dump(exclude_unset=True))
        except ValidationError as error:
            self.findings += [_in_words(each) for each in findings_of(error, path, keys_of(CounterTag))]
            return
        spec = self._find(path, part)
        if spec is None:
            return
        self.counters.append(spec)
        self.tags[name] = TagSpec(
            name=name,
            source=FromEngine(Kind.FLOAT),
            unit="ms" if spec.name.endswith("_ms") else None,
            direction=Direction.NA,
            deadband=float(part.deadband),
            republish_every_s=None if part.republish_every_s is None else float(part.republish_every_s),
        )

    def _find(self, path: Path, part: CounterTag) -> CounterSpec | None:
        """Where it is counted, and by what name: "reconnects" on a link, "pump.timeouts" of a device."""
        if not part.device:
            known = {name: name for name in (*SCAN_COUNTERS, *FUNCTION_COUNTERS, *OUTPUT_COUNTERS)}
            return self._named(path, part, None, known, "in the engine")
        place = self._wiring.counted(part.device)
        if place is None:
            return None  # the device is at fault, and has been complained of
        link, devices, counted = place
        own = f"{part.device}."
        known = {name: name for name in (*counted, *LINK_COUNTERS) if not name.startswith(devices)}
        known |= {name.removeprefix(own): name for name in counted if name.startswith(own)}
        return self._named(path, part, link, known, f"for {part.device}")

    def _named(
        self, path: Path, part: CounterTag, link: int | None, known: Mapping[str, str], where: str
    ) -> CounterSpec | None:
        if part.counter not in known:
            message = f"nothing named {part.counter!r} is counted {where}"
            self.findings.append(Finding((*path, "counter"), message, did_you_mean(part.counter, known, "counters")))
            return None
        return CounterSpec(str(path[-1]), link, known[part.counter])


def _in_words(finding: Finding) -> Finding:
    """A key that a counter cannot have is one that would make it a point."""
    key = str(finding.path[-1])
    if key in CounterTag.model_fields:
        return finding
    message = f"a counter is counted here, not read from the device: {key} does nothing"
    return Finding(finding.path, message, f"take out {key}, or counter")
