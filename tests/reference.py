"""The kernels' twins: the same formulas in plain NumPy, as a textbook on backpropagation writes them.

Tables by name stand beside the kernels' own; ``test_reference.py`` compares the two sets of names, so that a new
activation, loss or update cannot go without its twin.  Z, A and dA have shape (n, m), one row for each sample.
"""

from itertools import count

import numpy as np
from scipy.special import erfc, expit, xlogy

LEAKY_SLOPE = 0.01
# Klambauer et al. (2017), Self-Normalizing Neural Networks, eq. 14
SELU_ALPHA, SELU_SCALE = 1.6732632423543772848, 1.0507009873554804934


def normal_cdf(z):
    """Phi(z), by the complementary error function: no cancellation in the left tail."""
    return erfc(-z / np.sqrt(2)) / 2


def normal_pdf(z):
    return np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)


def softplus(z):
    return np.logaddexp(0, z)


def elu(z):
    return np.where(z < 0, np.expm1(np.minimum(z, 0)), z)


def softmax(z):
    """Rows that sum to one; taking the largest off leaves the quotient as it is and keeps exp from overflowing."""
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def softmax_backward(z, a, dA):
    """J^T dA with the Jacobian J = diag(a) - a a^T of each row."""
    return a * (dA - (dA * a).sum(axis=1, keepdims=True))


def softmax_backward_tangent(z, dz, dA, dA_tangent):
    """d(J dA) = J d(dA) + dJ dA, with dJ = diag(da) - da a^T - a da^T and da = J dz."""
    a = softmax(z)
    da = softmax_backward(z, a, dz)
    inner = (dA * a).sum(axis=1, keepdims=True)
    inner_tangent = (dA * da).sum(axis=1, keepdims=True)
    return softmax_backward(z, a, dA_tangent) + da * (dA - inner) - a * inner_tangent


def mish_second(z):
    """With t = tanh(softplus(z)), t' = (1 - t^2) s and s = logistic(z): (z t)'' = 2 t' + z t''."""
    s, t = expit(z), np.tanh(softplus(z))
    slope = s / np.cosh(softplus(z)) ** 2
    return 2 * slope + z * slope * (expit(-z) - 2 * t * s)


# name: (f(z), f'(z))
ELEMENTWISE = {
    "identity": (lambda z: z, np.ones_like),
    "logistic": (expit, lambda z: expit(z) * expit(-z)),
    "tanh": (np.tanh, lambda z: 1 / np.cosh(z) ** 2),
    "relu": (lambda z: np.maximum(z, 0), lambda z: np.where(z > 0, 1.0, 0.0)),
    "leaky_relu": (lambda z: np.where(z < 0, LEAKY_SLOPE * z, z), lambda z: np.where(z > 0, 1.0, LEAKY_SLOPE)),
    "elu": (elu, lambda z: np.exp(np.minimum(z, 0))),
    "selu": (
        lambda z: SELU_SCALE * np.where(z < 0, SELU_ALPHA * elu(z), z),
        lambda z: SELU_SCALE * np.where(z < 0, SELU_ALPHA * np.exp(np.minimum(z, 0)), 1.0),
    ),
    "gelu": (lambda z: z * normal_cdf(z), lambda z: normal_cdf(z) + z * normal_pdf(z)),
    "silu": (lambda z: z * expit(z), lambda z: expit(z) + z * expit(z) * expit(-z)),
    "mish": (
        lambda z: z * np.tanh(softplus(z)),
        lambda z: np.tanh(softplus(z)) + z * expit(z) / np.cosh(softplus(z)) ** 2,
    ),
    "softplus": (softplus, expit),
    "exp": (np.exp, np.exp),
}

