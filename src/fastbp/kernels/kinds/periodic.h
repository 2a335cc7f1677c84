/* periodic: an embedding z of each of some columns x of the first input, by cosines of the same columns x' of the
 * second one, which were scaled (Holzmüller, Grinsztajn and Steinwart, 2024, Better by default: strong pre-tuned MLPs
 * and boosted trees on tabular data, the periodic embedding PBLD; Gorishniy, Rubachev and Babenko, 2022, On embeddings
 * for numerical features in tabular deep learning, section 3.3):
 *
 *     z = v V + d          v = cos(2 pi (omega x' + phi))
 *     z = m                where x is missing (NaN)
 *
 * The blocks are omega and phi (columns, frequencies), V (columns, frequencies * width), and d and m (columns, width).
 * Integers, argument and output are those of piecewise_linear. In the formulas below, s = -2 pi sin(2 pi (omega x' +
 * phi)) is the derivative of v by the angle in turns, q = V dz the gradient of v, and t = s q that of the angle. The
 * lanes of a vector are rows.
 *
 * The forward pass saves v, and the backward pass t, of each row, column and frequency: the gradients of the blocks are
 * computed while parameters change.
 */
#ifndef FASTBP_KINDS_PERIODIC_H
#define FASTBP_KINDS_PERIODIC_H

#include "../vmath.h"
#include "two_inputs.h"

enum { PERIODIC_OMEGA, PERIODIC_PHI, PERIODIC_V, PERIODIC_D, PERIODIC_M };
#define TWO_PI ((real)6.28318530717958647693)

typedef struct {
    ptrdiff_t columns, frequencies, width;
    ptrdiff_t in_row, out_row; /* numbers of a row of the first input, and of the output */
    const int64_t *column;
} periodic_t;
INLINE periodic_t periodic_of(const plan_t *p, const operation_t *op) {
    const block_t *blocks = blocks_of(p, op);
    return (periodic_t){(ptrdiff_t)blocks[PERIODIC_OMEGA].rows,   (ptrdiff_t)blocks[PERIODIC_OMEGA].cols,
                        (ptrdiff_t)blocks[PERIODIC_D].cols,       (ptrdiff_t)node_of(p, op->input)->width,
                        (ptrdiff_t)node_of(p, op->output)->width, integers_of(p, op)};
}

/* Parameters of column j, or what their direction has in their place */
typedef struct {
    const real *omega, *phi, *V, *d, *m;
} waves_t;
INLINE waves_t waves_of(const plan_t *p, const operation_t *op, const void *flat_, ptrdiff_t j) {
    const block_t *b = blocks_of(p, op);
    const real *flat = flat_;
    return (waves_t){flat + b[0].offset + j * b[0].cols, flat + b[1].offset + j * b[1].cols,
                     flat + b[2].offset + j * b[2].cols, flat + b[3].offset + j * b[3].cols,
                     flat + b[4].offset + j * b[4].cols};
}

/* `lanes` numbers p[0], p[stride], ...; 0 in the other lanes */
INLINE vec gather_lanes(const real *p, ptrdiff_t stride, ptrdiff_t lanes) {
    real numbers[VBYTES / sizeof(real)] = {0};
    for (ptrdiff_t k = 0; k < lanes; k++)
        numbers[k] = p[k * stride];
    return load(numbers);
}
/* The same, with 0 in the lanes whose x is missing as well */
INLINE vec gather_known(const real *p, ptrdiff_t stride, const real *x, ptrdiff_t in_row, ptrdiff_t lanes) {
    real numbers[VBYTES / sizeof(real)] = {0};
    for (ptrdiff_t k = 0; k < lanes; k++)
        numbers[k] = x[k * in_row] == x[k * in_row] ? p[k * stride] : 0;
    return load(numbers);
}
/* to[0], to[stride], ... += v, in the lanes whose x is not missing */
INLINE void add_known(vec v, ptrdiff_t stride, const real *x, ptrdiff_t in_row, ptrdiff_t lanes, real *to) {
    real numbers[VBYTES / sizeof(real)];
    store(numbers, v);
    for (ptrdiff_t k = 0; k < lanes; k++)
        if (x[k * in_row] == x[k * in_row])
            to[k * stride] += numbers[k];
}
/* The saved v of column j and frequency k from row r on, and t */
INLINE real *saved_cosines(const plan_t *p, const operation_t *op, ptrdiff_t j, ptrdiff_t k, int64_t r) {
    return (real *)p->values + (op->saved + 2 * (j * blocks_of(p, op)->cols + k)) * p->capacity + r;
}
INLINE real *saved_angles(const plan_t *p, const operation_t *op, ptrdiff_t j, ptrdiff_t k, int64_t r) {
    return saved_cosines(p, op, j, k, r) + p->capacity;
}
INLINE ptrdiff_t lanes_from(int64_t r, int64_t hi) { return r + VL < hi ? VL : (ptrdiff_t)(hi - r); }

