"""The twins of the kinds of operations, and a graph of operations walked in plain NumPy.

A function of a kind is given the argument of the operation (activation: its number, dropout: the factors, row_norm:
whether it subtracts the mean, and epsilon, running_norm: its constant, batch_norm: its constants and the weights of the
rows, robust_scale: the clip and the columns, one_hot, embedding: the columns, their levels, and whether rows are added
up), its inputs ``xs``, its output ``y`` and its ``blocks``, and changes of them along a direction, ``dxs`` and
``dblocks``; ``g`` is the gradient of the loss by y, ``dg`` its change. A block of one row is a vector.
"""

from collections import namedtuple

import numpy as np

import embedding_reference
import reference
from fastbp.kernels import ACTIVATIONS

ACTIVATION_NAMES = {number: name for name, number in ACTIVATIONS.items()}

#: forward(argument, xs, blocks) -> y
#: backward(argument, xs, y, blocks, g) -> the gradient by each input
#: gradient(argument, xs, y, blocks, g) -> the gradient by each block, summed over the rows
#: tangent(argument, xs, y, blocks, dxs, dblocks) -> the change of y
#: backward_tangent(argument, xs, y, blocks, dxs, dblocks, g, dg) -> the change of `backward`
#: gradient_tangent(argument, xs, y, blocks, dxs, dblocks, g, dg) -> the change of `gradient`
Kind = namedtuple("Kind", "forward backward gradient tangent backward_tangent gradient_tangent")


def no_blocks(*_):
    """The gradient of a kind without parameters."""
    return []


# dense: y = x W + b


def dense_forward(argument, xs, blocks):
    W, *bias = blocks
    return sum(bias, xs[0] @ W)


def dense_backward(argument, xs, y, blocks, g):
    return [g @ blocks[0].T]


def dense_gradient(argument, xs, y, blocks, g):
    return [xs[0].T @ g, g.sum(axis=0)][: len(blocks)]


def dense_tangent(argument, xs, y, blocks, dxs, dblocks):
    dW, *dbias = dblocks
    return sum(dbias, dxs[0] @ blocks[0] + xs[0] @ dW)


def dense_backward_tangent(argument, xs, y, blocks, dxs, dblocks, g, dg):
    return [dg @ blocks[0].T + g @ dblocks[0].T]


def dense_gradient_tangent(argument, xs, y, blocks, dxs, dblocks, g, dg):
    return [dxs[0].T @ g + xs[0].T @ dg, dg.sum(axis=0)][: len(blocks)]


# activation: y = f(x)


def activation_forward(argument, xs, blocks):
    return reference.ACTIVATIONS[ACTIVATION_NAMES[argument]][0](xs[0])


def activation_backward(argument, xs, y, blocks, g):
    return [reference.ACTIVATIONS[ACTIVATION_NAMES[argument]][1](xs[0], y, g)]


def activation_tangent(argument, xs, y, blocks, dxs, dblocks):
    return activation_backward(argument, xs, y, blocks, dxs[0])[0]  # every Jacobian of an activation is symmetric


def activation_backward_tangent(argument, xs, y, blocks, dxs, dblocks, g, dg):
    return [reference.BACKWARD_TANGENTS[ACTIVATION_NAMES[argument]](xs[0], dxs[0], g, dg)]


# add: y = x + x2


def add_forward(argument, xs, blocks):
    return xs[0] + xs[1]


def add_backward(argument, xs, y, blocks, g):
    return [g, g]


def add_tangent(argument, xs, y, blocks, dxs, dblocks):
    return dxs[0] + dxs[1]


def add_backward_tangent(argument, xs, y, blocks, dxs, dblocks, g, dg):
    return [dg, dg]


# scale: y = x s


def scale_forward(argument, xs, blocks):
    return xs[0] * blocks[0]


def scale_backward(argument, xs, y, blocks, g):
    return [g * blocks[0]]


def scale_gradient(argument, xs, y, blocks, g):
    return [(xs[0] * g).sum(axis=0)]


def scale_tangent(argument, xs, y, blocks, dxs, dblocks):
    return dxs[0] * blocks[0] + xs[0] * dblocks[0]


def scale_backward_tangent(argument, xs, y, blocks, dxs, dblocks, g, dg):
    return [dg * blocks[0] + g * dblocks[0]]


