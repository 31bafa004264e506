"""The axes of a skid's plots: values of one unit share an axis, however each spells it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from engine.core.spec import TagSpec
from engine.core.table import TagKind
from engine.core.units import same_unit
from engine.plots.spans import Span, is_of_a_process, joined
from engine.system import SYSTEM_TAGS, X_AXES
from engine.uod.skid import Skid
from protocol.models import PlotAxis, PlotColorRegion, PlotConfiguration, SubPlot

_COLORS = ("#1f77b4", "#d62728", "#2ca02c", "#ff7f0e", "#9467bd", "#8c564b", "#e377c2", "#17becf", "#bcbd22", "#7f7f7f")
_MOST_PLOTS: Final = 4
"""More than these would be too low to be read; further axes go beside the others."""
_USUAL: Final = {"pH": (0.0, 14.0), "bar": (0.0, 10.0), "V": (0.0, 10.0), "mA": (0.0, 20.0), "AU": (0.0, 2.0)}
_USUAL_ELSE: Final = (0.0, 100.0)
_ON_OFF: Final = (0.0, 1.25)
_SHAPELESS: Final = frozenset({TagKind.TEXT, TagKind.CHOICE})
"""Kinds of values that have no place on an axis."""


@dataclass(frozen=True, slots=True)
class Axis:
    """Values that are drawn against one scale."""

    label: str
    tags: tuple[str, ...]
    limits: Span | None
    """What the author's limits come to; None where there are none that a plot can use."""
    usual: Span
    """From where to where it goes before anything is known of its values."""

    @property
    def start(self) -> Span:
        """The span to begin with."""
        return self.limits or self.usual


def axes_of(skid: Skid, kinds: Mapping[str, TagKind]) -> tuple[Axis, ...]:
    """The axes for the process values of a skid, in their order. What has a text for a value has none.

    `kinds` has the kind of each tag that is known by now; where it is not, a tag without choices counts as a number.
    """
    tags = (*skid.tags, *SYSTEM_TAGS)
    shown = dict.fromkeys(value.tag for value in skid.process_values)
    groups: list[list[TagSpec]] = []
    on_off: list[TagSpec] = []
    for tag in (tags[index] for index in shown):
        kind = kinds.get(tag.name)
        if tag in SYSTEM_TAGS or tag.choices or kind in _SHAPELESS:
            continue
        if kind is TagKind.BOOL:
            on_off.append(tag)
        elif group := next((group for group in groups if _share(group[0], tag)), None):
            group.append(tag)
        else:
            groups.append([tag])
    axes = [_axis(group) for group in groups]
    if on_off:
        axes.append(Axis("on = 1", tuple(tag.name for tag in on_off), _ON_OFF, _ON_OFF))
    return tuple(axes)


def plot_configuration(skid: Skid, axes: Sequence[Axis], spans: Sequence[Span]) -> PlotConfiguration:
    """The plots with these axes, each over its span.

    The aggregator stores what is a process value or has a place in a plot, and its page draws nothing where a value to
    draw along is not stored. So each of those has a place: a colour region without colours, which the page does not
    show.
    """
    tags = (*skid.tags, *SYSTEM_TAGS)
    words = dict.fromkeys(tags[value.tag].name for value in skid.process_values if tags[value.tag].choices)
    count = min(len(axes), _MOST_PLOTS)
    plots: list[list[PlotAxis]] = [[] for _ in range(count)]
    for index, (axis, (low, high)) in enumerate(zip(axes, spans, strict=True)):
        color = _COLORS[index % len(_COLORS)]
        plots[index * count // len(axes)].append(
            PlotAxis(label=axis.label, process_value_names=list(axis.tags), y_min=low, y_max=high, color=color)
        )
    return PlotConfiguration(
        process_value_names_to_annotate=[*words, "Mark"],
        color_regions=[PlotColorRegion(process_value_name=name, value_color_map={}) for name in X_AXES],
        sub_plots=[SubPlot(axes=each, ratio=1) for each in plots],
        x_axis_process_value_names=list(X_AXES),
    )


def _share(one: TagSpec, other: TagSpec) -> bool:
    """Whether two tags have the same unit. What has none has nothing in common with anything."""
    return bool(one.unit and other.unit) and same_unit(one.unit, other.unit)


def _axis(tags: Sequence[TagSpec]) -> Axis:
    unit = tags[0].unit
    usual = next((span for known, span in _USUAL.items() if unit == known), _USUAL_ELSE)
    limits = joined(*(_limits(tag) for tag in tags))
    return Axis(unit or tags[0].name, tuple(tag.name for tag in tags), limits, usual)


def _limits(tag: TagSpec) -> Span | None:
    """The limits of a tag, where they say what can be expected of it; a maximum alone is taken with zero."""
    if tag.maximum is None:
        return None
    span = (min(tag.maximum, 0.0) if tag.minimum is None else tag.minimum, tag.maximum)
    return span if is_of_a_process(span) else None
