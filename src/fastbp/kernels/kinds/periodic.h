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
 * phi)) is the derivative of v by the angle in turns, q = V dz the gradient of v, and t = s q that of the angle.
 */
#ifndef FASTBP_KINDS_PERIODIC_H
#define FASTBP_KINDS_PERIODIC_H

#include "../gemm.h"
#include "../vmath.h"
#include "two_inputs.h"

enum { PERIODIC_OMEGA, PERIODIC_PHI, PERIODIC_V, PERIODIC_D, PERIODIC_M };
#define TWO_PI ((real)6.28318530717958647693)

typedef struct {
    ptrdiff_t columns, frequencies, width;
    ptrdiff_t in_row, out_row; /* numbers of a row of the first input, and of the output */
} periodic_t;
INLINE periodic_t periodic_of(const plan_t *p, const operation_t *op) {
    const block_t *blocks = blocks_of(p, op);
    return (periodic_t){(ptrdiff_t)blocks[PERIODIC_OMEGA].rows, (ptrdiff_t)blocks[PERIODIC_OMEGA].cols,
                        (ptrdiff_t)blocks[PERIODIC_D].cols, (ptrdiff_t)node_of(p, op->input)->width,
                        (ptrdiff_t)node_of(p, op->output)->width};
}

/* Parameters of one column, or what their direction has in their place */
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

/* v and s, both (frequencies,), of one number x' */
INLINE void cosines(const periodic_t *z, const waves_t *w, real prime, real *v, real *s) {
    FOR_VECTORS(z->frequencies, {
        vec sine;
        const vec cosine = vcos_sin2pi(LOAD(w->omega) * prime + LOAD(w->phi), &sine);
        STORE(v, cosine);
        if (s)
            STORE(s, sine * -TWO_PI);
    });
}

/* out = v V + first, or out += v V without `first`, with V (frequencies, width) */
INLINE void combine(const periodic_t *z, const real *v, const real *V, const real *first, real *out) {
    FOR_VECTORS(z->width, {
        vec sum = first ? LOAD(first) : LOAD(out);
        for (ptrdiff_t k = 0; k < z->frequencies; k++)
            sum += LOAD(V + k * z->width) * v[k];
        STORE(out, sum);
    });
}

/* q = V dz, or q += V dz, with the transposed V (width, frequencies) */
INLINE void combine_back(const periodic_t *z, const real *transposed_V, const real *dz, int add, real *q) {
    FOR_VECTORS(z->frequencies, {
        vec sum = add ? LOAD(q) : (vec){0};
        for (ptrdiff_t l = 0; l < z->width; l++)
            sum += LOAD(transposed_V + l * z->frequencies) * dz[l];
        STORE(q, sum);
    });
}
INLINE void transpose_waves(const periodic_t *z, const real *V, real *out) {
    transpose(V, z->width, z->frequencies, z->width, out, z->frequencies);
}

static void periodic_forward(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const periodic_t z = periodic_of(p, op);
    const int64_t *columns = integers_of(p, op);
    const ptrdiff_t n = (ptrdiff_t)(hi - lo);
    const real *x = value_of(p, op->input, lo), *prime = value_of(p, op->input2, lo);
    real *y = out_of(p, op->output, lo), v[MAX_WAVES];
    for (ptrdiff_t j = 0; j < z.columns; j++) {
        const waves_t w = waves_of(p, op, p->params, j);
        real *out = y + j * z.width;
        for (ptrdiff_t r = 0; r < n; r++, out += z.out_row) {
            const real number = x[r * z.in_row + columns[j]];
            if (number != number) {
                memcpy(out, w.m, (size_t)z.width * sizeof(real));
            } else {
                cosines(&z, &w, prime[r * z.columns + j], v, NULL);
                combine(&z, v, w.V, w.d, out);
            }
        }
    }
    if (op->argument)
        keep_second(prime, n, z.columns, y + z.columns * z.width, z.out_row);
}