def scale_gradient_tangent(argument, xs, y, blocks, dxs, dblocks, g, dg):
    return [(dxs[0] * g + xs[0] * dg).sum(axis=0)]


# dropout: y = x * factor, with the factors as the argument; in training only, so it has no tangents


def dropout_forward(argument, xs, blocks):
    return xs[0] * argument


def dropout_backward(argument, xs, y, blocks, g):
    return [g * argument]


# row_norm: y = gain n + shift, with n = c / sqrt(E(c^2) + epsilon) and c = x - E(x), or c = x without a mean. The same
# formulas as in the kernels would be no test: the Jacobian of a row is written out.


def row_mean(x):
    return x.mean(axis=1, keepdims=True)


def normalized(argument, x):
    """(n, scale)."""
    has_mean, epsilon = argument
    c = x - row_mean(x) * has_mean
    scale = 1 / np.sqrt(row_mean(c**2) + epsilon)
    return c * scale, scale


def norm_jacobian(argument, x):
    """dn_j / dx_i of each row: scale * ((I - 1 1^T / m) - n n^T / m), symmetric."""
    n, scale = normalized(argument, x)
    m = x.shape[1]
    centering = np.eye(m) - np.full((m, m), 1 / m) * argument[0]
    return scale[:, :, None] * (centering - n[:, :, None] * n[:, None, :] / m)


def norm_jacobian_change(argument, x, dx):
    """The change of `norm_jacobian` when x changes by dx."""
    (n, scale), J = normalized(argument, x), norm_jacobian(argument, x)
    dn = np.einsum("rij,rj->ri", J, dx)
    d_log_scale = -scale * row_mean(n * (dx - row_mean(dx) * argument[0]))
    products = dn[:, :, None] * n[:, None, :] + n[:, :, None] * dn[:, None, :]
    return d_log_scale[:, :, None] * J - scale[:, :, None] * products / x.shape[1]


def row_norm_forward(argument, xs, blocks):
    gain, *shift = blocks
    return sum(shift, normalized(argument, xs[0])[0] * gain)


def row_norm_backward(argument, xs, y, blocks, g):
    return [np.einsum("rij,rj->ri", norm_jacobian(argument, xs[0]), g * blocks[0])]


def row_norm_gradient(argument, xs, y, blocks, g):
    return [(g * normalized(argument, xs[0])[0]).sum(axis=0), g.sum(axis=0)][: len(blocks)]


def row_norm_tangent(argument, xs, y, blocks, dxs, dblocks):
    d_gain, *d_shift = dblocks
    dn = np.einsum("rij,rj->ri", norm_jacobian(argument, xs[0]), dxs[0])
    return sum(d_shift, dn * blocks[0] + normalized(argument, xs[0])[0] * d_gain)


def row_norm_backward_tangent(argument, xs, y, blocks, dxs, dblocks, g, dg):
    J, dJ = norm_jacobian(argument, xs[0]), norm_jacobian_change(argument, xs[0], dxs[0])
    change = np.einsum("rij,rj->ri", J, dg * blocks[0] + g * dblocks[0])
    return [change + np.einsum("rij,rj->ri", dJ, g * blocks[0])]


def row_norm_gradient_tangent(argument, xs, y, blocks, dxs, dblocks, g, dg):
    dn = np.einsum("rij,rj->ri", norm_jacobian(argument, xs[0]), dxs[0])
    return [(dg * normalized(argument, xs[0])[0] + g * dn).sum(axis=0), dg.sum(axis=0)][: len(blocks)]


# running_norm: y = gamma n + beta, with n = (x - mean) / sqrt(variance + epsilon); mean and variance are constants


def by_running(constants, x, blocks):
    """(n, scale)."""
    _, _, mean, variance = blocks
    scale = 1 / np.sqrt(variance + constants[0])
    return (x - mean) * scale, scale


def running_norm_forward(argument, xs, blocks):
    return by_running(argument, xs[0], blocks)[0] * blocks[0] + blocks[1]


def running_norm_backward(argument, xs, y, blocks, g):
    return [g * blocks[0] * by_running(argument, xs[0], blocks)[1]]


def running_norm_gradient(argument, xs, y, blocks, g):
    return [(g * by_running(argument, xs[0], blocks)[0]).sum(axis=0), g.sum(axis=0), 0, 0]


