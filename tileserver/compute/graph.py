"""Evaluates an expression's graph: from Earth Engine's JSON to values.

    {"result": "0", "values": {"0": {"functionInvocationValue": {"functionName": …, …}}}}

https://developers.google.com/earth-engine/reference/rest/v1/Expression. The nested nodes are first
laid out flat, without recursion, so that neither depth nor width overflows the stack. Then each is
evaluated once; nodes that depend on a function's arguments, once a call. `If` is lazy: of its two
cases only the one that its condition selects is evaluated, so that the other one may fail.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tileserver.compute.context import Context
from tileserver.compute.registry import find_algorithm
from tileserver.compute.values.function import Function
from tileserver.compute.values.truth import is_true
from tileserver.errors import InvalidRequest, shown

MAX_NODES = 200_000
_MAX_CALL_DEPTH = 40
_MAX_FREE = 200
"""Arguments of functions around a node that its value may depend on."""
_PLACE_BYTES = 8
_IF = "If"
_CASES = ("trueCase", "falseCase")
_LOADS = {"Image.load": "id", "ImageCollection.load": "id", "Collection.loadTable": "tableId"}
"""Algorithms that load assets, and their arguments with the ids."""

Members = Mapping[str, Any]


@dataclass(slots=True)
class _Node:
    """A node that refers to other nodes by their places in a list."""

    kind: str
    content: Any
    needs: tuple[int, ...] = ()
    """Places of the nodes to evaluate before it."""
    cases: tuple[int | None, int | None] | None = None
    """Of a lazy `If`: places of what it is where its condition holds and where not."""
    body: int | None = None
    """Place of the node that a function evaluates when called."""
    free: frozenset[str] = frozenset()
    """Arguments of functions around it that its value depends on."""


def evaluate(document: object, context: Context) -> Any:
    """Return the value of an expression.

    Raises:
        InvalidRequest: it is malformed, or an algorithm fails; says why.
    """
    return _Graph(document).value(context)


def assets_named(document: object) -> set[str]:
    """Return the ids of assets that an expression loads, as far as it spells them out."""
    found: set[str] = set()
    stack = [document]
    while stack:
        node = stack.pop()
        if isinstance(node, Mapping):
            name = node.get("functionName")
            if isinstance(name, str) and name in _LOADS:
                found |= _loaded_ids(node.get("arguments"), _LOADS[name])
            stack.extend(node.values())
        elif isinstance(node, list):
            stack.extend(node)
    return found


def _loaded_ids(arguments: object, member: str) -> set[str]:
    given = arguments.get(member) if isinstance(arguments, Mapping) else None
    asset_id = given.get("constantValue") if isinstance(given, Mapping) else None
    return {asset_id} if isinstance(asset_id, str) else set()


@dataclass(slots=True)
class _Frame:
    """Nodes that are being evaluated for the value of one."""

    place: int
    order: Iterator[int]
    waiting: int | None = None
    """A lazy node whose case is evaluated in the frame above."""


class _Graph:
    def __init__(self, document: object) -> None:
        """Read an expression; raise InvalidRequest if it is malformed."""
        members = _object(document, "expression")
        self._values = _object(members.get("values"), "expression.values")
        self._result = members.get("result")
        self._named: dict[str, int] = {}
        self._unread: list[tuple[int, object]] = []
        self.nodes: list[_Node] = []
        self.root = self._place_of_name(self._result)
        while self._unread:
            place, node = self._unread.pop()
            self._read(place, node)
        self._find_free_arguments()
        self._held: dict[int, Any] = {}
        self._orders: dict[int, list[int]] = {}

    def value(self, context: Context) -> Any:
        """Return the value of the result."""
        return self.run(context, self.root, {}, 0)

    def run(self, context: Context, place: int, arguments: Members, depth: int) -> Any:
        """Return a node's value, given those of the arguments around it."""
        if depth > _MAX_CALL_DEPTH:
            raise InvalidRequest("The expression calls functions within functions too deeply.")
        local: dict[int, Any] = {}
        frames = [_Frame(place, iter(self._order(context, place)))]
        while frames:
            case = self._advance(context, frames[-1], local, arguments, depth)
            if case is not None:
                frames.append(_Frame(case, iter(self._order(context, case))))
                continue
            done = frames.pop().place
            # Values that depend on no argument are kept from now on.
            self._orders[done] = [e for e in self._orders[done] if self.nodes[e].free]
        return self._known(local, place)

    def _advance(
        self,
        context: Context,
        frame: _Frame,
        local: dict[int, Any],
        arguments: Members,
        depth: int,
    ) -> int | None:
        """Evaluate the nodes of a frame up to an `If` whose case is not known yet.

        Returns:
            The place of that case; None when the frame is done.
        """
        if frame.waiting is not None:
            self._evaluate(context, frame.waiting, local, arguments, depth)
            frame.waiting = None
        for each in frame.order:
            context.count_node()
            if each in (local if self.nodes[each].free else self._held):
                continue
            case = self._case(each, local)
            if case is not None and case not in (local if self.nodes[case].free else self._held):
                frame.waiting = each
                return case
            self._evaluate(context, each, local, arguments, depth)
        return None

    def _evaluate(
        self, context: Context, place: int, local: dict[int, Any], arguments: Members, depth: int
    ) -> None:
        held = local if self.nodes[place].free else self._held
        held[place] = self._evaluated(context, place, local, arguments, depth)

    def _case(self, place: int, local: Mapping[int, Any]) -> int | None:
        """Return the place of the case that a lazy node selects; None of other nodes, and none."""
        node = self.nodes[place]
        if node.cases is None:
            return None
        condition = self._known(local, node.needs[0]) if node.needs else None
        return node.cases[0 if is_true(condition) else 1]

    def _known(self, local: Mapping[Any, Any], place: int) -> Any:
        return local[place] if self.nodes[place].free else self._held[place]

    def _evaluated(
        self,
        context: Context,
        place: int,
        local: Mapping[int, Any],
        arguments: Members,
        depth: int,
    ) -> Any:
        """Return the value of one node, given those of its needs."""
        node = self.nodes[place]
        if node.cases is not None:
            context.count_call()
            case = self._case(place, local)
            return None if case is None else self._known(local, case)
        found = [local[n] if self.nodes[n].free else self._held[n] for n in node.needs]
        match node.kind:
            case "constantValue" | "integerValue":
                return node.content
            case "arrayValue":
                context.count_bytes(_PLACE_BYTES * len(found))
                return found
            case "dictionaryValue":
                context.count_bytes(4 * _PLACE_BYTES * len(found))
                return dict(zip(node.content, found, strict=True))
            case "valueReference":
                return found[0]
            case "argumentReference":
                return arguments[node.content]
            case "functionDefinitionValue":
                return _Defined(self, node.content, node.body or 0, dict(arguments), depth + 1)
        return self._called(context, node, found)

    def _called(self, context: Context, node: _Node, found: list[Any]) -> Any:
        context.count_call()
        given = dict(zip(node.content[1], found, strict=False))
        if node.content[0] is not None:
            return find_algorithm(node.content[0]).call(context, given)
        function = found[-1]
        if not isinstance(function, Function):
            raise InvalidRequest(f"Expected a function to call, got {shown(function)}.")
        return function.call_named(context, given)

    def _order(self, context: Context, place: int) -> list[int]:
        """Return a node and all it needs, each after those that it needs."""
        if place not in self._orders:
            self._orders[place] = list(self._walk(context, place))
        return self._orders[place]

    def _walk(self, context: Context, start: int) -> Iterator[int]:
        seen: set[int] = set()
        stack = [(start, False)]
        while stack:
            place, are_needs_met = stack.pop()
            if are_needs_met:
                yield place
            elif place not in seen and place not in self._held:
                context.count_node()
                seen.add(place)
                stack.append((place, True))
                stack += ((need, False) for need in reversed(self.nodes[place].needs))

    def _place_of(self, node: object) -> int:
        if len(self.nodes) >= MAX_NODES:
            raise InvalidRequest(f"The expression has more than {MAX_NODES} nodes.")
        self.nodes.append(_Node("", None))
        self._unread.append((len(self.nodes) - 1, node))
        return len(self.nodes) - 1

    def _place_of_name(self, name: object) -> int:
        if not isinstance(name, str) or name not in self._values:
            raise InvalidRequest(f"Invalid expression: no value is named {shown(name)}.")
        if name not in self._named:
            self._named[name] = self._place_of(self._values[name])
        return self._named[name]

    def _read(self, place: int, document: object) -> None:
        members = _object(document, "a node")
        if len(members) != 1:
            raise InvalidRequest(
                f"Invalid expression: a node has one member, got {shown(document)}."
            )
        ((kind, content),) = members.items()
        node = self.nodes[place]
        node.kind = kind
        match kind:
            case "constantValue":
                node.content = content
            case "integerValue":
                node.content = _integer(content)
            case "argumentReference":
                node.content = _text(content, kind)
                node.free = frozenset((node.content,))
            case "valueReference":
                node.needs = (self._place_of_name(content),)
            case "arrayValue":
                node.needs = self._places(_object(content, kind).get("values", []))
            case "dictionaryValue":
                values = _object(_object(content, kind).get("values", {}), kind)
                node.content = tuple(values)
                node.needs = self._places(list(values.values()))
            case "functionDefinitionValue":
                self._read_function(node, _object(content, kind))
            case "functionInvocationValue":
                self._read_call(node, _object(content, kind))
            case _:
                raise InvalidRequest(f"Invalid expression: a node of kind {shown(kind)}.")

    def _read_function(self, node: _Node, definition: Members) -> None:
        names = _list(definition.get("argumentNames", []), node.kind)
        node.content = tuple(_text(name, node.kind) for name in names)
        node.body = self._place_of_name(definition.get("body"))

    def _read_call(self, node: _Node, call: Members) -> None:
        arguments = _object(call.get("arguments", {}), "arguments")
        if call.get("functionName") == _IF and set(arguments) <= {"condition", *_CASES}:
            node.needs = self._places([arguments[e] for e in ("condition",) if e in arguments])
            yes, no = (self._place_of(arguments[e]) if e in arguments else None for e in _CASES)
            node.cases = yes, no
            return
        node.needs = self._places(list(arguments.values()))
        if "functionReference" in call:
            node.content = (None, tuple(arguments))
            node.needs += (self._place_of_name(call["functionReference"]),)
            return
        node.content = (_text(call.get("functionName"), "functionName"), tuple(arguments))
        find_algorithm(node.content[0])

    def _places(self, nodes: object) -> tuple[int, ...]:
        return tuple(self._place_of(node) for node in _list(nodes, "values"))

    def _find_free_arguments(self) -> None:
        """Set the free arguments of each node.

        Raises:
            InvalidRequest: a node depends on itself, or on an argument of no function around it.
        """
        done: set[int] = set()
        under_way: set[int] = set()
        stack = [(self.root, False)]
        while stack:
            place, is_left = stack.pop()
            node = self.nodes[place]
            if is_left:
                self._set_free(node)
                under_way.discard(place)
                done.add(place)
            elif place in under_way:
                raise InvalidRequest("Invalid expression: a value depends on itself.")
            elif place not in done:
                under_way.add(place)
                stack.append((place, True))
                inner = (node.body, *(node.cases or ()))
                below = (*node.needs, *(each for each in inner if each is not None))
                stack += ((each, False) for each in below)
        if unbound := self.nodes[self.root].free:
            raise InvalidRequest(
                f"Invalid expression: {shown(min(unbound))} is an argument of no function here."
            )

    def _set_free(self, node: _Node) -> None:
        if node.kind != "argumentReference":
            cases = (each for each in node.cases or () if each is not None)
            below = (*node.needs, *cases)
            node.free = frozenset().union(*(self.nodes[each].free for each in below))
        if node.body is not None:
            node.free |= self.nodes[node.body].free - set(node.content)
        if len(node.free) > _MAX_FREE:
            raise InvalidRequest(
                f"Invalid expression: a value depends on more than {_MAX_FREE} arguments."
            )


