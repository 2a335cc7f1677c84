"""The twins of the kinds that embed numbers, piecewise_linear and periodic: see graph_reference.py.

The argument is (numbers of the columns, whether x' is part of the output); the inputs are x and x', which has these
columns only.
"""

import numpy as np

# piecewise_linear: z_j = x'_j u_j + c_j + sum of f_ji p_ji, or m_j where x_j is missing; y = [z_1, z_2, ..., x'] or
# without x'. The encodings f are written out, with their derivatives by x.


def encodings(argument, xs, blocks):
    """Of every row and column: whether the number is there, f and df / dx (n, columns, bins), and p (columns, bins,
    width)."""
    x, edges, (columns, width) = xs[0][:, list(argument[0])], blocks[4], blocks[0].shape
    is_bin = np.diff(edges) > 0
    size = np.where(is_bin, np.diff(edges), 1)
    f = np.clip((x[:, :, None] - edges[:, :-1]) / size, 0, 1) * is_bin
    slope = (edges[:, :-1] <= x[:, :, None]) * (x[:, :, None] < edges[:, 1:]) / size
    there = np.isfinite(x)[:, :, None]
    return there, np.where(there, f, 0), slope * there, blocks[2].reshape(columns, -1, width)


def split_embedding(argument, y, columns):
    """(z (n, columns, width), x') of an output, or of its gradient."""
    keep = columns if argument[1] else 0
    z, kept = np.split(y, [y.shape[1] - keep], axis=1)
    return z.reshape(len(y), columns, -1), kept if keep else 0


def join_embedding(argument, z, kept):
    return np.hstack([z.reshape(len(z), -1), kept] if argument[1] else [z.reshape(len(z), -1)])


def to_columns(argument, dx, width):
    """The gradient by all columns of x, from that by those of the argument."""
    out = np.zeros((len(dx), width))
    np.add.at(out.T, list(argument[0]), dx.T)
    return out


def piecewise_linear_forward(argument, xs, blocks):
    there, f, _, p = encodings(argument, xs, blocks)
    u, c, _, m, _ = blocks
    z = xs[1][:, :, None] * u + c + np.einsum("nji,jiw->njw", f, p)
    return join_embedding(argument, np.where(there, z, m), xs[1])


def piecewise_linear_backward(argument, xs, y, blocks, g):
    there, _, slope, p = encodings(argument, xs, blocks)
    dz, kept = split_embedding(argument, g, len(p))
    dx = np.einsum("njw,nji,jiw->nj", dz, slope, p)
    return [to_columns(argument, dx, xs[0].shape[1]), (there * dz * blocks[0]).sum(axis=2) + kept]


def piecewise_linear_gradient(argument, xs, y, blocks, g):
    there, f, _, p = encodings(argument, xs, blocks)
    dz = split_embedding(argument, g, len(p))[0]
    present = dz * there
    d_pieces = np.einsum("nji,njw->jiw", f, dz).reshape(blocks[2].shape)
    return [(xs[1][:, :, None] * present).sum(axis=0), present.sum(axis=0), d_pieces, (dz - present).sum(axis=0), 0]


def piecewise_linear_tangent(argument, xs, y, blocks, dxs, dblocks):
    there, f, slope, p = encodings(argument, xs, blocks)
    du, dc, dp, dm, _ = dblocks
    df = slope * dxs[0][:, list(argument[0]), None]
    dz = dxs[1][:, :, None] * blocks[0] + xs[1][:, :, None] * du + dc
    dz = dz + np.einsum("nji,jiw->njw", df, p) + np.einsum("nji,jiw->njw", f, dp.reshape(p.shape))
    return join_embedding(argument, np.where(there, dz, dm), dxs[1])


def piecewise_linear_backward_tangent(argument, xs, y, blocks, dxs, dblocks, g, dg):
    moved = [*dblocks[:4], blocks[4]]
    by_blocks = piecewise_linear_backward((argument[0], 0), xs, y, moved, split_part(argument, g, blocks))
    return [a + b for a, b in zip(piecewise_linear_backward(argument, xs, y, blocks, dg), by_blocks, strict=True)]


def split_part(argument, g, blocks):
    """The part of a gradient of the output that belongs to z."""
    return g[:, : blocks[0].size]


def piecewise_linear_gradient_tangent(argument, xs, y, blocks, dxs, dblocks, g, dg):
    there, _, slope, p = encodings(argument, xs, blocks)
    dz = split_embedding(argument, g, len(p))[0] * there
    df = slope * dxs[0][:, list(argument[0]), None]
    du, dc, dp, dm, _ = piecewise_linear_gradient(argument, xs, y, blocks, dg)
    du = du + (dxs[1][:, :, None] * dz).sum(axis=0)
    return [du, dc, dp + np.einsum("nji,njw->jiw", df, dz).reshape(dp.shape), dm, 0]


