"""Names in code: which object of the reference they stand for."""

import importlib

import pytest

pytest.importorskip("sphinx")
name_links = importlib.import_module("name_links")

NAMES = name_links.index_names(
    [
        "fastbp.Callback",
        "fastbp.MLPClassifier",
        "fastbp.MLPClassifier.fit",
        "fastbp.activations.Activation",
        "fastbp.autodiff.mean",
        "fastbp.callbacks.Callback",
        "fastbp.fit_many",
        "fastbp.inspection.gradient_check",
        "fastbp.layers.Activation",
        "fastbp.layers.Dense",
        "fastbp.layers.Dense.emit",
        "fastbp.save",
    ]
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("MLPClassifier", "fastbp.MLPClassifier"),
        ("fastbp.MLPClassifier", "fastbp.MLPClassifier"),
        ("MLPClassifier.fit", "fastbp.MLPClassifier.fit"),
        ("fit_many()", "fastbp.fit_many"),
        ("gradient_check", "fastbp.inspection.gradient_check"),
        ("layers.Activation", "fastbp.layers.Activation"),
        ("Activation", None),  # two packages have one
        ("Callback", "fastbp.Callback"),  # that of fastbp itself
        ("save", "fastbp.save"),
        ("mean", None),  # a plain word
        ("emit", None),
        ("fit", None),
        ("Dense(32)", None),
        ("alpha", None),
    ],
)
def test_names_in_prose(text, expected):
    assert name_links.find_name(text, NAMES) == expected


def test_names_in_docstrings():
    find = name_links.find_name
    assert find("mean", NAMES, "fastbp.autodiff") == "fastbp.autodiff.mean"
    assert find("Activation", NAMES, "fastbp.layers") == "fastbp.layers.Activation"
    assert find("fit", NAMES, "fastbp", "fastbp.MLPClassifier") == "fastbp.MLPClassifier.fit"
    assert find("emit", NAMES, "fastbp.layers", "fastbp.layers.Dense") == "fastbp.layers.Dense.emit"