#: name: f''(z)
SECOND_DERIVATIVES = {
    "identity": np.zeros_like,
    "logistic": lambda z: expit(z) * expit(-z) * (expit(-z) - expit(z)),
    "tanh": lambda z: -2 * np.tanh(z) / np.cosh(z) ** 2,
    "relu": np.zeros_like,
    "leaky_relu": np.zeros_like,
    "elu": lambda z: np.where(z < 0, np.exp(np.minimum(z, 0)), 0.0),
    "selu": lambda z: np.where(z < 0, SELU_SCALE * SELU_ALPHA * np.exp(np.minimum(z, 0)), 0.0),
    "gelu": lambda z: normal_pdf(z) * (2 - z**2),
    "silu": lambda z: expit(z) * expit(-z) * (2 + z * (expit(-z) - expit(z))),
    "mish": mish_second,
    "softplus": lambda z: expit(z) * expit(-z),
    "exp": np.exp,
}


def elementwise(f, df):
    """The pair (forward, backward) of a function that works on single elements: dz = dA * f'(z)."""
    return f, lambda z, a, dA: dA * df(z)


#: name: (A = forward(Z), dZ = backward(Z, A, dA))
ACTIVATIONS = {name: elementwise(*pair) for name, pair in ELEMENTWISE.items()}
ACTIVATIONS["softmax"] = (softmax, softmax_backward)


def elementwise_tangent(df, d2f):
    """d(dA f'(z)) = d(dA) f'(z) + dA f''(z) dz."""
    return lambda z, dz, dA, dA_tangent: dA_tangent * df(z) + dA * d2f(z) * dz


#: name: the change of dZ = backward(dA) when z changes by dz, and dA by dA_tangent
BACKWARD_TANGENTS = {name: elementwise_tangent(ELEMENTWISE[name][1], d2f) for name, d2f in SECOND_DERIVATIVES.items()}
BACKWARD_TANGENTS["softmax"] = softmax_backward_tangent


def clip(p):
    """Probabilities kept off 0 and 1 by the epsilon of their type."""
    eps = np.finfo(p.dtype).eps
    return np.clip(p, eps, 1 - eps)


def smoothed(y, e, K):
    """Label smoothing (Szegedy et al., 2016) over K classes."""
    return (1 - e) * y + e / K


def focal(p, g):
    """The focal loss (Lin et al., 2017) of the probability p of what is the case."""
    return -((1 - p) ** g) * np.log(p)


def focal_derivative(p, g):
    return g * (1 - p) ** (g - 1) * np.log(p) - (1 - p) ** g / p


def focal_curvature(p, g):
    q = 1 - p
    return -g * (g - 1) * q ** (g - 2) * np.log(p) + 2 * g * q ** (g - 1) / p + q**g / p**2


def tweedie(y, a, p=1.5):
    return y ** (2 - p) / ((1 - p) * (2 - p)) - y * a ** (1 - p) / (1 - p) + a ** (2 - p) / (2 - p)


