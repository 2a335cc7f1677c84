"""The functions in C that networks call, in templates: see `fastbp.export.c.text`.

A vector is a pointer to contiguous numbers. Where a comment says so, the output y may be the input x. The formulas are
those of the kernels (``kernels/activations.h``, ``kernels/kinds/``), with the functions of math.h.
"""

#: Activations of one number z
ELEMENTWISE = {
    "logistic": "1.0 / (1.0 + exp(-z))",
    "tanh": "tanh(z)",
    "relu": "z < 0.0 ? 0.0 : z",
    "leaky_relu": "z < 0.0 ? 0.01 * z : z",
    "elu": "z < 0.0 ? expm1(z) : z",
    "selu": "1.0507009873554804934 * (z < 0.0 ? 1.6732632423543772848 * expm1(z) : z)",
    "gelu": "0.5 * z * erfc(-0.70710678118654752440 * z)",
    "silu": "z / (1.0 + exp(-z))",
    "mish": "z * tanh(log1p(exp(z)))",
    "softplus": "(z < 0.0 ? 0.0 : z) + log1p(exp(-fabs(z)))",
    "exp": "exp(z)",
}
ELEMENTWISE_LOOP = """\
static void @{name}(const real *x, ptrdiff_t n, real *y) {{
    for (ptrdiff_t i = 0; i < n; i++) {{
        const real z = x[i];
        y[i] = {formula};
    }}
}}
"""

SOFTMAX = """\
static void @softmax(const real *x, ptrdiff_t n, real *y) {
    real top = x[0], total = 0.0;
    for (ptrdiff_t i = 1; i < n; i++)
        top = x[i] > top ? x[i] : top;
    for (ptrdiff_t i = 0; i < n; i++) {
        y[i] = exp(x[i] - top);
        total += y[i];
    }
    for (ptrdiff_t i = 0; i < n; i++)
        y[i] /= total;
}
"""