def running_norm_tangent(argument, xs, y, blocks, dxs, dblocks):
    n, scale = by_running(argument, xs[0], blocks)
    return dxs[0] * scale * blocks[0] + n * dblocks[0] + dblocks[1]


def running_norm_backward_tangent(argument, xs, y, blocks, dxs, dblocks, g, dg):
    return [(dg * blocks[0] + g * dblocks[0]) * by_running(argument, xs[0], blocks)[1]]


def running_norm_gradient_tangent(argument, xs, y, blocks, dxs, dblocks, g, dg):
    n, scale = by_running(argument, xs[0], blocks)
    return [(dg * n + g * dxs[0] * scale).sum(axis=0), dg.sum(axis=0), 0, 0]


# batch_norm: the same with mean and variance of the batch, for rows with the weights w; if only one row counts, the
# running ones. In training only, so it has no tangents.


def by_batch(argument, x):
    """(n, scale, the weights by their sum)."""
    epsilon, _, w = argument
    share = (w / w.sum())[:, None]
    c = x - (share * x).sum(axis=0)
    scale = 1 / np.sqrt((share * c**2).sum(axis=0) + epsilon)
    return c * scale, scale, share


def has_variance(argument):
    return (argument[2] > 0).sum() > 1


def batch_norm_forward(argument, xs, blocks):
    if not has_variance(argument):
        return running_norm_forward(argument, xs, blocks)
    return by_batch(argument, xs[0])[0] * blocks[0] + blocks[1]


def batch_norm_backward(argument, xs, y, blocks, g):
    if not has_variance(argument):
        return running_norm_backward(argument, xs, y, blocks, g)
    # the Jacobian of a column, written out: dn_i / dx_j = scale (1 if i = j else 0, - share_j - n_i n_j share_j)
    n, scale, share = by_batch(argument, xs[0])
    J = np.eye(len(n))[:, :, None] - share[None] - n[:, None] * (n * share)[None]
    return [scale * np.einsum("ijc,ic->jc", J, g * blocks[0])]


def batch_norm_gradient(argument, xs, y, blocks, g):
    if not has_variance(argument):
        return running_norm_gradient(argument, xs, y, blocks, g)
    return [(g * by_batch(argument, xs[0])[0]).sum(axis=0), g.sum(axis=0), 0, 0]


def batch_norm_kept(argument, xs, blocks):
    """The running mean and variance after a step."""
    _, momentum, w = argument
    if not has_variance(argument):
        return blocks[2:]
    mean = np.average(xs[0], axis=0, weights=w)
    count = max(w.sum(), (w > 0).sum())
    variance = np.average((xs[0] - mean) ** 2, axis=0, weights=w) * count / (count - 1)
    return [(1 - momentum) * old + momentum * new for old, new in zip(blocks[2:], (mean, variance), strict=True)]


# prelu: y = x where x > 0, else a x


def prelu_slope(x, a):
    return np.where(x > 0, 1.0, a)


def prelu_forward(argument, xs, blocks):
    return xs[0] * prelu_slope(xs[0], blocks[0])


def prelu_backward(argument, xs, y, blocks, g):
    return [g * prelu_slope(xs[0], blocks[0])]


def prelu_gradient(argument, xs, y, blocks, g):
    return [(g * np.minimum(xs[0], 0)).sum(axis=0)]


def prelu_tangent(argument, xs, y, blocks, dxs, dblocks):
    return dxs[0] * prelu_slope(xs[0], blocks[0]) + np.minimum(xs[0], 0) * dblocks[0]


def prelu_backward_tangent(argument, xs, y, blocks, dxs, dblocks, g, dg):
    return [dg * prelu_slope(xs[0], blocks[0]) + g * (xs[0] <= 0) * dblocks[0]]


def prelu_gradient_tangent(argument, xs, y, blocks, dxs, dblocks, g, dg):
    return [(dg * np.minimum(xs[0], 0) + g * (xs[0] <= 0) * dxs[0]).sum(axis=0)]


# blend: y = x + alpha (f - x)


def blend_forward(argument, xs, blocks):
    return xs[0] + blocks[0] * (xs[1] - xs[0])


def blend_backward(argument, xs, y, blocks, g):
    return [(1 - blocks[0]) * g, blocks[0] * g]


def blend_gradient(argument, xs, y, blocks, g):
    return [(g * (xs[1] - xs[0])).sum(axis=0)]


