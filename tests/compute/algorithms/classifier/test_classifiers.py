"""Classifiers: scikit-learn itself, SciPy and shapely are the oracles."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
import shapely
from scipy.spatial.distance import cdist
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR, NuSVC, OneClassSVM
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from tests.compute.algorithms.classifier.tables import (
    CLASSES,
    NAMES,
    NUMBERS,
    PIXELS,
    ROWS,
    features,
    trained,
)
from tests.compute.algorithms.image.test_random_pixels import tiled
from tests.compute.conftest import GRID, HOLES, SCENE, SIDE, Evaluator, hole_values
from tileserver.errors import InvalidRequest

SCALED = StandardScaler().fit(ROWS)
PRECISION = np.linalg.inv(np.cov(ROWS, rowvar=False))

ORACLES: dict[str, tuple[Any, Any]] = {
    "smileCart": (
        lambda c: c.smileCart(6, 3),
        DecisionTreeClassifier(max_leaf_nodes=6, min_samples_leaf=3, random_state=0),
    ),
    "smileGradientTreeBoost": (
        lambda c: c.smileGradientTreeBoost(5, 0.1, 1.0, 4, seed=3),
        GradientBoostingClassifier(
            n_estimators=5, learning_rate=0.1, max_depth=None, max_leaf_nodes=4, random_state=3
        ),
    ),
    "smileKNN": (lambda c: c.smileKNN(5), KNeighborsClassifier(5)),
    "smileKNN MANHATTAN": (
        lambda c: c.smileKNN(3, "LINEAR_SEARCH", "MANHATTAN"),
        KNeighborsClassifier(3, metric="manhattan"),
    ),
    "smileKNN BRAYCURTIS": (
        lambda c: c.smileKNN(3, "COVER_TREE", "BRAYCURTIS"),
        KNeighborsClassifier(3, metric="braycurtis", algorithm="ball_tree"),
    ),
    "smileKNN MAHALANOBIS": (
        lambda c: c.smileKNN(3, "AUTO", "MAHALANOBIS"),
        KNeighborsClassifier(
            3, metric="mahalanobis", metric_params={"VI": PRECISION}, algorithm="brute"
        ),
    ),
    "smileNaiveBayes": (lambda c: c.smileNaiveBayes(0.5), MultinomialNB(alpha=0.5)),
    "libsvm": (lambda c: c.libsvm(kernelType="RBF", gamma=1e-6, cost=10), SVC(C=10, gamma=1e-6)),
    "libsvm POLY": (
        lambda c: c.libsvm(kernelType="POLY", gamma=1e-3, degree=2, coef0=1, cost=0.1),
        SVC(C=0.1, kernel="poly", gamma=1e-3, degree=2, coef0=1),
    ),
    "libsvm NU_SVC": (
        lambda c: c.libsvm(svmType="NU_SVC", kernelType="RBF", gamma=1e-6, nu=0.2),
        NuSVC(nu=0.2, gamma=1e-6),
    ),
    "continuousNaiveBayes": (
        lambda c: c("Classifier.continuousNaiveBayes", {"lambda": 1e-9}),
        GaussianNB(),
    ),
    "gmoMaxEnt": (
        lambda c: c("Classifier.gmoMaxEnt", {"weight2": 1e-3, "maxIterations": 500}),
        LogisticRegression(C=1 / (1e-3 * len(ROWS)), tol=1e-5, max_iter=500),
    ),
    "pegasosGaussian": (
        lambda c: c("Classifier.pegasosGaussian", {"rbfGamma": 1e-6, "lambda": 0.1}),
        SVC(C=10, gamma=1e-6),
    ),
}


def made(ee: ModuleType, make: Any) -> Any:
    """Return a classifier of a table's entry; hidden ones are called by name."""

    class Constructors:
        def __getattr__(self, name: str) -> Any:
            return getattr(ee.Classifier, name)

        def __call__(self, name: str, arguments: dict[str, Any]) -> Any:
            return ee.Classifier(ee.apply(name, arguments))

    return make(Constructors())