#: name: (loss of each element, its derivative by a); the loss of a row is the sum over its elements. Both take the
#: loss's constants behind y and a.
LOSSES = {
    "squared_error": (lambda y, a: (a - y) ** 2 / 2, lambda y, a: a - y),
    "log_loss": (lambda y, a: -y * np.log(clip(a)), lambda y, a: -y / clip(a)),
    "binary_log_loss": (
        lambda y, a: -y * np.log(clip(a)) - (1 - y) * np.log(1 - clip(a)),
        lambda y, a: (clip(a) - y) / (clip(a) * (1 - clip(a))),
    ),
    "poisson": (lambda y, a: xlogy(y, y / a) - y + a, lambda y, a: 1 - y / a),
    "absolute_error": (lambda y, a: np.abs(a - y), lambda y, a: np.sign(a - y)),
    "huber": (
        lambda y, a, d=1.0: np.where(abs(a - y) > d, d * (abs(a - y) - d / 2), (a - y) ** 2 / 2),
        lambda y, a, d=1.0: np.clip(a - y, -d, d),
    ),
    "quantile": (
        lambda y, a, q=0.5: np.maximum(q * (y - a), (1 - q) * (a - y)),
        lambda y, a, q=0.5: np.where(a > y, 1 - q, -q),
    ),
    "gamma": (lambda y, a: y / a - np.log(y / a) - 1, lambda y, a: (a - y) / a**2),
    "tweedie": (tweedie, lambda y, a, p=1.5: (a - y) * a**-p),
    "focal": (
        lambda y, a, g=2.0: y * focal(clip(a), g),
        lambda y, a, g=2.0: y * focal_derivative(clip(a), g),
    ),
    "binary_focal": (
        lambda y, a, g=2.0: y * focal(clip(a), g) + (1 - y) * focal(1 - clip(a), g),
        lambda y, a, g=2.0: y * focal_derivative(clip(a), g) - (1 - y) * focal_derivative(1 - clip(a), g),
    ),
}
for name, n_classes in (("log_loss", None), ("binary_log_loss", 2)):  # None: as many as columns
    LOSSES[f"smoothed_{name}"] = tuple(
        lambda y, a, e=0.1, f=f, K=n_classes: f(smoothed(y, e, K or y.shape[1]), a) for f in LOSSES[name]
    )

#: name: the second derivative by a of the loss of each element
CURVATURES = {
    "squared_error": lambda y, a: np.ones_like(a),
    "log_loss": lambda y, a: y / clip(a) ** 2,
    "binary_log_loss": lambda y, a: y / clip(a) ** 2 + (1 - y) / (1 - clip(a)) ** 2,
    "poisson": lambda y, a: y / a**2,
    "absolute_error": lambda y, a: np.zeros_like(a),
    "huber": lambda y, a, d=1.0: np.where(abs(a - y) > d, 0.0, 1.0),
    "quantile": lambda y, a, q=0.5: np.zeros_like(a),
    "gamma": lambda y, a: (2 * y - a) / a**3,
    "tweedie": lambda y, a, p=1.5: a**-p - p * (a - y) * a ** (-p - 1),
    "focal": lambda y, a, g=2.0: y * focal_curvature(clip(a), g),
    "binary_focal": lambda y, a, g=2.0: y * focal_curvature(clip(a), g) + (1 - y) * focal_curvature(1 - clip(a), g),
    "smoothed_log_loss": lambda y, a, e=0.1: CURVATURES["log_loss"](smoothed(y, e, y.shape[1]), a),
    "smoothed_binary_log_loss": lambda y, a, e=0.1: CURVATURES["binary_log_loss"](smoothed(y, e, 2), a),
}


def quantiles_of(z):
    """Quantiles in order: the first output, and softplus steps from there on."""
    return np.cumsum(np.hstack([z[:, :1], softplus(z[:, 1:])]), axis=1)


def quantiles(y, z, *levels):
    """The loss of each row, and its gradient: the suffix sums of the slopes by the quantiles, times those of a step."""
    a, q = quantiles_of(z), np.array(levels)
    slopes = np.where(a > y, 1 - q, -q)
    steps = np.hstack([np.ones_like(z[:, :1]), expit(z[:, 1:])])
    return np.maximum(q * (y - a), (1 - q) * (a - y)).sum(axis=1), steps * slopes[:, ::-1].cumsum(axis=1)[:, ::-1]


def gaussian(y, z, epsilon=1e-6):
    """The negative log-likelihood of each row, and its gradient."""
    mean, s = np.hsplit(z, 2)
    v = np.exp(s) + epsilon
    rows = (np.log(2 * np.pi * v) + (y - mean) ** 2 / v).sum(axis=1) / 2
    return rows, np.hstack([(mean - y) / v, (1 / v - (mean - y) ** 2 / v**2) * np.exp(s) / 2])