def blend_tangent(argument, xs, y, blocks, dxs, dblocks):
    return blend_forward(argument, dxs, blocks) + dblocks[0] * (xs[1] - xs[0])


def blend_backward_tangent(argument, xs, y, blocks, dxs, dblocks, g, dg):
    return [(1 - blocks[0]) * dg - dblocks[0] * g, blocks[0] * dg + dblocks[0] * g]


def blend_gradient_tangent(argument, xs, y, blocks, dxs, dblocks, g, dg):
    return [(dg * (xs[1] - xs[0]) + g * (dxs[1] - dxs[0])).sum(axis=0)]


# concatenate: y = [x, x2]


def concatenate_forward(argument, xs, blocks):
    return np.hstack(xs)


def concatenate_backward(argument, xs, y, blocks, g):
    return np.split(g, [xs[0].shape[1]], axis=1)


def concatenate_tangent(argument, xs, y, blocks, dxs, dblocks):
    return np.hstack(dxs)


def concatenate_backward_tangent(argument, xs, y, blocks, dxs, dblocks, g, dg):
    return concatenate_backward(argument, xs, y, blocks, dg)


# robust_scale: y = r / sqrt(1 + (r / clip)^2), r = (x - center) factor of some columns, 0 where x is NaN; center and
# factor are constants. Clip 0: y = r.


def robust_scale(argument, x, blocks, order):
    """y, y' or y'' by r, times factor**order."""
    clip, columns = argument
    center, factor = blocks
    r = (x[:, columns] - center) * factor
    t = r / clip if clip else 0 * r
    found = r / np.sqrt(1 + t**2), (1 + t**2) ** -1.5, -3 * t * (1 + t**2) ** -2.5 / (clip or 1)
    return np.where(np.isnan(r), 0, found[order] * factor**order)


def spread(argument, x, values):
    """The values in their columns, added up, among zeros."""
    out = np.zeros_like(x)
    np.add.at(out, (slice(None), argument[1]), values)
    return out


def robust_scale_forward(argument, xs, blocks):
    return robust_scale(argument, xs[0], blocks, 0)


def robust_scale_backward(argument, xs, y, blocks, g):
    return [spread(argument, xs[0], g * robust_scale(argument, xs[0], blocks, 1))]


def robust_scale_gradient(argument, xs, y, blocks, g):
    return [0, 0]


def robust_scale_tangent(argument, xs, y, blocks, dxs, dblocks):
    return dxs[0][:, argument[1]] * robust_scale(argument, xs[0], blocks, 1)


def robust_scale_backward_tangent(argument, xs, y, blocks, dxs, dblocks, g, dg):
    slope, change = (robust_scale(argument, xs[0], blocks, order) for order in (1, 2))
    return [spread(argument, xs[0], dg * slope + g * change * dxs[0][:, argument[1]])]


def robust_scale_gradient_tangent(argument, xs, y, blocks, dxs, dblocks, g, dg):
    return [0, 0]


# one_hot and embedding: the codes of some columns, rounded; `levels` for all that are no code. Their derivatives by x
# are 0.


def codes_of(argument, x):
    """(code, levels) of each column."""
    for column, levels in zip(*argument[:2], strict=True):
        code = np.floor(x[:, column] + 0.5)
        yield np.where((code >= 0) & (code < levels), code, levels).astype(int), levels


def one_hot_forward(argument, xs, blocks):
    return np.hstack([np.eye(levels + 1)[code, :levels] for code, levels in codes_of(argument, xs[0])])


def no_gradient(argument, xs, *_):
    return [np.zeros_like(xs[0])]


def one_hot_tangent(argument, xs, y, blocks, dxs, dblocks):
    return np.zeros_like(y)


def rows_of_table(argument, x):
    """The matrix of zeros and ones by which the table is multiplied, for each column."""
    wanted = [np.eye(levels + 1)[code] for code, levels in codes_of(argument, x)]
    ends = np.cumsum([rows.shape[1] for rows in wanted])
    return [
        np.pad(rows, ((0, 0), (end - rows.shape[1], ends[-1] - end))) for rows, end in zip(wanted, ends, strict=True)
    ]


def embedding_forward(argument, xs, blocks):
    found = [rows @ blocks[0] for rows in rows_of_table(argument, xs[0])]
    return sum(found) if argument[2] else np.hstack(found)


