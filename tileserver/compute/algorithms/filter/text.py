"""Filters written as text, such as `CLOUD < 20 && (NAME == "a" || !(year > 2000))`.

Comparisons of a property with a number or a text, either first; `!`, `&&`, `||` and parentheses.
"""

from __future__ import annotations

import re
from typing import Any

from tileserver.compute.algorithms.filter.filters import COMPARISONS, all_of, any_of, compared, not_
from tileserver.compute.registry import algorithm
from tileserver.compute.values.filter import Filter
from tileserver.errors import InvalidRequest, shown

_MAX_CHARACTERS = 10_000
_MAX_DEPTH = 50
_TOKEN = re.compile(
    r"\s*(?:(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
    r"|(?P<text>'[^']*'|\"[^\"]*\")"
    r"|(?P<operator>&&|\|\||==|!=|<=|>=|<|>|!|\(|\))"
    r"|(?P<name>[\w.:]+))\s*"
)
_COMPARISONS = {
    "==": "equals",
    "!=": "notEquals",
    "<": "lessThan",
    "<=": "lessThanOrEquals",
    ">": "greaterThan",
    ">=": "greaterThanOrEquals",
}
_Token = tuple[str, str]


@algorithm("Filter.expression(expression: String) -> Filter")
def filter_of(text: str) -> Filter:
    """Return the filter of a text such as `CLOUD < 20`."""
    return _Parser(text).filter()


class _Parser:
    def __init__(self, text: str) -> None:
        if len(text) > _MAX_CHARACTERS:
            raise InvalidRequest(f"A filter has at most {_MAX_CHARACTERS} characters.")
        self.text = text
        self.tokens = self._tokens()
        self.place = 0

    def _tokens(self) -> list[_Token]:
        found, place = [], 0
        while place < len(self.text):
            token = _TOKEN.match(self.text, place)
            if token is None or token.lastgroup is None:
                raise self._wrong()
            found.append((token.lastgroup, token[token.lastgroup]))
            place = token.end()
        return [*found, ("end", "")]

    def _wrong(self) -> InvalidRequest:
        return InvalidRequest(
            f"Cannot parse the filter {shown(self.text)}; expected one such as CLOUD < 20."
        )

    def filter(self) -> Filter:
        """Return the filter of the whole text."""
        found = self._either(0)
        if self.tokens[self.place][0] != "end":
            raise self._wrong()
        return found

    def _take(self, operator: str) -> bool:
        is_next = self.tokens[self.place] == ("operator", operator)
        self.place += is_next
        return is_next

    def _either(self, depth: int) -> Filter:
        found = [self._both(depth)]
        while self._take("||"):
            found.append(self._both(depth))
        return found[0] if len(found) == 1 else any_of(found)

    def _both(self, depth: int) -> Filter:
        found = [self._single(depth)]
        while self._take("&&"):
            found.append(self._single(depth))
        return found[0] if len(found) == 1 else all_of(found)

    def _single(self, depth: int) -> Filter:
        if depth > _MAX_DEPTH:
            raise InvalidRequest("The filter is nested too deeply.")
        if self._take("!"):
            return not_(self._single(depth + 1))
        if self._take("("):
            found = self._either(depth + 1)
            if not self._take(")"):
                raise self._wrong()
            return found
        return self._comparison()

    def _comparison(self) -> Filter:
        left_field, left_value = self._operand()
        kind, operator = self.tokens[self.place]
        name = _COMPARISONS.get(operator)
        if kind != "operator" or name is None:
            raise self._wrong()
        self.place += 1
        right_field, right_value = self._operand()
        test, _ = COMPARISONS[name]
        return compared(name, test, left_field, right_value, right_field, left_value)

    def _operand(self) -> tuple[str | None, Any]:
        kind, word = self.tokens[self.place]
        self.place += kind != "end"
        match kind:
            case "name":
                return word, None
            case "number":
                return None, float(word)
            case "text":
                return None, word[1:-1]
        raise self._wrong()
