"""The report: what is measured, as a page, as text, and as a list of findings."""

from collections.abc import Sequence
from os import PathLike

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import sparray, spmatrix
from sklearn.base import BaseEstimator

from fastbp.inspection._arguments import check_integer
from fastbp.inspection.reports.evidence import Evidence
from fastbp.inspection.reports.findings import PROBLEM, RULES, Finding, findings_of
from fastbp.inspection.reports.page.document import document, heading, in_notebook
from fastbp.inspection.reports.page.elements import element
from fastbp.inspection.reports.page.numbers import count, number
from fastbp.inspection.reports.sections import SECTIONS
from fastbp.inspection.reports.subject import subject_of
from fastbp.kernels.dispatch import VERSION
from fastbp.writing import write_atomically


class Report:
    """What `report` has found out about an estimator.

    A notebook shows it as a page; ``print(report)`` gives a summary as text.

    Parameters
    ----------
    evidence : Evidence
    title : str or None
        None for the name of the class.

    Attributes
    ----------
    title : str
    score : float
        The estimator's own score on the rows of the report; NaN where there is none.
    warnings : list of Finding
        What could make the model better; problems come before hints.
    left_out : list of str
        What does not apply to this estimator, and why.
    """

    def __init__(self, evidence: Evidence, title: str | None = None):
        model = evidence.subject.model
        self.title: str = type(model).__name__ if title is None else str(title)
        self.warnings: list[Finding] = findings_of(evidence)
        self.score: float = evidence.score
        self._score_name = evidence.score_phrase
        self._summary = summary_of(evidence, self.title)
        self._tiles = tiles_of(evidence)
        self._sections = [make(evidence) for make in SECTIONS]
        self.left_out: list[str] = [str(one) for section in self._sections for one in section.left_out]
        self._rows = rows_in_words(evidence.subject)
        self._page = self._to_html()

    def to_html(self) -> str:
        """The page.

        Returns
        -------
        str
            A whole document, which loads nothing from elsewhere and runs no scripts.
        """
        return self._page

    def save(self, path: str | PathLike[str]) -> None:
        """Write the page to a file.

        The file is always a whole one: it is written aside and renamed.

        Parameters
        ----------
        path : str or PathLike
            Its name should end in ``.html``. A file that is there is replaced.

        Raises
        ------
        OSError
            Where the file cannot be written.
        """
        # lone surrogates, which a label may hold, cannot be written
        write_atomically(path, self._page.encode("utf-8", "replace"))

    def _repr_html_(self) -> str:
        return in_notebook(self._page, f"Report: {self.title}")

    def __repr__(self) -> str:
        problems = sum(one.severity == PROBLEM for one in self.warnings)
        hints = len(self.warnings) - problems
        score = "" if np.isnan(self.score) else f", {self._score_name} {number(self.score)}"
        return f"<Report of {self.title}{score}: {count(problems, 'problem')}, {count(hints, 'hint')}>"

    def __str__(self) -> str:
        lines = [f"Report: {self.title}", self._summary, self._rows, ""]
        lines += [f"{name}: {value}{f' ({note})' if note else ''}" for name, value, note in self._tiles]
        lines += ["", *(str(one) for one in self.warnings)] if self.warnings else ["", "No warnings."]
        return "\n".join(lines)

    def _to_html(self) -> str:
        shown = [section for section in self._sections if section.elements]
        links = [("warnings", "Warnings"), *((section.id, section.title) for section in shown)]
        header = [
            element("h1", self.title),
            element("p", f"{self._summary} {self._rows}", class_="about"),
            tiles(self._tiles),
            element(
                "nav",
                element("ul", [element("li", element("a", t, href=f"#{i}")) for i, t in links]),
                aria_label="Sections",
            ),
        ]
        sections = [heading("warnings", "Warnings", findings(self.warnings))]
        sections += [
            heading(section.id, section.title, element("div", section.elements, class_="figures")) for section in shown
        ]
        if self.left_out:
            entries = [element("li", text) for text in self.left_out]
            sections.append(heading("left-out", "Left out", element("ul", entries, class_="left-out")))
        return document(f"Report: {self.title}", header, sections, f"fastbp {VERSION}")