# periodic: z_j = cos(2 pi (omega_j x'_j + phi_j)) V_j + d_j, or m_j where x_j is missing; y as for piecewise_linear


def waves(argument, xs, blocks):
    """Of every row and column: whether the number is there, v and its derivative s by the angle in turns
    (n, columns, frequencies), and V (columns, frequencies, width)."""
    omega, phi, V, d, _ = blocks
    angles = 2 * np.pi * (xs[1][:, :, None] * omega + phi)
    there = np.isfinite(xs[0][:, list(argument[0])])[:, :, None]
    return there, np.cos(angles), -2 * np.pi * np.sin(angles), V.reshape(*omega.shape, d.shape[1])


def wave_changes(xs, dxs, blocks, dblocks, v, s):
    """The changes of v and s."""
    turns = xs[1][:, :, None] * dblocks[0] + dxs[1][:, :, None] * blocks[0] + dblocks[1]
    return s * turns, -4 * np.pi**2 * v * turns


def periodic_forward(argument, xs, blocks):
    there, v, _, V = waves(argument, xs, blocks)
    z = np.einsum("njk,jkw->njw", v, V) + blocks[3]
    return join_embedding(argument, np.where(there, z, blocks[4]), xs[1])


def periodic_backward(argument, xs, y, blocks, g):
    there, _, s, V = waves(argument, xs, blocks)
    dz, kept = split_embedding(argument, g, len(V))
    return [np.zeros_like(xs[0]), np.einsum("njw,jkw,njk,jk->nj", dz * there, V, s, blocks[0]) + kept]


def periodic_gradient(argument, xs, y, blocks, g):
    there, v, s, V = waves(argument, xs, blocks)
    dz = split_embedding(argument, g, len(V))[0]
    present = dz * there
    turns = np.einsum("njw,jkw->njk", present, V) * s
    dV = np.einsum("njk,njw->jkw", v, present).reshape(blocks[2].shape)
    missing = (dz - present).sum(axis=0)
    return [(xs[1][:, :, None] * turns).sum(axis=0), turns.sum(axis=0), dV, present.sum(axis=0), missing]


def periodic_tangent(argument, xs, y, blocks, dxs, dblocks):
    there, v, s, V = waves(argument, xs, blocks)
    dv, _ = wave_changes(xs, dxs, blocks, dblocks, v, s)
    dz = np.einsum("njk,jkw->njw", dv, V) + np.einsum("njk,jkw->njw", v, dblocks[2].reshape(V.shape)) + dblocks[3]
    return join_embedding(argument, np.where(there, dz, dblocks[4]), dxs[1])


def periodic_changes(argument, xs, blocks, dxs, dblocks, g, dg):
    """(dz of the rows that are there, v, dv, t and its change, and the gradient of x' at the end of dg)."""
    there, v, s, V = waves(argument, xs, blocks)
    dv, ds = wave_changes(xs, dxs, blocks, dblocks, v, s)
    dz = split_embedding(argument, g, len(V))[0] * there
    ddz, kept = split_embedding(argument, dg, len(V))
    q, dq = (np.einsum("njw,jkw->njk", by, of) for by, of in ((dz, V), (ddz * there, V)))
    dq = dq + np.einsum("njw,jkw->njk", dz, dblocks[2].reshape(V.shape))
    return dz, v, dv, s * q, ds * q + s * dq, kept


def periodic_backward_tangent(argument, xs, y, blocks, dxs, dblocks, g, dg):
    *_, t, dt, kept = periodic_changes(argument, xs, blocks, dxs, dblocks, g, dg)
    return [np.zeros_like(xs[0]), (dblocks[0] * t + blocks[0] * dt).sum(axis=2) + kept]


def periodic_gradient_tangent(argument, xs, y, blocks, dxs, dblocks, g, dg):
    dz, _, dv, t, dt, _ = periodic_changes(argument, xs, blocks, dxs, dblocks, g, dg)
    _, _, dV, dd, dm = periodic_gradient(argument, xs, y, blocks, dg)
    d_omega = (dxs[1][:, :, None] * t + xs[1][:, :, None] * dt).sum(axis=0)
    dV = dV + np.einsum("njk,njw->jkw", dv, dz).reshape(dV.shape)
    return [d_omega, dt.sum(axis=0), dV, dd, dm]
