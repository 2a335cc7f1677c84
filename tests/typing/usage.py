"""What type checkers see of the package. `.ci/style` has mypy check this file; it is not run.

Where a line ends with ``type: ignore``, the checker must find an error of this kind: one that is not there is an error.
"""

from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray
from sklearn import neural_network

import fastbp
from fastbp import (
    Callback,
    MLPClassifier,
    MLPEncoder,
    MLPRegressor,
    Network,
    TabularMLPClassifier,
    TabularMLPRegressor,
    expand_grid,
    find_learning_rate,
    fit_many,
    slim,
)
from fastbp.activations import Silu
from fastbp.autodiff import Variable, softplus
from fastbp.callbacks import Checkpoint, History, TimeLimit
from fastbp.dask import DaskMLPClassifier
from fastbp.export import register_skl2onnx
from fastbp.inspection import Finding, LossCurveDisplay, Report, backprop_trace, gradient_check, gradient_flow, report
from fastbp.kernels import dense_backward, dense_forward, loss_on_raw, sgd_update
from fastbp.layers import Concatenate, Dense, Embedding, Residual, RobustScale
from fastbp.losses import Huber, Quantile
from fastbp.optimizers import Adam, Muon
from fastbp.quantization import QuantizedMLPClassifier
from fastbp.schedules import FunctionSchedule, OneCycle
from fastbp.sources import as_source
from fastbp.training import TrainingState

X: NDArray[np.float32] = np.zeros((10, 4), np.float32)
y: NDArray[np.float64] = np.zeros(10)

# Estimators: parameters

model = MLPClassifier((64, 32), Silu(), solver="adam", learning_rate=OneCycle(), callbacks=[History()], dtype="float32")
assert_type(model, MLPClassifier)
MLPClassifier(hidden_layer_sizes=64, solver=Adam(beta_1=0.8), learning_rate=lambda progress: 1 - progress)
MLPClassifier(slover="adam")  # type: ignore[call-arg]
MLPClassifier(alpha="small")  # type: ignore[arg-type]
MLPClassifier((64,), "relu", "adam")  # type: ignore[call-arg]
MLPClassifier(solver=Silu())  # type: ignore[arg-type]
MLPRegressor(Quantile([0.1, 0.9]), (32,), layers=[Dense(32, "relu"), Residual([Dense(32)])])
MLPRegressor(quantile=0.1)  # type: ignore[call-arg]
TabularMLPClassifier(preset="fast", random_state=0)
TabularMLPClassifier(presets="fast")  # type: ignore[call-arg]
DaskMLPClassifier(sync_every=10, outer_momentum=0.9)
MLPEncoder(2, regressor=MLPRegressor(max_iter=5))
MLPEncoder(components=2)  # type: ignore[call-arg]

# Estimators: methods and attributes

assert_type(model.fit(X, y), MLPClassifier)
assert_type(model.partial_fit(X, y, classes=[0, 1]), MLPClassifier)
assert_type(model.fit_batches("rows-*.parquet", target="y"), MLPClassifier)
assert_type(model.set_params(alpha=1), MLPClassifier)
model.set_fit_request(sample_weight=True)
assert_type(model.predict(X), NDArray[Any])
model.predict_proba(X)[:, 1].mean()
assert_type(model.score(X, y), float)
assert_type(model.coefs_, list[NDArray[Any]])
assert_type(model.loss_curve_, list[float])
assert_type(model.network_, Network)
model.fit(X, y, coef_init=None)  # type: ignore[arg-type]
model.fit(X)  # type: ignore[call-arg]
print(model.coefs)  # type: ignore[attr-defined]
regressor = MLPRegressor("gaussian").fit(X, y)
assert_type(regressor.predict(X), NDArray[Any])
assert_type(regressor.predict(X, return_std=True), tuple[NDArray[Any], NDArray[Any]])
assert_type(TabularMLPRegressor().fit(X, y).predict_interval(X, 0.8), tuple[NDArray[Any], NDArray[Any]])
assert_type(MLPEncoder().fit(X).transform(X), NDArray[Any])
assert_type(slim(model), MLPClassifier)
assert_type(fit_many(expand_grid(model, {"alpha": [0.1, 1.0]}), X, y), list[MLPClassifier])
assert_type(find_learning_rate(model, X, y).suggestion, float | None)
fastbp.save(model, "model.safetensors")
fastbp.save("model.safetensors", model)  # type: ignore[arg-type]

# Objects

