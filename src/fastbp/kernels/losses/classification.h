/* Losses of classes and labels. */
#ifndef FASTBP_LOSSES_CLASSIFICATION_H
#define FASTBP_LOSSES_CLASSIFICATION_H

INLINE vec l_log_loss(const loss_t *loss, vec y, vec a) { return -(y * vlog(clip_probability(a))); }
INLINE vec dl_log_loss(const loss_t *loss, vec y, vec a) { return -(y / clip_probability(a)); }
INLINE vec d2l_log_loss(const loss_t *loss, vec y, vec a) {
    vec p = clip_probability(a);
    return y / p / p;
}
ELEMENTWISE(log_loss)
CANONICAL(log_loss)

INLINE vec l_binary_log_loss(const loss_t *loss, vec y, vec a) {
    vec p = clip_probability(a);
    return -(y * vlog(p) + ((real)1 - y) * vlog((real)1 - p));
}
INLINE vec dl_binary_log_loss(const loss_t *loss, vec y, vec a) {
    vec p = clip_probability(a);
    return (p - y) / (p * ((real)1 - p));
}
INLINE vec d2l_binary_log_loss(const loss_t *loss, vec y, vec a) {
    vec p = clip_probability(a), q = (real)1 - p;
    return y / p / p + ((real)1 - y) / q / q;
}
ELEMENTWISE(binary_log_loss)
CANONICAL(binary_log_loss)

/* The log-losses with label smoothing e (Szegedy et al., 2016): the targets are (1 - e) y + e / K of K classes; a label
 * that is there or not has two. */
INLINE vec smoothed_classes(const loss_t *loss, vec y) {
    return y * ((real)1 - CONSTANT(0)) + CONSTANT(0) / (real)loss->target_width;
}
INLINE vec smoothed_labels(const loss_t *loss, vec y) { return y * ((real)1 - CONSTANT(0)) + CONSTANT(0) * (real)0.5; }
#define SMOOTHED(name, plain, target)                                                                         \
    INLINE vec l_##name(const loss_t *loss, vec y, vec a) { return l_##plain(loss, target(loss, y), a); }     \
    INLINE vec dl_##name(const loss_t *loss, vec y, vec a) { return dl_##plain(loss, target(loss, y), a); }   \
    INLINE vec d2l_##name(const loss_t *loss, vec y, vec a) { return d2l_##plain(loss, target(loss, y), a); } \
    ELEMENTWISE(name)                                                                                         \
    CANONICAL_TO(name, target)
SMOOTHED(smoothed_log_loss, log_loss, smoothed_classes)
SMOOTHED(smoothed_binary_log_loss, binary_log_loss, smoothed_labels)

/* The focal loss (Lin et al., 2017): -(1 - p)^gamma log p of the probability p of what is the case, q = 1 - p.
 *
 *     slope  p d/dp  = gamma p q^(gamma - 1) log p - q^gamma            finite also where p is 0
 *     bend   p d/dp of the slope
 */
INLINE vec focal_power(const loss_t *loss, vec q) { return vexp(vlog(vmax(splat(EPS), q)) * CONSTANT(0)); }
INLINE vec focal_loss(const loss_t *loss, vec p, vec q) { return -(focal_power(loss, q) * vlog(vmax(splat(EPS), p))); }
INLINE vec focal_slope(const loss_t *loss, vec p, vec q) {
    vec power = focal_power(loss, q), log_p = vlog(vmax(splat(EPS), p));
    return power * (p / vmax(splat(EPS), q) * log_p * CONSTANT(0) - (real)1);
}
INLINE vec focal_bend(const loss_t *loss, vec p, vec q) {
    vec odds = p / vmax(splat(EPS), q), log_p = vlog(vmax(splat(EPS), p));
    return focal_power(loss, q) * odds * CONSTANT(0) * (log_p + (real)2 - odds * log_p * (CONSTANT(0) - (real)1));
}

INLINE vec l_focal(const loss_t *loss, vec y, vec a) { return y * focal_loss(loss, a, (real)1 - a); }
INLINE vec dl_focal(const loss_t *loss, vec y, vec a) {
    vec p = clip_probability(a);
    return y * focal_slope(loss, p, (real)1 - p) / p;
}
INLINE vec d2l_focal(const loss_t *loss, vec y, vec a) {
    vec p = clip_probability(a), q = (real)1 - p;
    return y * (focal_bend(loss, p, q) - focal_slope(loss, p, q)) / p / p;
}
ELEMENTWISE(focal)

