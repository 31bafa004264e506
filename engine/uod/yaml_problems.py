"""What a text that is not YAML has wrong, in the words of somebody who edits it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

_INDENT = "begin each key of a part at the same column, with blanks"
_QUOTE = "put a text with signs such as : # % @ ` in quotes"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that keeps a text from being YAML; line and column count from one."""

    message: str
    hint: str
    line: int | None = None
    column: int | None = None


_TABLE: tuple[tuple[str, str, str, str, bool], ...] = (
    (r"scanning a (quoted|.*-quoted) scalar", r"unexpected end|document separator",
     "this quote is never closed", "close it at the end of the text", True),
    (r"double-quoted scalar", r"unknown escape character (.*)",
     r"a backslash begins a special sign between double quotes: \1 is not one",
     "use single quotes, or two backslashes", False),
    (r"flow mapping", r"expected ',' or '}'", r"this { is not closed where a } or a comma is expected (\0)",
     "close it with }, or separate its keys by commas", True),
    (r"flow sequence", r"expected ',' or '\]'", r"this [ is not closed where a ] or a comma is expected (\0)",
     "close it with ], or separate its items by commas", True),
    (r"", r"found character '\\t'", "a tab stands where blanks indent", "indent by blanks: two for each level", False),
    (r"", r"found character '(.)' that cannot", r"a text cannot begin with \1", "put the text in quotes", False),
    (r"", r"mapping values are not allowed", "a second : in this line, or a line that is indented too far",
     f"{_QUOTE}, and {_INDENT}", False),
    (r"simple key", r"could not find expected ':'", "this line is neither a key with its : nor part of a text",
     f"write key: value, and {_INDENT}", True),
    (r"block mapping", r"but found '<scalar>'", "a text goes on behind its closing quote",
     "write a quote within quotes twice, or use the other kind of quotes", False),
    (r"block (mapping|collection)", r"expected <block end>", "this line is not indented as the lines before it",
     _INDENT, False),
    (r"", r"expected the node content, but found '(.*)'", r"a value is expected, and \1 found", _QUOTE, False),
    (r"", r"undefined alias '(.*)'", r"*\1 refers to a part that is not marked with &\1", _QUOTE, False),
    (r"", r"another document", "a UOD is one document, and a line --- begins another one", "take out the line", False),
)  # fmt: skip
"""context, problem, message, hint, and whether the place is that of the context"""


def problem_of(error: Any, text: str) -> Problem:
    """The problem of one of ruamel.yaml's errors with this text."""
    if (position := getattr(error, "position", None)) is not None:  # a character that no text may hold
        line, column = text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)
        code = ord(text[position]) if position < len(text) else 0
        return Problem(f"the sign U+{code:04X} is not one of a text", "take it out; save as UTF-8", line, column)
    context, found = getattr(error, "context", None) or "", getattr(error, "problem", None) or ""
    at, begun = getattr(error, "problem_mark", None), getattr(error, "context_mark", None)
    for pattern, problem, message, hint, at_context in _TABLE:
        if re.search(pattern, context) and (match := re.search(problem, found)):
            place = begun if at_context and begun is not None else at
            said = message.replace(r"\1", match[1] if match.lastindex else "")
            said = said.replace(r"\0", f"{found}, line {at.line + 1}" if at else found)
            return Problem(f"this is not YAML: {said}", hint, *_place(place))
    problem = found or str(error).splitlines()[0]
    return Problem(f"this is not YAML: {problem}", f"{_QUOTE}, and {_INDENT}", *_place(at or begun))


def _place(mark: Any) -> tuple[int | None, int | None]:
    return (None, None) if mark is None else (mark.line + 1, mark.column + 1)
