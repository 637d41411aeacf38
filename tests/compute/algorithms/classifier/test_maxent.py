"""Maximum entropy models: SciPy's optimizer is the oracle."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from scipy.optimize import minimize

from tests.compute.algorithms.classifier.tables import NAMES, PIXELS, features
from tests.compute.conftest import SCENE, Evaluator
from tileserver.compute.learning.maxent import fitted_weights
from tileserver.errors import InvalidRequest

PRESENT = PIXELS[:600][PIXELS[:600, 0] + PIXELS[:600, 1] / 2 > 4200][:40]
BACKGROUND = PIXELS[1000:4000:25]
ROWS = np.concatenate([PRESENT, BACKGROUND])
LABELS = np.repeat([1, 0], [len(PRESENT), len(BACKGROUND)])


def optimum(background: np.ndarray, means: np.ndarray, penalties: np.ndarray) -> np.ndarray:
    """Return the weights by L-BFGS over their positive and negative parts."""
    count = len(means)

    def loss(parts: np.ndarray) -> tuple[float, np.ndarray]:
        weights = parts[:count] - parts[count:]
        logs = background @ weights
        top = logs.max()
        shares = np.exp(logs - top)
        gradient = background.T @ (shares / shares.sum()) - means
        value = (
            np.log(shares.sum())
            + top
            - means @ weights
            + penalties @ np.abs(parts.reshape(2, -1)).sum(0)
        )
        return value, np.concatenate([gradient + penalties, penalties - gradient])

    found = minimize(loss, np.zeros(2 * count), jac=True, bounds=[(0, None)] * 2 * count)
    return np.asarray(found.x[:count] - found.x[count:])


def test_weights_are_the_optimum() -> None:
    chance = np.random.default_rng(1)
    background = chance.random((200, 6))
    means = background[:40].mean(axis=0) * 1.2
    penalties = np.full(6, 0.02)
    found = fitted_weights(background, means, penalties)
    np.testing.assert_allclose(found, optimum(background, means, penalties), atol=2e-3)
    assert (found == 0).any() or np.abs(found).min() < 5


def test_linear_features(ee: ModuleType, evaluator: Evaluator) -> None:
    """The background is scaled to 0..1, so that the whole model can be made by hand."""
    table = features(ee, ROWS, LABELS)
    maxent = ee.Classifier.amnhMaxent(
        autoFeature=False,
        quadratic=False,
        product=False,
        hinge=False,
        addSamplesToBackground=False,
        doClamp=False,
        writeClampGrid=False,
    ).train(table, "target", NAMES)
    found = evaluator.pixels(ee.Image(SCENE).classify(maxent))
    assert found.dtype.names == ("probability",)
    low, span = BACKGROUND.min(axis=0), np.ptp(BACKGROUND, axis=0)
    background, present, pixels = ((each - low) / span for each in (BACKGROUND, PRESENT, PIXELS))
    beta = np.interp(len(present), (10, 30, 100), (1.0, 0.2, 0.05))
    penalties = beta * np.maximum(present.std(axis=0), 0.001) / np.sqrt(len(present))
    weights = optimum(background, present.mean(axis=0), penalties)
    shares = np.exp(background @ weights)
    probabilities = shares / shares.sum()
    entropy = -(probabilities * np.log(probabilities)).sum()
    raw = np.exp(pixels @ weights) / shares.sum()
    expected = 1 - np.exp(-raw * np.exp(entropy))
    np.testing.assert_allclose(found["probability"].ravel(), expected, atol=2e-3)


def test_presences_are_found_and_clamping_is_told(ee: ModuleType, evaluator: Evaluator) -> None:
    table = features(ee, ROWS, LABELS)
    maxent = ee.Classifier.amnhMaxent().train(table, "target", NAMES)
    image = ee.Image(SCENE).classify(maxent)
    assert evaluator.value(image.bandNames()) == ["probability", "clamp"]
    outside = ee.Image(SCENE).add(100_000).classify(maxent)
    assert (evaluator.pixels(outside)["clamp"] > 0).any()
    told = evaluator.value(table.classify(maxent).aggregate_array("probability"))
    found = np.array(told)
    assert found[LABELS == 1].mean() > 0.6 > 0.4 > found[LABELS == 0].mean()
    assert ((found >= 0) & (found <= 1)).all()


def test_other_classes_are_refused(ee: ModuleType, evaluator: Evaluator) -> None:
    table = features(ee, ROWS, LABELS + 1)
    maxent = ee.Classifier.amnhMaxent().train(table, "target", NAMES)
    with pytest.raises(InvalidRequest, match="Expected classes 0, the background, and 1"):
        evaluator.value(ee.Image(SCENE).classify(maxent))
    with pytest.raises(InvalidRequest, match="outputFormat must be one of cloglog"):
        evaluator.value(ee.Classifier.amnhMaxent(outputFormat="odds"))
