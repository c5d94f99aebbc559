"""A real model on real data: scikit-learn's 1,797 scans of handwritten digits, half of them never seen in fitting."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skl2onnx import to_onnx
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

SEED = 20261121
FITTED_ON = 898


@dataclass(frozen=True)
class Digits:
    """All scans [1797, 64] as float32 in 0..16, their true labels, and which rows the model never saw."""

    scans: NDArray[np.float32]
    labels: NDArray[np.int64]
    unseen: NDArray[np.int64]


def load() -> Digits:
    """The scans with a fixed split: 898 rows to fit on, 899 unseen."""
    scans, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(SEED).permutation(len(scans))
    return Digits(scans.astype(np.float32), labels.astype(np.int64), np.sort(order[FITTED_ON:]))


def fit_and_export(digits: Digits) -> bytes:
    """Fit a small neural network on the seen half and return it as ONNX with outputs `label` and `probabilities`."""
    seen = np.setdiff1d(np.arange(len(digits.scans)), digits.unseen)
    classifier = MLPClassifier(hidden_layer_sizes=(96,), alpha=0.05, max_iter=400, random_state=SEED)
    model = make_pipeline(StandardScaler(), classifier)
    model.fit(digits.scans[seen], digits.labels[seen])
    exported = to_onnx(
        model,
        digits.scans[:1],
        final_types=None,
        options={id(model): {"zipmap": False}},
        target_opset={"": 18, "ai.onnx.ml": 3},
    )
    names = {exported.graph.output[0].name: "label", exported.graph.output[1].name: "probabilities"}
    for node in exported.graph.node:
        node.output[:] = [names.get(name, name) for name in node.output]
        node.input[:] = [names.get(name, name) for name in node.input]
    for output in exported.graph.output:
        output.name = names[output.name]
    exported.graph.input[0].name, old = "scans", exported.graph.input[0].name
    for node in exported.graph.node:
        node.input[:] = ["scans" if name == old else name for name in node.input]
    return exported.SerializeToString()