def multioutput_log_loss(y, z, label_smoothing, *n_classes):
    """The sum of the log-losses of several columns of classes, and its gradient."""
    rows, parts = 0, []
    for column, raw in zip(*(np.split(v, np.cumsum(n_classes)[:-1], axis=1) for v in (y, z)), strict=True):
        a, target = softmax(raw), smoothed(column, label_smoothing, raw.shape[1])
        rows = rows - (target * np.log(a)).sum(axis=1)
        parts.append(a - target)
    return rows, np.hstack(parts)


#: name: (y, z, *constants) -> (loss of each row, gradient) of the losses that are no sums over the outputs
ROW_LOSSES = {"quantiles": quantiles, "gaussian": gaussian, "multioutput_log_loss": multioutput_log_loss}


def dense_forward(X, W, b, activation="identity"):
    """(A, Z)"""
    Z = X @ W + b
    return ACTIVATIONS[activation][0](Z), Z


def dense_backward(dA, X, W, A, Z, activation="identity"):
    """(dX, dW, db)"""
    delta = ACTIVATIONS[activation][1](Z, A, dA)
    return delta @ W.T, X.T @ delta, delta.sum(axis=0)


def sgd_update(g, w, state, t, *, learning_rate, momentum=0.9, nesterov=True):
    """Gradient descent with momentum (Sutskever et al., 2013): the new (w, state)."""
    velocity = momentum * state[0] - learning_rate * g
    step = momentum * velocity - learning_rate * g if nesterov else velocity
    return w + step, [velocity]


