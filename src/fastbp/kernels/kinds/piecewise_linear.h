/* piecewise_linear: an embedding z of each of some columns x of the first input, piecewise linear in x (Gorishniy,
 * Rubachev and Babenko, 2022, On embeddings for numerical features in tabular deep learning, section 3.2, with a linear
 * layer). With the same columns x' of the second input, which were scaled, and the edges e of the bins:
 *
 *     z = x' u + c + sum over the bins of f_i p_i        f_i = clip((x - e_i) / (e_(i+1) - e_i), 0, 1)
 *     z = m                                              where x is missing (NaN)
 *
 * Every bin below the one of x, b, is full, and every bin above is empty: z = x' u + t_b + f_b p_b, with the prefix
 * sums t_b = c + p_0 + ... + p_(b-1), is one look-up in a table. So the gradient of p is a scatter by bins, and then
 * suffix sums. The slope at an edge is that to its right; outside of the edges it is 0.
 *
 * The blocks are u and c (columns, width), p (columns, bins * width), m (columns, width), and the edges (columns,
 * bins + 1), which are not trained. Bins of no width do not count: a column that has fewer bins repeats its last edge.
 * The integers are the numbers of the columns; the second input has these columns only. With the argument 1, the output
 * is [z_1, z_2, ..., x'], else without x'. Each row and column saves its bin (-1: missing) and f_b.
 */
#ifndef FASTBP_KINDS_PIECEWISE_LINEAR_H
#define FASTBP_KINDS_PIECEWISE_LINEAR_H

#include "two_inputs.h"

enum { PIECEWISE_U, PIECEWISE_C, PIECEWISE_P, PIECEWISE_M, PIECEWISE_EDGES };
enum { PIECEWISE_RUN = 64 }; /* rows whose bins are found at a time where they are not saved */

typedef struct {
    ptrdiff_t columns, width, bins;
    ptrdiff_t in_row, out_row; /* numbers of a row of the first input, and of the output */
} piecewise_t;
INLINE piecewise_t piecewise_of(const plan_t *p, const operation_t *op) {
    const block_t *blocks = blocks_of(p, op);
    return (piecewise_t){(ptrdiff_t)blocks[PIECEWISE_U].rows, (ptrdiff_t)blocks[PIECEWISE_U].cols,
                         (ptrdiff_t)blocks[PIECEWISE_EDGES].cols - 1, (ptrdiff_t)node_of(p, op->input)->width,
                         (ptrdiff_t)node_of(p, op->output)->width};
}

/* The row of a block, in the parameters or in a direction, that belongs to column j */
INLINE const real *piecewise_row(const plan_t *p, const operation_t *op, const void *flat, int block, ptrdiff_t j) {
    const block_t *b = blocks_of(p, op) + block;
    return (const real *)flat + b->offset + j * b->cols;
}

/* The saved bins of column j from row r on; the shares f follow those of all rows. */
INLINE real *piecewise_bins(const plan_t *p, const operation_t *op, ptrdiff_t j, int64_t r) {
    return (real *)p->values + (op->saved + 2 * j) * p->capacity + r;
}
INLINE real *piecewise_shares(const plan_t *p, const operation_t *op, ptrdiff_t j, int64_t r) {
    return piecewise_bins(p, op, j, r) + p->capacity;
}

/* The bins of n numbers x[0], x[stride], ..., and the shares of these bins that lie below them */
static void find_bins(const real *x, ptrdiff_t stride, const real *edges, ptrdiff_t n_bins, ptrdiff_t n, real *bin,
                      real *share) {
    real from[MAX_BINS], size[MAX_BINS];
    for (ptrdiff_t i = 0; i < n_bins; i++) {
        const int counts = edges[i + 1] > edges[i];
        from[i] = counts ? edges[i] : INFINITY;
        size[i] = counts ? edges[i + 1] - edges[i] : INFINITY;
    }
    for (ptrdiff_t r = 0; r < n; r += VL) {
        const ptrdiff_t lanes = r + VL <= n ? VL : n - r;
        real values[VBYTES / sizeof(real)] = {0};
        for (ptrdiff_t k = 0; k < lanes; k++)
            values[k] = x[(r + k) * stride];
        const vec v = load(values);
        vec number = {0}, lower = splat(edges[0]), width = splat(size[0]);
        for (ptrdiff_t i = 1; i < n_bins; i++) {
            const mask below = less(v, splat(from[i]));
            number = choose(below, number, splat((real)i));
            lower = choose(below, lower, splat(from[i]));
            width = choose(below, width, splat(size[i]));
        }
        store_n(bin + r, number, lanes);
        store_n(share + r, vmin(vmax((v - lower) / width, (vec){0}), splat(1)), lanes);
        for (ptrdiff_t k = 0; k < lanes; k++)
            if (values[k] != values[k]) {
                bin[r + k] = -1;
                share[r + k] = 0;
            }
    }
}

