/* How the threads of one call wait for each other, and the mode of the floating-point unit inside a call.
 *
 * Counters only grow: barrier number k is passed when k * team arrivals were counted, so nothing is ever reset and no
 * thread can fall into the next barrier by mistake. A waiting thread spins for some tens of microseconds (a barrier
 * between two cores costs a quarter of one), then gives way to others, then sleeps, so that an oversubscribed machine
 * is not kept busy with waiting.
 */
#ifndef FASTBP_TEAM_H
#define FASTBP_TEAM_H

#include <stdatomic.h>
#include <stdint.h>

#if defined(_WIN32)
#include <windows.h>
static inline double now(void) {
    LARGE_INTEGER count, frequency;
    QueryPerformanceCounter(&count);
    QueryPerformanceFrequency(&frequency);
    return (double)count.QuadPart / (double)frequency.QuadPart;
}
static inline void yield_thread(void) { SwitchToThread(); }
static inline void sleep_briefly(void) { Sleep(1); }
#else
#include <sched.h>
#include <time.h>
static inline double now(void) { /* seconds since some moment */
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
static inline void yield_thread(void) { sched_yield(); }
static inline void sleep_briefly(void) {
    const struct timespec pause = {0, 100000};
    nanosleep(&pause, NULL);
}
#endif

/* A new thread may begin on the processor of the one that started it, and would share it for some milliseconds until
 * the system takes notice, which is as long as a small fit. So it steps aside once, and is then free to go anywhere. */
#if defined(__linux__) && defined(CPU_SETSIZE)
static inline int current_processor(void) { return sched_getcpu(); }
static inline void leave_processor(int processor) {
    cpu_set_t allowed, others;
    if (processor < 0 || processor >= CPU_SETSIZE || sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return;
    others = allowed;
    CPU_CLR(processor, &others);
    if (CPU_COUNT(&others) == 0)
        return;
    if (sched_setaffinity(0, sizeof others, &others) == 0)
        sched_setaffinity(0, sizeof allowed, &allowed);
}
#else
static inline int current_processor(void) { return -1; }
static inline void leave_processor(int processor) { (void)processor; }
#endif

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
static inline void relax(void) { _mm_pause(); }
/* Denormal operands and results count as zero (FTZ and DAZ): they cost a hundred cycles each and change nothing that
 * training could use. Returns the mode to restore. */
static inline uint64_t flush_denormals(void) {
    const unsigned before = _mm_getcsr();
    _mm_setcsr(before | 0x8040u);
    return before;
}
static inline void restore_denormals(uint64_t mode) { _mm_setcsr((unsigned)mode); }
#elif defined(__aarch64__)
static inline void relax(void) { __asm__ volatile("yield"); }
static inline uint64_t flush_denormals(void) {
    uint64_t before;
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    __asm__ volatile("msr fpcr, %0" : : "r"(before | ((uint64_t)1 << 24)));
    return before;
}
static inline void restore_denormals(uint64_t mode) { __asm__ volatile("msr fpcr, %0" : : "r"(mode)); }
#else
static inline void relax(void) {}
static inline uint64_t flush_denormals(void) { return 0; }
static inline void restore_denormals(uint64_t mode) { (void)mode; }
#endif

typedef struct {
    /* far apart: a thread that waits on one must not slow the writers of another */
    _Atomic int64_t published; /* steps the leader has released */
    char apart1[120];
    _Atomic int64_t middle; /* arrivals between the phases */
    char apart2[120];
    _Atomic int64_t end; /* followers that have finished a step */
    char apart3[120];
    _Atomic int64_t present; /* followers that have reported for duty */
    _Atomic int64_t left;    /* of these, the ones that have gone home */
} team_t;

static inline void team_init(team_t *team) {
    atomic_init(&team->published, 0);
    atomic_init(&team->middle, 0);
    atomic_init(&team->end, 0);
    atomic_init(&team->present, 0);
    atomic_init(&team->left, 0);
}

/* Spinning and yielding together last some milliseconds, much longer than a sleep: of two threads that wait for each
 * other, one that overslept is met awake. Were it the other way round, a single delay would leave both taking turns at
 * sleeping for ever. */
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
/* The same for some seconds at most. Whether the counter is there. */
static inline int wait_a_while_for(_Atomic int64_t *counter, int64_t value, double seconds) {
    const double deadline = now() + seconds;
    for (int64_t tries = 0; atomic_load_explicit(counter, memory_order_acquire) < value; tries++) {
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
static inline void count_in(_Atomic int64_t *counter) { atomic_fetch_add_explicit(counter, 1, memory_order_acq_rel); }

static inline void team_publish(team_t *team) { count_in(&team->published); }
static inline void team_await_publication(team_t *team, int64_t step) { wait_for(&team->published, step); }
static inline void team_meet(team_t *team, int64_t step, int64_t size) {
    count_in(&team->middle);
    wait_for(&team->middle, step * size);
}
/* a step without a meeting in the middle counts there all the same, since barriers are told apart by step number */
static inline void team_skip_meeting(team_t *team) { count_in(&team->middle); }
static inline void team_finish(team_t *team) { count_in(&team->end); }
static inline void team_await_finish(team_t *team, int64_t step, int64_t size) {
    wait_for(&team->end, step * (size - 1));
}

static inline void team_report(team_t *team) { count_in(&team->present); }
static inline int64_t team_present(team_t *team) { return atomic_load_explicit(&team->present, memory_order_acquire); }
static inline int team_await_reports(team_t *team, int64_t size, double seconds) {
    return wait_a_while_for(&team->present, size - 1, seconds);
}
static inline void team_leave(team_t *team) { count_in(&team->left); }
static inline void team_await_leaving(team_t *team) { wait_for(&team->left, team_present(team)); }

/* Pieces of work that whoever is free takes, and those who are at it. */
typedef struct {
    _Atomic int64_t next;   /* the first piece that nobody has taken */
    _Atomic int64_t came;   /* helpers that have come */
    _Atomic int64_t left;   /* of these, the ones that have gone */
    _Atomic int64_t halted; /* raised by one thread, seen by the others */
} pool_t;

static inline void pool_init(pool_t *pool) {
    atomic_init(&pool->next, 0);
    atomic_init(&pool->came, 0);
    atomic_init(&pool->left, 0);
    atomic_init(&pool->halted, 0);
}
static inline int64_t pool_take(pool_t *pool) {
    return atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed);
}
static inline void pool_begin_again(pool_t *pool) { atomic_store_explicit(&pool->next, 0, memory_order_relaxed); }
static inline void pool_come(pool_t *pool) { count_in(&pool->came); }
static inline void pool_leave(pool_t *pool) { count_in(&pool->left); }
static inline int pool_await_leaving(pool_t *pool, double seconds) {
    return wait_a_while_for(&pool->left, atomic_load_explicit(&pool->came, memory_order_acquire), seconds);
}
static inline void pool_halt(pool_t *pool) { atomic_store_explicit(&pool->halted, 1, memory_order_relaxed); }
static inline int pool_is_halted(pool_t *pool) {
    return atomic_load_explicit(&pool->halted, memory_order_relaxed) != 0;
}

#endif