def embedding_gradient(argument, xs, y, blocks, g):
    rows = rows_of_table(argument, xs[0])
    parts = [g] * len(rows) if argument[2] else np.split(g, len(rows), axis=1)
    return [sum(own.T @ part for own, part in zip(rows, parts, strict=True))]


def embedding_tangent(argument, xs, y, blocks, dxs, dblocks):
    return embedding_forward(argument, xs, dblocks)


def embedding_gradient_tangent(argument, xs, y, blocks, dxs, dblocks, g, dg):
    return embedding_gradient(argument, xs, y, blocks, dg)


DENSE = Kind(
    dense_forward, dense_backward, dense_gradient, dense_tangent, dense_backward_tangent, dense_gradient_tangent
)
KINDS = {
    "dense": DENSE,
    "dense_sparse": DENSE,
    "activation": Kind(
        activation_forward, activation_backward, no_blocks, activation_tangent, activation_backward_tangent, no_blocks
    ),
    "add": Kind(add_forward, add_backward, no_blocks, add_tangent, add_backward_tangent, no_blocks),
    "scale": Kind(
        scale_forward, scale_backward, scale_gradient, scale_tangent, scale_backward_tangent, scale_gradient_tangent
    ),
    "dropout": Kind(dropout_forward, dropout_backward, no_blocks, None, None, None),
    "row_norm": Kind(
        row_norm_forward,
        row_norm_backward,
        row_norm_gradient,
        row_norm_tangent,
        row_norm_backward_tangent,
        row_norm_gradient_tangent,
    ),
    "batch_norm": Kind(batch_norm_forward, batch_norm_backward, batch_norm_gradient, None, None, None),
    "running_norm": Kind(
        running_norm_forward,
        running_norm_backward,
        running_norm_gradient,
        running_norm_tangent,
        running_norm_backward_tangent,
        running_norm_gradient_tangent,
    ),
    "prelu": Kind(
        prelu_forward, prelu_backward, prelu_gradient, prelu_tangent, prelu_backward_tangent, prelu_gradient_tangent
    ),
    "blend": Kind(
        blend_forward, blend_backward, blend_gradient, blend_tangent, blend_backward_tangent, blend_gradient_tangent
    ),
    "concatenate": Kind(
        concatenate_forward,
        concatenate_backward,
        no_blocks,
        concatenate_tangent,
        concatenate_backward_tangent,
        no_blocks,
    ),
    "robust_scale": Kind(
        robust_scale_forward,
        robust_scale_backward,
        robust_scale_gradient,
        robust_scale_tangent,
        robust_scale_backward_tangent,
        robust_scale_gradient_tangent,
    ),
    "one_hot": Kind(one_hot_forward, no_gradient, no_blocks, one_hot_tangent, no_gradient, no_blocks),
    "embedding": Kind(
        embedding_forward,
        no_gradient,
        embedding_gradient,
        embedding_tangent,
        no_gradient,
        embedding_gradient_tangent,
    ),
}


for name in ("piecewise_linear", "periodic"):
    KINDS[name] = Kind(*(getattr(embedding_reference, f"{name}_{field}") for field in Kind._fields))


