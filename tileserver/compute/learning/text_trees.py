"""Decision trees in the text format of R's rpart, read exactly and written.

    n= 100
    node), split, n, loss, yval, (yprob)
      * denotes terminal node
    1) root 100 50 1 (0.5 0.5)
      2) B4<=12.5 50 0 1 (1 0) *
      3) B4>12.5 50 0 2 (0 1) *

The children of node n are 2n and 2n + 1. A row goes to the first child if that one's condition
holds, else to the other. Several trees in one text begin with node 1 each.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.context import check_length
from tileserver.compute.learning.training import Matrix
from tileserver.concurrency.time_limit import check_time
from tileserver.errors import InvalidRequest, shown

MAX_NODES = 500_000
MAX_TREES = 10_000
_MAX_DIGITS = 300
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_LINE = re.compile(r"\s*(\d+)\)\s*(.*?)\s*$", re.ASCII)
_SPLIT = re.compile(rf"(.+?)\s*(<=|>=|==|!=|<|>|=)\s*({_NUMBER})(?=\s|$)", re.ASCII)
_REST = re.compile(
    rf"\s*({_NUMBER})\s+({_NUMBER})\s+({_NUMBER})\s*(?:\(([^()]*)\))?\s*(\*)?\s*$", re.ASCII
)
_HOLDS = {
    "<": (True, False, False),
    "<=": (True, True, False),
    ">": (False, False, True),
    ">=": (False, True, True),
    "=": (False, True, False),
    "==": (False, True, False),
    "!=": (True, False, True),
}
"""Whether each comparison holds where a value is less, equal or greater."""


@dataclass(frozen=True, slots=True)
class _Read:
    number: int
    name: str
    operator: str
    threshold: float
    value: float
    shares: tuple[float, ...]


@dataclass(frozen=True, eq=False, slots=True)
class TextTree:
    """A tree as arrays, one member a node; the root is the first."""

    names: tuple[str, ...]
    """Inputs that it splits on, in order of appearance."""
    inputs: NDArray[np.int64]
    """Place among `names` of the input that a node splits on; -1 for leaves."""
    thresholds: NDArray[np.float64]
    holds: NDArray[np.bool_]
    """Shape (nodes, 3): whether to go to the first child if less, equal, greater."""
    children: NDArray[np.int64]
    """Shape (nodes, 2)."""
    values: NDArray[np.float64]
    shares: tuple[tuple[float, ...], ...]
    """Probabilities of classes, empty where the text has none."""

    def leaves(self, rows: Matrix, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the leaf of each row.

        Args:
            rows: shape (rows, columns).
            places: the column of each of `names`.
        """
        at = np.zeros(len(rows), np.int64)
        left = np.arange(len(rows)) if self.inputs[0] >= 0 else np.zeros(0, np.int64)
        while left.size:
            check_time()
            nodes = at[left]
            values = rows[left, places[self.inputs[nodes]]]
            side = np.sign(values - self.thresholds[nodes]).astype(np.int64) + 1
            is_first = self.holds[nodes, side]
            at[left] = np.where(is_first, self.children[nodes, 0], self.children[nodes, 1])
            left = left[self.inputs[at[left]] >= 0]
        return at


def parse_trees(texts: Sequence[str]) -> list[TextTree]:
    """Return the trees of texts, each of which has one or more.

    Raises:
        InvalidRequest: there is none, or one is malformed; names the line.
    """
    found: list[list[_Read]] = []
    count = 0
    for text in texts:
        for line in text.splitlines() if "\n" in text else text.split("\\n"):
            read = _read_line(line)
            if read is None:
                continue
            count += 1
            if count % 1000 == 0:
                check_time()
            check_length(count, MAX_NODES, "nodes in decision trees")
            if read.number == 1:
                found.append([])
            if not found:
                raise InvalidRequest(f"A decision tree begins with node 1, got {shown(line[:60])}.")
            found[-1].append(read)
    check_length(len(found), MAX_TREES, "decision trees")
    if not found:
        raise InvalidRequest("The text has no decision tree: no line such as '1) root 100 50 1'.")
    return [_linked(nodes) for nodes in found]


def _read_line(line: str) -> _Read | None:
    """Return the node of a line; None for headings."""
    found = _LINE.match(line)
    if found is None or found[2].startswith("split"):
        return None
    if len(found[1]) > _MAX_DIGITS:
        raise InvalidRequest(f"The decision tree is too deep at node {found[1][:20]}….")
    number, text = int(found[1]), found[2]
    if number == 1 and text.startswith("root"):
        return _Read(1, "", "", 0.0, *_outcome(text.removeprefix("root"), line))
    split = _SPLIT.match(text)
    if split is None or not number:
        raise InvalidRequest(f"Malformed line in a decision tree: {shown(line[:100])}.")
    outcome = _outcome(text[split.end() :], line)
    return _Read(number, split[1], split[2], float(split[3]), *outcome)


def _outcome(text: str, line: str) -> tuple[float, tuple[float, ...]]:
    """Return the value and the probabilities of a node."""
    found = _REST.match(text)
    if found is None:
        raise InvalidRequest(
            f"Malformed line in a decision tree: {shown(line[:100])}; expected numbers of cases, "
            "loss and value."
        )
    try:
        shares = tuple(
            float(each) for each in re.split(r"[\s,]+", (found[4] or "").strip()) if each
        )
    except ValueError:
        shares = ()
    return float(found[3]), shares


def _linked(nodes: Sequence[_Read]) -> TextTree:
    places = {node.number: place for place, node in enumerate(nodes)}
    if len(places) < len(nodes):
        raise InvalidRequest("The numbers of a decision tree's nodes must not repeat.")
    names: dict[str, int] = {}
    inputs, thresholds, holds, children = [], [], [], []
    for node in nodes:
        if node.number > 1 and node.number // 2 not in places:
            raise InvalidRequest(f"Node {node.number} of a decision tree has no parent.")
        pair = [places.get(2 * node.number + side) for side in (0, 1)]
        if (pair[0] is None) != (pair[1] is None):
            raise InvalidRequest(f"Node {node.number} of a decision tree has only one child.")
        first = None if pair[0] is None else nodes[pair[0]]
        if first is not None and nodes[pair[1] or 0].name != first.name:
            raise InvalidRequest(
                f"The children of node {node.number} of a decision tree split on two inputs."
            )
        inputs.append(-1 if first is None else names.setdefault(first.name, len(names)))
        thresholds.append(0.0 if first is None else first.threshold)
        holds.append(_HOLDS["<" if first is None else first.operator])
        children.append([each or 0 for each in pair])
    return TextTree(
        tuple(names),
        np.array(inputs, np.int64),
        np.array(thresholds),
        np.array(holds),
        np.array(children, np.int64),
        np.array([node.value for node in nodes]),
        tuple(node.shares for node in nodes),
    )