#: Name -> function. `activation` names those of the activations.
HELPERS = {
    **{name: ELEMENTWISE_LOOP.format(name=name, formula=formula) for name, formula in ELEMENTWISE.items()},
    "softmax": SOFTMAX,
    "copy": """\
static void @copy(const real *x, ptrdiff_t n, real *y) {
    for (ptrdiff_t i = 0; i < n; i++)
        y[i] = x[i];
}
""",
    # the inner loop runs over contiguous weights
    "dense": """\
/* y = x W + b */
static void @dense(const real *x, ptrdiff_t n, const real *W, const real *b, ptrdiff_t m, real *y) {
    for (ptrdiff_t j = 0; j < m; j++)
        y[j] = b[j];
    for (ptrdiff_t i = 0; i < n; i++, W += m)
        for (ptrdiff_t j = 0; j < m; j++)
            y[j] += x[i] * W[j];
}
""",
    "dense_without_bias": """\
/* y = x W */
static void @dense_without_bias(const real *x, ptrdiff_t n, const real *W, ptrdiff_t m, real *y) {
    for (ptrdiff_t j = 0; j < m; j++)
        y[j] = 0.0;
    for (ptrdiff_t i = 0; i < n; i++, W += m)
        for (ptrdiff_t j = 0; j < m; j++)
            y[j] += x[i] * W[j];
}
""",
    "add": """\
static void @add(const real *x, const real *x2, ptrdiff_t n, real *y) {
    for (ptrdiff_t i = 0; i < n; i++)
        y[i] = x[i] + x2[i];
}
""",
    "scale": """\
static void @scale(const real *x, const real *s, ptrdiff_t n, real *y) {
    for (ptrdiff_t i = 0; i < n; i++)
        y[i] = x[i] * s[i];
}
""",
    "scaled": """\
/* y = (x - center) factor */
static void @scaled(const real *x, const real *center, const real *factor, ptrdiff_t n, real *y) {
    for (ptrdiff_t i = 0; i < n; i++)
        y[i] = (x[i] - center[i]) * factor[i];
}
""",
    "prelu": """\
static void @prelu(const real *x, const real *slope, ptrdiff_t n, real *y) {
    for (ptrdiff_t i = 0; i < n; i++)
        y[i] = x[i] > 0.0 ? x[i] : x[i] * slope[i];
}
""",
    "blend": """\
/* y = x + alpha (f - x) */
static void @blend(const real *x, const real *f, const real *alpha, ptrdiff_t n, real *y) {
    for (ptrdiff_t i = 0; i < n; i++)
        y[i] = x[i] + alpha[i] * (f[i] - x[i]);
}
""",
    "running_norm": """\
/* batch normalization; slope = gamma / sqrt(variance + epsilon) */
static void @running_norm(const real *x, const real *mean, const real *slope, const real *beta, ptrdiff_t n, real *y) {
    for (ptrdiff_t i = 0; i < n; i++)
        y[i] = (x[i] - mean[i]) * slope[i] + beta[i];
}
""",
    "layer_norm": """\
static void @layer_norm(const real *x, double epsilon, const real *gain, const real *shift, ptrdiff_t n, real *y) {
    real mean = 0.0, variance = 0.0, scale;
    for (ptrdiff_t i = 0; i < n; i++)
        mean += x[i];
    mean /= (real)n;
    for (ptrdiff_t i = 0; i < n; i++)
        variance += (x[i] - mean) * (x[i] - mean);
    scale = (real)@inverse_root((double)(variance / (real)n) + epsilon);
    for (ptrdiff_t i = 0; i < n; i++)
        y[i] = (x[i] - mean) * scale * gain[i] + shift[i];
}
""",
    "rms_norm": """\
static void @rms_norm(const real *x, double epsilon, const real *gain, ptrdiff_t n, real *y) {
    real square = 0.0, scale;
    for (ptrdiff_t i = 0; i < n; i++)
        square += x[i] * x[i];
    scale = (real)@inverse_root((double)(square / (real)n) + epsilon);
    for (ptrdiff_t i = 0; i < n; i++)
        y[i] = x[i] * scale * gain[i];
}
""",
    "robust_scale": """\
/* The numbers of some columns: r = (x - center) factor, or 0 for a missing one; y = r / sqrt(1 + (r / clip)^2) */
static void @robust_scale(const real *x, const int32_t *columns, const real *center, const real *factor, real clip,
                          ptrdiff_t n, real *y) {
    const real largest = 1000000000.0;
    for (ptrdiff_t j = 0; j < n; j++) {
        const real r = (x[columns[j]] - center[j]) * factor[j];
        real t = (r < 0.0 || r > 0.0 ? r : 0.0) / clip;
        t = t > largest ? largest : t < -largest ? -largest : t;
        y[j] = t * clip / sqrt(1.0 + t * t);
    }
}
""",
    "linear_scale": """\
/* The numbers of some columns: y = (x - center) factor, or 0 for a missing one */
static void @linear_scale(const real *x, const int32_t *columns, const real *center, const real *factor, ptrdiff_t n,
                          real *y) {
    for (ptrdiff_t j = 0; j < n; j++) {
        const real r = (x[columns[j]] - center[j]) * factor[j];
        y[j] = r < 0.0 || r > 0.0 ? r : 0.0;
    }
}
""",
    "select_columns": """\
/* The numbers of some columns, or 0 for a missing one */
static void @select_columns(const real *x, const int32_t *columns, ptrdiff_t n, real *y) {
    for (ptrdiff_t j = 0; j < n; j++) {
        const real r = x[columns[j]];
        y[j] = r < 0.0 || r > 0.0 ? r : 0.0;
    }
}
""",
    "nearest_level": """\
/* The level that is nearest to a code; `levels` if there is none, or if the code is missing */
static ptrdiff_t @nearest_level(real code, ptrdiff_t levels) {
    return code > -0.5 && code < (real)levels - 0.5 ? (ptrdiff_t)(code + 0.5) : levels;
}
""",
    "one_hot": """\
static void @one_hot(const real *x, const int32_t *columns, const int32_t *levels, ptrdiff_t n, real *y) {
    for (ptrdiff_t j = 0; j < n; y += levels[j], j++) {
        const ptrdiff_t level = @nearest_level(x[columns[j]], levels[j]);
        for (ptrdiff_t i = 0; i < levels[j]; i++)
            y[i] = i == level ? 1.0 : 0.0;
    }
}
""",
    "embedding": """\
/* The row of the table that belongs to the code of each column, side by side */
static void @embedding(const real *x, const int32_t *columns, const int32_t *levels, ptrdiff_t n, const real *table,
                       ptrdiff_t width, real *y) {
    for (ptrdiff_t j = 0; j < n; table += (levels[j] + 1) * width, y += width, j++)
        @copy(table + @nearest_level(x[columns[j]], levels[j]) * width, width, y);
}
""",
    "embedding_sum": """\
/* The sum of the rows of the table that belong to the codes of the columns */
static void @embedding_sum(const real *x, const int32_t *columns, const int32_t *levels, ptrdiff_t n,
                           const real *table, ptrdiff_t width, real *y) {
    for (ptrdiff_t i = 0; i < width; i++)
        y[i] = 0.0;
    for (ptrdiff_t j = 0; j < n; table += (levels[j] + 1) * width, j++) {
        const real *row = table + @nearest_level(x[columns[j]], levels[j]) * width;
        for (ptrdiff_t i = 0; i < width; i++)
            y[i] += row[i];
    }
}
""",
    "piecewise_linear": """\
/* For each column x, scaled to x2: y = x2 u + c + sum of f_b p_b over the bins, with the share f_b of bin b that lies
 * below x; y = missing where x is. Bins of no width do not count. */
static void @piecewise_linear(const real *x, const real *x2, const int32_t *columns, ptrdiff_t n, const real *u,
                              const real *c, const real *p, const real *missing, const real *edges, ptrdiff_t bins,
                              ptrdiff_t width, real *y) {
    for (ptrdiff_t j = 0; j < n; j++) {
        const real v = x[columns[j]];
        for (ptrdiff_t i = 0; i < width; i++)
            y[i] = v != v ? missing[i] : c[i];
        for (ptrdiff_t b = 0; b < bins && v >= edges[b]; b++) {
            const real size = edges[b + 1] - edges[b], below = v - edges[b],
                       share = size > below ? below / size : size > 0.0 ? 1.0 : 0.0;
            for (ptrdiff_t i = 0; i < width; i++)
                y[i] += share * p[b * width + i];
        }
        for (ptrdiff_t i = 0; i < width && v == v; i++)
            y[i] += x2[j] * u[i];
        u += width, c += width, p += bins * width, missing += width, edges += bins + 1, y += width;
    }
}
""",
    "periodic": """\
/* For each column x, scaled to x2: y = d + sum of cos(2 pi (omega_k x2 + phi_k)) V_k; y = missing where x is. Angles
 * of which few digits are left count as 0. */
static void @periodic(const real *x, const real *x2, const int32_t *columns, ptrdiff_t n, const real *omega,
                      const real *phi, const real *V, const real *d, const real *missing, ptrdiff_t frequencies,
                      ptrdiff_t width, real limit, real *y) {
    for (ptrdiff_t j = 0; j < n; j++) {
        const real v = x[columns[j]];
        for (ptrdiff_t i = 0; i < width; i++)
            y[i] = v != v ? missing[i] : d[i];
        for (ptrdiff_t k = 0; k < frequencies && v == v; k++) {
            const real t = x2[j] * omega[k] + phi[k], turn = fabs(t) < limit ? t - floor(t + 0.5) : t - t,
                       cosine = cos(6.28318530717958647693 * turn);
            for (ptrdiff_t i = 0; i < width; i++)
                y[i] += cosine * V[k * width + i];
        }
        omega += frequencies, phi += frequencies, V += frequencies * width, d += width, missing += width, y += width;
    }
}
""",
    # What methods make of the output. Numbers that are not finite are told from others by x - x, which is 0 else.
    "argmax": """\
/* The place of the largest number, the first of several; -1 if some are not finite */
static int32_t @argmax(const real *x, int32_t n) {
    int32_t best = 0;
    for (int32_t i = 0; i < n; i++) {
        if (!(x[i] - x[i] == 0.0))
            return -1;
        if (x[i] > x[best])
            best = i;
    }
    return best;
}
""",
    "is_positive": """\
/* 1 or 0; -1 for what is no number */
static int32_t @is_positive(real x) {
    return x > 0.0 ? 1 : x <= 0.0 ? 0 : -1;
}
""",
    "two_probabilities": """\
static void @two_probabilities(real z, real *p) {
    p[1] = 1.0 / (1.0 + exp(-z));
    p[0] = 1.0 - p[1];
}
""",
    "log_softmax": """\
static void @log_softmax(const real *x, ptrdiff_t n, real *y) {
    real top = x[0], total = 0.0;
    for (ptrdiff_t i = 1; i < n; i++)
        top = x[i] > top ? x[i] : top;
    for (ptrdiff_t i = 0; i < n; i++)
        total += exp(x[i] - top);
    total = log(total);
    for (ptrdiff_t i = 0; i < n; i++)
        y[i] = x[i] - top - total;
}
""",
    "log_logistic": """\
/* The logarithm of 1 / (1 + exp(-z)) */
static real @log_logistic(real z) {
    return z > 0.0 ? -log1p(exp(-z)) : z - log1p(exp(z));
}
""",
    "quantiles": """\
/* The first number, and steps that are positive */
static void @quantiles(const real *x, ptrdiff_t n, real *y) {
    y[0] = x[0];
    for (ptrdiff_t i = 1; i < n; i++)
        y[i] = y[i - 1] + (x[i] > 0.0 ? x[i] : 0.0) + log1p(exp(-fabs(x[i])));
}
""",
    "without_smoothing": """\
/* Probabilities without the share that the smoothing of labels adds to each */
static void @without_smoothing(real *p, ptrdiff_t n, real share) {
    real total = 0.0;
    for (ptrdiff_t i = 0; i < n; i++) {
        const real rest = p[i] - share, least = 0.1 * share;
        p[i] = rest < least ? least : rest;
        total += p[i];
    }
    for (ptrdiff_t i = 0; i < n; i++)
        p[i] /= total;
}
""",
    "tempered": """\
/* y = p^power, divided by the sum; y may be p */
static void @tempered(const real *p, ptrdiff_t n, real power, real *y) {
    real top = p[0], total = 0.0;
    for (ptrdiff_t i = 1; i < n; i++)
        top = p[i] > top ? p[i] : top;
    for (ptrdiff_t i = 0; i < n; i++) {
        y[i] = pow(p[i] / top, power);
        total += y[i];
    }
    for (ptrdiff_t i = 0; i < n; i++)
        y[i] /= total;
}
""",
    "mix": """\
/* The prediction of a member to the mixture */
static void @mix(const real *x, ptrdiff_t n, double weight, double *mixture) {
    for (ptrdiff_t i = 0; i < n; i++)
        mixture[i] += weight * (double)x[i];
}
""",
    "clipped": """\
static real @clipped(real x, real low, real high) {
    return x < low ? low : x > high ? high : x;
}
""",
    "lowered": """\
/* A number of a table as the networks read it */
static float @lowered(double x, double shift, double factor) {
    const double y = (x - shift) * factor, bound = 1267650600228229401496703205376.0;
    return (float)(y > bound ? bound : y < -bound ? -bound : y);
}
""",
    "binary": """\
/* One of two values, 0 and 1, as -1 and 1; 0 for a missing one */
static real @binary(real x) {
    return x != x ? 0.0 : 2.0 * @clipped(x, 0.0, 1.0) - 1.0;
}
""",
    "level_code": """\
/* The code of a level: its number, or of two levels -1 and 1 */
static real @level_code(double level, int32_t levels, real missing, real unseen) {
    if (level != level)
        return missing;
    if (!(level >= 0.0d && level < (double)levels))
        return unseen;
    return (real)(int32_t)level;
}
""",
    "number_level": """\
/* The place of a number among the levels of a column; -1 for another one */
static double @number_level(double x, const double *levels, int32_t n) {
    for (int32_t i = 0; i < n && x == x; i++)
        if (x == levels[i])
            return (double)i;
    return x == x ? -1.0 : x;
}
""",
    "text_level": """\
static double @text_level(const char *text, const char *const *levels, int32_t n) {
    for (int32_t i = 0; i < n; i++)
        if (strcmp(text, levels[i]) == 0)
            return (double)i;
    return -1.0;
}
""",
    # an epsilon may be too small for float
    "inverse_root": """\
static double @inverse_root(double x) {
    return 1.0 / sqrt(x);
}
""",
}
#: Those that compute in double in every file
OF_DOUBLE = ("inverse_root", "lowered", "number_level", "text_level")
