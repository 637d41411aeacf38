"""A grown tree written as text, in the form that `text_trees` reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_HEAD = "node), split, n, loss, yval, (yprob)\n* denotes terminal node"
_MAX_INDENT = 30


def text_of_tree(tree: Any, names: Sequence[str], classes: NDArray[np.int64]) -> str:
    """Return the text of one of scikit-learn's decision trees.

    Args:
        tree: the estimator.
        names: of its inputs.
        classes: all classes, of which its own may be some; empty for regression.
    """
    found = tree.tree_
    lines = [f"n= {found.n_node_samples[0]}", _HEAD]
    stack: list[tuple[int, int, int, str]] = [(0, 1, 0, "root")]
    while stack:
        place, number, depth, split = stack.pop()
        left, right = found.children_left[place], found.children_right[place]
        mark = " *" if left < 0 else ""
        outcome = _outcome(tree, place, classes)
        indent = " " * min(2 * depth, _MAX_INDENT)
        lines.append(f"{indent}{number}) {split} {outcome}{mark}")
        if left >= 0:
            name, edge = names[found.feature[place]], float(found.threshold[place])
            stack.append((right, 2 * number + 1, depth + 1, f"{name}>{edge!r}"))
            stack.append((left, 2 * number, depth + 1, f"{name}<={edge!r}"))
    return "\n".join(lines) + "\n"


def _outcome(tree: Any, place: int, classes: NDArray[np.int64]) -> str:
    """Return number of rows, loss, value and probabilities at a node."""
    found = tree.tree_
    count = int(found.n_node_samples[place])
    values = found.value[place, 0]
    if not len(classes):
        return f"{count} {float(found.impurity[place]) * count!r} {float(values[0])!r}"
    shares = np.zeros(len(classes))
    shares[np.searchsorted(classes, tree.classes_)] = values / values.sum()
    loss = count * (1 - float(shares.max()))
    listed = " ".join(repr(float(each)) for each in shares)
    return f"{count} {loss!r} {int(classes[shares.argmax()])} ({listed})"