assert_type(Adam().beta_1, float)
Adam(beta1=0.9)  # type: ignore[call-arg]
Muon(learning_rate=0.1)  # type: ignore[call-arg]
Huber(delta=1.5)
FunctionSchedule()  # type: ignore[call-arg]
FunctionSchedule(lambda progress: 1.0)
Concatenate([Embedding([40], 4, columns=[1]), RobustScale(columns=[2])])
fastbp.activations.Sulu()  # type: ignore[attr-defined]
Dense("relu")  # type: ignore[arg-type]
TimeLimit(seconds=60)
Checkpoint("run.pkl", every=5)
as_source("rows.csv", target="y", columns=["a", "b"])


class StopAtLoss(Callback):
    """A callback as users write it."""

    def on_epoch_end(self, state: TrainingState) -> bool:
        assert_type(state.epoch, int)
        assert_type(state.learning_rate, float | None)
        assert_type(state.network, Network)
        return state.loss < 0.1


# Networks

network = Network([4, 16, 1], activation="tanh", loss="squared_error", random_state=0)
assert_type(network.loss_and_gradient(X, y), tuple[float, NDArray[Any]])
loss, gradient = network.loss_and_gradient(X, y)
network.params -= 0.1 * gradient
assert_type(network.blocks["W_1"], NDArray[Any])
assert_type(network.part(0, 1), Network)
Network([4, 1], activations="tanh")  # type: ignore[call-arg]

# Models for and from elsewhere

fastbp.to_c(model, "model.c", prefix="digits", dtype=np.float32)
fastbp.to_c(model)  # type: ignore[call-arg]
fastbp.to_onnx(model, "model.onnx", outputs=["predict", "predict_log_proba"], dtype="float32")
fastbp.to_onnx("model.onnx", model)  # type: ignore[arg-type]
fastbp.to_onnx(network, output="forward")  # type: ignore[call-arg]
register_skl2onnx()
assert_type(fastbp.quantize(model), QuantizedMLPClassifier)
assert_type(fastbp.quantize(network).forward(X), NDArray[Any])
fastbp.quantize(3)  # type: ignore[call-overload]
assert_type(fastbp.from_network(network), MLPRegressor)
assert_type(fastbp.from_network(network, ["no", "yes"], alpha=0.01), MLPClassifier)
fastbp.from_network(model)  # type: ignore[call-overload]
assert_type(fastbp.from_torch_state({"0.weight": X, "0.bias": y}, Silu(), "softmax", "log_loss"), Network)
fastbp.from_torch_state([X, y])  # type: ignore[arg-type]
assert_type(fastbp.from_keras_weights([[X, X[0]], []], ["relu"], layers=[Dense(4)]), Network)
fastbp.from_keras_weights([X, y], activations="relu")  # type: ignore[call-arg]
assert_type(fastbp.from_sklearn(neural_network.MLPRegressor().fit(X, y)), MLPClassifier | MLPRegressor)

# Kernels: the elements of the arrays decide

W, b = np.zeros((4, 3), np.float32), np.zeros(3, np.float32)
A = dense_forward(X, W, b, "relu")
assert_type(A, NDArray[np.float32])
assert_type(dense_backward(A, X, W, A), tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]])
assert_type(dense_forward([[1.0]], [[1.0]], [1.0]), NDArray[Any])
assert_type(loss_on_raw(A, A, "squared_error"), tuple[NDArray[np.float64], NDArray[np.float32]])
sgd_update(b, b, b, learning_rate=0.1)
sgd_update(b, b, b)  # type: ignore[call-arg]

# Derivatives

a = Variable([1.0, 2.0])
assert_type(2 * a + 1, Variable)
assert_type(a < 1, NDArray[np.bool_])
assert_type(softplus(a).sum(), Variable)
assert_type(a.T.shape, tuple[int, ...])

# Tools

assert_type(gradient_check(network, X, y).passed, bool)
assert_type(backprop_trace(network, X, y).loss, float)
flow = gradient_flow(X, y)
MLPRegressor(callbacks=flow)
assert_type(LossCurveDisplay.from_estimator(model).plot(log=True), LossCurveDisplay)
assert_type(report(model, X, y, title="Digits", image_shape=(8, 8)), Report)
assert_type(report(model, X, y).warnings, list[Finding])
assert_type(report(model, X, y).warnings[0].advice, tuple[str, ...])
report(model, X, y).save("report.html")
report(model, X, y, repeats=3)  # type: ignore[call-arg]