static void periodic_forward(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const periodic_t z = periodic_of(p, op);
    for (int64_t r = lo; r < hi; r += VL) {
        const ptrdiff_t lanes = lanes_from(r, hi);
        const real *x = value_of(p, op->input, r), *prime = value_of(p, op->input2, r);
        real *y = out_of(p, op->output, r);
        for (ptrdiff_t j = 0; j < z.columns; j++, y += z.width) {
            const waves_t w = waves_of(p, op, p->params, j);
            const vec number = gather_lanes(prime + j, z.columns, lanes);
            vec v[MAX_WAVES];
            for (ptrdiff_t k = 0; k < z.frequencies; k++) {
                v[k] = vcos2pi(number * w.omega[k] + w.phi[k]);
                if (op->saved >= 0)
                    store_n(saved_cosines(p, op, j, k, r), v[k], lanes);
            }
            for (ptrdiff_t l = 0; l < z.width; l++) {
                real numbers[VBYTES / sizeof(real)];
                vec sum = splat(w.d[l]);
                for (ptrdiff_t k = 0; k < z.frequencies; k++)
                    sum += v[k] * w.V[k * z.width + l];
                store(numbers, sum);
                for (ptrdiff_t i = 0; i < lanes; i++) {
                    const real own = x[i * z.in_row + z.column[j]];
                    y[i * z.out_row + l] = own == own ? numbers[i] : w.m[l];
                }
            }
        }
        if (op->argument)
            keep_second(prime, lanes, z.columns, y, z.out_row);
    }
}

/* The gradient of an angle, t = s q, and, for a direction dw, its tangent t' = s' q + s q', where q' = V' dz + V dz'
 * and s' = -4 pi^2 v angle' */
typedef struct {
    vec t, dt;
} angle_t;
INLINE angle_t angle_gradient(const periodic_t *z, const waves_t *w, const waves_t *dw, ptrdiff_t k, vec number,
                              vec d_number, const vec *dz, const vec *ddz) {
    vec sine, q = {0}, dq = {0};
    const vec cosine = vcos_sin2pi(number * w->omega[k] + w->phi[k], &sine), s = sine * -TWO_PI;
    for (ptrdiff_t l = 0; l < z->width; l++)
        q += dz[l] * w->V[k * z->width + l];
    if (!dw)
        return (angle_t){s * q, dq};
    for (ptrdiff_t l = 0; l < z->width; l++)
        dq += ddz[l] * w->V[k * z->width + l] + dz[l] * dw->V[k * z->width + l];
    const vec d_angle = d_number * w->omega[k] + number * dw->omega[k] + dw->phi[k];
    return (angle_t){s * q, cosine * d_angle * (-TWO_PI * TWO_PI) * q + s * dq};
}

/* forward: z = v V + d, so t = s V dz, which is saved, and d x' = the sum of omega t; the first input only tells what
 * is missing: its gradient is 0. With `second`, the tangent: the sum of omega' t + omega t'. dx NULL: only t is needed.
 */
