"""The tables of names, and the selection of the instruction set.

The kernels are compiled for several instruction sets (`kernels.c`). The most capable one that the processor supports is
selected when the package is imported. The environment variable ``FASTBP_ISA`` selects a lower one by its name, so that
all of them can be tested on one machine.

The tables are read from the lists in `program.h`, where each activation, loss, optimizer and kind of operation is one
line.
"""

import os

import numpy as np


cdef extern from "program.h" nogil:
    const char *const fastbp_activation_names[]
    const int fastbp_activation_needs_z[]
    const char *const fastbp_loss_names[]
    const int fastbp_loss_links[]
    const char *const fastbp_loss_constants[]
    int64_t fastbp_loss_target_width(int loss, int64_t m)
    const char *const fastbp_optimizer_names[]
    const int fastbp_optimizer_states[]
    const int fastbp_optimizer_forms[]
    enum: FORM_blockwise, FORM_averaging
    const char *const fastbp_optimizer_constants[]
    const char *const fastbp_kind_names[]
    const int fastbp_kind_by_rows[]
    const int fastbp_kind_in_place[]
    const int fastbp_kind_saved[]
    const char *const fastbp_element_names[]
    const char *const fastbp_isa_names[]
    const char fastbp_version[]
    int fastbp_isa_supported(int isa)
    const kernels_t *fastbp_kernels(int isa, int table)
    int fastbp_bfloat16_supported()


cdef extern from *:
    int CYTHON_HEX_VERSION  # 0xMMmmppls: major, minor, patch, level, serial; in every file that Cython writes


cdef list names(const char *const *table):
    found = []
    while table[len(found)] != NULL:
        found.append(table[len(found)].decode())
    return found


cdef tuple constants_of(const char *text):
    """The names in a text that are separated by commas."""
    return tuple(name.strip() for name in text.decode().split(",") if name)


def target_width(loss, int64_t n_outputs):
    """The columns of the targets that a loss takes.

    Parameters
    ----------
    loss : str
        A name in LOSSES.
    n_outputs : int

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If there cannot be so many outputs.
    """
    width = fastbp_loss_target_width(LOSSES[loss], n_outputs)
    if not width and n_outputs:
        raise ValueError(f"the loss {loss} cannot have {n_outputs} outputs")
    return width


#: name -> number of every activation; the number is the index in the C tables
ACTIVATIONS = {name: i for i, name in enumerate(names(fastbp_activation_names))}
#: the activations whose derivative needs the pre-activation z and not only a = f(z)
NEEDS_PREACTIVATION = frozenset(name for name, i in ACTIVATIONS.items() if fastbp_activation_needs_z[i])
#: name -> number of every loss
LOSSES = {name: i for i, name in enumerate(names(fastbp_loss_names))}
#: loss -> its link: the output activation that the loss includes when it is computed from the raw output
LINKS = {name: names(fastbp_activation_names)[fastbp_loss_links[i]] for name, i in LOSSES.items()}
#: loss -> the names of its constants, in their order; "..." for up to LOSS_CONSTANT_LIMIT of them
LOSS_CONSTANTS = {name: constants_of(fastbp_loss_constants[i]) for name, i in LOSSES.items()}
#: the most constants of a loss
LOSS_CONSTANT_LIMIT = MAX_LOSS_CONSTANTS
#: Bins of a column of `piecewise_linear`, at most
BIN_LIMIT = MAX_BINS
#: Frequencies, and width, of a column of `periodic`, at most
WAVE_LIMIT = MAX_WAVES
#: name -> number of every optimizer
OPTIMIZERS = {name: i for i, name in enumerate(names(fastbp_optimizer_names))}
#: optimizer -> its number of state arrays of the size of the parameters
N_STATES = {name: fastbp_optimizer_states[i] for name, i in OPTIMIZERS.items()}
#: the optimizers that transform the gradient of a whole block
OPTIMIZERS_BY_BLOCK = frozenset(name for name, i in OPTIMIZERS.items() if fastbp_optimizer_forms[i] == FORM_blockwise)
#: the optimizers whose result is an average, and not the point where gradients are computed
OPTIMIZERS_AVERAGING = frozenset(name for name, i in OPTIMIZERS.items() if fastbp_optimizer_forms[i] == FORM_averaging)
#: optimizer -> the names of its constants, in their order
OPTIMIZER_CONSTANTS = {name: constants_of(fastbp_optimizer_constants[i]) for name, i in OPTIMIZERS.items()}
#: numbers that an optimizer may keep from step to step
N_MEMORY = MAX_MEMORY
#: name -> number of every kind of operation
KINDS = {name: i for i, name in enumerate(names(fastbp_kind_names))}
#: the kinds whose gradients can be taken over a run of the rows of a batch
KINDS_BY_ROWS = frozenset(name for name, i in KINDS.items() if fastbp_kind_by_rows[i])
#: the kinds whose output may take the place of their input
KINDS_IN_PLACE = frozenset(name for name, i in KINDS.items() if fastbp_kind_in_place[i])
#: kind -> how many numbers of each row its forward pass saves for the backward pass
N_SAVED = {name: fastbp_kind_saved[i] for name, i in KINDS.items()}
#: name of a NumPy dtype -> number of the type, for all types from which the kernels convert rows; 0 is the real type
ELEMENTS = {name: i for i, name in enumerate(names(fastbp_element_names), start=1)}
#: instruction sets of this build, from the least to the most capable
COMPILED_ISAS = tuple(names(fastbp_isa_names))
#: those of them that this processor can run
SUPPORTED_ISAS = tuple(name for i, name in enumerate(COMPILED_ISAS) if fastbp_isa_supported(i))

