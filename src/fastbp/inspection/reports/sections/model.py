"""What the model is: layers, parameters, data."""

import inspect
from itertools import groupby

from fastbp.estimators.encoder import MLPEncoder
from fastbp.estimators.tabular.base import BaseTabularMLP
from fastbp.inspection._plotting import shortened
from fastbp.inspection.reports.page.elements import element, figure, folded, table
from fastbp.inspection.reports.page.numbers import NO_BREAK, count
from fastbp.inspection.reports.sections.parts import Section
from fastbp.kernels.graph import NAMES

#: Lines of the table of layers, and characters of a value
MOST_LAYERS, MOST_CHARACTERS = 24, 160

#: Kinds of operations in words
KINDS = {"dense": "fully connected", "add": "sum", "prelu": "PReLU", "blend": "blend of two"}


def model_section(evidence):
    """Layers, parameters and data."""
    return Section("model", "Model", [layers(evidence), data(evidence), parameters(evidence.subject.model)])


def layers(evidence):
    """A table of the operations of the network."""
    network = evidence.network
    lines = [(kind, shape, f"{n:,}" if n else "–") for kind, shape, n in operations_of(network)]
    runs = [(line, len(list(run))) for line, run in groupby(lines)]
    rows, place = [], 1
    for (kind, shape, n), times in runs:
        number = f"{place}" if times == 1 else f"{place}–{place + times - 1}"
        rows.append((number, kind, shape, n if times == 1 or n == "–" else f"{times} × {n}"))
        place += times
    hidden = len(rows) - MOST_LAYERS
    if hidden > 0:
        rows = [*rows[: MOST_LAYERS - 2], ("…", f"{hidden + 1} more", "", ""), rows[-1]]
    of = f" ({evidence.core.name})" if evidence.core.name else ""
    return figure(
        f"Layers{of}",
        table(("", "layer", "size", "parameters"), rows, caption="Layers from the input to the output"),
        f"{count(network.n_params, 'parameter')} of {network.dtype}.",
    )


def operations_of(network):
    """(kind, shape, parameters) of the operations; an activation is part of the layer before it."""
    graph, found = network.graph, []
    for op in graph.operations:
        widths = [graph.widths[node] for node in (op.input, op.input2) if node >= 0]
        n_parameters = sum(block.size for block in graph.blocks_of(op))
        kind = NAMES[op.argument] if op.kind == "activation" else KINDS.get(op.kind, op.kind.replace("_", " "))
        if op.kind == "activation" and found and found[-1][3] == op.input:
            before, shape, n, _ = found.pop()
            kind = before if kind == "identity" else f"{before}, {kind}"
        else:
            shape, n = (
                f"{' + '.join(map(str, dict.fromkeys(widths)))} → {graph.widths[op.output]}".replace(" ", NO_BREAK),
                0,
            )
        found.append((kind, shape, n + n_parameters, op.output))
    return [line[:3] for line in found]


def parameters(model):
    """The parameters that differ from the defaults, and all of them, folded."""
    changed, others = [], []
    for name, value, default in parameters_of(model):
        text = shortened(repr(value), MOST_CHARACTERS)
        if text == shortened(repr(default), MOST_CHARACTERS):
            others.append((name, element("code", text)))
        else:
            changed.append((name, element("code", text), element("code", shortened(repr(default), MOST_CHARACTERS))))
    if changed:
        shown = table(("parameter", "value", "default"), changed, caption="Changed parameters", class_="texts")
    else:
        shown = element("p", "All parameters have their defaults.")
    rest = table(("parameter", "value"), others, caption="Parameters with their defaults", class_="texts")
    return figure(
        "Parameters",
        [shown, folded(f"{count(len(others), 'parameter')} with their defaults", rest) if others else None],
        wide=True,
    )


def parameters_of(model):
    """(name, value, default) of the parameters, those of the regressor in an autoencoder included."""
    defaults = inspect.signature(type(model).__init__).parameters
    for name, value in model.get_params(deep=False).items():
        yield name, value, defaults[name].default
    if isinstance(model, MLPEncoder):
        for name, value, default in parameters_of(model.regressor_):
            if name != "layers":  # made from the parameters of the autoencoder
                yield f"regressor__{name}", value, default


def data(evidence):
    """Shapes and what they are."""
    subject, model = evidence.subject, evidence.subject.model
    facts = [("Rows of this report", shape_of(subject.X, subject.n_rows))]
    if subject.n < subject.n_rows:
        facts.append(("Looked at", f"a random sample of {count(subject.n, 'row')}"))
    if evidence.n_trained and evidence.is_single:
        facts.append(("Rows of an epoch in training", f"{evidence.n_trained:,}"))
    if subject.X_model is not subject.X:
        facts.append(("Columns after the steps before", f"{subject.X_model.shape[1]:,}"))
    if isinstance(model, BaseTabularMLP):
        n = int(model.is_categorical_.sum())
        facts.append(("Columns", f"{len(model.is_categorical_) - n} with numbers, {n} with categories"))
        facts.append(("Networks", f"{len(model.estimators_)}"))
    if evidence.outcome.has_classes and len(evidence.outcome.parts) == 1:
        facts.append(("Classes", f"{len(evidence.outcome.parts[0].classes)}"))
    elif len(evidence.outcome.parts) > 1:
        facts.append(("Targets", f"{len(evidence.outcome.parts)}"))
    if subject.sample_weight is not None:
        facts.append(("Sample weights", "given; they count in all scores"))
    entries = [element("div", element("dt", name), element("dd", text)) for name, text in facts]
    return figure("Data", element("dl", entries))


def shape_of(X, n_rows):
    """The shape and the kind of a table."""
    return f"{n_rows:,} × {X.shape[1]:,} ({type(X).__name__})"