class GraphTwin:
    """A graph and its parameters, in float64.

    Parameters
    ----------
    graph : fastbp.kernels.graph.Graph
    params : ndarray of shape (n_params,)
    seed : int
        Of the masks of dropout.

    Attributes
    ----------
    step : int
        The number of the training step, which the masks depend on too.
    weight : ndarray of shape (n,) or None
        Weights of the rows, which statistics of a batch depend on.
    dropout_factor : float
        Of the rates of dropout.
    """

    def __init__(self, graph, params, seed=0):
        self.graph, self.params, self.seed, self.step = graph, np.array(params, np.float64), seed, 0
        self.weight, self.dropout_factor = None, 1.0

    def argument(self, number, op, n_rows):
        """What the functions of the kind of operation `number` take for its argument."""
        if op.kind == "row_norm":
            return op.argument, *op.constants
        if op.kind == "running_norm":
            return op.constants
        if op.kind == "batch_norm":
            return *op.constants, np.ones(n_rows) if self.weight is None else self.weight
        if op.kind == "robust_scale":
            return *op.constants, list(op.integers or range(self.graph.widths[op.input]))
        if op.kind in ("one_hot", "embedding"):
            n = op.integers[0]
            return op.integers[1 : n + 1], op.integers[n + 1 :], op.argument
        if op.kind in ("piecewise_linear", "periodic"):
            return op.integers, op.argument
        if op.kind != "dropout":
            return op.argument
        units = self.graph.widths[op.output]
        rate = op.constants[0] * self.dropout_factor
        return reference.dropout_factors(self.seed, self.step, number, n_rows, units, rate)

    def blocks_of(self, op, flat):
        """The part of a flat vector that belongs to the blocks of an operation."""
        own = self.graph.blocks_of(op)
        return [flat[block.offset : block.offset + block.size].reshape(block.shape) for block in own]

    def inputs(self, op):
        return [op.input] if op.input2 < 0 else [op.input, op.input2]

    def context(self, number, op, values):
        """What every function of a kind begins with, after the forward pass."""
        return (
            self.argument(number, op, len(values[0])),
            [values[node] for node in self.inputs(op)],
            values[op.output],
            self.blocks_of(op, self.params),
        )

    def forward(self, X):
        """The value of every node."""
        values = {0: np.array(X, np.float64)}
        for number, op in enumerate(self.graph.operations):
            xs, argument = [values[node] for node in self.inputs(op)], self.argument(number, op, len(X))
            values[op.output] = KINDS[op.kind].forward(argument, xs, self.blocks_of(op, self.params))
        return values

    def output(self, X):
        return self.forward(X)[self.graph.operations[-1].output]

    def kept(self, values):
        """(block, value after a step) for the blocks that are not trained."""
        found = []
        for number, op in enumerate(self.graph.operations):
            if op.kind == "batch_norm":
                argument, xs, _, blocks = self.context(number, op, values)
                running = batch_norm_kept(argument, xs, blocks)
                blocks = self.graph.blocks[op.first_block + 2 : op.first_block + 4]
                found += [(block, value.copy()) for block, value in zip(blocks, running, strict=True)]
        return found

    def push(self, values, dX, direction):
        """The change of every node along the changes of X and of the parameters."""
        changes = {0: dX}
        for number, op in enumerate(self.graph.operations):
            dxs, dblocks = [changes[node] for node in self.inputs(op)], self.blocks_of(op, direction)
            changes[op.output] = KINDS[op.kind].tangent(*self.context(number, op, values), dxs, dblocks)
        return changes

    def pull(self, values, dA):
        """The gradient of ``sum(dA * output)`` by every node, and by the parameters."""
        grads, gradient = {node: np.zeros_like(value) for node, value in values.items()}, np.zeros_like(self.params)
        grads[self.graph.operations[-1].output] += dA
        for number, op in reversed([*enumerate(self.graph.operations)]):
            context, g = self.context(number, op, values), grads[op.output]
            for block, dW in zip(self.blocks_of(op, gradient), KINDS[op.kind].gradient(*context, g), strict=True):
                block += dW
            for node, dx in zip(self.inputs(op), KINDS[op.kind].backward(*context, g), strict=True):
                grads[node] = grads[node] + dx
        return grads, gradient

    def pull_tangent(self, values, changes, direction, dA, dA_tangent):
        """The change of the gradient by the parameters in `pull` along a push, when dA changes by `dA_tangent`."""
        grads = self.pull(values, dA)[0]
        tangents, product = {node: np.zeros_like(value) for node, value in values.items()}, np.zeros_like(self.params)
        tangents[self.graph.operations[-1].output] += dA_tangent
        for number, op in reversed([*enumerate(self.graph.operations)]):
            dxs, dblocks = [changes[node] for node in self.inputs(op)], self.blocks_of(op, direction)
            context = *self.context(number, op, values), dxs, dblocks, grads[op.output], tangents[op.output]
            for block, dW in zip(self.blocks_of(op, product), KINDS[op.kind].gradient_tangent(*context), strict=True):
                block += dW
            for node, dx in zip(self.inputs(op), KINDS[op.kind].backward_tangent(*context), strict=True):
                tangents[node] = tangents[node] + dx
        return product

    # What a network offers

    def vjp(self, X, v):
        return self.pull(self.forward(X), v)[0][0]

    def jvp(self, X, u):
        changes = self.push(self.forward(X), u, np.zeros_like(self.params))
        return changes[self.graph.operations[-1].output]

    def jacobian(self, X):
        n_outputs = self.output(X).shape[1]
        rows = [self.vjp(X, np.tile(v, (len(X), 1))) for v in np.eye(n_outputs)]
        return np.stack(rows, axis=1)

    def penalized(self, alpha):
        """The factor of each parameter in the gradient of the penalty."""
        factors = np.zeros_like(self.params)
        for block in self.graph.blocks:
            factors[block.offset : block.offset + block.size] = alpha * self.graph.groups[block.group].penalty
        return factors

    def loss_and_gradient(self, X, y, *, loss, alpha=0.0, sample_weight=None):
        """(mean loss, gradient by the parameters, gradient by X)."""
        weight = np.ones(len(X)) if sample_weight is None else sample_weight
        values, factors = self.forward(X), self.penalized(alpha)
        a = values[self.graph.operations[-1].output]
        element_loss, derivative = reference.LOSSES[loss]
        value = weight @ element_loss(y, a).sum(axis=1) + factors @ self.params**2 / 2
        grads, gradient = self.pull(values, weight[:, None] * derivative(y, a))
        S = weight.sum()
        return value / S, (gradient + factors * self.params) / S, grads[0] / S

    def hvp(self, X, y, direction, *, loss, alpha=0.0, sample_weight=None):
        """The change of the gradient by the parameters along a direction."""
        weight = np.ones((len(X), 1)) if sample_weight is None else sample_weight[:, None]
        values = self.forward(X)
        changes = self.push(values, np.zeros_like(values[0]), direction)
        output = self.graph.operations[-1].output
        dA = weight * reference.LOSSES[loss][1](y, values[output])
        dA_tangent = weight * reference.CURVATURES[loss](y, values[output]) * changes[output]
        product = self.pull_tangent(values, changes, direction, dA, dA_tangent)
        return (product + self.penalized(alpha) * direction) / weight.sum()

    def mixed(self, X, y, weight, alpha):
        """The rows of a batch, their targets and weights with mixup."""
        if not alpha:
            return X, y, weight
        share, partner = reference.mixup(self.seed, self.step, len(X), alpha)
        w = np.ones(len(X)) if weight is None else weight
        both = share * w + (1 - share) * w[partner]
        own = np.divide(share * w, both, out=np.ones_like(w), where=both > 0)[:, None]
        X, y = (own * v + (1 - own) * v[partner] for v in (X, y))
        return X, y, None if weight is None else both

    def train(
        self,
        X,
        y,
        *,
        update,
        rates,
        batch_size,
        loss,
        alpha=0.0,
        sample_weight=None,
        random_state=None,
        weight_decay=0.0,
        mixup_alpha=0.0,
        decay_factors=None,
        dropout_factors=None,
    ):
        """Mini-batch gradient descent, an epoch for each learning rate; the mean loss of each epoch.

        The factors of weight decay and of the rates of dropout are those of each step, in order; None: 1.

        `update` is ``(g, w, state, t, learning_rate=) -> (w, state)``; each block has the learning rate, and the factor
        of the decay ``w -= learning_rate * weight_decay * w``, of its group.
        """
        rows, states, t, losses = np.arange(len(X)), {}, 0, []
        for rate in rates:
            if random_state is not None:
                random_state.shuffle(rows)
            total = 0.0
            for start in range(0, len(rows), batch_size):
                batch = rows[start : start + batch_size]
                weight = None if sample_weight is None else sample_weight[batch]
                t += 1
                self.step = t
                decay = weight_decay * (1.0 if decay_factors is None else decay_factors[t - 1])
                self.dropout_factor = 1.0 if dropout_factors is None else dropout_factors[t - 1]
                mixed = self.mixed(X[batch], y[batch], weight, mixup_alpha)
                self.weight = mixed[2]
                value, gradient, _ = self.loss_and_gradient(*mixed[:2], loss=loss, alpha=alpha, sample_weight=mixed[2])
                kept = self.kept(self.forward(mixed[0]))
                for number, block in enumerate(self.graph.blocks):
                    group, place = self.graph.groups[block.group], slice(block.offset, block.offset + block.size)
                    w, eta = self.params[place], rate * group.learning_rate
                    state = states.get(number, [np.zeros_like(w)] * 3)
                    w = w - eta * decay * group.decay * w
                    self.params[place], states[number] = update(gradient[place], w, state, t, learning_rate=eta)
                for block, running in kept:
                    block.view(self.params)[...] = running
                total += len(batch) * value
            losses.append(total / len(rows))
        return losses
