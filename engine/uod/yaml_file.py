"""The YAML spelling: plain data, and where each key stands.

The node tree is walked here rather than by the loader, because the loader stops at the first duplicate key. YAML 1.2,
so that `on`, `off`, `yes` and `no` are words.

What a text of few bytes may come to is bounded: its depth, and how much its aliases unfold.
"""

from __future__ import annotations

import re
import warnings
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer
from ruamel.yaml.error import ReusedAnchorWarning, YAMLError

from engine.uod.faults import Fault, Path, Place, Severity, key_of
from engine.uod.yaml_problems import problem_of

_Node = Any
"""A node of ruamel.yaml's tree, which it does not annotate: `id` is scalar, sequence or mapping."""
_MAX_DEPTH = 30
"""Parts inside parts; a UOD needs six."""
_MAX_UNFOLDED = 200_000
"""Values that aliases may add to those that are written; nine aliases of nine aliases and so on are far beyond."""
_SHOWN = 100
"""Characters of a value in a message."""
_UNREADABLE = object()
"""Stands for a value that was named as a fault, and is left out."""
_MERGE = "tag:yaml.org,2002:merge"


class _TooMuchError(Exception):
    """A text that comes to more than any UOD; where, and what to do."""

    def __init__(self, message: str, hint: str, mark: Any) -> None:
        super().__init__(message)
        self.message, self.hint, self.mark = message, hint, mark


_BASE: Any = Composer
"""ruamel.yaml annotates nothing."""


class _Composer(_BASE):
    """Composes no deeper than a UOD goes."""

    _depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self._depth == _MAX_DEPTH:
            message = f"more than {_MAX_DEPTH} parts stand inside each other here"
            raise _TooMuchError(
                message, "close brackets and braces, and mind the indentation", self.parser.peek_event().start_mark
            )
        self._depth += 1
        try:
            inner: Any = super()
            return inner.compose_node(parent, index)
        finally:
            self._depth -= 1


class YamlText:
    """One YAML file, read as far as it can be."""

    def __init__(self, file: str, text: str) -> None:
        self.data: Any = None
        self.faults: list[Fault] = []
        self._places: dict[Path, Place] = {(): Place(file, 1, 1)}
        self._file = file
        self._yaml: Any = YAML(typ="safe", pure=True)
        self._yaml.version = (1, 2)
        self._yaml.Composer = _Composer
        self._met: set[int] = set()
        self._unfolded = 0
        try:
            root = self._compose(text)
            data = self._value((), root, ()) if root is not None else None
            self.data = None if data is _UNREADABLE else data
        except _TooMuchError as error:
            self._blame((), error.mark, error.message, error.hint)
        except YAMLError as error:
            problem = problem_of(error, text)
            self.faults.append(Fault(file, problem.line, problem.column, "", problem.message, problem.hint))

    def _compose(self, text: str) -> _Node:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ReusedAnchorWarning)
            root = self._yaml.compose(text)
        for each in caught:
            anchor = re.search(r"anchor '(.*?)'", str(each.message))
            name = anchor[1] if anchor else "an anchor"
            message = f"&{name} marks two parts, and *{name} means the one before it"
            self.faults.append(Fault(self._file, None, None, "", message, "name them differently", Severity.WARNING))
        return root

    def place(self, path: Path) -> Place:
        """Where a key stands; for one that is not written, where the part stands that lacks it."""
        while path not in self._places:
            path = path[:-1]
        return self._places[path]

    def _blame(self, path: Path, mark: Any, message: str, hint: str = "") -> None:
        line, column = (None, None) if mark is None else (mark.line + 1, mark.column + 1)
        self.faults.append(Fault(self._file, line, column, key_of(path), message, hint))

    def _value(self, path: Path, node: _Node, above: tuple[_Node, ...]) -> Any:
        if node in above:
            self._blame(path, node.start_mark, "this refers to a part that it stands in itself")
            return _UNREADABLE
        above = (*above, node)
        if id(node) in self._met:
            self._unfolded += 1
            if self._unfolded > _MAX_UNFOLDED:
                message = f"the aliases (*) of this file unfold to more than {_MAX_UNFOLDED:,} values"
                raise _TooMuchError(message, "write the parts out, without aliases of aliases", node.start_mark)
        self._met.add(id(node))
        if node.id == "sequence":
            for index, item in enumerate(node.value):
                self._mark((*path, index), item)
            items = (self._value((*path, index), item, above) for index, item in enumerate(node.value))
            return [item for item in items if item is not _UNREADABLE]
        if node.id == "mapping":
            return self._mapping(path, node, above)
        return self._scalar(path, node)

    def _mapping(self, path: Path, node: _Node, above: tuple[_Node, ...]) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        lines: dict[str, int] = {}
        before: tuple[str, _Node] | None = None
        for key, value in node.value:
            if before is not None and (number := _cut_number(before[1], key, value)):
                message = f"a comma ends the value: {before[0]} is read as {before[1].value}"
                self._blame((*path, before[0]), before[1].start_mark, message, f"write {number}, with a point")
                own[before[0]] = float(number)
                continue
            if key.tag == _MERGE:
                for part in value.value if value.id == "sequence" else [value]:
                    merged = self._value(path, part, above) | merged
                continue
            name, here = str(key.value), (*path, str(key.value))
            line = key.start_mark.line + 1
            if key.id != "scalar" or not isinstance(self._scalar(path, key), str):
                hint = "put it in quotes"
                is_turned = path[-1:] == ("choices",) and value.id == "scalar" and not value.value.isdigit()
                if is_turned:
                    hint = f"write the word first: {{{value.value[:_SHOWN]}: {name[:_SHOWN]}}}"
                self._blame(here, key.start_mark, f"the key {name[:_SHOWN]} is not read as a text", hint)
                if is_turned:
                    continue
            if name in lines:
                message = f"{name!r} is there twice, in lines {lines[name]} and {line}"
                self._blame(here, key.start_mark, message, "rename or delete one of them")
                continue
            lines[name] = line
            self._mark(here, key)
            read = self._value(here, value, above)
            if read is not _UNREADABLE:
                own[name] = read
            before = name, value
        return merged | own

    def _scalar(self, path: Path, node: _Node) -> Any:
        try:
            return self._yaml.constructor.construct_object(node)
        except (YAMLError, ValueError) as error:
            found = node.value if len(node.value) <= _SHOWN else f"{node.value[:_SHOWN]}..."
            self._blame(path, node.start_mark, f"{found!r} cannot be read: {str(error).splitlines()[0]}")
            return _UNREADABLE

    def _mark(self, path: Path, node: _Node) -> None:
        self._places[path] = Place(self._file, node.start_mark.line + 1, node.start_mark.column + 1)


def _cut_number(value: _Node, key: _Node, empty: _Node) -> str | None:
    """The number that was meant where 0,1 stands between braces: the value 0, and a key 1 without a value."""
    if value.id != "scalar" or key.id != "scalar" or empty.id != "scalar" or empty.value or value.style or key.style:
        return None
    adjacent = value.end_mark.index + 1 == key.start_mark.index
    whole, places = value.value.replace(".", "").replace("'", ""), key.value
    if not adjacent or not re.fullmatch(r"[-+]?[0-9]+", whole) or not re.fullmatch(r"[0-9]+", places):
        return None
    return f"{whole}.{places}"


def scalar(text: str) -> Any:
    """Read one value as YAML reads it, "502" as a number; what is no YAML value is a text."""
    value = YamlText("", text)
    return text if value.faults or isinstance(value.data, (dict, list)) else value.data