class _Defined(Function):
    """A function that an expression defines."""

    def __init__(
        self, graph: _Graph, names: Sequence[str], body: int, around: Members, depth: int
    ) -> None:
        self.graph = graph
        self.names = tuple(names)
        self.body = body
        self.around = around
        self.depth = depth

    def call_named(self, context: Context, arguments: Members) -> Any:
        """Return its value; arguments it does not have are refused."""
        if missing := [name for name in self.names if name not in arguments]:
            raise InvalidRequest(f"The function lacks its argument {missing[0][:60]!r}.")
        context.count_call()
        return self.graph.run(context, self.body, {**self.around, **arguments}, self.depth)


def _object(value: object, name: str) -> Members:
    if not isinstance(value, Mapping):
        raise InvalidRequest(f"Invalid expression: {name} must be an object, got {shown(value)}.")
    return value


def _list(value: object, name: str) -> Sequence[Any]:
    if not isinstance(value, list):
        raise InvalidRequest(f"Invalid expression: {name} must be a list, got {shown(value)}.")
    return value


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise InvalidRequest(f"Invalid expression: {name} must be a string, got {shown(value)}.")
    return value


def _integer(value: object) -> int:
    try:
        number = int(value) if isinstance(value, str | int) and len(str(value)) < 40 else None
    except ValueError:
        number = None
    if number is None:
        raise InvalidRequest(f"Invalid expression: expected an integer, got {shown(value)}.")
    return number