/* out = x' u + t_b + f_b p_b or m, of n rows of column j, for the parameters or a direction of them in `flat` */
INLINE void look_up(const plan_t *p, const operation_t *op, const piecewise_t *s, const void *flat, ptrdiff_t j,
                    const real *bin, const real *share, const real *prime, ptrdiff_t n, real *out) {
    const real *u = piecewise_row(p, op, flat, PIECEWISE_U, j), *c = piecewise_row(p, op, flat, PIECEWISE_C, j),
               *pieces = piecewise_row(p, op, flat, PIECEWISE_P, j),
               *missing = piecewise_row(p, op, flat, PIECEWISE_M, j);
    vec table[MAX_BINS];
    FOR_VECTORS(s->width, {
        const vec slope = LOAD(u);
        vec sum = LOAD(c);
        for (ptrdiff_t b = 0; b < s->bins; b++) {
            table[b] = sum;
            sum += LOAD(pieces + b * s->width);
        }
        for (ptrdiff_t r = 0; r < n; r++) {
            const ptrdiff_t b = (ptrdiff_t)bin[r];
            if (b < 0)
                STORE(out + r * s->out_row, LOAD(missing));
            else
                STORE(out + r * s->out_row,
                      table[b] + LOAD(pieces + b * s->width) * share[r] + slope * prime[r * s->columns]);
        }
    });
}

static void piecewise_linear_forward(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const piecewise_t s = piecewise_of(p, op);
    const int64_t *columns = integers_of(p, op);
    const int is_saved = op->saved >= 0;
    real bins[PIECEWISE_RUN], shares[PIECEWISE_RUN];
    for (int64_t r = lo; r < hi; r += PIECEWISE_RUN) {
        const ptrdiff_t n = r + PIECEWISE_RUN < hi ? PIECEWISE_RUN : (ptrdiff_t)(hi - r);
        const real *x = value_of(p, op->input, r), *prime = value_of(p, op->input2, r);
        real *y = out_of(p, op->output, r);
        for (ptrdiff_t j = 0; j < s.columns; j++) {
            real *bin = is_saved ? piecewise_bins(p, op, j, r) : bins,
                 *share = is_saved ? piecewise_shares(p, op, j, r) : shares;
            find_bins(x + columns[j], s.in_row, piecewise_row(p, op, p->params, PIECEWISE_EDGES, j), s.bins, n, bin,
                      share);
            look_up(p, op, &s, p->params, j, bin, share, prime + j, n, y + j * s.width);
        }
        if (op->argument)
            keep_second(prime, n, s.columns, y + s.columns * s.width, s.out_row);
    }
}

/* d f_b / d x: 1 / the size of the bin; 0 outside of the edges, and where x is missing */
INLINE real piecewise_slope(real x, real bin, const real *edges) {
    const ptrdiff_t b = (ptrdiff_t)bin;
    return b >= 0 && edges[b] <= x && x < edges[b + 1] ? 1 / (edges[b + 1] - edges[b]) : 0;
}

/* For each row and column: to (the gradient of x) += p_b dy / size of the bin, and to2 (that of x') += u dy. `kept` is
 * 1 if the gradient of x' that is kept at the end of the output is added too. */
INLINE void pull_piecewise(const plan_t *p, const operation_t *op, const void *flat, const real *dy, int kept,
                           int64_t lo, int64_t hi, real *to, real *to2) {
    const piecewise_t s = piecewise_of(p, op);
    const int64_t *columns = integers_of(p, op);
    const real *x = value_of(p, op->input, lo);
    for (ptrdiff_t j = 0; j < s.columns; j++) {
        const real *bin = piecewise_bins(p, op, j, lo), *edges = piecewise_row(p, op, p->params, PIECEWISE_EDGES, j),
                   *u = piecewise_row(p, op, flat, PIECEWISE_U, j),
                   *pieces = piecewise_row(p, op, flat, PIECEWISE_P, j);
        for (ptrdiff_t r = 0; r < hi - lo; r++) {
            const real *g = dy + r * s.out_row, *dz = g + j * s.width;
            if (to && bin[r] >= 0)
                to[r * s.in_row + columns[j]] += dot(pieces + (ptrdiff_t)bin[r] * s.width, dz, s.width) *
                                                 piecewise_slope(x[r * s.in_row + columns[j]], bin[r], edges);
            if (to2 && bin[r] >= 0)
                to2[r * s.columns + j] += dot(u, dz, s.width);
            if (to2 && kept)
                to2[r * s.columns + j] += g[s.columns * s.width + j];
        }
    }
}
/* forward: z = x' u + t_b + f_b p_b, so d x' = u dz, and d x = p_b dz / size of the bin */
static void piecewise_linear_backward(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    real *dx = grad_of(p, op->input, lo), *dx2 = grad_of(p, op->input2, lo);
    if (!dx && !dx2)
        return;
    clear_gradient(p, op->input, op->adds & 1, hi - lo, dx);
    clear_gradient(p, op->input2, op->adds & 2, hi - lo, dx2);
    pull_piecewise(p, op, p->params, grad_of(p, op->output, lo), (int)op->argument, lo, hi, dx, dx2);
}

