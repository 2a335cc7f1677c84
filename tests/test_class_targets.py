"""The forms of a classifier's y that scikit-learn's has not: rows of probabilities, and several columns of labels."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputClassifier
from sklearn.utils import get_tags
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight

import reference
from fastbp import MLPClassifier, slim
from fastbp.inspection import gradient_check
from fastbp.losses import LogLoss

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 3))
NUMBERS = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)
SOFT = RNG.dirichlet(np.ones(3), size=200) * 0.3 + np.eye(3)[NUMBERS] * 0.7
COLUMNS = np.column_stack([NUMBERS + 1, 5 * (X[:, 2] > 0), np.full(200, 7)])

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def model(**params):
    return MLPClassifier(
        **(dict(hidden_layer_sizes=(8,), random_state=0, max_iter=10, learning_rate_init=0.01) | params)
    )


def test_tags_tell_of_several_columns():
    tags = get_tags(model())
    assert tags.target_tags.multi_output
    assert tags.classifier_tags.multi_label


# rows of probabilities


def test_probabilities_of_three_classes():
    fitted = model(solver="lbfgs", alpha=0).fit(X, SOFT, classes=["a", "b", "c"])
    assert_array_equal(fitted.classes_, ["a", "b", "c"])
    assert (fitted.out_activation_, fitted.n_outputs_) == ("softmax", 3)
    probabilities = fitted.predict_proba(X)
    assert_allclose(fitted.loss_, -(SOFT * np.log(probabilities)).sum(axis=1).mean(), rtol=1e-10)
    assert_array_equal(fitted.predict(X), np.array(["a", "b", "c"])[probabilities.argmax(axis=1)])


def test_probabilities_of_two_classes():
    soft = np.column_stack([1 - SOFT[:, 0], SOFT[:, 0]])
    fitted = model(solver="lbfgs", alpha=0).fit(X, soft)
    assert_array_equal(fitted.classes_, [0, 1])
    assert (fitted.out_activation_, fitted.n_outputs_) == ("logistic", 1)
    assert_allclose(fitted.loss_, -(soft * np.log(fitted.predict_proba(X))).sum(axis=1).mean(), rtol=1e-10)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_certain_probabilities_train_as_labels_do(n_classes):
    numbers = NUMBERS % n_classes
    hard = np.eye(n_classes)[numbers]
    soft, labels = model().fit(X, hard, classes=range(n_classes)), model().fit(X, numbers)
    assert_array_equal(soft.predict_proba(X), labels.predict_proba(X))
    # without classes, zeros and ones are indicators of several labels
    assert model().fit(X, hard).out_activation_ == "logistic"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_probabilities_in_either_type(dtype):
    fitted = model().fit(X.astype(dtype), SOFT.astype(dtype))
    assert fitted.predict_proba(X.astype(dtype)).dtype == dtype
    assert gradient_check(fitted, X[:20], SOFT[:20]).passed


def test_score_of_probabilities():
    fitted = model().fit(X, SOFT)
    expected = (SOFT.argmax(axis=1) == fitted.predict(X)).mean()
    assert fitted.score(X, SOFT) == fitted.score(X, SOFT.argmax(axis=1)) == expected


def test_probabilities_under_early_stopping_and_in_copies():
    fitted = model(early_stopping=True, max_iter=50).fit(X, SOFT)
    assert 0.5 < fitted.best_validation_score_ <= 1
    for other in (pickle.loads(pickle.dumps(fitted)), slim(fitted), clone(fitted).fit(X, SOFT)):
        assert_array_equal(other.predict_proba(X), fitted.predict_proba(X))


def test_probabilities_in_parts():
    whole = model(max_iter=3, shuffle=False, tol=0).fit(X, SOFT, classes=["a", "b", "c"])
    parts = model(shuffle=False)
    for classes in (["a", "b", "c"], None, ["a", "b", "c"]):
        parts.partial_fit(X, SOFT, classes=classes)
    assert_array_equal(parts.predict_proba(X), whole.predict_proba(X))
    parts.partial_fit(X[:3], np.eye(3))  # known to be probabilities now
    with pytest.raises(ValueError, match="is not the same as on last call to partial_fit"):
        parts.partial_fit(X, SOFT, classes=["a", "b", "d"])
    warm = model(warm_start=True, max_iter=1).fit(X, SOFT)
    before = warm.loss_
    assert warm.set_params(max_iter=20).fit(X, SOFT).loss_ < before


@pytest.mark.parametrize(
    ("y", "classes", "message"),
    [
        (SOFT * 0.9, None, r"must be rows of probabilities, which sum to one; row \d+ sums to 0.9"),
        (SOFT - 0.5, None, r"must be rows of probabilities, in \[0, 1\]; got -0.49"),
        (SOFT * 2, None, r"must be rows of probabilities, in \[0, 1\]; got 1"),
        (np.where(np.arange(600).reshape(200, 3) == 4, np.nan, SOFT), None, "Input y contains NaN"),
        (SOFT, ["a", "b"], r"must have a column for each of the 2 classes, got shape \(200, 3\)"),
        (SOFT, ["b", "a", "c"], "must be different and in sorted order, got"),
        (SOFT, ["a", "a", "c"], "must be different and in sorted order, got"),
        (NUMBERS, [0, 1, 2], "classes is for a y of two dimensions, got a y with one label for each row"),
        (COLUMNS, [0, 1, 2], "classes must be a list with the classes of each column, for the 3 columns"),
    ],
    ids=range(9),
)
def test_rows_that_are_no_probabilities(y, classes, message):
    with pytest.raises(ValueError, match=message):
        model().fit(X, y, classes=classes)


def test_rows_that_are_no_probabilities_leave_a_fitted_model_as_it_is():
    fitted = model().fit(X, SOFT)
    before = fitted.predict_proba(X)
    with pytest.raises(ValueError, match="which sum to one"):
        fitted.partial_fit(X, SOFT * 0.9)
    with pytest.raises(ValueError, match="y holds one label for each row, and the model has learned from rows of"):
        fitted.partial_fit(X, NUMBERS)
    with pytest.raises(ValueError, match="y holds rows of probabilities, and the model has learned from one label"):
        model().fit(X, NUMBERS).partial_fit(X, SOFT)
    with pytest.raises(ValueError, match="classes must be passed on the first call to partial_fit"):
        model().partial_fit(X, SOFT)
    assert_array_equal(fitted.predict_proba(X), before)


def test_class_weights_of_probabilities():
    with pytest.raises(ValueError, match="class_weight is for rows with one class each, and y holds rows of"):
        model(class_weight="balanced").fit(X, SOFT)


def test_a_model_can_be_fitted_anew_to_another_form():
    fitted = model()
    for y in (SOFT, NUMBERS, COLUMNS, np.eye(3, dtype=int)[NUMBERS], NUMBERS):
        fitted.fit(X, y)
        assert_array_equal(fitted.predict_proba(X)[0], model().fit(X, y).predict_proba(X)[0])


# several columns of labels


def test_columns():
    fitted = model(solver="lbfgs", alpha=0).fit(X, COLUMNS)
    for found, expected in zip(fitted.classes_, ([1, 2, 3], [0, 5], [7]), strict=True):
        assert_array_equal(found, expected)
    assert (fitted.out_activation_, fitted.n_outputs_, fitted.coefs_[-1].shape) == ("identity", 6, (8, 6))
    probabilities, raw = fitted.predict_proba(X), fitted.network_.forward(X)
    loss = 0
    for number, part in enumerate((raw[:, :3], raw[:, 3:5], raw[:, 5:])):
        assert_allclose(probabilities[number], reference.softmax(part), rtol=1e-12)
        loss -= np.log(probabilities[number][COLUMNS[:, [number]] == fitted.classes_[number]]).mean()
        predicted = fitted.classes_[number][probabilities[number].argmax(axis=1)]
        assert_array_equal(fitted.predict(X)[:, number], predicted)
    assert_allclose(fitted.loss_, loss, rtol=1e-10)
    for log_p, p in zip(fitted.predict_log_proba(X), probabilities, strict=True):
        assert_allclose(log_p, np.log(p), rtol=1e-10, atol=1e-12)


def test_same_shapes_and_score_as_in_scikit_learn():
    fitted, forest = model(max_iter=50).fit(X, COLUMNS), RandomForestClassifier(3).fit(X, COLUMNS)
    assert fitted.predict(X).shape == forest.predict(X).shape
    assert [p.shape for p in fitted.predict_proba(X)] == [p.shape for p in forest.predict_proba(X)]
    assert fitted.predict(X).dtype == COLUMNS.dtype
    right = MultiOutputClassifier(forest).score
    right.__self__.estimators_, right.__self__.predict = [None] * 3, fitted.predict
    assert fitted.score(X, COLUMNS) == right(X, COLUMNS)
    weight = np.linspace(0, 1, 200)
    assert_allclose(
        fitted.score(X, COLUMNS, weight), weight @ (fitted.predict(X) == COLUMNS).all(axis=1) / weight.sum()
    )


@pytest.mark.parametrize("dtype", ["U1", object])
def test_columns_of_text(dtype):
    y = np.array([["a", "b", "c"], ["x", "y", "z"]])[[0, 1], np.column_stack([NUMBERS, NUMBERS[::-1]])].astype(dtype)
    fitted = model(max_iter=2).fit(X, y)
    assert set(fitted.predict(X).ravel()) <= set("abcxyz")
    assert fitted.predict(X).dtype == y.dtype


def test_one_column_in_two_forms():
    # the gradient of the sum over two equal columns is that of each alone, for the layer of this column
    two = model(hidden_layer_sizes=(), solver="lbfgs", max_iter=200, tol=1e-8).fit(X, np.column_stack([NUMBERS] * 2))
    one = model(hidden_layer_sizes=(), solver="lbfgs", max_iter=200, tol=1e-8).fit(X, NUMBERS)
    for probabilities in two.predict_proba(X):
        assert_allclose(probabilities, one.predict_proba(X), atol=1e-3)


def test_zeros_and_ones_are_columns_if_classes_say_so():
    y = (COLUMNS > 4).astype(int)
    assert model(max_iter=1).fit(X, y).out_activation_ == "logistic"
    fitted = model(max_iter=1).fit(X, y, classes=[[0, 1], [0, 1], [0, 1, 2]])
    assert [len(c) for c in fitted.classes_] == [2, 2, 3]
    assert [p.shape[1] for p in fitted.predict_proba(X)] == [2, 2, 3]


def test_columns_in_parts():
    classes = [[1, 2, 3], [0, 5], [7, 8]]
    whole = model(max_iter=3, shuffle=False, tol=0).fit(X, COLUMNS, classes=classes)
    parts = model(shuffle=False)
    for given in (classes, None, classes):
        parts.partial_fit(X, COLUMNS, classes=given)
    assert_array_equal(parts.coefs_[0], whole.coefs_[0])
    parts.partial_fit(X[:1], [[1, 0, 7]])
    with pytest.raises(ValueError, match=r"column 1 of y has classes \[4\] that are not in classes_\[1\], \[0 5\]"):
        parts.partial_fit(X[:2], [[1, 0, 7], [2, 4, 8]])
    with pytest.raises(ValueError, match=r"y must have 3 columns of labels, got shape \(2, 2\)"):
        parts.partial_fit(X[:2], [[1, 0], [2, 5]])
    with pytest.raises(ValueError, match="y holds one label for each row, and the model has learned from several"):
        parts.partial_fit(X, NUMBERS)
    with pytest.raises(ValueError, match="is not the same as on last call to partial_fit"):
        parts.partial_fit(X, COLUMNS, classes=[[1, 2, 3], [0, 5], [7, 9]])
    with pytest.raises(ValueError, match="classes must have a list for each of the 3 columns of y, got 2 lists"):
        model().partial_fit(X, COLUMNS, classes=[[1, 2, 3], [0, 5]])
    warm = model(warm_start=True, max_iter=1).fit(X, COLUMNS)
    before = warm.loss_
    assert warm.set_params(max_iter=20).fit(X, COLUMNS).loss_ < before


@pytest.mark.parametrize(
    "params",
    [
        dict(early_stopping=True),
        dict(label_smoothing=0.1),
        dict(loss=LogLoss(label_smoothing=0.1)),
        dict(class_weight="balanced"),
        dict(class_weight=[{1: 2.0, 2: 1, 3: 1}, {0: 1, 5: 3.0}, {7: 1.0}]),
    ],
    ids=repr,
)
def test_columns_with_options_copies_and_threads(params):
    fitted = model(**params, n_threads=1, batch_size=90).fit(X, COLUMNS)
    two = model(**params, n_threads=2, batch_size=90).fit(X, COLUMNS)
    for other in (pickle.loads(pickle.dumps(fitted)), slim(fitted), clone(fitted).fit(X, COLUMNS), two):
        assert_array_equal(other.predict_proba(X)[0], fitted.predict_proba(X)[0])
    assert gradient_check(fitted, X[:20], COLUMNS[:20]).passed


@pytest.mark.parametrize("class_weight", ["balanced", [{2: 2.0}, {0: 1, 5: 3.0}, {}]])
def test_class_weights_of_columns_of_validation_rows(class_weight):
    rows = slice(0, 20)
    classes = [[1, 2, 3, 4], [0, 5], [7]]  # training has no 4
    targets = COLUMNS[rows].copy()
    targets[0, 0] = 4
    fitted = model(class_weight=class_weight).fit(X, COLUMNS, X_val=X[rows], y_val=targets, classes=classes)
    expected = np.ones(20)
    for k, of_column in enumerate([class_weight] * 3 if class_weight == "balanced" else class_weight):
        weight_of = dict.fromkeys(classes[k], 1.0)
        known = np.unique(COLUMNS[:, k])
        of_column = of_column if of_column == "balanced" else {c: of_column.get(c, 1.0) for c in known}
        weight_of |= dict(zip(known, compute_class_weight(of_column, classes=known, y=COLUMNS[:, k]), strict=True))
        expected *= [weight_of[label] for label in targets[:, k]]
    right = (fitted.predict(X[rows]) == targets).all(axis=1)
    assert_allclose(fitted.validation_scores_[-1], np.average(right, weights=expected), rtol=1e-12)


def test_class_weights_of_columns_are_those_of_the_forests():
    expected = compute_sample_weight("balanced", COLUMNS)
    by_class, by_row = model(class_weight="balanced").fit(X, COLUMNS), model().fit(X, COLUMNS, expected)
    assert_array_equal(by_class.predict_proba(X)[0], by_row.predict_proba(X)[0])
    with pytest.raises(ValueError, match="class_weight must be a list of dicts, one for each column, or 'balanced'"):
        model(class_weight={1: 2.0}).fit(X, COLUMNS)


def test_hvp_of_columns():
    fitted = model(activation="tanh").fit(X, COLUMNS)
    network, targets = fitted.network_, fitted._encode(COLUMNS, np.dtype(np.float64))
    direction = np.random.default_rng(1).normal(size=network.n_params)
    ahead, behind = network.copy(), network.copy()
    ahead.params, behind.params = network.params + 1e-6 * direction, network.params - 1e-6 * direction
    expected = (ahead.loss_and_gradient(X, targets)[1] - behind.loss_and_gradient(X, targets)[1]) / 2e-6
    # third derivatives of order 100 times 1e-12, and rounding 1e-16 / 1e-6
    assert_allclose(network.hvp(X, targets, direction), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (dict(loss="focal"), "loss must be 'log_loss' for several columns of labels, got 'focal'"),
        (dict(output_activation="softmax"), "output_activation must be 'auto' or 'identity' for several columns"),
    ],
)
def test_what_columns_do_not_accept(params, message):
    with pytest.raises(ValueError, match=message):
        model(**params).fit(X, COLUMNS)


def test_score_of_columns_of_another_number():
    fitted = model().fit(X, COLUMNS)
    with pytest.raises(ValueError, match=r"y must have 3 columns of labels, got shape \(200, 2\)"):
        fitted.score(X, COLUMNS[:, :2])


def test_grid_search_over_columns():
    search = GridSearchCV(model(), {"label_smoothing": [0.0, 0.2]}, cv=2).fit(X, COLUMNS)
    assert 0 <= search.best_score_ <= 1


@pytest.mark.parametrize(
    ("y", "classes", "others"),
    [
        (SOFT, ["a", "b", "c"], ["a", "b", "d"]),
        (SOFT, ["a", "b", "c"], ["a", "b"]),
        (COLUMNS, [[1, 2, 3], [0, 5], [7]], [[1, 2, 3], [0, 5], [7, 8]]),
        (COLUMNS, [[1, 2, 3], [0, 5], [7]], [[1, 2, 3], [0, 5]]),
        (NUMBERS, None, [0, 1, 2, 3]),
    ],
)
def test_a_warm_start_with_other_classes(y, classes, others):
    warm = model(warm_start=True, max_iter=1).fit(X, y, classes=classes)
    before = warm.network_.params.copy()
    with pytest.raises(ValueError, match=r"classes must be those of the fitted model, .*: leave it out, or fit anew"):
        warm.fit(X, y, classes=others)
    assert_array_equal(warm.network_.params, before)
    again = pickle.loads(pickle.dumps(warm)).fit(X, y)
    assert_array_equal(warm.fit(X, y, classes=classes).network_.params, again.network_.params)


@pytest.mark.parametrize("scoring", ["accuracy", ["f1_macro", "loss"], ["loss", "neg_log_loss"]])
def test_metrics_that_take_no_columns_of_labels(scoring):
    stopping = model(early_stopping=True, scoring=scoring)
    with pytest.raises(
        ValueError, match=r"scoring='\w+' is a metric of scikit-learn, .* Use scoring='loss', scoring=None"
    ):
        stopping.fit(X, COLUMNS)
    scored = stopping.set_params(scoring=[None, "loss", lambda estimator, X, y: estimator.score(X, y)]).fit(X, COLUMNS)
    assert scored.history_["validation_score"] == scored.history_["validation_<lambda>"]
    # two columns of two classes have the form of indicators, which the metrics take
    binary = (COLUMNS[:, :2] > 1).astype(int)
    classes = [[0, 1], [0, 1]]
    fitted = model(early_stopping=True, scoring=["accuracy", None]).fit(X, binary, classes=classes)
    assert fitted.history_["validation_accuracy"] == fitted.history_["validation_score"]


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
@pytest.mark.parametrize("named", [False, True])
def test_text_in_one_column_and_numbers_in_another(order, named):
    """As in a data frame. The model is that of the numbers of the labels."""
    names = np.array(["large", "medium", "small"])
    numbers, labels = np.column_stack([NUMBERS, COLUMNS[:, 1]]), np.empty((200, 2), object)
    labels[:, 0], labels[:, 1] = names[NUMBERS], COLUMNS[:, 1]
    numbers, labels = numbers[:, order], labels[:, order]
    classes = [[names, [0, 5]][i] for i in order] if named else None
    fitted = model(early_stopping=True).fit(X, labels, classes=classes)
    expected = model(early_stopping=True).fit(X, numbers)
    assert_array_equal(fitted.network_.params, expected.network_.params)
    predicted = fitted.predict(X)
    assert {type(label) for label in predicted[:, order[0]]} == {str}
    assert_array_equal(predicted[:, order[1]].astype(int), expected.predict(X)[:, order[1]])
    assert fitted.score(X, labels) == expected.score(X, numbers) > 0.2
    assert fitted.validation_scores_ == expected.validation_scores_
    fitted.set_params(early_stopping=False).partial_fit(
        X, labels, classes=[[[*names, "tiny"], [0, 5, 7]][i] for i in order]
    )
    assert [len(c) for c in fitted.classes_] == [[4, 3][i] for i in order]
    assert fitted.score(X, labels) > 0.2
