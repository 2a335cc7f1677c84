"""The C file as a whole: comment, declarations, definitions."""

import textwrap

import numpy as np

from fastbp.export.c.networks import write_network
from fastbp.export.c.outcomes import Model, link_of
from fastbp.export.c.pipelines import split_pipeline
from fastbp.export.c.source import Source
from fastbp.export.c.tables import level_functions, write_ensemble
from fastbp.export.c.text import FUNCTIONS, TYPES, array, checked_prefix, in_comment, numbers, string
from fastbp.export.description import Ensemble, checked_dtype, describe
from fastbp.export.outcomes import BOOLEANS, COVERAGE, FLOATS, TEXT, ColumnsOfClasses, MixtureOfNumbers, OneClass
from fastbp.export.tables import LevelColumn
from fastbp.kernels.dispatch import VERSION

#: Levels of a column, and classes, that the comment names
NAMED = 20
NO_COVERAGE = "coverage must be None, but for TabularMLPRegressor, which has intervals; got coverage={!r} for {}"


def c_source(estimator, *, prefix="model", dtype=None, coverage=None):
    """The text of the file that `to_c` writes.

    Parameters
    ----------
    estimator, prefix, dtype, coverage
        As for `to_c`.

    Returns
    -------
    str
    """
    checked_prefix(prefix)
    estimator, scaling = split_pipeline(estimator)
    description, title = describe(estimator), type(estimator).__name__
    if isinstance(description, Ensemble):
        if scaling is not None:
            raise TypeError(f"scalers in front of a {title}, which scales by itself, cannot be exported: fit it alone")
        return ensemble_file(description, title, prefix, dtype, coverage)
    return perceptron_file(description, scaling, title, prefix, dtype, coverage)


def perceptron_file(model, scaling, title, prefix, dtype, coverage):
    """The file of one network, and of scalers in front of it or None."""
    if coverage is not None:
        raise ValueError(NO_COVERAGE.format(coverage, title))
    network = model.network
    params = converted(network.params, dtype)
    real = TYPES[params.dtype.name]
    source = Source(prefix, real)
    graph = network.graph.up_to(network.raw_output)
    n = graph.n_features
    about = [f"{title}: {n} features, {network.graph.n_params:,} parameters, {real}."]
    raw, fields, names = [], {(real, "values"): 0}, model.feature_names
    if scaling is not None:
        about.append("The scalers in front of it are part of the functions.")
        names = scaling.feature_names
    if not isinstance(model.outcome, OneClass):  # of which there is nothing to compute
        fields = {(real, "values"): write_network(source, graph, params, "network")}
        raw = ["const real *raw = @network(x, work->values);"]
        if scaling is not None:
            fields[real, "scaled"] = n
            raw = scaled_lines(source, scaling, params.dtype)
    own = Model(source, real, raw, link_of(network))
    inputs = [f"x[{i}]  {in_comment(name)}" for i, name in enumerate(names or ())]
    return render(source, real, about, inputs, n, fields, own.functions(model.outcome), model.outcome)


def scaled_lines(source, scaling, dtype):
    """The statements that declare `raw` where there are scalers."""
    numbers = {name: converted(getattr(scaling, name), dtype.name) for name in ("center", "factor")}
    if dtype == np.float32:
        scaling.check_single()
    arrays = ", ".join(source.array(name, values) for name, values in numbers.items())
    return [
        "const real *raw;",
        f"@scaled(x, {arrays}, {len(scaling.center)}, work->scaled);",
        "raw = @network(work->scaled, work->values);",
    ]


def ensemble_file(model, title, prefix, dtype, coverage):
    """The file of an ensemble."""
    if dtype is not None:
        raise ValueError(
            f"dtype must be None for {title}, whose networks are float32 and whose mixture is float64; got {dtype!r}"
        )
    about = [f"{title}: {len(model.columns)} columns, an ensemble of {len(model.members)} networks."]
    if isinstance(model.outcome, MixtureOfNumbers):
        coverage, note = checked_coverage(model.outcome, coverage)
        about += note
    elif coverage is not None:
        raise ValueError(NO_COVERAGE.format(coverage, title))
    source = Source(prefix, "float")
    fields = write_ensemble(source, model)
    own = Model(source, "double", ["const real *raw = @mixture(x, work);"], "identity", coverage)
    functions = [*own.functions(model.outcome), *level_functions(source, model.columns)]
    inputs = [column_line(prefix, i, column) for i, column in enumerate(model.columns)]
    inputs.append("NAN stands for a missing value.")
    return render(source, "double", about, inputs, len(model.columns), fields, functions, model.outcome)


