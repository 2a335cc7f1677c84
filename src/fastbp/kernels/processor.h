/* The clock, and the processor that a thread runs on. */
#ifndef FASTBP_PROCESSOR_H
#define FASTBP_PROCESSOR_H

#include <stdint.h>

#include "float_mode.h"

/* now: seconds since a fixed moment. yield_thread: let another thread run. sleep_briefly: sleep for 0.1 ms, on Windows
 * for 1 ms. relax: pause for some dozen cycles, for loops that wait. */
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
static inline double now(void) {
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

/* The system may start a new thread on the processor of the thread that created it. The two then share this processor
 * for some milliseconds, as long as a small fit takes, until the system moves one of them. leave_processor moves the
 * calling thread to another processor; afterwards the thread may run on all processors again. */
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
#elif defined(__aarch64__)
/* yield does nothing on cores without hyper-threading; isb waits until the pipeline is empty */
static inline void relax(void) { __asm__ volatile("isb" ::: "memory"); }
#else
static inline void relax(void) {}
#endif

#endif