@pytest.mark.parametrize("name", ORACLES)
def test_classes_are_those_of_the_oracle(ee: ModuleType, evaluator: Evaluator, name: str) -> None:
    make, oracle = ORACLES[name]
    scaled = name == "gmoMaxEnt"
    oracle.fit(SCALED.transform(ROWS) if scaled else ROWS, CLASSES)
    rows = PIXELS[:, : len(NAMES)]
    expected = oracle.predict(SCALED.transform(rows) if scaled else rows)
    image = ee.Image(SCENE).classify(trained(ee, made(ee, make)))
    found = evaluator.pixels(image)["classification"]
    assert found.dtype == np.int32
    assert (found.ravel() == expected).mean() > 0.999


@pytest.mark.parametrize(
    ("name", "oracle"),
    [
        ("smileCart", DecisionTreeRegressor(random_state=0)),
        ("smileKNN", KNeighborsRegressor(1)),
        ("gmoLinearRegression", Ridge(alpha=0)),
    ],
)
def test_numbers_are_those_of_the_oracle(
    ee: ModuleType, evaluator: Evaluator, name: str, oracle: Any
) -> None:
    classifier = made(ee, lambda c: c(f"Classifier.{name}", {})).setOutputMode("REGRESSION")
    image = ee.Image(SCENE).classify(trained(ee, classifier, NUMBERS), "height")
    expected = oracle.fit(ROWS, NUMBERS).predict(PIXELS)
    np.testing.assert_allclose(evaluator.pixels(image)["height"].ravel(), expected, rtol=1e-9)
    assert evaluator.value(classifier.mode()) == "REGRESSION"