def checked_coverage(outcome, coverage):
    """The coverage of the intervals, and lines of the comment. Where it was not asked for and there are too few rows
    for it, there are no intervals."""
    if coverage is not None:
        outcome.half_width(coverage)
        return coverage, []
    try:
        outcome.half_width(COVERAGE)
    except ValueError as error:
        return None, textwrap.wrap(f"No intervals: {error}.", 100)
    return COVERAGE, []


def converted(params, dtype):
    """Parameters in the dtype of the file; ValueError where they do not fit into it."""
    dtype = checked_dtype(dtype)
    if dtype is not None:
        with np.errstate(over="ignore"):
            converted = params.astype(dtype)
        if np.isfinite(params).all() and not np.isfinite(converted).all():
            raise ValueError(
                f"dtype={dtype.name!r} cannot hold parameters of {np.abs(params).max():.3g}: use 'float64'"
            )
        params = converted
    if not np.isfinite(params).all():
        wrong = params[~np.isfinite(params)][0]
        raise ValueError(f"the parameters of the estimator must be finite to be exported, and one is {wrong}: fit anew")
    return params


def column_line(prefix, i, column):
    """What the comment says of a column of a table."""
    line = f"x[{i}]  {in_comment(column.name)}: "
    if not isinstance(column, LevelColumn):
        return f"{line}a number"
    if not column.codes:
        return f"{line}-1 for a value, none of which was there often enough in fit"
    levels = [in_comment(level) for level in column.codes]
    shown = ", ".join(levels[:NAMED]) + (", ..." if len(levels) > NAMED else "")
    if column.is_text:
        return f"{line}the number of a level, from 0, which {prefix}_level({i}, text) finds: {shown}"
    return f"{line}one of the numbers {shown}"


def label_tables(outcome):
    """(name, type, items, labels in words) of each table of labels."""
    if isinstance(outcome, ColumnsOfClasses):
        found = {f"classes_{i}": column.labels for i, column in enumerate(outcome.columns)}
    else:
        found = {"classes": outcome.labels} if hasattr(outcome, "labels") else {}
    return [(name, *label_items(labels), list(map(in_comment, labels.values))) for name, labels in found.items()]


def label_items(labels):
    """(type, items) of class labels."""
    if labels.kind == TEXT:
        return "char *const", [string(value) for value in labels.values]
    if labels.kind == FLOATS:
        return "double", numbers(np.array(labels.values))
    values = [int(value) for value in labels.values]
    if labels.kind == BOOLEANS or all(-(2**31) < value < 2**31 for value in values):
        return "int32_t", list(map(str, values))
    return "int64_t", [f"INT64_C({value})" for value in values]


USE = """\
{prefix}_work is the memory of a call, of sizeof({prefix}_work) bytes: a local variable, a static one, or a part of
memory of your own. Nothing is kept in it, and nothing else is written: threads may call at the same time, with one
each. A call allocates nothing.

How to build: compile this file by itself (C99 or C++11, with -lm where needed), and have other files read its
declarations:

    #define {PREFIX}_DECLARATIONS
    #include "this file"

These two lines can also be a header of their own. Or use it in a single file, where all names become static:

    #define {PREFIX}_STATIC
    #include "this file"

Compile without -ffast-math, which takes all numbers for finite ones."""


