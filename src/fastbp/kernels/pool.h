/* Work in chunks that threads share, for the kernels as well as for whole tasks. */
#ifndef FASTBP_POOL_H
#define FASTBP_POOL_H

#include <stdatomic.h>
#include <stdint.h>

/* Chunks of work. Each is done by the next free thread. */
typedef struct {
    _Atomic int64_t next; /* the first chunk that no thread has taken */
} pool_t;

static inline void pool_init(pool_t *pool) { atomic_init(&pool->next, 0); }
static inline int64_t pool_take(pool_t *pool) {
    return atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed);
}
static inline void pool_begin_at(pool_t *pool, int64_t chunk) {
    atomic_store_explicit(&pool->next, chunk, memory_order_relaxed);
}

/* One thread's share of the chunks of a pool, where all threads go through the same loops over them. */
typedef struct share {
    pool_t *pool;
    int64_t chunk, taken; /* the next one in the loops, and the one that this thread has taken */
    int64_t end;          /* chunks from here on are left for later */
} share_t;

static inline void share_init(share_t *share, pool_t *pool, int64_t end) {
    share->pool = pool;
    share->chunk = 0;
    share->taken = -1;
    share->end = end;
}
/* Called for every chunk, in their order: whether this thread does it. */
static inline int share_takes(share_t *share) {
    if (share->taken < share->chunk)
        share->taken = pool_take(share->pool);
    return share->chunk++ == share->taken && share->taken < share->end;
}

#endif
