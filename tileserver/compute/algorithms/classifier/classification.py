"""Classifiers trained, described and applied to images and features.

Source: the reference pages. Decided: a model is made when it is first needed, once for each
training and kind of output, and kept with the evaluated image, so that tiles do not train it anew.
The output PROBABILITY of two classes is the probability of the greater one. MULTIPROBABILITY is
in ascending order of classes. A pixel that is masked in an input is masked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from tileserver.compute.algorithms.image.bands import select
from tileserver.compute.context import Context, check_length
from tileserver.compute.learning.models import (
    CLASSIFICATION,
    MODES,
    Model,
    Predict,
    output_of,
    predict,
    rows_at_once,
)
from tileserver.compute.learning.training import Matrix, read_training
from tileserver.compute.nodes import Apply
from tileserver.compute.pixels.predicted import predicted, predicted_arrays
from tileserver.compute.registry import algorithm
from tileserver.compute.values.array import array
from tileserver.compute.values.classifier import Classifier
from tileserver.compute.values.confusion_matrix import ConfusionMatrix, counted
from tileserver.compute.values.feature import Collection, Element, with_properties
from tileserver.compute.values.image import Band, Image
from tileserver.compute.values.pixel_type import CASTS, DOUBLE, FLOAT, PixelType
from tileserver.errors import InvalidRequest, shown

_MAX_FEATURE_NUMBERS = 2_000_000


@algorithm(
    "Classifier.train(classifier: Classifier, features: FeatureCollection, classProperty: String,"
    " inputProperties: List = null, subsampling: Float = 1, subsamplingSeed: Integer = 0)"
    " -> Classifier"
)
def train(
    context: Context,
    classifier: Classifier,
    features: Collection,
    target: str,
    names: list[Any] | None,
    share: float,
    seed: int,
) -> Classifier:
    """Return a classifier with training data: numbers of features by property, and their class."""
    if classifier.fixed is not None:
        raise InvalidRequest(f"The classifier {classifier.name} needs no training.")
    training = read_training(context, features, target, names, share, seed)
    return replace(classifier, training=training, schema=training.names)


@algorithm("Classifier.mode(classifier: Classifier) -> String")
def mode(classifier: Classifier) -> str:
    """Return the output mode."""
    return classifier.mode


@algorithm("Classifier.schema(classifier: Classifier) -> List")
def schema(classifier: Classifier) -> list[str] | None:
    """Return the names of the inputs, or null without training data."""
    return None if classifier.schema is None else list(classifier.schema)


@algorithm("Classifier.setOutputMode(classifier: Classifier, mode: String) -> Classifier")
def set_output_mode(classifier: Classifier, name: str) -> Classifier:
    """Return a classifier with another output, such as REGRESSION or PROBABILITY."""
    if name not in MODES:
        raise InvalidRequest(f"mode must be one of {', '.join(MODES)}, got {shown(name)}.")
    return replace(classifier, mode=name)


@algorithm("Classifier.confusionMatrix(classifier: Classifier) -> ConfusionMatrix")
def confusion_matrix(classifier: Classifier) -> ConfusionMatrix:
    """Return the confusion matrix of a classifier's own training data, from class 0 on."""
    training = classifier.training
    if training is None:
        raise InvalidRequest(f"The classifier {classifier.name} has not been trained.")
    plain = replace(classifier, mode=CLASSIFICATION)
    found = predict(plain.model(), plain.name, CLASSIFICATION, training.inputs)
    return counted(training.labels, found.reshape(len(training.labels), -1)[:, 0].astype(np.int64))


@algorithm("Classifier.explain(classifier: Classifier) -> Dictionary")
def explain(context: Context, classifier: Classifier) -> Mapping[str, Any]:
    """Return what a classifier has learned: of trees their text and the importance of inputs.

    The importance is the sum of the decreases of impurity by an input, over all trees.
    """
    found = classifier.model().explained()
    texts = [
        each for value in found.values() for each in (value if isinstance(value, list) else [value])
    ]
    context.count_bytes(sum(len(each) for each in texts if isinstance(each, str)))
    return found


@algorithm(
    "Image.classify(image: Image, classifier: Classifier,"
    ' outputName: String = "classification") -> Image'
)
def classify_image(image: Image, classifier: Classifier, output_name: str) -> Image:
    """Return an image of a classifier's output at each pixel.

    Classes are of type int32, other outputs floating point.
    """
    bands = _inputs(image, classifier)
    model = classifier.model()
    function = output_of(model, classifier.name, classifier.mode)
    is_array = model.array_outputs(classifier.mode)
    names = model.outputs or (output_name,)
    type_ = _type_of(classifier, model).with_dimensions(int(is_array))
    made = [
        _band(bands, name, type_, _part(function, place if model.outputs else None), model)
        for place, name in enumerate(names)
    ]
    return image.derived(made)


