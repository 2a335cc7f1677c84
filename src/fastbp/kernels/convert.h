/* Rows of an X that is no C-contiguous array of reals, converted while a batch is gathered.
 *
 * The numbers are those of NumPy's `astype`: rounded once, to the nearest; denormal numbers are kept, also where the
 * arithmetic of training flushes them. The elements may have any address, and any strides.
 */
#ifndef FASTBP_CONVERT_H
#define FASTBP_CONVERT_H

#include "float_mode.h"
#include "nodes.h"

/* Numbers that are converted at once where they are not contiguous, or are to be mixed; a multiple of all VL */
#define CONVERT_AT_ONCE 256

/* A number of 16 bits (IEEE 754 binary16), exactly: with the bits of its exponent and mantissa in their places in a
 * float, only the bias of the exponent is missing, which is a factor of 2^112 */
INLINE float from_half(uint16_t half) {
    union {
        uint32_t bits;
        float number;
    } u = {(uint32_t)(half & 0x7fff) << 13};
    u.number *= 0x1p112f;
    if ((half & 0x7c00) == 0x7c00) /* infinity and NaN */
        u.bits = 0x7f800000u | (uint32_t)(half & 0x3ff) << 13;
    u.bits |= (uint32_t)(half & 0x8000) << 16;
    return u.number;
}

/* n contiguous elements of a type as reals */
#define CONVERT(name, type, number)                                       \
    static void from_##name(const char *from, ptrdiff_t n, real *to) {    \
        for (ptrdiff_t i = 0; i < n; i++) {                               \
            type x;                                                       \
            memcpy(&x, from + i * (ptrdiff_t)sizeof(type), sizeof(type)); \
            to[i] = (real)(number);                                       \
        }                                                                 \
    }
ELEMENTS(CONVERT)
#undef CONVERT

#define ENTRY(name, type, number) {from_##name, sizeof(type)},
static const struct {
    void (*convert)(const char *from, ptrdiff_t n, real *to);
    ptrdiff_t bytes;
} elements[] = {{NULL, 0}, ELEMENTS(ENTRY)};
#undef ENTRY

/* n elements with a stride, contiguous and in the byte order of the machine; `bytes` is 1, 2, 4 or 8 */
static void pack(const char *from, ptrdiff_t stride, int swapped, ptrdiff_t n, ptrdiff_t bytes, char *to) {
    for (ptrdiff_t i = 0; i < n; i++, to += bytes) {
        memcpy(to, from + i * stride, (size_t)bytes);
        for (ptrdiff_t k = 0; swapped && k < bytes / 2; k++) {
            const char byte = to[k];
            to[k] = to[bytes - 1 - k];
            to[bytes - 1 - k] = byte;
        }
    }
}

/* Columns [begin, begin + n) of a row of the data as reals */
static void convert_part(const data_t *data, ptrdiff_t row, ptrdiff_t begin, ptrdiff_t n, real *to) {
    const ptrdiff_t bytes = elements[data->element].bytes;
    const char *from = (const char *)data->X + row * data->row_bytes + begin * data->column_bytes;
    const int is_packed = data->column_bytes == bytes && !data->is_swapped;
    char packed[8 * CONVERT_AT_ONCE];
    const uint64_t mode = keep_denormals();
    for (ptrdiff_t i = 0; i < n && !is_packed; i += CONVERT_AT_ONCE) {
        const ptrdiff_t some = i + CONVERT_AT_ONCE < n ? CONVERT_AT_ONCE : n - i;
        pack(from + i * data->column_bytes, data->column_bytes, (int)data->is_swapped, some, bytes, packed);
        elements[data->element].convert(packed, some, to + i);
    }
    if (is_packed)
        elements[data->element].convert(from, n, to);
    restore_denormals(mode);
}

/* Rows [lo, hi) of the batch, not mixed */
static void convert_rows(const plan_t *p, ptrdiff_t lo, ptrdiff_t hi, real *to) {
    const ptrdiff_t width = (ptrdiff_t)p->program.nodes->width;
    for (ptrdiff_t r = lo; r < hi; r++, to += width)
        convert_part(&p->data, data_row(p, r), 0, width, to);
}

#endif