/* forward: z = v V + d, so d x' = the sum of omega t; the first input only tells what is missing: its gradient is 0 */
static void periodic_backward(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const periodic_t z = periodic_of(p, op);
    const int64_t *columns = integers_of(p, op);
    const ptrdiff_t n = (ptrdiff_t)(hi - lo);
    const real *x = value_of(p, op->input, lo), *prime = value_of(p, op->input2, lo), *dy = grad_of(p, op->output, lo);
    real *dx = grad_of(p, op->input2, lo), transposed_V[MAX_WAVES], v[MAX_WAVES], s[MAX_WAVES], q[MAX_WAVES];
    clear_gradient(p, op->input, op->adds & 1, hi - lo, grad_of(p, op->input, lo));
    if (!dx)
        return;
    clear_gradient(p, op->input2, op->adds & 2, hi - lo, dx);
    for (ptrdiff_t j = 0; j < z.columns; j++) {
        const waves_t w = waves_of(p, op, p->params, j);
        transpose_waves(&z, w.V, transposed_V);
        for (ptrdiff_t r = 0; r < n; r++) {
            const real number = x[r * z.in_row + columns[j]], *dz = dy + r * z.out_row + j * z.width;
            real *to = dx + r * z.columns + j;
            if (number == number) {
                cosines(&z, &w, prime[r * z.columns + j], v, s);
                combine_back(&z, transposed_V, dz, 0, q);
                vec total = {0};
                FOR_VECTORS(z.frequencies, { total += LOAD(w.omega) * LOAD(s) * LOAD(q); });
                *to += sum_lanes(total);
            }
            if (op->argument)
                *to += dy[r * z.out_row + z.columns * z.width + j];
        }
    }
}

/* forward: the angle is omega x' + phi, so d omega = the sum of x' t over the rows and d phi = that of t; dV_k = that
 * of v_k dz; dd = that of dz over the rows that are not missing, and dm that over the others */
static void periodic_gradient(const plan_t *p, const operation_t *op, const tile_t *tile, int64_t lo, int64_t hi,
                              void *g_, void *scratch, int add) {
    const periodic_t z = periodic_of(p, op);
    const int64_t block = tile->block - op->first_block, *columns = integers_of(p, op);
    const ptrdiff_t n = (ptrdiff_t)(hi - lo), cols = (ptrdiff_t)(tile->col_end - tile->col_begin);
    const real *x = value_of(p, op->input, lo), *prime = value_of(p, op->input2, lo), *dy = grad_of(p, op->output, lo);
    real *g = g_, transposed_V[MAX_WAVES], v[MAX_WAVES], s[MAX_WAVES], q[MAX_WAVES];
    (void)scratch;
    if (!add)
        memset(g, 0, (size_t)((tile->row_end - tile->row_begin) * cols) * sizeof(real));
    for (ptrdiff_t j = (ptrdiff_t)tile->row_begin; j < tile->row_end; j++, g += cols) {
        const waves_t w = waves_of(p, op, p->params, j);
        if (block <= PERIODIC_PHI)
            transpose_waves(&z, w.V, transposed_V);
        for (ptrdiff_t r = 0; r < n; r++) {
            const real number = x[r * z.in_row + columns[j]], second = prime[r * z.columns + j],
                       *dz = dy + r * z.out_row + j * z.width;
            if ((number != number) != (block == PERIODIC_M))
                continue;
            if (block >= PERIODIC_D) {
                copy_or_add(dz, g, 1, z.width);
                continue;
            }
            cosines(&z, &w, second, v, block == PERIODIC_V ? NULL : s);
            if (block == PERIODIC_V) {
                for (ptrdiff_t k = 0; k < z.frequencies; k++)
                    FOR_VECTORS(z.width, {
                        real *to = g + k * z.width;
                        STORE(to, LOAD(to) + LOAD(dz) * v[k]);
                    });
            } else {
                const real factor = block == PERIODIC_OMEGA ? second : 1;
                combine_back(&z, transposed_V, dz, 0, q);
                FOR_VECTORS(z.frequencies, { STORE(g, LOAD(g) + LOAD(s) * LOAD(q) * factor); });
            }
        }
    }
}

