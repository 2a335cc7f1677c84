"""C declarations of the clock, the processor and the floating-point mode of a thread (processor.h)."""


cdef extern from "processor.h" nogil:
    double now()
    void sleep_briefly()
    int current_processor()
    void leave_processor(int processor)
    # treat denormal numbers as zero; returns the mode to restore
    unsigned long long flush_denormals()
    void restore_denormals(unsigned long long mode)