def adam_update(g, w, state, t, *, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
    """Step t of Adam (Kingma and Ba, 2015, end of section 2): the new (w, state)."""
    m = beta_1 * state[0] + (1 - beta_1) * g
    v = beta_2 * state[1] + (1 - beta_2) * g**2
    rate = learning_rate * np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
    return w - rate * m / (np.sqrt(v) + epsilon), [m, v]


def adamw_update(g, w, state, t, *, learning_rate, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
    """Step t of Adam (Kingma and Ba, 2015, algorithm 1), without the decay: the new (w, state)."""
    m = beta_1 * state[0] + (1 - beta_1) * g
    v = beta_2 * state[1] + (1 - beta_2) * g**2
    return w - learning_rate * m / (1 - beta_1**t) / (np.sqrt(v / (1 - beta_2**t)) + epsilon), [m, v]


def nadam_update(g, w, state, t, *, learning_rate, beta_1=0.9, beta_2=0.999, epsilon=1e-8, momentum_decay=0.004):
    """Step t of Adam with Nesterov's momentum (Dozat, 2016): the new (w, state)."""
    mu = beta_1 * (1 - 0.5 * 0.96 ** (momentum_decay * np.arange(1, t + 2)))
    m = beta_1 * state[0] + (1 - beta_1) * g
    v = beta_2 * state[1] + (1 - beta_2) * g**2
    look = mu[t] / (1 - mu.prod()) * m + (1 - mu[t - 1]) / (1 - mu[:t].prod()) * g
    return w - learning_rate * look / (np.sqrt(v / (1 - beta_2**t)) + epsilon), [m, v]


def rmsprop_update(g, w, state, t, *, learning_rate, rho=0.99, momentum=0.0, centered=False, epsilon=1e-8):
    """RMSprop (Tieleman and Hinton, 2012), or centered (Graves, 2013): the new (w, state)."""
    v = rho * state[0] + (1 - rho) * g**2
    m = rho * state[2] + (1 - rho) * g if centered else state[2]
    u = momentum * state[1] + g / (np.sqrt(v - m**2 if centered else v) + epsilon)
    return w - learning_rate * u, [v, u, m]


def adagrad_update(g, w, state, t, *, learning_rate, epsilon=1e-10):
    """Adagrad (Duchi, Hazan and Singer, 2011): the new (w, state)."""
    v = state[0] + g**2
    return w - learning_rate * g / (np.sqrt(v) + epsilon), [v]


def lion_update(g, w, state, t, *, learning_rate, beta_1=0.9, beta_2=0.99):
    """Lion (Chen et al., 2023, algorithm 2): the new (w, state)."""
    direction = np.sign(beta_1 * state[0] + (1 - beta_1) * g)
    return w - learning_rate * direction, [beta_2 * state[0] + (1 - beta_2) * g]


def schedule_free_update(g, y, state, t, *, learning_rate, beta_1=0.9, beta_2=0.999, epsilon=1e-8, warmup_steps=0):
    """Step t of schedule-free AdamW (Defazio et al., 2024, algorithm 1), without the decay: the new (y, state), where
    the state is (z - x, v); at a learning rate that is the same in all steps."""
    rates = learning_rate * np.minimum(1, np.arange(1, t + 1) / max(warmup_steps, 1))
    c = rates[-1] ** 2 / (rates**2).sum()
    x = y - (1 - beta_1) * state[0]
    z = x + state[0]
    v = beta_2 * state[1] + (1 - beta_2) * g**2
    z = z - rates[-1] * g / (np.sqrt(v / (1 - beta_2**t)) + epsilon)
    x = (1 - c) * x + c * z
    return (1 - beta_1) * z + beta_1 * x, [z - x, v]


def muon_update(g, w, state, t, *, learning_rate, momentum=0.95, nesterov=True, n_iterations=5):
    """Muon of a matrix (Jordan et al., 2024; the factor of Liu et al., 2025): the new (w, state).

    The iteration acts on the singular values alone, so it is made on them.
    """
    m = momentum * state[0] + (1 - momentum) * g
    look = momentum * m + (1 - momentum) * g if nesterov else m
    U, s, Vt = np.linalg.svd(look, full_matrices=False)
    s = s / max(np.linalg.norm(look), np.finfo(float).tiny)
    for _ in range(n_iterations):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    return w - learning_rate * 0.2 * np.sqrt(max(w.shape)) * (U * s) @ Vt, [m]


#: name: (g, w, state, t, **constants) -> (w, state)
OPTIMIZERS = {
    "sgd": sgd_update,
    "adam": adam_update,
    "adamw": adamw_update,
    "nadam": nadam_update,
    "rmsprop": rmsprop_update,
    "adagrad": adagrad_update,
    "lion": lion_update,
    "schedule_free": schedule_free_update,
    "muon": muon_update,
}


def lbfgs_direction(pairs, g):
    """Nocedal and Wright (2006), Numerical optimization, algorithm 7.4; pairs (s, y), the oldest first."""
    q, alphas = g.copy(), []
    for s, y in reversed(pairs):
        alphas.append(s @ q / (s @ y))
        q -= alphas[-1] * y
    if pairs:
        s, y = pairs[-1]
        q *= s @ y / (y @ y)
    for (s, y), alpha in zip(pairs, reversed(alphas), strict=True):
        q += (alpha - y @ q / (s @ y)) * s
    return -q


def mix_64(x):
    """The output function of SplitMix64, of uint64."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


GOLDEN_64 = np.uint64(0x9E3779B97F4A7C15)


def step_key(seed, step, number):
    """What the random numbers of an operation depend on in a step; of shape (1,)."""
    key = mix_64(np.array([seed], np.uint64) + np.array([step], np.uint64) * GOLDEN_64)
    return mix_64(key + np.array([number], np.uint64) * GOLDEN_64)


def uniforms(key):
    """Numbers in (0, 1): the generator SplitMix64."""
    for i in count(1):
        (x,) = mix_64(key + np.array([i], np.uint64) * GOLDEN_64)
        yield (int(x >> np.uint64(11)) + 0.5) / 2**53


def log_gamma(u, shape):
    """The logarithm of a number of Gamma(shape + 1), up to a constant (Marsaglia and Tsang, 2000)."""
    d = shape + 2 / 3
    while True:
        x = np.sqrt(-2 * np.log(next(u))) * np.cos(2 * np.pi * next(u))
        root, y = 1 + x / np.sqrt(9 * d), next(u)
        if root > 0 and np.log(y) < x**2 / 2 + d - d * root**3 + d * np.log(root**3):
            return np.log(root**3)


def mixup(seed, step, n, alpha):
    """lambda of Beta(alpha, alpha), and the place of each row's partner in a batch of n rows."""
    u = uniforms(step_key(seed, step, 0))
    logs = [log_gamma(u, alpha) + np.log(next(u)) / alpha for _ in range(2)]
    distance = 1 + int(next(u) * (n - 1))
    return (expit(logs[0] - logs[1]), (np.arange(n) + distance) % n) if n > 1 else (1.0, np.zeros(1, int))


def dropout_factors(seed, step, operation, n_rows, n_units, rate):
    """0 with the probability `rate`, else 1 / (1 - rate): a hash of the five numbers that name a unit of a batch."""
    key = step_key(seed, step, operation + 1)
    key = mix_64(key + np.arange(1, n_rows + 1, dtype=np.uint64)[:, None] * GOLDEN_64)
    low, high = key.astype(np.uint32), (key >> np.uint64(32)).astype(np.uint32)
    h = low + np.arange(n_units, dtype=np.uint32) * np.uint32(0x9E3779B9)
    h = (h ^ (h >> np.uint32(16))) * np.uint32(0x21F0AAAD)
    h = (h ^ (h >> np.uint32(15)) ^ high) * np.uint32(0xD35A2D97)
    h ^= h >> np.uint32(15)
    return np.where(h < int(rate * 2**32), 0.0, 1 / (1 - rate))


def forward(coefs, intercepts, X, activations):
    """Outputs and pre-activations of all layers; the outputs begin with X itself."""
    A, Z = [X], [None]
    for W, b, activation in zip(coefs, intercepts, activations, strict=True):
        a, z = dense_forward(A[-1], W, b, activation)
        A.append(a)
        Z.append(z)
    return A, Z


def loss_and_gradient(coefs, intercepts, X, y, *, activations, loss, alpha=0.0, sample_weight=None):
    """The weighted mean loss with its penalty, and the gradients of the coefs and of the intercepts.

    dL/da_L = l'(y, a_L)     delta_l = dL/da_l f'(z_l)     dL/da_(l-1) = delta_l W_l^T
    dW_l = (a_(l-1)^T delta_l + alpha W_l) / S             db_l = sum of the rows of delta_l / S
    """
    weight = np.ones(len(X)) if sample_weight is None else sample_weight
    S = weight.sum()
    A, Z = forward(coefs, intercepts, X, activations)
    element_loss, derivative = LOSSES[loss]
    value = weight @ element_loss(y, A[-1]).sum(axis=1) + alpha / 2 * sum((W**2).sum() for W in coefs)
    dA = weight[:, None] * derivative(y, A[-1])
    dW, db = [], []
    for i in reversed(range(len(coefs))):
        dX, w_gradient, b_gradient = dense_backward(dA, A[i], coefs[i], A[i + 1], Z[i + 1], activations[i])
        dW.insert(0, (w_gradient + alpha * coefs[i]) / S)
        db.insert(0, b_gradient / S)
        dA = dX
    return value / S, dW, db


def jacobian(coefs, intercepts, X, activations):
    """The product of the local Jacobians, diag f'(z_l) W_l^T from the last layer to the first, of each row."""
    A, Z = forward(coefs, intercepts, X, activations)
    J = []
    for r in range(len(X)):
        product = np.eye(coefs[-1].shape[1])
        for i in reversed(range(len(coefs))):
            rows = np.ones((len(product), 1))  # one row of z and a for each row of the product
            z, a = rows * Z[i + 1][r], rows * A[i + 1][r]
            product = ACTIVATIONS[activations[i]][1](z, a, product) @ coefs[i].T
        J.append(product)
    return np.array(J)


def hvp(coefs, intercepts, X, y, d_coefs, d_intercepts, *, activations, loss, alpha=0.0, sample_weight=None):
    """The change of the gradients in `loss_and_gradient` when coefs and intercepts move along a direction.

    Its lines, each differentiated (Pearlmutter, 1994): dz_l = da_(l-1) W_l + a_(l-1) dW_l + db_l on the way forward; on
    the way back, the changes of delta_l, of a_(l-1)^T delta_l and of delta_l W_l^T.
    """
    weight = np.ones(len(X)) if sample_weight is None else sample_weight
    A, Z = forward(coefs, intercepts, X, activations)
    dA, dZ = [np.zeros_like(X)], [None]
    for i, activation in enumerate(activations):
        dZ.append(dA[i] @ coefs[i] + A[i] @ d_coefs[i] + d_intercepts[i])
        dA.append(ACTIVATIONS[activation][1](Z[i + 1], A[i + 1], dZ[i + 1]))  # every local Jacobian is symmetric
    gradient = weight[:, None] * LOSSES[loss][1](y, A[-1])
    change = weight[:, None] * CURVATURES[loss](y, A[-1]) * dA[-1]
    coef_products, intercept_products = [], []
    for i in reversed(range(len(coefs))):
        change = BACKWARD_TANGENTS[activations[i]](Z[i + 1], dZ[i + 1], gradient, change)
        delta = ACTIVATIONS[activations[i]][1](Z[i + 1], A[i + 1], gradient)
        coef_products.insert(0, (A[i].T @ change + dA[i].T @ delta + alpha * d_coefs[i]) / weight.sum())
        intercept_products.insert(0, change.sum(axis=0) / weight.sum())
        gradient, change = delta @ coefs[i].T, change @ coefs[i].T + delta @ d_coefs[i].T
    return coef_products, intercept_products


def train(coefs, intercepts, X, y, *, update, rates, batch_size, random_state=None, sample_weight=None, **objective):
    """Mini-batch gradient descent, an epoch for each entry of `rates`; coefs and intercepts are overwritten.

    An entry is the learning rate of the epoch, or a sequence of the rates of its steps.

    `update` is ``(g, w, state, t, learning_rate=) -> (w, state)``.  Rows are shuffled in place from epoch to epoch; a
    batch whose weights are all zero has no mean and is left out.  Returns the mean loss of each epoch, and the steps.
    """
    rows, params, t, losses = np.arange(len(X)), [*coefs, *intercepts], 0, []
    states = [[np.zeros_like(w)] * 3 for w in params]
    for rate in rates:
        if random_state is not None:
            random_state.shuffle(rows)
        total = 0.0
        for start in range(0, len(rows), batch_size):
            batch = rows[start : start + batch_size]
            weight = None if sample_weight is None else sample_weight[batch]
            if weight is not None and weight.sum() == 0:
                continue
            loss, dW, db = loss_and_gradient(coefs, intercepts, X[batch], y[batch], sample_weight=weight, **objective)
            t += 1
            for i, (w, g) in enumerate(zip(params, [*dW, *db], strict=True)):
                eta = rate if np.ndim(rate) == 0 else rate[start // batch_size]
                w[...], states[i] = update(g, w, states[i], t, learning_rate=eta)
            total += len(batch) * loss
        losses.append(total / len(rows))
    return losses, t


def finite_difference(f, x, eps=1e-6):
    """The gradient of the scalar function f at the array x by central differences: error of order eps^2."""
    gradient = np.empty(x.shape)
    for index in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[index] = eps
        gradient[index] = (f(x + step) - f(x - step)) / (2 * eps)
    return gradient


def moving_average(vectors, decay):
    """The exponential moving average of vectors, the last of which has the largest weight; the weights sum to 1."""
    weights = float(decay) ** np.arange(len(vectors) - 1, -1, -1)
    return weights @ np.array(vectors) / weights.sum()