/* The tangents of v and s along those of x' and of omega and phi: v' = s angle', s' = -4 pi^2 v angle' */
INLINE void cosine_tangents(const periodic_t *z, const waves_t *w, const waves_t *dw, real prime, real d_prime,
                            const real *v, const real *s, real *dv, real *ds) {
    FOR_VECTORS(z->frequencies, {
        vec angle = LOAD(w->omega) * d_prime;
        if (dw)
            angle += LOAD(dw->omega) * prime + LOAD(dw->phi);
        STORE(dv, LOAD(s) * angle);
        if (ds)
            STORE(ds, LOAD(v) * angle * (-TWO_PI * TWO_PI));
    });
}

/* The tangent of z is v' V + v V' + d'; of m, that of m */
static void periodic_tangent(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const periodic_t z = periodic_of(p, op);
    const int64_t *columns = integers_of(p, op);
    const ptrdiff_t n = (ptrdiff_t)(hi - lo);
    const real *x = value_of(p, op->input, lo), *prime = value_of(p, op->input2, lo),
               *dx = tangent_of(p, op->input2, lo);
    real *y = tangent_of(p, op->output, lo), v[MAX_WAVES], s[MAX_WAVES], dv[MAX_WAVES];
    memset(y, 0, (size_t)(n * z.out_row) * sizeof(real));
    for (ptrdiff_t j = 0; j < z.columns; j++) {
        const waves_t w = waves_of(p, op, p->params, j),
                      dw = p->direction ? waves_of(p, op, p->direction, j) : (waves_t){0};
        real *out = y + j * z.width;
        for (ptrdiff_t r = 0; r < n; r++, out += z.out_row) {
            const real number = x[r * z.in_row + columns[j]], second = prime[r * z.columns + j];
            if (number != number) {
                if (p->direction)
                    memcpy(out, dw.m, (size_t)z.width * sizeof(real));
                continue;
            }
            cosines(&z, &w, second, v, s);
            if (p->direction)
                combine(&z, v, dw.V, dw.d, out);
            cosine_tangents(&z, &w, p->direction ? &dw : NULL, second, dx ? dx[r * z.columns + j] : 0, v, s, dv, NULL);
            combine(&z, dv, w.V, NULL, out);
        }
    }
    if (op->argument && dx)
        keep_second(dx, n, z.columns, y + z.columns * z.width, z.out_row);
}

/* d x' = the sum of omega t, with t = s q, so its tangent is that of omega' t + omega t', with t' = s' q + s q' and
 * q' = V' dz + V dz'. The same loop has the tangents of d omega and d phi: these are sums of t' over the rows. */
INLINE void angle_tangents(const plan_t *p, const operation_t *op, ptrdiff_t j, int64_t lo, int64_t hi, real *dx,
                           real *d_omega, real *d_phi) {
    const periodic_t z = periodic_of(p, op);
    const int64_t column = integers_of(p, op)[j];
    const waves_t w = waves_of(p, op, p->params, j), dw = waves_of(p, op, p->direction, j);
    const real *x = value_of(p, op->input, lo), *prime = value_of(p, op->input2, lo), *dy = grad_of(p, op->output, lo),
               *ddy = grad_tangent_of(p, op->output, lo), *tangent = tangent_of(p, op->input2, lo);
    real V[MAX_WAVES], dV[MAX_WAVES], v[MAX_WAVES], s[MAX_WAVES], q[MAX_WAVES], dv[MAX_WAVES], ds[MAX_WAVES],
        dq[MAX_WAVES];
    transpose_waves(&z, w.V, V);
    transpose_waves(&z, dw.V, dV);
    for (ptrdiff_t r = 0; r < hi - lo; r++) {
        const real number = x[r * z.in_row + column], second = prime[r * z.columns + j],
                   d_second = tangent ? tangent[r * z.columns + j] : 0, *dz = dy + r * z.out_row + j * z.width;
        if (dx && op->argument)
            dx[r * z.columns + j] += ddy[r * z.out_row + z.columns * z.width + j];
        if (number != number)
            continue;
        cosines(&z, &w, second, v, s);
        cosine_tangents(&z, &w, &dw, second, d_second, v, s, dv, ds);
        combine_back(&z, V, dz, 0, q);
        combine_back(&z, dV, dz, 0, dq);
        combine_back(&z, V, ddy + r * z.out_row + j * z.width, 1, dq);
        vec total = {0};
        FOR_VECTORS(z.frequencies, {
            const vec t = LOAD(s) * LOAD(q), dt = LOAD(ds) * LOAD(q) + LOAD(s) * LOAD(dq);
            total += LOAD(dw.omega) * t + LOAD(w.omega) * dt;
            if (d_omega)
                STORE(d_omega, LOAD(d_omega) + t * d_second + dt * second);
            if (d_phi)
                STORE(d_phi, LOAD(d_phi) + dt);
        });
        if (dx)
            dx[r * z.columns + j] += sum_lanes(total);
    }
}