def render(source, real, about, inputs, n_features, fields, functions, outcome):
    """The text of a file.

    Parameters
    ----------
    source : Source
    real : {"float", "double"}
        Of x and of results.
    about : str
    inputs : list of str
        What x has, in lines.
    n_features : int
    fields : dict
        Of the structure `work`: (type, name) -> how many.
    functions : list of Function
    outcome : object
        Of `fastbp.export.outcomes`.

    Returns
    -------
    str
    """
    prefix, upper = source.prefix, source.prefix.upper()

    def adapted(template):
        return source.adapted(template, real)

    tables = label_tables(outcome)
    for name, c_type, items, _ in tables:
        source.body.append(array(c_type, f"{prefix}_{name}", items, storage=f"{upper}_TABLE"))
    definitions = [definition(adapted, function, upper) for function in functions]
    comment = comment_lines(adapted, about, inputs, n_features, functions, tables)
    comment += ["", *USE.format(prefix=prefix, PREFIX=upper).splitlines()]
    declared = [f"extern const {c_type} {prefix}_{name}[{len(items)}];" for name, c_type, items, _ in tables]
    declared += [f"{adapted(function.signature)};" for function in functions]
    code = "\n".join([*source.helpers, *source.body, *definitions])
    return FILE.format(
        comment="\n".join(f" * {line}".rstrip() for line in comment),
        includes="\n".join(f"#include <{name}.h>" for name in headers(code, real == source.real == "double")),
        check=DOUBLE_CHECK if real == source.real == "double" else "",
        declared="\n".join(declared),
        members="\n".join(f"    {c_type} {name}[{max(length, 1)}];" for (c_type, name), length in fields.items()),
        code=code,
        n_features=n_features,
        prefix=prefix,
        PREFIX=upper,
    )


def headers(code, has_check):
    """The headers of the standard library that code needs."""
    has_math = "NAN" in code or any(f"{name}(" in code or f"{name}f(" in code for name in FUNCTIONS)
    needed = {"float": has_check, "math": has_math, "stddef": True, "stdint": True, "string": "strcmp(" in code}
    return [name for name, is_needed in needed.items() if is_needed]


def definition(adapted, function, upper):
    """The definition of a function for the user."""
    body = "\n".join(f"    {adapted(line)}" for line in function.body)
    return f"{upper}_FUNCTION {adapted(function.signature)} {{\n{body}\n}}\n"


def wrapped(text, indent=0, hanging=0):
    """Lines of a comment."""
    return textwrap.wrap(text, 116, initial_indent=" " * indent, subsequent_indent=" " * (indent + hanging))


def comment_lines(adapted, about, inputs, n_features, functions, tables):
    """The comment at the beginning of a file, but for the use: a list of str."""
    lines = [*about, f"Written by fastbp {VERSION}.", "", "Functions:"]
    for function in functions:
        lines += ["", f"    {adapted(function.signature)}", *wrapped(adapted(function.comment), 8)]
    lines += ["", f"x has the {n_features} numbers of a row, in the order of the columns in fit."]
    for text in inputs:
        lines += wrapped(text, 4, 8)
    for name, _, _, values in tables:
        shown = ", ".join(values[:NAMED]) + (", ..." if len(values) > NAMED else "")
        lines += ["", *wrapped(f"{adapted(f'@{name}')} has the labels of the classes: {shown}", 0, 4)]
    return lines


DOUBLE_CHECK = """\
#if DBL_MANT_DIG < 53
#error "double has less than 64 bits here: export the model with dtype='float32'"
#endif
"""
FILE = """\
/*
{comment}
 */
#ifndef {PREFIX}_DECLARED
#define {PREFIX}_DECLARED

{includes}

#if defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__
#error "compile without -ffast-math, or with -fno-finite-math-only: missing numbers and errors are NaN"
#endif
{check}
#define {PREFIX}_N_FEATURES {n_features}

typedef struct {{
{members}
}} {prefix}_work;

#ifdef {PREFIX}_STATIC
#define {PREFIX}_FUNCTION static inline
#define {PREFIX}_TABLE static const
#else
#define {PREFIX}_FUNCTION
#define {PREFIX}_TABLE const
#ifdef __cplusplus
extern "C" {{
#endif
{declared}
#ifdef __cplusplus
}}
#endif
#endif

#endif

#if !defined({PREFIX}_DECLARATIONS) && !defined({PREFIX}_DEFINED)
#define {PREFIX}_DEFINED

{code}
#endif
"""