/* through softmax: with g_j = y_j slope_j, delta_j = g_j - a_j sum_i g_i */
static void focal_on_raw(const loss_t *loss, const real *y, const real *z, double *row_loss, real *delta,
                         ptrdiff_t rows, ptrdiff_t m) {
    activation_forward(ACT_softmax, z, delta, rows, m);
    focal_rows(loss, y, delta, row_loss, rows, m);
    for (ptrdiff_t r = 0; r < rows; r++, y += m, delta += m) {
        vec total = {0};
        FOR_VECTORS(m, {
            const vec g = LOAD(y) * focal_slope(loss, LOAD(delta), (real)1 - LOAD(delta));
            total += lanes == VL ? g : choose(first_n(lanes), g, (vec){0});
        });
        const real sum = sum_lanes(total);
        FOR_VECTORS(m, {
            const vec a = LOAD(delta);
            STORE(delta, LOAD(y) * focal_slope(loss, a, (real)1 - a) - a * sum);
        });
    }
}
/* with u_j = dz_j - sum_i a_i dz_i: da_j = a_j u_j and dg_j = y_j bend_j u_j */
static void focal_on_raw_tangent(const loss_t *loss, const real *y, const real *z, const real *dz, real *tangent,
                                 real *scratch, ptrdiff_t rows, ptrdiff_t m) {
    real *a = scratch;
    activation_forward(ACT_softmax, z, a, rows, m);
    for (ptrdiff_t r = 0; r < rows; r++, y += m, a += m, dz += m, tangent += m) {
        vec inner = {0}, total = {0}, change = {0};
        FOR_VECTORS(m, { inner += LOAD(a) * LOAD(dz); }); /* 0 past the end of the row */
        const real mean = sum_lanes(inner);
        FOR_VECTORS(m, {
            const vec p = LOAD(a), q = (real)1 - p, yv = LOAD(y); /* y is 0 past the end */
            total += yv * focal_slope(loss, p, q);
            change += yv * focal_bend(loss, p, q) * (LOAD(dz) - mean);
        });
        const real sum = sum_lanes(total), sum_change = sum_lanes(change);
        FOR_VECTORS(m, {
            const vec p = LOAD(a), u = LOAD(dz) - mean;
            STORE(tangent, LOAD(y) * focal_bend(loss, p, (real)1 - p) * u - p * (u * sum + sum_change));
        });
    }
}

INLINE vec l_binary_focal(const loss_t *loss, vec y, vec a) {
    vec b = (real)1 - a;
    return y * focal_loss(loss, a, b) + ((real)1 - y) * focal_loss(loss, b, a);
}
INLINE vec dl_binary_focal(const loss_t *loss, vec y, vec a) {
    vec p = clip_probability(a), q = (real)1 - p;
    return y * focal_slope(loss, p, q) / p - ((real)1 - y) * focal_slope(loss, q, p) / q;
}
INLINE vec d2l_binary_focal(const loss_t *loss, vec y, vec a) {
    vec p = clip_probability(a), q = (real)1 - p;
    return y * (focal_bend(loss, p, q) - focal_slope(loss, p, q)) / p / p +
           ((real)1 - y) * (focal_bend(loss, q, p) - focal_slope(loss, q, p)) / q / q;
}
ELEMENTWISE(binary_focal)

/* through the logistic function, for which dp = p q dz and dq = -p q dz */
static void binary_focal_on_raw(const loss_t *loss, const real *y, const real *z, double *row_loss, real *delta,
                                ptrdiff_t rows, ptrdiff_t m) {
    activation_forward(ACT_logistic, z, delta, rows, m);
    binary_focal_rows(loss, y, delta, row_loss, rows, m);
    FOR_VECTORS(rows * m, {
        const vec p = LOAD(delta), q = vlogistic(-LOAD(z)), yv = LOAD(y);
        STORE(delta, yv * focal_slope(loss, p, q) * q - ((real)1 - yv) * focal_slope(loss, q, p) * p);
    });
}
static void binary_focal_on_raw_tangent(const loss_t *loss, const real *y, const real *z, const real *dz, real *tangent,
                                        real *scratch, ptrdiff_t rows, ptrdiff_t m) {
    (void)scratch;
    FOR_VECTORS(rows * m, {
        const vec p = vlogistic(LOAD(z)), q = vlogistic(-LOAD(z)), yv = LOAD(y);
        const vec there = q * (focal_bend(loss, p, q) * q - p * focal_slope(loss, p, q));
        const vec absent = p * (focal_bend(loss, q, p) * p - q * focal_slope(loss, q, p));
        STORE(tangent, LOAD(dz) * (yv * there + ((real)1 - yv) * absent));
    });
}

/* The log-loss of several columns of classes, one softmax for each. The constants are the label smoothing and the
 * number of classes of each column; y has all their indicators, one after the other. */
INLINE ptrdiff_t classes_of_column(const loss_t *loss, ptrdiff_t column, ptrdiff_t left) {
    const ptrdiff_t n = column < MAX_LOSS_CONSTANTS ? (ptrdiff_t)loss->constant[column] : left;
    return n < 1 || n > left ? left : n; /* wrong constants do not lead out of the row */
}
static void multioutput_log_loss_on_mean(const loss_t *loss, const real *y, const real *z, double *row_loss,
                                         real *delta, ptrdiff_t rows, ptrdiff_t m) {
    for (ptrdiff_t r = 0; r < rows; r++) {
        real sum = 0;
        for (ptrdiff_t left = m, column = 1, n; left > 0; left -= n, column++, y += n, z += n, delta += n) {
            n = classes_of_column(loss, column, left);
            const real share = CONSTANT(0) / (real)n;
            vec total = {0};
            softmax_row(z, delta, n);
            FOR_VECTORS(n, {
                const vec a = LOAD(delta), target = LOAD(y) * ((real)1 - CONSTANT(0)) + share;
                const vec l = -(target * vlog(clip_probability(a)));
                STORE(delta, a - target);
                total += lanes == VL ? l : choose(first_n(lanes), l, (vec){0});
            });
            sum += sum_lanes(total);
        }
        row_loss[r] = (double)sum;
    }
}
static void multioutput_log_loss_on_mean_tangent(const loss_t *loss, const real *y, const real *z, const real *dz,
                                                 real *tangent, real *scratch, ptrdiff_t rows, ptrdiff_t m) {
    memcpy(tangent, dz, (size_t)(rows * m) * sizeof(real));
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t left = m, column = 1, n; left > 0; left -= n, column++, z += n, tangent += n) {
            n = classes_of_column(loss, column, left);
            softmax_row(z, scratch, n);
            softmax_backward_row(scratch, tangent, n);
        }
}
DIRECT(multioutput_log_loss)

#endif