static void periodic_backward_tangent(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    real *dx = grad_tangent_of(p, op->input2, lo);
    clear_gradient(p, op->input, op->adds & 1, hi - lo, grad_tangent_of(p, op->input, lo));
    clear_gradient(p, op->input2, op->adds & 2, hi - lo, dx);
    for (ptrdiff_t j = 0; dx && j < periodic_of(p, op).columns; j++)
        angle_tangents(p, op, j, lo, hi, dx, NULL, NULL);
}

/* dV_k = the sum of v_k dz, so its tangent is that of v_k' dz + v_k dz'; those of dd and dm are the sums of dz' */
static void periodic_gradient_tangent(const plan_t *p, const operation_t *op, const tile_t *tile, int64_t lo,
                                      int64_t hi, void *g_) {
    const periodic_t z = periodic_of(p, op);
    const int64_t block = tile->block - op->first_block, *columns = integers_of(p, op);
    const ptrdiff_t cols = (ptrdiff_t)(tile->col_end - tile->col_begin);
    const real *x = value_of(p, op->input, lo), *prime = value_of(p, op->input2, lo), *dy = grad_of(p, op->output, lo),
               *ddy = grad_tangent_of(p, op->output, lo), *tangent = tangent_of(p, op->input2, lo);
    real *g = g_, v[MAX_WAVES], s[MAX_WAVES], dv[MAX_WAVES];
    for (ptrdiff_t j = (ptrdiff_t)tile->row_begin; j < tile->row_end; j++, g += cols) {
        const waves_t w = waves_of(p, op, p->params, j), dw = waves_of(p, op, p->direction, j);
        if (block <= PERIODIC_PHI) {
            angle_tangents(p, op, j, lo, hi, NULL, block == PERIODIC_OMEGA ? g : NULL,
                           block == PERIODIC_PHI ? g : NULL);
            continue;
        }
        for (ptrdiff_t r = 0; r < hi - lo; r++) {
            const real number = x[r * z.in_row + columns[j]], second = prime[r * z.columns + j],
                       *dz = dy + r * z.out_row + j * z.width, *ddz = ddy + r * z.out_row + j * z.width;
            if ((number != number) != (block == PERIODIC_M))
                continue;
            if (block >= PERIODIC_D) {
                copy_or_add(ddz, g, 1, z.width);
                continue;
            }
            cosines(&z, &w, second, v, s);
            cosine_tangents(&z, &w, &dw, second, tangent ? tangent[r * z.columns + j] : 0, v, s, dv, NULL);
            for (ptrdiff_t k = 0; k < z.frequencies; k++)
                FOR_VECTORS(z.width, {
                    real *to = g + k * z.width;
                    STORE(to, LOAD(to) + LOAD(dz) * dv[k] + LOAD(ddz) * v[k]);
                });
        }
    }
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
