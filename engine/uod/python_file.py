"""The Python spelling: a file whose `create()` returns a `Uod`."""

from __future__ import annotations

import ast
import inspect
import io
import sys
import traceback
from collections.abc import Iterator
from contextlib import redirect_stdout
from importlib.machinery import SourceFileLoader
from pathlib import Path as FilePath
from types import ModuleType
from typing import Any

from pydantic import ValidationError

from engine.uod import model
from engine.uod.draft import finding_of, keys_of
from engine.uod.faults import Fault, Path, Place, Severity, key_of
from engine.uod.model import Uod

_MOST_SHOWN = 500
"""Characters of what an author's own code says."""


class PythonText:
    """One Python file, run once."""

    def __init__(self, path: FilePath, source: bytes) -> None:
        self.data: Any = None
        self.faults: list[Fault] = []
        self._path = path
        self._tree = ast.Module([], [])
        printed = io.StringIO()
        try:
            self._tree = ast.parse(source, str(path))
            with redirect_stdout(printed):  # the output of skidlink may be read by a program
                create = getattr(self._module(), "create", None)
                uod = create() if callable(create) else create
        except ValidationError as error:
            self._wrong_part(error)
        except SystemExit as error:
            message = "the file ends the program by sys.exit() or exit() while it is read"
            self._blame(
                (), self._line_of(error), message, "raise an exception that says what is wrong, or return the UOD"
            )
        except KeyboardInterrupt:  # Ctrl-C, while the file takes its time
            raise
        except BaseException as error:  # noqa: BLE001  whatever the author's own code raises is for the author to read
            self._raised(error)
        else:
            if isinstance(uod, Uod):
                self.data = uod.model_dump(exclude_unset=True)
            else:
                found = "None" if uod is None else f"{type(uod).__name__}, and not a Uod"
                message = "there is no function create()" if create is None else f"create() returned {found}"
                self._blame((), self._line_of_create(), message, "write def create() -> Uod, which returns the UOD")
                if inspect.iscoroutine(uod):
                    uod.close()
        self._tell(printed.getvalue())

    def _tell(self, printed: str) -> None:
        """Say what the file has printed, which is nowhere else to be seen."""
        if text := " ".join(printed.split()):
            shown = text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."
            message = f"the file prints while it is read: {shown!r}"
            fault = Fault(str(self._path), None, None, "", message, "take out print()", Severity.WARNING)
            self.faults.append(fault)

    def place(self, path: Path) -> Place:
        """Where a key stands, as far as it is written out: in keywords, dictionaries and lists."""
        scope: ast.AST = self._tree
        found = Place(str(self._path), self._line_of_create(), None)
        for depth, part in enumerate(path):
            # what is named by its author may be made anywhere in the file
            inside = _part(scope, part) or (_part(self._tree, part) if depth == 1 else None)
            if inside is None:
                break
            at, scope = inside
            found = Place(str(self._path), at.lineno, at.col_offset + 1)
        return found

    def _module(self) -> ModuleType:
        """Run the file as a module; modules beside it can be imported."""
        name = f"skidlink_uod_{self._path.stem}"
        module = ModuleType(name)
        module.__file__ = str(self._path)
        sys.modules[name] = module
        folder = str(self._path.resolve().parent)
        sys.path.insert(0, folder)
        try:
            SourceFileLoader(name, str(self._path)).exec_module(module)
        finally:
            sys.path.remove(folder)
        return module

    def _wrong_part(self, error: ValidationError) -> None:
        """A part was made with a wrong key or value: name the keyword where it was made."""
        line = self._line_of(error)
        calls = (node for node in _walk(self._tree) if isinstance(node, ast.Call) and node.lineno == line)
        call = next((call for call in calls if ast.unparse(call.func).endswith(error.title)), None)
        for detail in error.errors(include_url=False):
            if error.title == Uod.__name__:
                finding = finding_of(detail, (), keys_of(Uod))
                place = self.place(finding.path)
            else:
                finding = finding_of(detail, (), keys_of(getattr(model, error.title, Uod)))
                inside = _part(call, finding.path[0]) if call is not None and finding.path else None
                column = None if inside is None else inside[0].col_offset + 1
                place = Place(str(self._path), line if inside is None else inside[0].lineno, column)
            key = key_of(finding.path)
            self.faults.append(Fault(place.file, place.line, place.column, key, finding.message, finding.hint))

    def _raised(self, error: BaseException) -> None:
        if isinstance(error, RecursionError):
            message = "the file calls itself, or brackets stand inside each other, too often"
            self._blame((), self._line_of(error), message, "end the recursion, or shorten the expression")
            return
        if isinstance(error, MemoryError):
            self._blame((), self._line_of(error), "this needs more memory than there is", "shorten the expression")
            return
        if isinstance(error, SyntaxError) and error.filename == str(self._path):
            self.faults.append(
                Fault(str(self._path), error.lineno, error.offset, "", f"this is not Python: {error.msg}")
            )
        elif isinstance(error, SyntaxError) and error.filename is None:  # as zero bytes, which have no line
            self._blame((), None, f"this is not Python: {error.msg}", "save the file as a text in UTF-8")
        else:
            text = str(error)
            shown = text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."
            self._blame((), self._line_of(error), f"{type(error).__name__}: {shown}")

    def _line_of(self, error: BaseException) -> int | None:
        """The author's own line that was at work when the error came up."""
        frames = traceback.extract_tb(error.__traceback__)
        return next((frame.lineno for frame in reversed(frames) if frame.filename == str(self._path)), None)

    def _line_of_create(self) -> int:
        functions = (node for node in self._tree.body if isinstance(node, ast.FunctionDef) and node.name == "create")
        return next((node.lineno for node in functions), 1)

    def _blame(self, path: Path, line: int | None, message: str, hint: str = "") -> None:
        self.faults.append(Fault(str(self._path), line, None, key_of(path), message, hint))


def _walk(scope: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a scope in the order of the text."""
    waiting = [scope]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += reversed(list(ast.iter_child_nodes(node)))


def _part(scope: ast.AST, part: str | int) -> tuple[ast.expr | ast.keyword, ast.AST] | None:
    """Where a scope first names a part, and what the part holds."""
    if isinstance(part, int):
        items = scope.elts if isinstance(scope, (ast.List, ast.Tuple)) else []
        return (items[part], items[part]) if part < len(items) else None
    for node in _walk(scope):
        if isinstance(node, ast.keyword) and node.arg == part:
            return node, node.value
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == part:
                    return key, value
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
            index = node.targets[0].slice
            if isinstance(index, ast.Constant) and index.value == part:
                return index, node.value
    return None