INLINE void pull_periodic(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi, int second, real *dx) {
    const periodic_t z = periodic_of(p, op);
    for (int64_t r = lo; r < hi; r += VL) {
        const ptrdiff_t lanes = lanes_from(r, hi);
        const real *x = value_of(p, op->input, r), *prime = value_of(p, op->input2, r), *dy = grad_of(p, op->output, r),
                   *ddy = second ? grad_tangent_of(p, op->output, r) : NULL,
                   *tangent = second ? tangent_of(p, op->input2, r) : NULL;
        real *to = dx ? dx + (r - lo) * z.columns : NULL;
        for (ptrdiff_t j = 0; j < z.columns; j++) {
            const waves_t w = waves_of(p, op, p->params, j),
                          dw = second ? waves_of(p, op, p->direction, j) : (waves_t){0};
            const real *own = x + z.column[j];
            const vec number = gather_lanes(prime + j, z.columns, lanes),
                      d_number = tangent ? gather_lanes(tangent + j, z.columns, lanes) : (vec){0};
            vec dz[MAX_WAVES], ddz[MAX_WAVES], total = {0};
            for (ptrdiff_t l = 0; l < z.width; l++) {
                dz[l] = gather_known(dy + j * z.width + l, z.out_row, own, z.in_row, lanes);
                if (second)
                    ddz[l] = gather_known(ddy + j * z.width + l, z.out_row, own, z.in_row, lanes);
            }
            for (ptrdiff_t k = 0; k < z.frequencies; k++) {
                const angle_t a = angle_gradient(&z, &w, second ? &dw : NULL, k, number, d_number, dz, ddz);
                if (!second)
                    store_n(saved_angles(p, op, j, k, r), a.t, lanes);
                total += second ? a.t * dw.omega[k] + a.dt * w.omega[k] : a.t * w.omega[k];
            }
            if (to)
                add_known(total, z.columns, own, z.in_row, lanes, to + j);
        }
        const real *kept = (second ? ddy : dy) + z.columns * z.width;
        for (ptrdiff_t i = 0; to && op->argument && i < lanes; i++)
            copy_or_add(kept + i * z.out_row, to + i * z.columns, 1, z.columns);
    }
}
static void periodic_backward(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    real *dx = grad_of(p, op->input2, lo);
    clear_gradient(p, op->input, op->adds & 1, hi - lo, grad_of(p, op->input, lo));
    clear_gradient(p, op->input2, op->adds & 2, hi - lo, dx);
    pull_periodic(p, op, lo, hi, 0, dx);
}
static void periodic_backward_tangent(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    real *dx = grad_tangent_of(p, op->input2, lo);
    clear_gradient(p, op->input, op->adds & 1, hi - lo, grad_tangent_of(p, op->input, lo));
    clear_gradient(p, op->input2, op->adds & 2, hi - lo, dx);
    if (dx)
        pull_periodic(p, op, lo, hi, 1, dx);
}

/* v of `lanes` rows, and v' along a direction of the parameters and the tangent of x' */
INLINE void cosines(const periodic_t *z, const waves_t *w, const waves_t *dw, vec number, vec d_number, vec *v,
                    vec *dv) {
    for (ptrdiff_t k = 0; k < z->frequencies; k++) {
        vec sine, angle = d_number * w->omega[k];
        v[k] = vcos_sin2pi(number * w->omega[k] + w->phi[k], &sine);
        if (dw)
            angle += number * dw->omega[k] + dw->phi[k];
        dv[k] = sine * angle * -TWO_PI;
    }
}

