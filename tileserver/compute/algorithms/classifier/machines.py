"""Support vector machines and maximum entropy: `Classifier.libsvm` and `Classifier.amnhMaxent`.

Source: the reference pages; for the features and regularizations of Maxent the open-source
program that the page names, from its papers. What `classifiers` says of models holds here too.
"""

from __future__ import annotations

import math
from typing import Any

from tileserver.compute.learning.maxent import OUTPUT_FORMATS, Entropy, MaximumEntropy
from tileserver.compute.learning.vectors import KERNELS, SVM_TYPES, Machine, SupportVectors
from tileserver.compute.registry import algorithm
from tileserver.compute.values.classifier import Classifier
from tileserver.errors import InvalidRequest, shown

_PROCEDURES = ("Voting", "Margin")
_MOST_DEGREE = 20
_SVM = (
    '(decisionProcedure: String = "Voting", svmType: String = "C_SVC",'
    ' kernelType: String = "LINEAR", shrinking: Boolean = true, degree: Integer = null,'
    " gamma: Float = null, coef0: Float = null, cost: Float = null, nu: Float = null,"
    " terminationEpsilon: Float = null, lossEpsilon: Float = null, oneClass: Integer = null)"
    " -> Classifier"
)


@algorithm(f"Classifier.libsvm{_SVM}")
def libsvm(
    procedure: str,
    svm_type: str,
    kernel: str,
    shrinking: bool,
    degree: int | None,
    gamma: float | None,
    coef0: float | None,
    cost: float | None,
    nu: float | None,
    tolerance: float | None,
    epsilon: float | None,
    one_class: int | None,
) -> Classifier:
    """Return a support vector machine of LIBSVM; classes vote in pairs."""
    for name, value, known in (
        ("decisionProcedure", procedure, _PROCEDURES),
        ("svmType", svm_type, SVM_TYPES),
        ("kernelType", kernel, tuple(KERNELS)),
    ):
        if value not in known:
            raise InvalidRequest(f"{name} must be one of {', '.join(known)}, got {shown(value)}.")
    for name, number in (("gamma", gamma), ("cost", cost), ("terminationEpsilon", tolerance)):
        if number is not None and not 0 < number < math.inf:
            raise InvalidRequest(f"{name} must be above 0, got {number:g}.")
    if nu is not None and not 0 < nu <= 1:
        raise InvalidRequest(f"nu must be above 0 and at most 1, got {nu:g}.")
    if one_class not in (None, 0, 1):
        raise InvalidRequest(f"oneClass must be 0 or 1, got {one_class}.")
    if degree is not None and not 0 <= degree <= _MOST_DEGREE:
        raise InvalidRequest(f"degree must be from 0 to {_MOST_DEGREE}, got {degree}.")
    machine = Machine(
        *(svm_type, kernel, shrinking, 3 if degree is None else degree, gamma),
        coef0=coef0 or 0.0,
        cost=cost or 1.0,
        nu=nu or 0.5,
        tolerance=tolerance or 1e-3,
        epsilon=0.1 if epsilon is None else max(epsilon, 0.0),
        one_class=one_class or 0,
    )
    return Classifier("libsvm", lambda data, numbers: SupportVectors(data, machine))


algorithm(
    f"Classifier.svm{_SVM}", "Returns a support vector machine, as libsvm does.", hidden=True
)(libsvm)


@algorithm(
    'Classifier.amnhMaxent(categoricalNames: List = null, outputFormat: String = "cloglog",'
    " autoFeature: Boolean = true, linear: Boolean = true, quadratic: Boolean = true,"
    " product: Boolean = true, threshold: Boolean = false, hinge: Boolean = true,"
    " hingeThreshold: Integer = 15, l2lqThreshold: Integer = 10, lq2lqptThreshold: Integer = 80,"
    " addSamplesToBackground: Boolean = true, addAllSamplesToBackground: Boolean = false,"
    " betaMultiplier: Float = 1, betaHinge: Float = -1, betaLqp: Float = -1,"
    " betaCategorical: Float = -1, betaThreshold: Float = -1, extrapolate: Boolean = true,"
    " doClamp: Boolean = true, writeClampGrid: Boolean = true, randomTestPoints: Integer = 0,"
    " seed: Long = 0) -> Classifier"
)
def amnh_maxent(
    categorical: list[Any] | None,
    output_format: str,
    is_automatic: bool,
    linear: bool,
    quadratic: bool,
    product: bool,
    threshold: bool,
    hinge: bool,
    hinge_least: int,
    quadratic_least: int,
    product_least: int,
    adds_samples: bool,
    adds_all: bool,
    multiplier: float,
    beta_hinge: float,
    beta_lqp: float,
    beta_categorical: float,
    beta_threshold: float,
    extrapolates: bool,
    clamps: bool,
    writes_clamps: bool,
    test_percentage: int,
    seed: int,
) -> Classifier:
    """Return a maximum entropy model of a species' distribution, from presences and background.

    The outputs are probability, and clamp: how much clamping changes it. It is fitted here by the
    published method with ten hinges an input, so figures are near the program's, not equal.
    """
    if output_format not in OUTPUT_FORMATS:
        raise InvalidRequest(
            f"outputFormat must be one of {', '.join(OUTPUT_FORMATS)}, got {shown(output_format)}."
        )
    if not 0 <= multiplier < math.inf:
        raise InvalidRequest(f"betaMultiplier must not be negative, got {multiplier:g}.")
    if not 0 <= test_percentage < 100:
        raise InvalidRequest(f"randomTestPoints must be from 0 to 99, got {test_percentage}.")
    given = {
        "linear": linear,
        "quadratic": quadratic,
        "product": product,
        "threshold": threshold,
        "hinge": hinge,
    }
    least = (("quadratic", quadratic_least), ("hinge", hinge_least), ("product", product_least))
    betas = [(name, beta_lqp) for name in ("linear", "quadratic", "product")]
    betas += [("hinge", beta_hinge), ("categorical", beta_categorical)]
    entropy = Entropy(
        tuple(str(each) for each in categorical or ()),
        output_format,
        is_automatic,
        tuple(name for name, is_used in given.items() if is_used),
        least if not threshold else (*least, ("threshold", product_least)),
        adds_samples,
        adds_all,
        multiplier,
        (*betas, ("threshold", beta_threshold)),
        extrapolates,
        clamps,
        writes_clamps,
        test_percentage,
        seed,
    )
    return Classifier("amnhMaxent", lambda data, numbers: MaximumEntropy(data, entropy))
