"""From the model to the skid: names become indices, units become numbers, and what does not fit is named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from drivers.contract import Kind
from engine.core.checking import Known
from engine.core.convert import converted_kind
from engine.core.layout import unlearned
from engine.core.spec import Direction, Event, FromEngine, FromExpression, FromPoint, TagSpec
from engine.core.table import TagKind
from engine.statuses import status_name, status_tag
from engine.system import SYSTEM_TAGS
from engine.uod.accumulators import Accumulators
from engine.uod.awaited import Awaited
from engine.uod.controls import Controls
from engine.uod.counters import CountedTags
from engine.uod.draft import Draft
from engine.uod.expressions import check_derived
from engine.uod.faults import Finding, Path, Severity
from engine.uod.given_texts import outputs_given_texts
from engine.uod.guards import Guards
from engine.uod.heartbeats import heartbeat_spec, unfit_heartbeat
from engine.uod.model import Derived, Tag
from engine.uod.simulations import check_simulations, simulated_by
from engine.uod.skid import RESERVED_TAGS, HeartbeatSpec, OutputSpec, Skid
from engine.uod.value_checks import check_safe_kind, check_stand_in, check_values, deadband, scale_and_offset
from engine.uod.wiring import Socket, Wiring, is_counter


def resolve(draft: Draft, file: str) -> tuple[Skid | None, list[Finding]]:
    """Make the skid that runs, or None and what is at fault; warnings come beside a skid, too."""
    uod = draft.uod
    wiring = Wiring(draft)
    accumulators = Accumulators(draft)
    made = {*accumulators.section_of, *map(status_name, uod.devices), *RESERVED_TAGS}
    guards = Guards(draft, wiring, made)
    awaited = Awaited(draft, {*uod.tags, *uod.derived, *made, *guards.made_by})
    derived_parts = uod.derived | accumulators.derived
    findings = wiring.findings + _check_names(draft) + accumulators.findings
    counted = CountedTags(draft, wiring)
    findings += counted.findings
    tags: list[TagSpec] = []
    outputs: list[OutputSpec] = []
    texts = outputs_given_texts(uod)
    heartbeats: list[HeartbeatSpec] = []
    for name, tag in uod.tags.items():
        if is_counter(tag):
            tags += [counted.tags[name]] if name in counted.tags else []
            continue
        found = check_values(("tags", name), tag)
        findings += found
        socket = wiring.sockets.get(name)
        if socket is None or _errors(found):
            continue
        if tag.heartbeat is not None:
            findings += unfit_heartbeat(("tags", name), tag, wiring.kind(socket)) if wiring.is_learned(socket) else ()
            heartbeats.append(heartbeat_spec(len(tags), tag, socket))
        elif tag.direction != "input":
            outputs.append(guards.output(name, tag, len(tags), socket))
        kind = wiring.kind(socket)
        written = Kind.TEXT if name in texts and not wiring.is_learned(socket) else kind
        spec = _tag_spec(name, tag, socket, written if tag.direction == "output" else kind)
        if wiring.is_learned(socket):
            findings += check_stand_in(("tags", name), tag, converted_kind(spec, wiring.kind(socket)))
            findings += check_safe_kind(("tags", name), tag, wiring.kind(socket))
        tags.append(spec)
    unsound = {name for _, name in draft.broken} | (uod.tags.keys() - {tag.name for tag in tags})
    for name, derived in derived_parts.items():
        found = check_values(("derived", name), derived)
        findings += found
        if _errors(found):
            unsound.add(name)
        else:
            tags.append(_derived_spec(name, derived))
    tags += [status_tag(name) for name in uod.devices]
    tags += guards.tags
    outputs = guards.with_feedback(outputs, tags)
    tags += awaited.tags
    conditions = guards.interlocks | awaited.conditions
    expressions = derived_parts | conditions
    known = {tag.name: _known(tag, wiring) for tag in (*tags, *SYSTEM_TAGS) if tag.name not in expressions}
    made_by: dict[str, Path] = {name: (section,) for name, section in accumulators.section_of.items()}
    made_by |= guards.made_by | awaited.made_by
    checked, found = check_derived(known, expressions, unsound, conditions)
    known |= {tag.name: Known(checked[tag.name].kind, tag.unit) for tag in tags if tag.name in checked}
    declared = {*uod.tags, *expressions, *(name for _, name in draft.broken)}
    findings += check_simulations([tag for tag in tags if tag.name in known], known, declared)
    findings += guards.findings + awaited.findings + [_where_it_is_asked_for(each, made_by) for each in found]

    def is_text(name: str) -> bool | None:
        socket = wiring.sockets[name]
        if wiring.is_learned(socket):
            return wiring.kind(socket) is Kind.TEXT
        return name in texts or None

    controls = Controls(draft, tags, outputs, made_by, is_text)
    findings += controls.findings
    if draft.broken or _errors(findings):
        return None, findings
    skid = Skid(
        name=uod.uod,
        author=uod.author,
        location=uod.location,
        file=file,
        tick_s=uod.tick_ms / 1000,
        data_log_interval_s=float(uod.data_log_interval_s),
        links=wiring.links,
        tags=tuple(tags),
        outputs=tuple(outputs),
        commands=tuple(controls.commands),
        process_values=tuple(controls.process_values),
        counters=tuple(counted.counters),
        heartbeats=tuple(heartbeats),
        safe_after_s=None if uod.safe_after_ms is None else uod.safe_after_ms / 1000,
    )
    return skid, findings


def _where_it_is_asked_for(finding: Finding, made_by: Mapping[str, Path]) -> Finding:
    """What is wrong with a tag that was made without being written is wrong where it was asked for."""
    path = made_by.get(str(finding.path[1]))
    return finding if path is None else replace(finding, path=path)


def _errors(findings: list[Finding]) -> bool:
    return any(finding.severity is Severity.ERROR for finding in findings)


def _check_names(draft: Draft) -> list[Finding]:
    """No two tags have one name, whoever feeds them."""
    findings: list[Finding] = []
    for section, names in (("tags", draft.uod.tags), ("derived", draft.uod.derived)):
        for name in names:
            if name in RESERVED_TAGS:
                message = f"the engine has a tag {name!r} of its own"
                findings.append(Finding((section, name), message, "choose another name"))
    findings += _check_status_names(draft)
    for name in draft.uod.derived:
        if name in draft.uod.tags or ("tags", name) in draft.broken:
            message = f"there is a tag {name!r} already, under tags"
            findings.append(Finding(("derived", name), message, "choose another name"))
    return findings


def _check_status_names(draft: Draft) -> list[Finding]:
    """Each device has a tag that says how it is doing, and no other tag has its name."""
    findings: list[Finding] = []
    devices = {status_name(device): device for device in draft.uod.devices}
    for name, device in devices.items():
        if name in RESERVED_TAGS:
            message = f"its status would be the tag {name!r}, and the engine has one of its own"
            findings.append(Finding(("devices", device), message, "choose another name for the device"))
    for section, names in (("tags", draft.uod.tags), ("derived", draft.uod.derived)):
        for name in names:
            if name in devices:
                message = f"{name!r} is the tag that says how the device {devices[name]} is doing"
                findings.append(Finding((section, name), message, "choose another name"))
    return findings


def _tag_spec(name: str, tag: Tag, socket: Socket, kind: Kind) -> TagSpec:
    scale, offset = scale_and_offset(tag)
    absolute, percent = deadband(tag)
    written_only = tag.direction == "output"
    return TagSpec(
        name=name,
        source=FromEngine(_written_kind(tag, kind)) if written_only else FromPoint(socket.link, socket.row),
        unit=tag.unit or None,
        direction=Direction(tag.direction),
        scale=scale,
        offset=offset,
        minimum=_float(tag.min),
        maximum=_float(tag.max),
        outside=tag.outside,
        not_available=tuple(float(raw) for raw in tag.not_available),
        choices=tag.choices,
        deadband=absolute,
        deadband_percent=percent,
        republish_every_s=_float(tag.republish_every_s),
        on_bad=tag.on_bad,
        on_bad_value=tag.on_bad_value,
        stale_after_s=None if written_only else socket.stale_after_s,
        simulated=simulated_by(tag),
    )


def _written_kind(tag: Tag, kind: Kind) -> Kind:
    """The kind in which the engine remembers what it has written to an output that is never read."""
    return Kind.FLOAT if kind is not Kind.TEXT and scale_and_offset(tag) != (1.0, 0.0) else kind


def _known(tag: TagSpec, wiring: Wiring) -> Known:
    """What an expression may know of a tag before its device has been asked."""
    match tag.source:
        case FromPoint():
            socket = wiring.sockets[tag.name]
            kind = converted_kind(tag, wiring.kind(socket))
            if not wiring.is_learned(socket):
                return unlearned(tag, kind)
        case FromEngine(kind):
            kind = TagKind.CHOICE if tag.choices else TagKind(kind)
        case FromExpression():
            kind = TagKind.FLOAT
    return Known(kind, tag.unit, tuple(tag.choices))


_RESETS: dict[str, tuple[Event, ...]] = {
    "run start": (Event.RUN_START,),
    "block start": (Event.RUN_START, Event.BLOCK_START),
    "never": (),
}


def _derived_spec(name: str, derived: Derived) -> TagSpec:
    absolute, percent = deadband(derived)
    return TagSpec(
        name=name,
        source=FromExpression(derived.expr, derived.ignore_quality, _RESETS[derived.reset_on]),
        unit=derived.unit or None,
        direction=Direction.NA,
        minimum=_float(derived.min),
        maximum=_float(derived.max),
        deadband=absolute,
        deadband_percent=percent,
        on_bad=derived.on_bad,
        on_bad_value=derived.on_bad_value,
        republish_every_s=_float(derived.republish_every_s),
    )


def _float(number: float | None) -> float | None:
    return None if number is None else float(number)