/* The tangent of z is v' V + v V' + d'; of m, that of m */
static void periodic_tangent(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const periodic_t z = periodic_of(p, op);
    for (int64_t r = lo; r < hi; r += VL) {
        const ptrdiff_t lanes = lanes_from(r, hi);
        const real *x = value_of(p, op->input, r), *prime = value_of(p, op->input2, r),
                   *tangent = tangent_of(p, op->input2, r);
        real *y = tangent_of(p, op->output, r);
        memset(y, 0, (size_t)(lanes * z.out_row) * sizeof(real));
        for (ptrdiff_t j = 0; j < z.columns; j++, y += z.width) {
            const waves_t w = waves_of(p, op, p->params, j),
                          dw = p->direction ? waves_of(p, op, p->direction, j) : (waves_t){0};
            const vec d_number = tangent ? gather_lanes(tangent + j, z.columns, lanes) : (vec){0};
            vec v[MAX_WAVES], dv[MAX_WAVES];
            cosines(&z, &w, p->direction ? &dw : NULL, gather_lanes(prime + j, z.columns, lanes), d_number, v, dv);
            for (ptrdiff_t l = 0; l < z.width; l++) {
                vec sum = p->direction ? splat(dw.d[l]) : (vec){0};
                for (ptrdiff_t k = 0; k < z.frequencies; k++) {
                    sum += dv[k] * w.V[k * z.width + l];
                    if (p->direction)
                        sum += v[k] * dw.V[k * z.width + l];
                }
                add_known(sum, z.out_row, x + z.column[j], z.in_row, lanes, y + l);
            }
            for (ptrdiff_t i = 0; p->direction && i < lanes; i++) {
                const real own = x[i * z.in_row + z.column[j]];
                if (own != own)
                    memcpy(y + i * z.out_row, dw.m, (size_t)z.width * sizeof(real));
            }
        }
        if (op->argument && tangent)
            keep_second(tangent, lanes, z.columns, y, z.out_row);
    }
}

/* g += d omega, the sum of x' t over the rows, or d phi, that of t, of column j */
INLINE void add_angles(const plan_t *p, const operation_t *op, ptrdiff_t j, int64_t lo, int64_t hi, int is_omega,
                       real *g) {
    const periodic_t z = periodic_of(p, op);
    vec sum[MAX_WAVES];
    memset(sum, 0, (size_t)z.frequencies * sizeof(vec));
    for (int64_t r = lo; r < hi; r += VL) {
        const ptrdiff_t lanes = lanes_from(r, hi);
        const vec number = gather_lanes(value_of(p, op->input2, r) + j, z.columns, lanes),
                  factor = is_omega ? number : splat(1);
        for (ptrdiff_t k = 0; k < z.frequencies; k++)
            sum[k] += load_n(saved_angles(p, op, j, k, r), lanes) * factor;
    }
    for (ptrdiff_t k = 0; k < z.frequencies; k++)
        g[k] += sum_lanes(sum[k]);
}

/* g += dV of column j: dV_k = the sum of v_k dz over the rows */
INLINE void add_products(const plan_t *p, const operation_t *op, ptrdiff_t j, int64_t lo, int64_t hi, real *g) {
    const periodic_t z = periodic_of(p, op);
    const ptrdiff_t run = MAX_WAVES * VL;
    vec dz[MAX_WAVES];
    for (int64_t begin = lo; begin < hi; begin += run) {
        const int64_t end = begin + run < hi ? begin + run : hi;
        for (ptrdiff_t l = 0; l < z.width; l++) {
            for (int64_t r = begin; r < end; r += VL)
                dz[(r - begin) / VL] =
                    gather_known(grad_of(p, op->output, r) + j * z.width + l, z.out_row,
                                 value_of(p, op->input, r) + z.column[j], z.in_row, lanes_from(r, end));
            for (ptrdiff_t k = 0; k < z.frequencies; k++) {
                const real *v = saved_cosines(p, op, j, k, begin);
                vec sum = {0};
                FOR_VECTORS(end - begin, { sum += LOAD(v) * dz[i / VL]; });
                g[k * z.width + l] += sum_lanes(sum);
            }
        }
    }
}

/* g += the tangents of these sums, of one block: of x' t, x'' t + x' t', where x'' is the tangent of x'; of t, t'; of
 * v_k dz, v_k' dz + v_k dz' */
