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

#endif
