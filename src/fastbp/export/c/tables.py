"""Ensembles for tables in C: from the numbers and levels of a row to the mixture of the members' predictions."""

import numpy as np

from fastbp.export.c.networks import write_network
from fastbp.export.c.outcomes import link_of
from fastbp.export.c.source import Function
from fastbp.export.c.text import array, double, literal, string
from fastbp.export.outcomes import MixtureOfClasses, TwoClasses
from fastbp.export.tables import LevelColumn


def write_ensemble(source, ensemble):
    """Add the function ``const double *mixture(const double *x, work *work)``, and what it calls.

    Parameters
    ----------
    source : Source
        Of float.
    ensemble : Ensemble

    Returns
    -------
    dict
        The fields of the structure `work`: (type, name) -> how many.
    """
    write_encoding(source, ensemble.columns)
    outcome = ensemble.outcome
    n = len(outcome.labels.values) if isinstance(outcome, MixtureOfClasses) else outcome.n_columns
    lines = ["@encode(x, work->table);", f"for (int32_t i = 0; i < {n}; i++)", "    work->mixture[i] = 0.0d;"]
    size = 0
    for number, member in enumerate(ensemble.members):
        network, own = member.model.network, f"member_{number}"
        graph = network.graph.up_to(network.raw_output)
        size = max(size, write_network(source, graph, network.params, own, f"{own}_"))
        lines.append(f"raw = @{own}(work->table, work->values);")
        lines += member_lines(member, n, link_of(network), network.dtype.type)
    body = "\n".join(f"    {line}" for line in lines)
    source.add(
        f"static const double *@mixture(const double *x, @work *work) {{\n    const real *raw;\n{body}\n"
        "    return work->mixture;\n}\n"
    )
    fields = {"table": len(ensemble.columns), "values": size, "output": n}
    return {("double", "mixture"): n} | {("float", name): length for name, length in fields.items()}


def member_lines(member, n, link, number):
    """The statements that add a member's prediction, of which `raw` is the raw output, to the mixture.

    Parameters
    ----------
    member : Member
    n : int
        Numbers of a prediction.
    link : str
        The output activation.
    number : type
        Of the network's numbers.

    Returns
    -------
    list of str
    """
    lines, y = [], "work->output"
    if isinstance(member.model.outcome, TwoClasses):
        lines.append(f"@two_probabilities(raw[0], {y});")
    else:
        lines.append(f"@{'copy' if link == 'identity' else link}(raw, {n}, {y});")
    if member.label_smoothing:
        lines.append(f"@without_smoothing({y}, {n}, {literal(number(member.label_smoothing / n))});")
    if member.temperature != 1:
        lines.append(f"@tempered({y}, {n}, {literal(number(1 / member.temperature))}, {y});")
    return [*lines, f"@mix({y}, {n}, {double(member.weight)}, work->mixture);"]


def is_binary(column):
    """Whether the codes of a LevelColumn are -1 and 1."""
    return -1.0 in column.codes.values()


def write_encoding(source, columns):
    """Add the function ``encode``, which makes float numbers of a row."""
    lines = []
    numbers = [i for i, column in enumerate(columns) if not isinstance(column, LevelColumn)]
    for is_two, name in ((False, "numbers"), (True, "pairs")):
        own = [i for i in numbers if columns[i].is_binary == is_two]
        if not own:
            continue
        places = source.array(name, np.array(own))
        shift = source.array(f"{name}_shift", np.array([columns[i].shift for i in own]))
        factor = source.array(f"{name}_factor", np.array([columns[i].factor for i in own]))
        value = f"@lowered(x[{places}[i]], {shift}[i], {factor}[i])"
        value = f"@binary({value})" if is_two else value
        lines += [f"for (int32_t i = 0; i < {len(own)}; i++)", f"    table[{places}[i]] = {value};"]
    for i, column in enumerate(columns):
        if isinstance(column, LevelColumn):
            lines.append(level_line(source, i, column))
    body = "\n".join(f"    {line}" for line in lines)
    source.add(f"static void @encode(const double *x, real *table) {{\n{body}\n}}\n")


def level_line(source, i, column):
    """The statement that encodes column i, which has levels."""
    n, level = len(column.codes), f"x[{i}]"
    if not column.is_text and n:
        level = f"@number_level({level}, {source.array(f'levels_{i}', np.array(list(column.codes)))}, {n})"
    numbers = column.missing, column.unseen
    if is_binary(column):  # codes -1 and 1 of the numbers 0 and 1
        numbers = [(value + 1) / 2 for value in numbers]
    missing, unseen = ("NAN" if np.isnan(value) else literal(np.float32(value)) for value in numbers)
    code = f"@level_code({level}, {n}, {missing}, {unseen})"
    return f"table[{i}] = {f'2.0 * {code} - 1.0' if is_binary(column) else code};"


def level_functions(source, columns):
    """The Function that finds the number of a level that is text, in a list; none if no column has text."""
    has_text = {i: column for i, column in enumerate(columns) if isinstance(column, LevelColumn) and column.is_text}
    if not has_text:
        return []
    lines = ["if (!text)", "    return (double)NAN;", "switch (column) {"]
    for i, column in has_text.items():
        n = len(column.codes)
        if n:
            name, storage = f"{source.prefix}_levels_{i}", "static const"
            source.body.append(array("char *const", name, [string(level) for level in column.codes], storage=storage))
            lines.append(f"case {i}: return @text_level(text, @levels_{i}, {n});")
    lines += ["default: return -1.0d;", "}"]
    comment = (
        "The number of a level of a column with text, in the place of which x has it: "
        "NAN for NULL, which stands for missing, and -1 for a level that was not there in fit."
    )
    return [Function("level", ["int32_t column", "const char *text"], lines, comment, "double")]
