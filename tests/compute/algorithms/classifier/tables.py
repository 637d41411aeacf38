"""Tables to learn from, as arrays and as features of the client."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from tests.compute.conftest import SCENE, scene_values

NAMES = ["B1", "B2", "B3"]
PIXELS = scene_values().reshape(3, -1).T.astype(float)
"""The pixels of SCENE as rows, shape (pixels, 3)."""
ROWS = PIXELS[::61]
"""Some of them to learn from."""
CLASSES = 1 + (ROWS[:, 0] > 2000) + 2 * (ROWS[:, 1] > ROWS[:, 2]).astype(int)
"""Four classes, from 1 on."""
NUMBERS = ROWS[:, 0] / 1000 - ROWS[:, 1] / 2000


def features(ee: ModuleType, rows: Any, targets: Any = None, names: Any = NAMES) -> Any:
    """Return a collection with a property for each column, and the targets as `target`."""
    listed = []
    for place, row in enumerate(np.asarray(rows).tolist()):
        members = dict(zip(names, row, strict=True))
        if targets is not None:
            members["target"] = np.asarray(targets).tolist()[place]
        listed.append({"type": "Feature", "geometry": None, "properties": members})
    return ee.FeatureCollection([ee.Feature(None, each["properties"]) for each in listed])


def trained(ee: ModuleType, classifier: Any, targets: Any = CLASSES, rows: Any = ROWS) -> Any:
    """Return a classifier trained on the table."""
    return classifier.train(features(ee, rows, targets), "target", NAMES)


def scene(ee: ModuleType) -> Any:
    return ee.Image(SCENE)