def report(
    estimator: BaseEstimator,
    X: ArrayLike | sparray | spmatrix,
    y: ArrayLike | sparray | spmatrix | None = None,
    *,
    sample_weight: ArrayLike | None = None,
    title: str | None = None,
    feature_names: Sequence[str] | None = None,
    image_shape: tuple[int, int] | str | None = "auto",
    n_repeats: int = 5,
    max_rows: int = 10_000,
    random_state: int = 0,
) -> Report:
    """A report of a fitted estimator: scores, errors, calibration, features, training, and warnings with what to try.

    Give it rows that the estimator was not trained on: on others, the scores are too good, and overfitting cannot be
    seen. The estimator is not changed.

    Parameters
    ----------
    estimator : MLPClassifier, MLPRegressor, TabularMLPClassifier, TabularMLPRegressor or MLPEncoder
        Fitted; or a pipeline whose last step is one of these, or a search such as GridSearchCV, or a
        TransformedTargetRegressor, with one of these.
    X : array-like, sparse matrix or data frame of shape (n, n_features)
        As `estimator.predict` takes it.
    y : array-like of shape (n,) or (n, n_outputs), default=None
        The true targets; not used for an MLPEncoder.
    sample_weight : array-like of shape (n,), default=None
        Weights of the rows in all scores. Rows of weight zero are left out.
    title : str or None, default=None
        Heading of the report; None for the name of the class.
    feature_names : sequence of str or None, default=None
        Of the columns of X; None for those of the data frame, or those that the estimator has met in `fit`.
    image_shape : tuple of (height, width), "auto" or None, default="auto"
        Shape of the images that the rows of X are. "auto" for square images if the number of features is a square of at
        least 64 and the columns have no names; None for no images.
    n_repeats : int, default=5
        Shuffles of each column for its importance; 0 leaves importances out. They take the most time: at most 1,000
        rows. Large networks with many columns have fewer rows, then fewer shuffles; the largest have no importances.
    max_rows : int, default=10_000
        A random sample of so many rows is looked at where there are more.
    random_state : int, default=0
        Seed of the sample and of the shuffles.

    Returns
    -------
    Report

    Raises
    ------
    TypeError
        For other estimators.
    NotFittedError
    ValueError
        For an X or a y that does not fit the estimator; for labels that it does not know.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.model_selection import train_test_split
    >>> from fastbp import MLPClassifier
    >>> from fastbp.inspection import report
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    >>> model = MLPClassifier((16,), tol=0.01, random_state=0).fit(X_train, y_train)
    >>> found = report(model, X_test, y_test)
    >>> "unscaled-input" in [one.code for one in found.warnings]
    True
    >>> found.save("report.html")  # doctest: +SKIP
    """
    check_integer("max_rows", max_rows)
    check_integer("n_repeats", n_repeats, least=0)
    check_integer("random_state", random_state, least=0)
    subject = subject_of(
        estimator,
        X,
        y,
        sample_weight=sample_weight,
        feature_names=feature_names,
        max_rows=max_rows,
        random_state=random_state,
    )
    evidence = Evidence(subject, n_repeats=n_repeats, random_state=random_state, image_shape=image_shape)
    return Report(evidence, title)


def summary_of(evidence, title):
    """What the model is, in a sentence."""
    subject, sizes = evidence.subject, evidence.network.layer_sizes
    shape = " → ".join(map(str, sizes if len(sizes) <= 7 else [*sizes[:3], "…", *sizes[-2:]]))
    n_networks, name = len(subject.networks), type(subject.model).__name__
    parts = [] if title == name else [name]
    parts.append(f"{count(n_networks, 'network')} of {shape} units" if n_networks > 1 else f"{shape} units")
    parts += subject.wrappers
    return f"{', '.join(parts)}."


def rows_in_words(subject):
    """Which rows the report is about."""
    if subject.n == subject.n_rows:
        return f"Looked at with {count(subject.n, 'row')}."
    return f"Looked at with a random sample of {subject.n:,} of {count(subject.n_rows, 'row')}."


def tiles_of(evidence):
    """(name, value, note) of the most important numbers."""
    found = []
    if np.isfinite(evidence.score):
        constant = f"a constant has {evidence.in_words(evidence.constant_score)}"
        found.append((evidence.score_name, evidence.in_words(evidence.score), constant))
    found += [(name, number(value), None) for name, value in evidence.further_scores.items()]
    oob_score = getattr(evidence.subject.model, "oob_score_", np.nan)
    if np.isfinite(oob_score):
        found.append(("Out of bag", evidence.in_words(oob_score), f"{evidence.score_phrase} in training"))
    if evidence.is_single and evidence.model.n_iter_:
        seconds = evidence.history.get("seconds", ())
        unit = "Iterations" if evidence.model.solver == "lbfgs" else "Epochs"
        found.append((unit, f"{evidence.model.n_iter_:,}", f"in {number(seconds[-1], 2)} s" if len(seconds) else None))
    n_parameters = sum(model.network_.n_params for model in evidence.subject.networks)
    found.append(("Parameters", f"{n_parameters:,}", f"{evidence.network.dtype}"))
    return found


def tiles(entries):
    """The numbers in large type."""
    return element(
        "dl",
        [
            element(
                "div",
                element("dt", name),
                element("dd", value),
                element("dd", note, class_="note") if note else None,
                class_="first" if i == 0 and name in ("Accuracy", "R²") else None,
            )
            for i, (name, value, note) in enumerate(entries)
        ],
        class_="tiles",
    )


def findings(found):
    """The findings, or that there are none."""
    if not found:
        return element("p", f"None: {count(len(RULES), 'check')} found nothing to warn of.", class_="fine")
    return element("div", [finding(one) for one in found], class_="findings")


def finding(one):
    """What was seen, and what to try."""
    advice = [element("p", "What to try", class_="try"), element("ul", [element("li", text) for text in one.advice])]
    return element(
        "article",
        element("h3", element("span", one.severity, class_="severity"), one.title),
        element("p", one.message),
        advice if one.advice else None,
        class_=f"finding {one.severity}",
        id=f"warning-{one.code}",
    )