def test_losses_of_boosting(ee: ModuleType, evaluator: Evaluator) -> None:
    table = features(ee, ROWS, NUMBERS)
    for loss, name in (("LeastSquares", "squared_error"), ("Huber", "huber")):
        boosted = ee.Classifier.smileGradientTreeBoost(4, 0.2, 1, 5, loss)
        boosted = boosted.setOutputMode("REGRESSION").train(table, "target", NAMES)
        oracle = GradientBoostingRegressor(
            n_estimators=4,
            learning_rate=0.2,
            max_depth=None,
            max_leaf_nodes=5,
            loss=name,
            random_state=0,
        )
        expected = oracle.fit(ROWS, NUMBERS).predict(ROWS)
        found = evaluator.value(table.classify(boosted, "found").aggregate_array("found"))
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_support_vectors_for_numbers_and_for_one_class(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    table = features(ee, ROWS, NUMBERS)
    machine = ee.Classifier.libsvm(svmType="EPSILON_SVR", kernelType="RBF", gamma=1e-6, cost=5)
    machine = machine.setOutputMode("REGRESSION").train(table, "target", NAMES)
    found = evaluator.value(table.classify(machine).aggregate_array("classification"))
    expected = SVR(C=5, gamma=1e-6).fit(ROWS, NUMBERS).predict(ROWS)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    zeros = CLASSES % 2
    table = features(ee, ROWS, zeros)
    single = ee.Classifier.libsvm(svmType="ONE_CLASS", kernelType="RBF", gamma=1e-6, oneClass=1)
    single = single.train(table, "target", NAMES)
    found = evaluator.value(table.classify(single).aggregate_array("classification"))
    oracle = OneClassSVM(gamma=1e-6).fit(ROWS[zeros == 1])
    assert found == (oracle.predict(ROWS) > 0).astype(int).tolist()


def test_a_forest_is_deterministic_and_right(ee: ModuleType, evaluator: Evaluator) -> None:
    forest = trained(ee, ee.Classifier.smileRandomForest(20, seed=4))
    image = ee.Image(SCENE).classify(forest)
    found = evaluator.pixels(image)["classification"]
    truth = 1 + (PIXELS[:, 0] > 2000) + 2 * (PIXELS[:, 1] > PIXELS[:, 2])
    assert accuracy_score(truth, found.ravel()) > 0.75
    assert (found == tiled(evaluator, image, GRID, "classification")).all()
    other = trained(ee, ee.Classifier.smileRandomForest(20, seed=5))
    assert (evaluator.pixels(ee.Image(SCENE).classify(other))["classification"] != found).any()
    told = evaluator.value(forest.explain())
    assert told["classes"] == [1, 2, 3, 4]
    assert told["numberOfTrees"] == len(told["trees"]) == 20
    assert 0 < told["outOfBagErrorEstimate"] < 0.5
    assert max(told["importance"], key=told["importance"].get) == "B1"


def test_probabilities(ee: ModuleType, evaluator: Evaluator) -> None:
    table = features(ee, ROWS, CLASSES)
    oracle = KNeighborsClassifier(7).fit(ROWS, CLASSES)
    expected = oracle.predict_proba(ROWS)
    neighbors = ee.Classifier.smileKNN(7).train(table, "target", NAMES)
    several = table.classify(neighbors.setOutputMode("MULTIPROBABILITY"), "p")
    found = evaluator.value(several.aggregate_array("p"))
    np.testing.assert_allclose(np.array(found), expected)
    most = table.classify(neighbors.setOutputMode("PROBABILITY"), "p")
    np.testing.assert_allclose(evaluator.value(most.aggregate_array("p")), expected.max(axis=1))
    # Of two classes it is that of the greater one.
    halves = (CLASSES > 2).astype(int)
    table = features(ee, ROWS, halves)
    neighbors = ee.Classifier.smileKNN(7).setOutputMode("PROBABILITY").train(table, "target", NAMES)
    found = evaluator.value(table.classify(neighbors).aggregate_array("classification"))
    expected = KNeighborsClassifier(7).fit(ROWS, halves).predict_proba(ROWS)
    np.testing.assert_allclose(found, expected[:, 1])


def test_images_of_arrays(ee: ModuleType, evaluator: Evaluator) -> None:
    neighbors = trained(ee, ee.Classifier.smileKNN(5).setOutputMode("MULTIPROBABILITY"))
    image = ee.Image(SCENE).classify(neighbors)
    flat = image.arrayFlatten([["p1", "p2", "p3", "p4"]])
    found = evaluator.pixels(flat)
    expected = KNeighborsClassifier(5).fit(ROWS, CLASSES).predict_proba(PIXELS)
    for place in range(4):
        same = np.isclose(found[f"p{place + 1}"].ravel(), expected[:, place])
        assert same.mean() > 0.99
    assert evaluator.value(image)["bands"][0]["data_type"]["dimensions"] == 1


def test_probabilities_of_support_vectors(ee: ModuleType, evaluator: Evaluator) -> None:
    halves = (CLASSES > 2).astype(int)
    table = features(ee, ROWS, halves)
    machine = ee.Classifier.libsvm(kernelType="RBF", gamma=1e-6, cost=10)
    machine = machine.setOutputMode("PROBABILITY").train(table, "target", NAMES)
    found = np.array(evaluator.value(table.classify(machine).aggregate_array("classification")))
    planes = SVC(C=10, gamma=1e-6).fit(ROWS, halves).decision_function(ROWS)
    # The farther on the side of class 1, the more likely.
    assert (np.diff(found[planes.argsort()]) >= 0).all()
    assert ((found > 0.5) == halves).mean() > 0.95


def test_what_the_trees_of_a_forest_say(ee: ModuleType, evaluator: Evaluator) -> None:
    table = features(ee, ROWS[:20], NUMBERS[:20])
    forest = ee.Classifier.smileRandomForest(5).setOutputMode("RAW_REGRESSION")
    forest = forest.train(table, "target", NAMES)
    raw = np.array(evaluator.value(table.classify(forest).aggregate_array("classification")))
    assert raw.shape == (20, 5)
    mean = table.classify(forest.setOutputMode("REGRESSION")).aggregate_array("classification")
    np.testing.assert_allclose(evaluator.value(mean), raw.mean(axis=1))


@pytest.mark.parametrize(
    ("metric", "oracle"),
    [("euclidean", "euclidean"), ("manhattan", "cityblock"), ("cosine", "cosine")],
)
def test_the_distance_to_means(
    ee: ModuleType, evaluator: Evaluator, metric: str, oracle: Any
) -> None:
    table = features(ee, ROWS, CLASSES)
    means = np.stack([ROWS[each == CLASSES].mean(axis=0) for each in range(1, 5)])
    distances = cdist(ROWS, means, oracle)
    if metric == "cosine":
        distances = np.arccos(1 - distances)
    classifier = ee.Classifier.minimumDistance(metric).train(table, "target", NAMES)

    def output(mode: str) -> Any:
        named = table.classify(classifier.setOutputMode(mode), "d")
        return np.array(evaluator.value(named.aggregate_array("d")))

    assert (output("CLASSIFICATION") == 1 + distances.argmin(axis=1)).all()
    np.testing.assert_allclose(output("REGRESSION"), distances.min(axis=1), rtol=1e-7)
    np.testing.assert_allclose(output("RAW"), distances, rtol=1e-7)
    two = ee.Classifier.minimumDistance(metric, 2).train(table, "target", NAMES)
    found = evaluator.value(table.classify(two).aggregate_array("classification"))
    assert (np.array(found) == 1 + distances.argsort(axis=1)[:, :2]).all()


def test_the_distance_of_mahalanobis(ee: ModuleType, evaluator: Evaluator) -> None:
    table = features(ee, ROWS, CLASSES)
    parts = [ROWS[each == CLASSES] for each in range(1, 5)]
    distances = np.hstack(
        [
            cdist(
                ROWS,
                part.mean(axis=0)[np.newaxis],
                "mahalanobis",
                VI=np.linalg.inv(np.cov(part, rowvar=False)),
            )
            for part in parts
        ]
    )
    classifier = ee.Classifier.minimumDistance("mahalanobis").setOutputMode("RAW")
    named = table.classify(classifier.train(table, "target", NAMES), "d")
    np.testing.assert_allclose(
        np.array(evaluator.value(named.aggregate_array("d"))), distances, rtol=1e-6
    )


def test_a_region_of_the_spectrum(ee: ModuleType, evaluator: Evaluator) -> None:
    outer = [0, 0, 3500, 500, 3000, 4000, 1500, 1500, 200, 3000]
    hole = [1000, 1000, 2500, 1000, 2500, 1400]
    region = ee.Classifier.spectralRegion([outer, hole], ["B1", "B2"])
    found = evaluator.pixels(ee.Image(SCENE).classify(region))["classification"]
    polygon = shapely.Polygon(np.reshape(outer, (-1, 2)), [np.reshape(hole, (-1, 2))])
    edges = polygon.boundary.distance(shapely.points(PIXELS[:, :2])) == 0
    expected = shapely.contains_xy(polygon, PIXELS[:, 0], PIXELS[:, 1])
    assert (found.ravel() == expected)[~edges].all()
    assert evaluator.value(region.schema()) == ["B1", "B2"]
    assert evaluator.value(ee.Classifier.spectralRegion([outer]).schema()) == ["u", "v"]


def test_masked_pixels_are_masked(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(SCENE).select(["B1", "B2"]).addBands(ee.Image(HOLES).rename("B3"))
    found = evaluator.masked(image.classify(trained(ee, ee.Classifier.smileCart())))
    hidden = np.ma.getmaskarray(found["classification"])
    assert (hidden == (hole_values() == -9999)).all()
    assert hidden.shape == (SIDE, SIDE)


def test_a_model_is_made_once_for_all_tiles(
    ee: ModuleType, evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits = []
    fit = DecisionTreeClassifier.fit

    def counting(self: Any, *arguments: Any, **options: Any) -> Any:
        fits.append(self)
        return fit(self, *arguments, **options)

    monkeypatch.setattr(DecisionTreeClassifier, "fit", counting)
    image = ee.Image(SCENE).classify(trained(ee, ee.Classifier.smileCart(7)))
    tiled(evaluator, image, GRID, "classification")
    assert len(fits) == 1


def test_old_names_are_known(ee: ModuleType, evaluator: Evaluator) -> None:
    table = features(ee, ROWS, CLASSES)
    for name, least in (
        ("cart", 0.99),
        ("randomForest", 0.6),
        ("naiveBayes", 0.4),
        ("svm", 0.9),
        ("pegasosLinear", 0.8),
        ("ikpamir", 0.9),
        ("perceptron", 0.6),
        ("winnow", 0.4),
    ):
        classifier = ee.Classifier(ee.apply(f"Classifier.{name}", {})).train(table, "target", NAMES)
        found = evaluator.value(table.classify(classifier).aggregate_array("classification"))
        assert accuracy_score(CLASSES, found) >= least, name


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda c: c.smileRandomForest(0), "numberOfTrees must be from 1 to 5000, got 0"),
        (lambda c: c.smileRandomForest(10**9), "numberOfTrees must be from 1 to 5000"),
        (lambda c: c.smileRandomForest(1, bagFraction=2), "bagFraction must be above 0"),
        (lambda c: c.smileKNN(metric="NEAR"), "metric must be one of EUCLIDEAN"),
        (lambda c: c.smileKNN(0), "k must be from 1"),
        (lambda c: c.libsvm(kernelType="SINE"), "kernelType must be one of LINEAR"),
        (lambda c: c.minimumDistance("far"), "metric must be one of euclidean"),
        (lambda c: c.smileGradientTreeBoost(1, loss="None"), "loss must be one of LeastSquares"),
        (lambda c: c.spectralRegion([[1, 2, 3]]), "A ring must have three pairs"),
        (lambda c: c.smileNaiveBayes(0), "lambda must be above 0"),
        (lambda c: c.smileCart().setOutputMode("GUESS"), "mode must be one of CLASSIFICATION"),
        (lambda c: c.smileCart().explain(), "smileCart has not been trained"),
    ],
)
def test_parameters_are_checked(
    ee: ModuleType, evaluator: Evaluator, make: Any, message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        evaluator.value(make(ee.Classifier))


def test_what_takes_too_much_is_refused(ee: ModuleType, evaluator: Evaluator) -> None:
    many = ee.FeatureCollection(
        ee.List.sequence(1, 4000).map(
            lambda i: ee.Feature(None, {"x": i, "target": ee.Number(i).mod(40)})
        )
    )
    wide = ee.Classifier.smileCart().train(many, "target", [f"x{i}" for i in range(600)])
    with pytest.raises(InvalidRequest, match="User memory limit exceeded"):
        evaluator.value(wide.schema())
    boosted = ee.Classifier.smileGradientTreeBoost(1).train(many, "target", ["x"])
    with pytest.raises(InvalidRequest, match="expected fewer by maxNodes"):
        evaluator.value(boosted.explain())


def test_training_is_checked(ee: ModuleType, evaluator: Evaluator) -> None:
    cart = ee.Classifier.smileCart()
    table = features(ee, ROWS[:3], CLASSES[:3])
    cases: list[tuple[Any, str]] = [
        (lambda: cart.train(table, "target", ["B9"]), "Property 'B9' of feature '0' is missing"),
        (lambda: cart.train(table, "kind", NAMES), "Property 'kind' of feature '0' is missing"),
        (lambda: cart.train(table.limit(0), "target", NAMES), "No valid training data were found"),
        (lambda: cart.train(table, "target", NAMES, 2), "subsampling must be above 0"),
        (lambda: cart.train(features(ee, [["x", 1, 2]], [1]), "target", NAMES), "no finite number"),
    ]
    for make, message in cases:
        with pytest.raises(InvalidRequest, match=message):
            evaluator.value(make().schema())
    with pytest.raises(InvalidRequest, match="has no band 'B1', which the classifier needs"):
        evaluator.value(ee.Image(HOLES).classify(trained(ee, cart)))
    naive = trained(ee, ee.Classifier.smileNaiveBayes().setOutputMode("RAW"))
    with pytest.raises(InvalidRequest, match="smileNaiveBayes has no output mode RAW"):
        evaluator.value(table.classify(naive))
    assert evaluator.value(cart.schema()) is None
    assert evaluator.value(trained(ee, cart).schema()) == NAMES
    # Without names the numbers of the features are the inputs.
    assert evaluator.value(cart.train(table, "target").schema()) == NAMES
