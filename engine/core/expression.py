"""The text of an expression becomes a tree: numbers, texts, tags and calls, and nothing else.

The grammar, loosest first; `^` and `**` are the same, and bind to the right:

    or  and  not  == != < <= > >=  + -  * / %  unary -  ^

A name that is a letter followed by letters, digits and underscores is written as it is; any other name stands between
back-quotes (`Run Time`). Texts stand between single or double quotes. An operator is a call of the same name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn

MAX_LENGTH = 2_000
"""Characters of one expression."""
MAX_DEPTH = 50
"""Brackets inside brackets; far below what Python's own stack allows."""
MAX_CHAIN = 150
"""Operations inside operations; `a + b + c` is two."""

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
      | (?P<name>[^\W\d]\w*)
      | `(?P<quoted>[^`]*)`
      | '(?P<single>[^']*)' | "(?P<double>[^"]*)"
      | (?P<operator>\*\*|==|!=|<=|>=|[-+*/%^<>(),])
      | (?P<end>$)
    )""",
    re.VERBOSE,
)
_WORDS = {"and", "or", "not"}
_COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")
_HINTS = {
    "=": "compare with ==",
    "&": "write 'and'",
    "|": "write 'or'",
    "!": "write 'not'",
    ".": "an expression has no attributes",
    "[": "an expression has no lists",
}


@dataclass(frozen=True, slots=True)
class Number:
    value: float
    column: int


@dataclass(frozen=True, slots=True)
class Text:
    value: str
    column: int


@dataclass(frozen=True, slots=True)
class Tag:
    name: str
    column: int


@dataclass(frozen=True, slots=True)
class Call:
    name: str
    arguments: tuple[Node, ...]
    column: int


@dataclass(frozen=True, slots=True)
class SameText:
    """Whether a text tag has a certain text; the checker puts it in the place of `Tag == 'text'`."""

    tag: str
    text: str
    column: int


Node = Number | Text | Tag | Call | SameText


class FaultInExpression(Exception):  # noqa: N818 - it is caught at once, and becomes one of many faults
    """What is wrong, and where."""

    def __init__(self, message: str, column: int, near: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.column = column
        """One-based, in characters."""
        self.near = near
        """The known name that may have been meant."""


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    column: int


def _tokens(text: str) -> list[_Token]:
    if len(text) > MAX_LENGTH:
        raise FaultInExpression(f"longer than {MAX_LENGTH} characters: split it into several derived tags", MAX_LENGTH)
    found: list[_Token] = []
    at = 0
    while True:
        match = _TOKEN.match(text, at)
        if match is None:
            at += len(text[at:]) - len(text[at:].lstrip())
            sign = text[at]
            if sign in "`'\"":
                raise FaultInExpression(f"this {sign} is never closed", at + 1)
            hint = _HINTS.get(sign, "known operators: + - * / % ^ == != < <= > >= and or not")
            raise FaultInExpression(f"{sign!r} cannot stand here; {hint}", at + 1)
        kind = str(match.lastgroup)
        quotes = kind in ("quoted", "single", "double")
        found.append(_Token(kind, match[kind], match.start(kind) + (0 if quotes else 1)))
        if kind == "end":
            return found
        at = match.end()


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._at = 0
        self._depth = 0

    def whole(self) -> Node:
        node = self._either()
        if self._next.kind != "end":
            self._refuse_decimal_comma()
            self._unexpected("an operator")
        return node

    def _refuse_decimal_comma(self) -> None:
        before, comma, after = (self._tokens[self._at + step : self._at + step + 1] for step in (-1, 0, 1))
        if comma[0].text == "," and before[0].kind == "number" and after and after[0].kind == "number":
            number = f"{before[0].text}.{after[0].text}"
            raise FaultInExpression(f"the decimal sign is a point: write {number}", before[0].column)

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _unexpected(self, wanted: str) -> NoReturn:
        token = self._next
        what = "the expression ends" if token.kind == "end" else f"{token.text!r} stands"
        raise FaultInExpression(f"{what} where {wanted} is expected", token.column)

    def _take(self, *operators: str) -> _Token | None:
        token = self._next
        is_operator = token.kind == "operator" or (token.kind == "name" and token.text in _WORDS)
        if is_operator and token.text in operators:
            self._at += 1
            return token
        return None

    def _nested(self, column: int) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise FaultInExpression(f"nested deeper than {MAX_DEPTH}: split it into several derived tags", column)

    def _either(self) -> Node:
        node = self._both()
        while token := self._take("or"):
            node = Call("or", (node, self._both()), token.column)
        return node

    def _both(self) -> Node:
        node = self._negated()
        while token := self._take("and"):
            node = Call("and", (node, self._negated()), token.column)
        return node

    def _negated(self) -> Node:
        if token := self._take("not"):
            self._nested(token.column)
            node = Call("not", (self._negated(),), token.column)
            self._depth -= 1
            return node
        node = self._sum()
        if token := self._take(*_COMPARISONS):
            node = Call(token.text, (node, self._sum()), token.column)
            if again := self._take(*_COMPARISONS):
                raise FaultInExpression("two comparisons in a row; write 'a < b and b < c'", again.column)
        return node

    def _sum(self) -> Node:
        node = self._product()
        while token := self._take("+", "-"):
            node = Call(token.text, (node, self._product()), token.column)
        return node

    def _product(self) -> Node:
        node = self._signed()
        while token := self._take("*", "/", "%"):
            node = Call(token.text, (node, self._signed()), token.column)
        return node

    def _signed(self) -> Node:
        if token := self._take("-", "+"):
            self._nested(token.column)
            node = self._signed()
            self._depth -= 1
            if token.text == "+":
                return node
            return Number(-node.value, token.column) if isinstance(node, Number) else Call("neg", (node,), token.column)
        return self._power()

    def _power(self) -> Node:
        node = self._atom()
        if token := self._take("^", "**"):
            self._nested(token.column)
            node = Call("power", (node, self._signed()), token.column)
            self._depth -= 1
        return node

    def _atom(self) -> Node:
        token = self._next
        match token.kind:
            case "number":
                self._at += 1
                return Number(float(token.text), token.column)
            case "single" | "double":
                self._at += 1
                return Text(token.text, token.column)
            case "quoted":
                self._at += 1
                return Tag(token.text, token.column)
            case "name" if token.text not in _WORDS:
                self._at += 1
                return self._call(token) if self._take("(") else Tag(token.text, token.column)
            case _:
                if not self._take("("):
                    self._unexpected("a tag, a number or a function")
                self._nested(token.column)
                node = self._either()
                self._depth -= 1
                if not self._take(")"):
                    self._unexpected("')'")
                return node

    def _call(self, name: _Token) -> Call:
        self._nested(name.column)
        arguments: list[Node] = []
        if not self._take(")"):
            arguments.append(self._either())
            while self._take(","):
                arguments.append(self._either())
            if not self._take(")"):
                self._unexpected("',' or ')'")
        self._depth -= 1
        return Call(name.text, tuple(arguments), name.column)


def parse(text: str) -> Node:
    """Parse one expression. Raises `FaultInExpression`."""
    root = _Parser(text).whole()
    level: list[Node] = [root]
    for _ in range(MAX_CHAIN):
        level = [argument for node in level if isinstance(node, Call) for argument in node.arguments]
        if not level:
            return root
    raise FaultInExpression(f"more than {MAX_CHAIN} operations in a row: split it into several derived tags", 1)


def quoted(name: str) -> str:
    """A tag name as it is written in an expression."""
    return name if re.fullmatch(r"[^\W\d]\w*", name) and name not in _WORDS else f"`{name}`"
