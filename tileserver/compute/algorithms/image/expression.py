"""Formulas over images, parsed into calls of algorithms; `image_expression` has the algorithm.

Grammar, loosest first, as in JavaScript:  a ? b : c   ||   &&   |   ^   &   == !=   < <= > >=
<< >>   + -   * / %   - ! ~ (in front)   **   numbers, names, image.band, image["band"], b(0), f(a).
Functions are those of images, such as sqrt, abs, min, float; `Math.PI`, `pi` and `e` are numbers.
`x = a + b` names the single band of the result; statements before the last one, with a semicolon
between, name images for those after them.
Nothing is evaluated by Python.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tileserver.compute.algorithms.image.arithmetic import BINARY, UNARY
from tileserver.compute.algorithms.image.masks import chosen
from tileserver.compute.coercion import constant_image
from tileserver.compute.context import Context
from tileserver.compute.registry import find_algorithm
from tileserver.compute.values.image import Image
from tileserver.compute.values.pixel_type import CASTS
from tileserver.errors import InvalidRequest, shown

_MAX_CHARACTERS = 20_000
_MAX_DEPTH = 60
_TOKEN = re.compile(
    r"\s*(?:(?P<number>0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
    r"|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<text>'[^'\\]*'|\"[^\"\\]*\")"
    r"|(?P<operator>\*\*|&&|\|\||==|!=|<=|>=|<<|>>|[-+*/%<>!~?:()\[\],.&|^=;]))",
    re.ASCII,
)
_LEVELS: tuple[Mapping[str, str], ...] = (
    {"||": "or"},
    {"&&": "and"},
    {"|": "bitwiseOr"},
    {"^": "bitwiseXor"},
    {"&": "bitwiseAnd"},
    {"==": "eq", "!=": "neq"},
    {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"},
    {"<<": "leftShift", ">>": "rightShift"},
    {"+": "add", "-": "subtract"},
    {"*": "multiply", "/": "divide", "%": "mod"},
)
_IN_FRONT = {"!": "not", "~": "bitwiseNot"}
_CONSTANTS = {"PI": math.pi, "pi": math.pi, "E": math.e, "e": math.e}

Scope = Mapping[str, Any]
Formula = Callable[[Context, Scope], Any]
"""Returns the image, given the images by their names in the formula."""


def parse_formula(text: str, default: str, names: list[str]) -> Formula:
    """Return a formula over images of these names; `b` takes bands of the default one.

    Raises:
        InvalidRequest: it cannot be parsed, or names another image; says where.
    """
    return FormulaParser(text, default, names, False).one_formula()


class FormulaParser:
    """Parses a formula; what its parts become is in the methods that a subclass replaces."""

    def __init__(self, text: str, default: str, names: list[str], maps_free: bool) -> None:
        if len(text) > _MAX_CHARACTERS:
            raise InvalidRequest(f"A formula has at most {_MAX_CHARACTERS} characters.")
        self.text = text
        self.default = default
        self.names = set(names)
        self.given = frozenset(names)
        self.maps_free = maps_free
        self.tokens = self._tokens()
        self.place = 0
        self.depth = 0

    def _tokens(self) -> list[tuple[str, str]]:
        found, place = [], 0
        text = self.text.rstrip().rstrip(";").rstrip()
        while place < len(text):
            token = _TOKEN.match(text, place)
            if token is None or token.lastgroup is None:
                raise self._wrong(text[place : place + 20].strip())
            found.append((token.lastgroup, token[token.lastgroup]))
            place = token.end()
        return [*found, ("end", "")]

    def _wrong(self, near: str) -> InvalidRequest:
        where_ = f"near {shown(near)}" if near else "at its end"
        return InvalidRequest(f"Cannot parse the formula {shown(self.text)} {where_}.")

    def formula(self) -> Formula:
        """Return the formula of the whole text, of one statement or several."""
        steps = [self._statement()]
        while self._take(";"):
            steps.append(self._statement())
        self._expect_end()
        return steps[0][1] if len(steps) == 1 else _program(steps)

    def one_formula(self) -> Formula:
        """Return the formula of a text without assignments."""
        found = self._ternary()
        self._expect_end()
        return found

    def _expect_end(self) -> None:
        if self.tokens[self.place][0] != "end":
            raise self._wrong(self.tokens[self.place][1])

    def _statement(self) -> tuple[str, Formula]:
        """Return the name that a statement assigns to, if there is one, and its formula."""
        (kind, name), follows = self.tokens[self.place], self.tokens[self.place + 1 :][:1]
        if kind != "name" or follows != [("operator", "=")]:
            return "", self._ternary()
        self.place += 2
        found = self._ternary()
        self.names.add(name)
        return name, self.renamed(found, name)

    def _next(self) -> str:
        return self.tokens[self.place][1] if self.tokens[self.place][0] == "operator" else ""

    def _take(self, operator: str) -> bool:
        if self._next() != operator:
            return False
        self.place += 1
        return True

    def _expect(self, operator: str) -> None:
        if not self._take(operator):
            raise self._wrong(self.tokens[self.place][1])

    def _ternary(self) -> Formula:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise InvalidRequest("The formula is nested too deeply.")
        found = self._binary(0)
        if self._take("?"):
            yes = self._ternary()
            self._expect(":")
            found = self.chosen(found, yes, self._ternary())
        self.depth -= 1
        return found

    def _binary(self, level: int) -> Formula:
        if level == len(_LEVELS):
            return self._prefixed()
        found = self._binary(level + 1)
        while name := _LEVELS[level].get(self._next()):
            self.place += 1
            found = self.operated(name, found, self._binary(level + 1))
        return found

    def _prefixed(self) -> Formula:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise InvalidRequest("The formula is nested too deeply.")
        operator = self._next()
        if operator in ("-", "+", *_IN_FRONT):
            self.place += 1
            found = self._prefixed()
            if operator == "-":
                found = self.called("multiply", found, self.number(-1))
            elif operator != "+":
                found = self.called(_IN_FRONT[operator], found)
        else:
            found = self._power()
        self.depth -= 1
        return found

    def _power(self) -> Formula:
        found = self._member()
        if self._take("**"):
            return self.called("pow", found, self._prefixed())
        return found

    def _member(self) -> Formula:
        found = self._primary()
        while True:
            if self._take("."):
                kind, name = self._token()
                if kind != "name":
                    raise self._wrong(name)
                found = self.member(found, [name])
            elif self._take("["):
                found = self.member(found, self._selectors("]"))
            else:
                return found

    def _token(self) -> tuple[str, str]:
        token = self.tokens[self.place]
        self.place += token[0] != "end"
        return token

    def _band_selector(self) -> str | int:
        kind, text = self._token()
        if kind == "text":
            return text[1:-1]
        if kind == "number" and text.isdigit():
            return int(text)
        raise self._wrong(text)

    def _primary(self) -> Formula:
        kind, text = self._token()
        match kind:
            case "number":
                return self.number(_parsed_number(text))
            case "name" if self._next() == "(":
                return self._call(text)
            case "name":
                return self._name(text)
        if text == "(" and kind == "operator":
            found = self._ternary()
            self._expect(")")
            return found
        raise self._wrong(text)

    def _name(self, name: str) -> Formula:
        if name == "Math" and self._next() == ".":
            self.place += 1
            kind, member = self._token()
            if kind == "name" and self._next() == "(":
                return self._call(member)
            if member in _CONSTANTS:
                return self.number(_CONSTANTS[member])
            raise self._wrong(member)
        if name in self.names:
            return lambda context, scope: scope[name]
        if self.maps_free:
            return self.member(lambda context, scope: scope[self.default], [name])
        if name in _CONSTANTS:
            return self.number(_CONSTANTS[name])
        raise InvalidRequest(
            f"Unknown variable {shown(name)}; there are {', '.join(sorted(self.names))}."
        )

    def functions(self) -> Mapping[str, int]:
        """Return the functions that a formula may call, and how many arguments they take."""
        return {**dict.fromkeys(BINARY, 2), **dict.fromkeys((*UNARY, *CASTS), 1)}

    def called(self, name: str, *arguments: Formula) -> Formula:
        """Return the call of a function, or of that of an operator."""
        return called(f"Image.{name}", *arguments)

    def operated(self, name: str, first: Formula, second: Formula) -> Formula:
        """Return what an operator gives."""
        return self.called(name, first, second)

    def number(self, value: float) -> Formula:
        """Return a constant."""
        image = constant_image([value])
        return lambda context, scope: image

    def member(self, of: Formula, selectors: list[str | int]) -> Formula:
        """Return the bands of an image."""
        return _bands(of, selectors)

    def renamed(self, formula: Formula, name: str) -> Formula:
        """Return a formula whose result has the name of an assignment."""
        return _renamed(formula, name)

    def chosen(self, test: Formula, yes: Formula, no: Formula) -> Formula:
        """Return one formula or another, pixel by pixel."""
        return _chosen(test, yes, no)

    def _call(self, name: str) -> Formula:
        self._expect("(")
        if name == "b" and "b" not in self.given:
            return self._bands()
        known = self.functions()
        if name not in known and not name.startswith("to"):
            raise InvalidRequest(f"Unknown function {shown(name)}; there are {', '.join(known)}.")
        arguments: list[Formula] = []
        while not self._take(")"):
            if arguments:
                self._expect(",")
            arguments.append(self._ternary())
        wanted = known.get(name, 1)
        if name in ("min", "max") and len(arguments) > 2:
            found = arguments[0]
            for each in arguments[1:]:
                found = self.called(name, found, each)
            return found
        if len(arguments) != wanted:
            raise InvalidRequest(f"{name} takes {wanted} arguments, got {len(arguments)}.")
        return self.called(name, *arguments)

    def _bands(self) -> Formula:
        """Return the bands of the default image that b(…) names, all of them for b()."""
        selectors, default = self._selectors(")"), self.default
        if not selectors:
            return lambda context, scope: scope[default]
        return self.member(lambda context, scope: scope[default], selectors)

    def _selectors(self, end: str) -> list[str | int]:
        selectors: list[str | int] = []
        while not self._take(end):
            if selectors:
                self._expect(",")
            selectors.append(self._band_selector())
        return selectors


def _program(steps: Sequence[tuple[str, Formula]]) -> Formula:
    """Return the last of formulas; each is computed once, for those after it."""

    def compute(context: Context, scope: Scope) -> Any:
        values = dict(scope)
        for name, formula in steps:
            found = formula(context, values)
            if name:
                values[name] = found
        return found

    return compute


def _renamed(formula: Formula, name: str) -> Formula:
    def compute(context: Context, scope: Scope) -> Image:
        found: Image = formula(context, scope)
        if len(found.bands) != 1:
            return found
        return replace(found, bands=(replace(found.bands[0], id=name),))

    return compute


def _parsed_number(text: str) -> float:
    if text.lower().startswith("0x"):
        return int(text, 16)
    return float(text) if re.search(r"[.eE]", text) else int(text)


def _bands(of: Formula, selectors: list[str | int]) -> Formula:
    def choose(context: Context, scope: Scope) -> Image:
        given = {"input": of(context, scope), "bandSelectors": list(selectors)}
        found: Image = find_algorithm("Image.select").call(context, given)
        return found

    return choose


def called(name: str, *arguments: Formula) -> Formula:
    """Return the call of an algorithm, its arguments by place."""
    found = find_algorithm(name)
    names = [each.name for each in found.arguments]

    def call(context: Context, scope: Scope) -> Any:
        context.count_call()
        values = [argument(context, scope) for argument in arguments]
        image: Any = found.call(context, dict(zip(names, values, strict=True)))
        return image

    return call


def _chosen(test: Formula, yes: Formula, no: Formula) -> Formula:
    """Return a formula that is one or another, pixel by pixel."""
    return lambda context, scope: chosen(
        test(context, scope), yes(context, scope), no(context, scope)
    )