/* The tangent of z is x' u' + t_b' + f_b p_b' for the direction of the parameters, plus that of x' times u, and that of
 * x times the slope; of m, that of m */
static void piecewise_linear_tangent(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const piecewise_t s = piecewise_of(p, op);
    const int64_t *columns = integers_of(p, op);
    const ptrdiff_t n = (ptrdiff_t)(hi - lo);
    const real *x = value_of(p, op->input, lo), *prime = value_of(p, op->input2, lo),
               *dx = tangent_of(p, op->input, lo), *dx2 = tangent_of(p, op->input2, lo);
    real *out = tangent_of(p, op->output, lo);
    memset(out, 0, (size_t)(n * s.out_row) * sizeof(real));
    for (ptrdiff_t j = 0; j < s.columns; j++) {
        const real *bin = piecewise_bins(p, op, j, lo), *edges = piecewise_row(p, op, p->params, PIECEWISE_EDGES, j),
                   *u = piecewise_row(p, op, p->params, PIECEWISE_U, j),
                   *pieces = piecewise_row(p, op, p->params, PIECEWISE_P, j);
        real *to = out + j * s.width;
        if (p->direction)
            look_up(p, op, &s, p->direction, j, bin, piecewise_shares(p, op, j, lo), prime + j, n, to);
        for (ptrdiff_t r = 0; r < n; r++, to += s.out_row) {
            if (bin[r] < 0)
                continue;
            const real *piece = pieces + (ptrdiff_t)bin[r] * s.width;
            const real d2 = dx2 ? dx2[r * s.columns + j] : 0,
                       d = dx ? dx[r * s.in_row + columns[j]] *
                                    piecewise_slope(x[r * s.in_row + columns[j]], bin[r], edges)
                              : 0;
            FOR_VECTORS(s.width, { STORE(to, LOAD(to) + LOAD(u) * d2 + LOAD(piece) * d); });
        }
    }
    if (op->argument && dx2)
        keep_second(dx2, n, s.columns, out + s.columns * s.width, s.out_row);
}

/* d x' = u dz and d x = p_b dz / size, so their tangents are u' dz + u dz' and (p_b' dz + p_b dz') / size */
static void piecewise_linear_backward_tangent(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    real *dx = grad_tangent_of(p, op->input, lo), *dx2 = grad_tangent_of(p, op->input2, lo);
    clear_gradient(p, op->input, op->adds & 1, hi - lo, dx);
    clear_gradient(p, op->input2, op->adds & 2, hi - lo, dx2);
    pull_piecewise(p, op, p->direction, grad_of(p, op->output, lo), 0, lo, hi, dx, dx2);
    pull_piecewise(p, op, p->params, grad_tangent_of(p, op->output, lo), (int)op->argument, lo, hi, dx, dx2);
}

/* g += the sum of dz, times x' if it is not NULL, over the rows of column j that are missing, or over the others */
INLINE void add_rows(const piecewise_t *s, const real *bin, int missing, const real *prime, const real *dz, ptrdiff_t n,
                     real *g) {
    FOR_VECTORS(s->width, {
        vec total = LOAD(g);
        for (ptrdiff_t r = 0; r < n; r++)
            if ((bin[r] < 0) == missing) {
                const vec d = LOAD(dz + r * s->out_row);
                total += prime ? d * prime[r * s->columns] : d;
            }
        STORE(g, total);
    });
}

/* A row adds (1 - f) dz to the gradient of the lower end of its bin in the table, and f dz to that of the upper one;
 * for the tangent, with f', it is -f' dz and f' dz. */
INLINE void scatter_row(vec *table, real bin, real lower, real upper, vec dz) {
    vec *place = table + (ptrdiff_t)bin;
    place[0] += dz * lower;
    place[1] += dz * upper;
}

/* g = dp, or g += dp: each p_i is part of all rows of the table that follow it. With ddz, the tangent of it, for the
 * tangents dx of x, or NULL: x does not change. */
