"""COBWEB: a hierarchy of concepts, made row by row (Fisher 1987; Gennari et al. 1990).

Each row goes down the tree: into the best child, a child of its own, or one that is first merged
with another or split, whichever gives the highest category utility. Concepts are normal
distributions, with deviations of the acuity at least. Leaves below the cutoff are not kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tileserver.compute.learning.training import Matrix
from tileserver.concurrency.time_limit import check_time

MAX_ROWS = 3000
_SCALE = 1 / (2 * np.sqrt(np.pi))


@dataclass(eq=False)
class Concept:
    """Rows that belong together, as their sums, and the concepts within."""

    total: Matrix
    squares: Matrix
    count: int = 0
    children: list[Concept] = field(default_factory=list)

    def with_row(self, row: Matrix) -> tuple[Matrix, Matrix, int]:
        """Return the sums with another row."""
        return self.total + row, self.squares + row * row, self.count + 1

    def add(self, row: Matrix) -> None:
        """Take a row in."""
        self.total, self.squares, self.count = self.with_row(row)


def concept(columns: int) -> Concept:
    """Return an empty concept."""
    return Concept(np.zeros(columns), np.zeros(columns))


def cobweb_centres(rows: Matrix, acuity: float, cutoff: float, order: list[int]) -> Matrix:
    """Return the means of the leaves of the hierarchy of rows, shape (leaves, columns).

    Args:
        rows: shape (count, columns).
        acuity: the least standard deviation of a concept.
        cutoff: the least category utility for a concept to be divided.
        order: in which rows are taken.
    """
    root = concept(rows.shape[1])
    for row in rows[order]:
        check_time()
        _place(root, row, acuity, cutoff)
    leaves = []
    stack = [root]
    while stack:
        each = stack.pop()
        stack += reversed(each.children)
        if not each.children:
            leaves.append(each.total / max(each.count, 1))
    return np.stack(leaves)


def _place(root: Concept, row: Matrix, acuity: float, cutoff: float) -> None:
    """Put a row into the hierarchy."""
    node = root
    while True:
        if not node.children:
            _extend(node, row, acuity, cutoff)
            return
        choice, score = _best(node, row, acuity)
        node.add(row)
        if score < cutoff:
            node.children = []
            return
        if choice is None:
            child = concept(len(row))
            child.add(row)
            node.children.append(child)
            return
        node = choice


def _extend(leaf: Concept, row: Matrix, acuity: float, cutoff: float) -> None:
    """Put a row into a leaf, which is divided in two if that is useful."""
    old = Concept(leaf.total, leaf.squares, leaf.count)
    new = concept(len(row))
    new.add(row)
    leaf.add(row)
    if old.count and _utility(leaf, [old, new], acuity) >= cutoff:
        leaf.children = [old, new]


def _best(node: Concept, row: Matrix, acuity: float) -> tuple[Concept | None, float]:
    """Return the child for a row, None for one of its own, and the category utility.

    A merged or a split child is put into the node.
    """
    parent = Concept(*node.with_row(row))
    children = node.children
    scores = [
        _utility(parent, _replaced(children, place, row), acuity) for place in range(len(children))
    ]
    order = np.argsort(-np.array(scores), kind="stable")
    first = int(order[0])
    alone = concept(len(row))
    alone.add(row)
    options: list[tuple[float, str]] = [(scores[first], "child")]
    options.append((_utility(parent, [*children, alone], acuity), "alone"))
    merged: list[Concept] = []
    if len(children) > 2:
        second = int(order[1])
        merged = [c for place, c in enumerate(children) if place not in (first, second)]
        merged.append(_merged(children[first], children[second]))
        options.append((_utility(parent, _replaced(merged, -1, row), acuity), "merge"))
    split = [c for place, c in enumerate(children) if place != first] + children[first].children
    if children[first].children:
        options.append((_utility(parent, [*split, alone], acuity), "split"))
    score, choice = max(options, key=lambda each: each[0])
    if choice == "merge":
        node.children = merged
        return merged[-1], score
    if choice == "split":
        node.children = split
        return _best(node, row, acuity) if len(split) < 200 else (None, score)
    return (None if choice == "alone" else children[first]), score


def _replaced(children: list[Concept], place: int, row: Matrix) -> list[Concept]:
    found = list(children)
    found[place] = Concept(*children[place].with_row(row))
    return found


def _merged(a: Concept, b: Concept) -> Concept:
    return Concept(a.total + b.total, a.squares + b.squares, a.count + b.count, [a, b])


def _utility(parent: Concept, children: list[Concept], acuity: float) -> float:
    """Return the category utility of children, by CLASSIT."""
    counts = np.array([child.count for child in children], float)
    total = np.stack([child.total for child in children])
    squares = np.stack([child.squares for child in children])
    inner = _inverse_deviations(total, squares, counts, acuity).sum(axis=1)
    outer = _inverse_deviations(
        parent.total[np.newaxis], parent.squares[np.newaxis], np.array([parent.count]), acuity
    ).sum()
    return float((counts / parent.count * (inner - outer)).sum() * _SCALE / len(children))


def _inverse_deviations(total: Matrix, squares: Matrix, counts: Matrix, acuity: float) -> Matrix:
    sizes = np.maximum(counts, 1)[:, np.newaxis]
    variance = np.maximum(squares / sizes - (total / sizes) ** 2, 0)
    found: Matrix = 1 / np.maximum(np.sqrt(variance), acuity)
    return found