#: version of the package that was compiled
VERSION = fastbp_version.decode()
#: version of the Cython that translated it
CYTHON_VERSION = ".".join(str(CYTHON_HEX_VERSION >> shift & 255) for shift in (24, 16, 8))


def choose_isa(wanted=None):
    """The name of the instruction set to use: `wanted`, or the most capable supported one.

    Parameters
    ----------
    wanted : str or None
        A name in ``SUPPORTED_ISAS``; None or "" for the best.

    Raises
    ------
    ImportError
        If `wanted` is unknown or this processor cannot run it.
    """
    if not wanted:
        return SUPPORTED_ISAS[-1]
    if wanted not in SUPPORTED_ISAS:
        raise ImportError(
            f"FASTBP_ISA={wanted!r} cannot be used: this processor supports {', '.join(SUPPORTED_ISAS)}. "
            "Set FASTBP_ISA to one of these or leave it unset."
        )
    return wanted


#: value of ``FASTBP_ISA`` when the package was imported; None or "" if it was not set
WANTED_ISA = os.environ.get("FASTBP_ISA")
#: the instruction set in use
ISA = choose_isa(WANTED_ISA)


def missing_bfloat16(isa, bint is_compiled, bint is_supported):
    """Why there are no kernels with products in bfloat16.

    Parameters
    ----------
    isa : str
        The instruction set in use.
    is_compiled, is_supported : bool
        Whether the kernels were compiled, and whether this processor has their instructions.

    Returns
    -------
    str or None
        None if they can be used.
    """
    if not is_compiled:
        return (
            "this build of fastbp has no kernels for it, which need an x86-64 processor, and to be compiled at least "
            "GCC 10 or Clang 10"
        )
    if not is_supported:
        return "this processor lacks the instructions AVX512_BF16 (AMD since Zen 4, Intel Xeon since Sapphire Rapids)"
    if isa != COMPILED_ISAS[-1]:
        return f"FASTBP_ISA={isa} excludes its instructions: set FASTBP_ISA={COMPILED_ISAS[-1]} or leave it unset"
    return None


#: why no training with products in bfloat16 is possible; None if it is
MISSING_BFLOAT16 = missing_bfloat16(
    ISA, fastbp_kernels(len(COMPILED_ISAS) - 1, TABLE_bfloat16) != NULL, fastbp_bfloat16_supported()
)

cdef const kernels_t *tables[3]
tables[TABLE_float] = fastbp_kernels(COMPILED_ISAS.index(ISA), TABLE_float)
tables[TABLE_double] = fastbp_kernels(COMPILED_ISAS.index(ISA), TABLE_double)
tables[TABLE_bfloat16] = NULL
if MISSING_BFLOAT16 is None:
    tables[TABLE_bfloat16] = fastbp_kernels(COMPILED_ISAS.index(ISA), TABLE_bfloat16)

#: name of a precision -> number of its table
TABLES = {"float32": TABLE_float, "float64": TABLE_double, "bfloat16": TABLE_bfloat16}


cdef const kernels_t *kernels_for(int table) noexcept nogil:
    return tables[table]


def check_available(int table):
    """ValueError, with the reason and the way out, if this process has no such table."""
    if tables[table] == NULL:
        raise ValueError(
            f"dtype='bfloat16' is not possible here: {MISSING_BFLOAT16}. Train with dtype='float32'; predictions of "
            "fitted models need nothing of this"
        )


def table_facts(dtype):
    """Properties of the table of kernels in use.

    Parameters
    ----------
    dtype : float32 or float64

    Returns
    -------
    dict
        vector_bytes; block_rows and block_vectors of the register block of the matrix product; compiler and flags.
    """
    cdef const kernels_t *kernels = kernels_for(np.dtype(dtype) == np.float64)
    return {
        "vector_bytes": kernels.vector_bytes,
        "block_rows": kernels.block_rows,
        "block_vectors": kernels.block_vectors,
        "compiler": kernels.compiler.decode(),
        "flags": kernels.flags.decode(),
    }