INLINE void add_sum_tangents(const plan_t *p, const operation_t *op, ptrdiff_t j, int64_t lo, int64_t hi, int64_t block,
                             real *g) {
    const periodic_t z = periodic_of(p, op);
    const waves_t w = waves_of(p, op, p->params, j), dw = waves_of(p, op, p->direction, j);
    vec v[MAX_WAVES], dv[MAX_WAVES], dz[MAX_WAVES], ddz[MAX_WAVES];
    for (int64_t r = lo; r < hi; r += VL) {
        const ptrdiff_t lanes = lanes_from(r, hi);
        const real *x = value_of(p, op->input, r) + z.column[j], *dy = grad_of(p, op->output, r) + j * z.width,
                   *ddy = grad_tangent_of(p, op->output, r) + j * z.width, *tangent = tangent_of(p, op->input2, r);
        const vec number = gather_lanes(value_of(p, op->input2, r) + j, z.columns, lanes),
                  d_number = tangent ? gather_lanes(tangent + j, z.columns, lanes) : (vec){0};
        for (ptrdiff_t l = 0; l < z.width; l++) {
            dz[l] = gather_known(dy + l, z.out_row, x, z.in_row, lanes);
            ddz[l] = gather_known(ddy + l, z.out_row, x, z.in_row, lanes);
        }
        if (block == PERIODIC_V) {
            cosines(&z, &w, &dw, number, d_number, v, dv);
            for (ptrdiff_t k = 0; k < z.frequencies; k++)
                for (ptrdiff_t l = 0; l < z.width; l++)
                    g[k * z.width + l] += sum_lanes(v[k] * ddz[l] + dv[k] * dz[l]);
            continue;
        }
        for (ptrdiff_t k = 0; k < z.frequencies; k++) {
            const angle_t a = angle_gradient(&z, &w, &dw, k, number, d_number, dz, ddz);
            g[k] += sum_lanes(block == PERIODIC_OMEGA ? a.t * d_number + a.dt * number : a.dt);
        }
    }
}

/* g += the sum of rows of a gradient, of those whose x is missing or of the others: dm or dd of column j */
INLINE void add_known_rows(const plan_t *p, const operation_t *op, ptrdiff_t j, int64_t lo, int64_t hi, int missing,
                           const real *dy, real *g) {
    const periodic_t z = periodic_of(p, op);
    const real *x = value_of(p, op->input, lo) + z.column[j];
    for (ptrdiff_t r = 0; r < hi - lo; r++)
        if ((x[r * z.in_row] != x[r * z.in_row]) == missing)
            copy_or_add(dy + r * z.out_row + j * z.width, g, 1, z.width);
}

/* forward: the angle is omega x' + phi, and z = v V + d: see above. A tile has whole rows. */
static void periodic_gradient(const plan_t *p, const operation_t *op, const tile_t *tile, int64_t lo, int64_t hi,
                              void *g_, void *scratch, int add) {
    const int64_t block = tile->block - op->first_block;
    real *g = g_;
    (void)scratch;
    clear(g, add, (ptrdiff_t)((tile->row_end - tile->row_begin) * tile->col_end));
    for (ptrdiff_t j = (ptrdiff_t)tile->row_begin; j < tile->row_end; j++, g += tile->col_end)
        if (block <= PERIODIC_PHI)
            add_angles(p, op, j, lo, hi, block == PERIODIC_OMEGA, g);
        else if (block == PERIODIC_V)
            add_products(p, op, j, lo, hi, g);
        else
            add_known_rows(p, op, j, lo, hi, block == PERIODIC_M, grad_of(p, op->output, lo), g);
}
static void periodic_gradient_tangent(const plan_t *p, const operation_t *op, const tile_t *tile, int64_t lo,
                                      int64_t hi, void *g_) {
    const int64_t block = tile->block - op->first_block;
    real *g = g_;
    for (ptrdiff_t j = (ptrdiff_t)tile->row_begin; j < tile->row_end; j++, g += tile->col_end)
        if (block <= PERIODIC_V)
            add_sum_tangents(p, op, j, lo, hi, block, g);
        else
            add_known_rows(p, op, j, lo, hi, block == PERIODIC_M, grad_tangent_of(p, op->output, lo), g);
}

static const kind_t periodic_kind = {
    .forward = periodic_forward,
    .backward = periodic_backward,
    .gradient = periodic_gradient,
    .tangent = periodic_tangent,
    .backward_tangent = periodic_backward_tangent,
    .gradient_tangent = periodic_gradient_tangent,
};

#endif