INLINE void gradient_of_pieces(const piecewise_t *s, const real *bin, const real *share, const real *edges,
                               const real *x, const real *dx, const real *dz, const real *ddz, ptrdiff_t n, int add,
                               real *g) {
    vec table[MAX_BINS + 1];
    FOR_VECTORS(s->width, {
        memset(table, 0, (size_t)(s->bins + 1) * sizeof(vec));
        for (ptrdiff_t r = 0; r < n; r++) {
            const real *row = ddz ? ddz + r * s->out_row : dz + r * s->out_row;
            if (bin[r] < 0)
                continue;
            scatter_row(table, bin[r], 1 - share[r], share[r], LOAD(row));
            if (dx) {
                const real d = dx[r * s->in_row] * piecewise_slope(x[r * s->in_row], bin[r], edges);
                scatter_row(table, bin[r], -d, d, LOAD(dz + r * s->out_row));
            }
        }
        vec sum = {0};
        for (ptrdiff_t b = s->bins; b-- > 0;) {
            real *to = g + b * s->width;
            sum += table[b + 1];
            STORE(to, add ? LOAD(to) + sum : sum);
        }
    });
}

/* forward: z = x' u + c + sum of f_i p_i, so du = the sum of x' dz over the rows, dc = that of dz, and dp_i = that of
 * f_i dz; dm = the sum of dz over the missing rows. 0 for the edges. */
static void piecewise_linear_gradient(const plan_t *p, const operation_t *op, const tile_t *tile, int64_t lo,
                                      int64_t hi, void *g_, void *scratch, int add) {
    const piecewise_t s = piecewise_of(p, op);
    const int64_t block = tile->block - op->first_block;
    const ptrdiff_t n = (ptrdiff_t)(hi - lo), cols = (ptrdiff_t)(tile->col_end - tile->col_begin);
    real *g = g_;
    (void)scratch;
    clear(g, add, (ptrdiff_t)(tile->row_end - tile->row_begin) * cols);
    if (block == PIECEWISE_EDGES)
        return;
    for (ptrdiff_t j = (ptrdiff_t)tile->row_begin; j < tile->row_end; j++, g += cols) {
        const real *bin = piecewise_bins(p, op, j, lo), *share = piecewise_shares(p, op, j, lo),
                   *prime = value_of(p, op->input2, lo) + j, *dz = grad_of(p, op->output, lo) + j * s.width;
        if (block == PIECEWISE_P) {
            gradient_of_pieces(&s, bin, share, NULL, NULL, NULL, dz, NULL, n, add, g);
        } else {
            add_rows(&s, bin, block == PIECEWISE_M, block == PIECEWISE_U ? prime : NULL, dz, n, g);
        }
    }
}

/* The tangents of the sums above: of x' dz, x' dz' + x'' dz, where x'' is the tangent of x'; of f_i dz, f_i dz' +
 * f_i' dz */
static void piecewise_linear_gradient_tangent(const plan_t *p, const operation_t *op, const tile_t *tile, int64_t lo,
                                              int64_t hi, void *g_) {
    const piecewise_t s = piecewise_of(p, op);
    const int64_t block = tile->block - op->first_block, *columns = integers_of(p, op);
    const ptrdiff_t n = (ptrdiff_t)(hi - lo), cols = (ptrdiff_t)(tile->col_end - tile->col_begin);
    const real *x = value_of(p, op->input, lo), *dx = tangent_of(p, op->input, lo),
               *dx2 = tangent_of(p, op->input2, lo);
    real *g = g_;
    if (block == PIECEWISE_EDGES)
        return;
    for (ptrdiff_t j = (ptrdiff_t)tile->row_begin; j < tile->row_end; j++, g += cols) {
        const real *bin = piecewise_bins(p, op, j, lo), *share = piecewise_shares(p, op, j, lo),
                   *prime = value_of(p, op->input2, lo) + j, *dz = grad_of(p, op->output, lo) + j * s.width,
                   *ddz = grad_tangent_of(p, op->output, lo) + j * s.width,
                   *edges = piecewise_row(p, op, p->params, PIECEWISE_EDGES, j);
        if (block == PIECEWISE_P) {
            gradient_of_pieces(&s, bin, share, edges, x + columns[j], dx ? dx + columns[j] : NULL, dz, ddz, n, 1, g);
        } else {
            add_rows(&s, bin, block == PIECEWISE_M, block == PIECEWISE_U ? prime : NULL, ddz, n, g);
            if (block == PIECEWISE_U && dx2)
                add_rows(&s, bin, 0, dx2 + j, dz, n, g);
        }
    }
}

static const kind_t piecewise_linear_kind = {
    .forward = piecewise_linear_forward,
    .backward = piecewise_linear_backward,
    .gradient = piecewise_linear_gradient,
    .tangent = piecewise_linear_tangent,
    .backward_tangent = piecewise_linear_backward_tangent,
    .gradient_tangent = piecewise_linear_gradient_tangent,
};

#endif
