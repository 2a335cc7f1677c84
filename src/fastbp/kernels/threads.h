/* Counters for the synchronization of threads.
 *
 * Counters only increase: barrier number k is passed when k * (size of the team) arrivals were counted. They are not
 * reset, so that no thread can confuse two barriers. A waiting thread spins for some tens of microseconds (a barrier of
 * two cores takes a quarter of a microsecond), then yields its processor, and then sleeps, so that waiting threads do
 * not keep an oversubscribed machine busy.
 */
#ifndef FASTBP_THREADS_H
#define FASTBP_THREADS_H

#include "processor.h"
#include <stdatomic.h>

/* Spinning and yielding together take some milliseconds, much longer than a sleep. If two threads wait for each other
 * in turn and one of them has slept, the other one is therefore still spinning. With shorter spinning, both would sleep
 * in every turn after a single delay. */
enum { SPINS = 1000, YIELDS = 5000 };

static inline void wait_for(_Atomic int64_t *counter, int64_t value) {
    for (int64_t tries = 0; atomic_load_explicit(counter, memory_order_acquire) < value; tries++) {
        if (tries < SPINS)
            relax();
        else if (tries < SPINS + YIELDS)
            yield_thread();
        else
            sleep_briefly();
    }
}
/* wait_for with a timeout in seconds. Returns whether the counter reached the value. */
static inline int wait_with_timeout(_Atomic int64_t *counter, int64_t value, double seconds) {
    double deadline = 0; /* the clock is not read before spinning is over */
    for (int64_t tries = 0; atomic_load_explicit(counter, memory_order_acquire) < value; tries++) {
        if (tries == SPINS)
            deadline = now() + seconds;
        if (tries < SPINS)
            relax();
        else if (now() > deadline)
            return 0;
        else if (tries < SPINS + YIELDS)
            yield_thread();
        else
            sleep_briefly();
    }
    return 1;
}
static inline void count_up(_Atomic int64_t *counter) { atomic_fetch_add_explicit(counter, 1, memory_order_acq_rel); }

/* The threads that one call has started. Arriving and closing change the same number: no worker arrives after the call
 * has closed and has read how many workers it must wait for. */
typedef struct {
    _Atomic int64_t arrivals; /* twice the number of workers that have arrived, plus 1 once closed */
    _Atomic int64_t departed;
    _Atomic int64_t halted; /* whether the threads are to stop early */
} workers_t;

static inline void workers_init(workers_t *workers) {
    atomic_init(&workers->arrivals, 0);
    atomic_init(&workers->departed, 0);
    atomic_init(&workers->halted, 0);
}
/* Called by a worker. Whether it is in time. */
static inline int workers_arrive(workers_t *workers) {
    int64_t arrivals = atomic_load_explicit(&workers->arrivals, memory_order_acquire);
    while (!(arrivals & 1))
        if (atomic_compare_exchange_weak_explicit(&workers->arrivals, &arrivals, arrivals + 2, memory_order_acq_rel,
                                                  memory_order_acquire))
            return 1;
    return 0;
}
static inline void workers_close(workers_t *workers) {
    atomic_fetch_or_explicit(&workers->arrivals, 1, memory_order_acq_rel);
}
static inline int workers_closed(workers_t *workers) {
    return atomic_load_explicit(&workers->arrivals, memory_order_acquire) & 1;
}
static inline void workers_depart(workers_t *workers) { count_up(&workers->departed); }
static inline int64_t workers_arrived(workers_t *workers) {
    return atomic_load_explicit(&workers->arrivals, memory_order_acquire) >> 1;
}
static inline int workers_await_arrivals(workers_t *workers, int64_t count, double seconds) {
    return wait_with_timeout(&workers->arrivals, 2 * count, seconds);
}
static inline int workers_await_departures(workers_t *workers, double seconds) {
    return wait_with_timeout(&workers->departed, workers_arrived(workers), seconds);
}
static inline void workers_halt(workers_t *workers) {
    atomic_store_explicit(&workers->halted, 1, memory_order_relaxed);
}
static inline int workers_halted(workers_t *workers) {
    return atomic_load_explicit(&workers->halted, memory_order_relaxed) != 0;
}

/* A yes or no that one thread writes and another one reads, without waiting for each other. */
typedef struct {
    _Atomic int64_t value;
} flag_t;

static inline void flag_set(flag_t *flag, int value) {
    atomic_store_explicit(&flag->value, value, memory_order_relaxed);
}
static inline int flag_is_set(flag_t *flag) { return atomic_load_explicit(&flag->value, memory_order_relaxed) != 0; }

/* The counters of a team. */
typedef struct {
    /* on different cache lines: a thread that waits for one counter must not slow down the writers of another */
    _Atomic int64_t published; /* orders of the leader */
    char apart1[120];
    _Atomic int64_t arrivals; /* of all threads, at the barriers between two phases */
    char apart2[120];
    _Atomic int64_t finished; /* orders that workers have carried out */
    char apart3[120];
} team_t;

static inline void team_init(team_t *team) {
    atomic_init(&team->published, 0);
    atomic_init(&team->arrivals, 0);
    atomic_init(&team->finished, 0);
}
static inline void team_barrier(team_t *team, int64_t barrier, int64_t size) {
    count_up(&team->arrivals);
    wait_for(&team->arrivals, barrier * size);
}
static inline void team_finish(team_t *team) { count_up(&team->finished); }
static inline void team_await_finish(team_t *team, int64_t order, int64_t size) {
    wait_for(&team->finished, order * (size - 1));
}

/* A worker that has waited long for the next order parks: it waits for its lock, without using a processor. The leader
 * releases the lock after it has published the next order. The worker sets `parked` and then reads `published`; the
 * leader writes `published` and then reads `parked`. All of this is sequentially consistent: at least one of them sees
 * what the other has written, and the one that clears `parked` knows what the other does. A worker that has carried out
 * an order may park again before the leader has looked at its `parked` for this order, and is then woken up too early:
 * it must check `published` again. */
typedef struct {
    void *lock;
    _Atomic int64_t parked;
} parking_t;

static inline void parking_init(parking_t *parking, void *lock) {
    parking->lock = lock;
    atomic_init(&parking->parked, 0);
}
static inline void team_publish(team_t *team) { atomic_fetch_add_explicit(&team->published, 1, memory_order_seq_cst); }
static inline int team_await_order(team_t *team, int64_t order, double seconds) {
    return wait_with_timeout(&team->published, order, seconds);
}
/* Called by a worker. Whether it must now wait for its lock. */
static inline int parking_begin(parking_t *parking, team_t *team, int64_t order) {
    atomic_store_explicit(&parking->parked, 1, memory_order_seq_cst);
    if (atomic_load_explicit(&team->published, memory_order_seq_cst) < order)
        return 1;
    return atomic_exchange_explicit(&parking->parked, 0, memory_order_seq_cst) == 0; /* the leader has cleared it */
}
/* Called by the leader. Whether it must now release the lock. */
static inline int parking_end(parking_t *parking) {
    return atomic_load_explicit(&parking->parked, memory_order_seq_cst) != 0 &&
           atomic_exchange_explicit(&parking->parked, 0, memory_order_seq_cst) != 0;
}

#endif