def _inputs(image: Image, classifier: Classifier) -> tuple[Band, ...]:
    if classifier.schema is None:
        raise InvalidRequest(f"The classifier {classifier.name} has not been trained.")
    if missing := [name for name in classifier.schema if name not in image.band_ids]:
        raise InvalidRequest(
            f"The image has no band {shown(missing[0])}, which the classifier needs; it has "
            f"{', '.join(band[:80] for band in image.band_ids[:20])}."
        )
    if not classifier.schema:
        # A tree without splits needs no input, but a place.
        return image.bands[:1]
    return select(image, list(classifier.schema), None).bands


def _type_of(classifier: Classifier, model: Model) -> PixelType:
    if classifier.mode == CLASSIFICATION and not model.outputs:
        return CASTS["int32"]
    return DOUBLE if classifier.mode == "REGRESSION" else FLOAT


def _part(function: Predict, place: int | None) -> Predict:
    """Return one output of a function of several; None is its only one."""
    return function if place is None else lambda rows: function(rows)[:, place]


def _band(
    bands: tuple[Band, ...], name: str, type_: PixelType, function: Predict, model: Model
) -> Band:
    at_once = rows_at_once(model)
    apply = predicted_arrays if type_.dimensions else predicted
    node = Apply(
        lambda *pixels: apply(pixels, function, type_.dtype, at_once),
        tuple(band.node for band in bands),
    )
    return replace(bands[0], id=name, type=type_, node=node)


@algorithm(
    "FeatureCollection.classify(features: FeatureCollection, classifier: Classifier,"
    ' outputName: String = "classification") -> FeatureCollection'
)
def classify_features(
    context: Context, features: Collection, classifier: Classifier, output_name: str
) -> Collection:
    """Return features with a classifier's output as a property; null where an input is null."""
    if classifier.schema is None:
        raise InvalidRequest(f"The classifier {classifier.name} has not been trained.")
    model = classifier.model()
    rows, known = feature_rows(context, features, classifier.schema)
    found = predict(model, classifier.name, classifier.mode, rows[known])
    names = model.outputs or (output_name,)
    check_length(found.size, _MAX_FEATURE_NUMBERS, "outputs")
    context.count_bytes(16 * found.size)
    is_whole = classifier.mode == CLASSIFICATION and not model.outputs
    values: list[Any] = [None] * len(known)
    for place, row in zip(np.flatnonzero(known), found, strict=True):
        values[place] = _value(row, is_whole, bool(model.outputs))
    return with_outputs(features, names, values)


def _value(row: Any, is_whole: bool, are_several: bool) -> Any:
    if are_several:
        return [float(each) for each in row]
    if row.ndim:
        return array(row.astype(np.int64) if is_whole else row)
    return int(row) if is_whole else float(row)


def feature_rows(
    context: Context, features: Collection, names: tuple[str, ...]
) -> tuple[Matrix, Any]:
    """Return inputs of features, shape (features, names), and which have them all as numbers."""
    count = len(features.elements)
    check_length(count * max(1, len(names)), _MAX_FEATURE_NUMBERS, "inputs")
    context.count_bytes(8 * count * len(names))
    rows = np.full((count, len(names)), np.nan)
    for place, element in enumerate(features.elements):
        if place % 1000 == 0:
            context.budget.check_time()
        rows[place] = [_number(element.properties, name) for name in names]
    return rows, np.isfinite(rows).all(axis=1)


def _number(properties: Mapping[str, Any], name: str) -> float:
    if name not in properties:
        raise InvalidRequest(f"A feature has no property '{name[:80]}', which is needed.")
    value = properties[name]
    try:
        return float(value) if isinstance(value, int | float) else np.nan
    except OverflowError:
        return np.nan


def with_outputs(features: Collection, names: tuple[str, ...], values: list[Any]) -> Collection:
    """Return features with outputs as properties; of several names each value is a list."""
    found: list[Element] = []
    for element, value in zip(features.elements, values, strict=True):
        several = value if len(names) > 1 or isinstance(value, list) else [value]
        added = dict(zip(names, several or [None] * len(names), strict=True))
        found.append(with_properties(element, {**element.properties, **added}))
    return features.with_elements(found)
