"""The text of C files: what is written, refused and left out, and the ways to use a file."""

import re
import subprocess
from functools import cache

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

import c_cases
import fastbp
from c_library import COMPILERS, CPP, WARNINGS, C, needs_compiler, run
from fastbp import MLPClassifier, MLPRegressor, Network, to_c
from fastbp.export.c import c_source, helpers, kinds, outcomes, text
from fastbp.export.description import KINDS
from fastbp.kernels import ACTIVATIONS
from fastbp.layers import BatchNorm, Dense
from layer_cases import STACKS

each_compiler = pytest.mark.parametrize("compiler", COMPILERS or [pytest.param(None, marks=needs_compiler)])


@cache
def small():
    """A fitted classifier."""
    return c_cases.classifier("text")


# Tables of names


def test_every_activation_has_a_form_in_c():
    assert {*helpers.ELEMENTWISE, "softmax", "identity"} == set(ACTIVATIONS)


def test_every_kind_has_a_form_in_c():
    assert set(kinds.KINDS) == set(KINDS)
    assert set(kinds.IN_PLACE) <= set(KINDS)


def test_every_outcome_has_a_form_in_c():
    module = fastbp.export.outcomes
    named = [
        value for value in vars(module).values() if isinstance(value, type) and value.__module__ == module.__name__
    ]
    assert set(outcomes.OUTCOMES) == {
        cls for cls in named if hasattr(cls, "methods") or "methods" in cls.__annotations__
    }


def test_functions_for_users_have_names_of_their_own():
    sources = [c_source(c_cases.classifier(name)) for name in ("text", "columns")]
    sources += [c_source(c_cases.regressor(name)) for name in ("gaussian", "one")]
    for source in sources:
        names = re.findall(r"^\w+ model_(\w+)\(.*\);$", source, re.MULTILINE)
        assert len(names) > 1 or "predict" in names
        assert not set(names) & set(helpers.HELPERS)


# Numbers and text


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_literals_are_read_as_the_same_number(dtype):
    rng, limits = np.random.default_rng(0), np.finfo(dtype)
    bits = f"i{limits.bits // 8}"
    values = np.frombuffer(rng.bytes(4000 * limits.bits // 8), dtype)
    special = [0.0, -0.0, 0.1, 1 / 3, 1e16, 16777217, limits.max, -limits.tiny, limits.smallest_subnormal]
    values = np.concatenate([values[np.isfinite(values)], np.array(special, dtype)])
    literals = text.numbers(values)
    read = np.array([dtype(number.rstrip("f")) for number in literals])
    assert_array_equal(read.view(bits), values.view(bits))
    assert all(number.endswith("f") for number in literals) == (dtype == np.float32)
    assert all(re.search(r"[.e]", number) for number in literals)
    assert max(map(len, literals)) <= (16 if dtype == np.float32 else 24)


@each_compiler
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_are_read_by_the_compiler_as_the_same_numbers(compiler, dtype, tmp_path):
    network = Network([30, 20, 1], dtype=dtype, random_state=0)
    network.params[:5] = [1e-40, -0.0, np.finfo(dtype).max, 1 / 3, np.finfo(dtype).tiny]
    to_c(network, tmp_path / "model.c")
    (tmp_path / "main.c").write_text(
        '#define MODEL_STATIC\n#include "model.c"\n#include <stdio.h>\n'
        "int main(void) { return fwrite(model_W_1, sizeof model_W_1, 1, stdout) != 1; }\n"
    )
    run(compiler, *C, *WARNINGS, tmp_path / "main.c", "-o", tmp_path / "main", "-lm")
    written = subprocess.run([tmp_path / "main"], capture_output=True, check=True).stdout
    assert written == network.coefs[0].tobytes()


def test_strings_are_ascii_without_trigraphs():
    assert text.string('a"\\b') == '"a\\042\\134b"'
    assert text.string("?" * 3) == '"\\077\\077\\077"'
    assert text.string("ä") == '"\\303\\244"'
    for wrong in ("a\0b", "a" * 5000):
        with pytest.raises(ValueError, match="text for C must not have"):
            text.string(wrong)


def test_comments_do_not_end_early():
    source = c_source(
        MLPClassifier(**c_cases.SHORT).fit(c_cases.X, np.array(["*/ a", "/* b", "??/\n"])[c_cases.LABELS])
    )
    assert source.count("*/") == source.count("/*")
    assert source.isascii()


# What is left out


def test_a_file_has_only_what_the_model_needs():
    source = c_source(Network([3, 4, 2], "relu", random_state=0))
    assert "math.h" not in source
    found = set(re.findall(r"^static .*?model_(\w+)\(", source, re.MULTILINE))
    assert found == {"dense", "relu", "copy", "network"}


def test_the_size_of_a_file_is_that_of_its_weights():
    sizes = [len(c_source(Network([100, n, 1], dtype="float32", random_state=0))) for n in (10, 20)]
    assert sizes[0] < 3500 + 102 * 10 * 16
    assert sizes[1] - sizes[0] < 102 * 10 * 16  # 16 characters a number, the comma included


def test_nodes_that_are_needed_together_do_not_overlap():
    """Beside the compared predictions: the memory is that of two layers, not of all."""
    source = c_source(Network([5, *[64] * 10, 1], random_state=0))
    assert "double values[128];" in source
    source = c_source(c_cases.network_of(5, [Dense(64), BatchNorm(), Dense(1, "tanh")]))
    assert "double values[65];" in source


# The ways to use a file


@each_compiler
@pytest.mark.parametrize("language", [C, CPP], ids=["c99", "c++11"])
def test_two_models_in_a_program(compiler, language, tmp_path):
    """One compiled by itself, with its declarations read elsewhere; one static."""
    regressor = c_cases.regressor("gaussian")
    to_c(small(), tmp_path / "one.c", prefix="one", dtype="float32")
    to_c(regressor, tmp_path / "two.c", prefix="two")
    x = ", ".join(map(repr, c_cases.X[0].tolist()))
    (tmp_path / "main.c").write_text(
        f"""\
#define ONE_DECLARATIONS
#include "one.c"
#define TWO_STATIC
#include "two.c"
#include "two.c"
#include <stdio.h>
int main(void) {{
    static const double x[TWO_N_FEATURES] = {{ {x} }};
    float x_float[ONE_N_FEATURES];
    one_work one;
    two_work two;
    for (int i = 0; i < ONE_N_FEATURES; i++)
        x_float[i] = (float)x[i];
    printf("%s %.17g\\n", one_classes[one_predict(x_float, &one)], two_predict(x, &two));
    return 0;
}}
"""
    )
    objects = [tmp_path / "one.o", tmp_path / "main.o"]
    for path in objects:
        run(compiler, *language, *WARNINGS, "-O2", "-c", path.with_suffix(".c"), "-o", path)
    run(compiler, *objects, "-o", tmp_path / "main", "-lm")
    label, number = run(tmp_path / "main").split()
    assert label == small().predict(c_cases.X[:1])[0]
    assert float(number) == pytest.approx(regressor.predict(c_cases.X[:1])[0], rel=1e-12)


@each_compiler
def test_finite_math_is_refused(compiler, tmp_path):
    to_c(small(), tmp_path / "model.c")
    with pytest.raises(AssertionError, match="without -ffast-math"):
        run(compiler, *C, "-ffast-math", "-c", tmp_path / "model.c", "-o", tmp_path / "model.o")


@each_compiler
def test_bad_rows_under_sanitizers(compiler, tmp_path):
    """Codes and numbers that are far away, infinite or missing read no memory that is not theirs, and a class is -1
    where the output is not finite."""
    columns, numbers = (c_cases.network_of(*STACKS[name]) for name in ("columns", "numbers"))
    files = {"codes": columns, "bins": numbers, "classes": small()}
    for prefix, model in files.items():
        to_c(model, tmp_path / f"{prefix}.c", prefix=prefix)
    (tmp_path / "main.c").write_text(
        "".join(f'#define {prefix.upper()}_STATIC\n#include "{prefix}.c"\n' for prefix in files)
        + """\
#include <stdio.h>
int main(void) {
    const double values[] = {0.0, -0.4, 1.0, 2.6, -1e300, 1e300, 1e18, -1e18, INFINITY, -INFINITY, NAN};
    double x[CODES_N_FEATURES + BINS_N_FEATURES], y[2];
    codes_work codes;
    bins_work bins;
    classes_work classes;
    for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
        for (int i = 0; i < CODES_N_FEATURES + BINS_N_FEATURES; i++)
            x[i] = values[v];
        codes_forward(x, y, &codes);
        bins_forward(x, y, &bins);
        printf("%d\\n", (int)classes_predict(x, &classes));
    }
    return 0;
}
"""
    )
    sanitized = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    try:
        run(compiler, *C, *WARNINGS, *sanitized, tmp_path / "main.c", "-o", tmp_path / "main", "-lm")
    except AssertionError as error:
        if "asan" in str(error) or "sanitizer" in str(error):
            pytest.skip("the compiler has no sanitizers")
        raise
    found = list(map(int, run(tmp_path / "main").split()))
    assert all(place >= 0 for place in found[:4])
    assert found[-1] == -1


# What is refused, and how files are written


def test_the_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "model.c"
    to_c(small(), str(path))
    before = path.read_bytes()
    with pytest.raises(ValueError, match="prefix"):
        to_c(small(), path, prefix="1")
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["model.c"]
    with pytest.raises(OSError, match="no regular file"):
        to_c(small(), tmp_path)


@pytest.mark.parametrize("prefix", ["", "1st", "a-b", "_model", "while", "class", "ä", "a" * 32, None, 3, "main"])
def test_prefix(prefix):
    with pytest.raises(ValueError, match="prefix must be a name in C"):
        c_source(small(), prefix=prefix)


@pytest.mark.parametrize("dtype", ["float16", "int", int, 3, object(), [1], {}])
def test_dtype(dtype):
    with pytest.raises(ValueError, match="dtype must be"):
        c_source(small(), dtype=dtype)


def test_coverage():
    with pytest.raises(ValueError, match="coverage must be None, but for TabularMLPRegressor"):
        c_source(small(), coverage=0.9)
    with pytest.raises(ValueError, match="coverage must be None, but for TabularMLPRegressor"):
        c_source(c_cases.tabular("two classes"), coverage=0.9)
    for coverage in (0.0, 1.0, "0.9", True):
        with pytest.raises(ValueError, match="coverage must be a number"):
            c_source(c_cases.tabular("numbers"), coverage=coverage)
    with pytest.raises(ValueError, match="out-of-bag rows"):
        c_source(c_cases.tabular("two targets"), coverage=0.9)
    assert "No intervals: predict_interval needs out-of-bag rows" in c_source(c_cases.tabular("two targets"))
    assert "probability of about 0.5" in c_source(c_cases.tabular("numbers"), coverage=0.5)


def test_columns_of_tables():
    source = c_source(c_cases.tabular("numbers"))
    lines = [line.removeprefix(" *     ") for line in source.splitlines() if line.startswith(" *     x[")]
    assert lines == [
        "x[0]  age * /: a number",
        "x[1]  time: a number",
        "x[2]  huge: a number",
        "x[3]  pair: a number",
        'x[4]  town: the number of a level, from 0, which model_level(4, text) finds: ? ? * / ", Bonn, Kiel, K\\xf6ln',
        "x[5]  size: one of the numbers 1.0, 2.0, 5.0",
        "x[6]  answer: the number of a level, from 0, which model_level(6, text) finds: no, yes",
        "x[7]  empty: -1 for a value, none of which was there often enough in fit",
    ]


def test_tables_have_no_dtype():
    with pytest.raises(ValueError, match="dtype must be None for TabularMLPClassifier"):
        c_source(c_cases.tabular("two classes"), dtype="float32")


def test_other_objects():
    with pytest.raises(TypeError, match="estimator must be an estimator or a Network of fastbp"):
        c_source(LinearRegression())
    with pytest.raises(NotFittedError):
        c_source(MLPRegressor())


def test_pipelines():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(c_cases.X, columns=["width", "height", "*/", "a@copy real 1.0 exp(x)"])
    y = c_cases.TARGETS["text"]
    pipeline = make_pipeline(StandardScaler(), MLPClassifier(**c_cases.SHORT)).fit(frame, y)
    source = c_source(pipeline)
    assert "x[1]  height" in source
    assert "x[3]  a@copy real 1.0 exp(x)" in source
    assert "model_copy" not in source
    assert c_source(make_pipeline("passthrough", pipeline[-1])) == c_source(pipeline[-1])
    with pytest.raises(TypeError, match="the step 'pca' of the pipeline, PCA, cannot be exported"):
        c_source(make_pipeline(PCA(2), MLPClassifier(**c_cases.SHORT)).fit(frame, y))
    with pytest.raises(TypeError, match="scalers in front of a TabularMLPClassifier"):
        c_source(make_pipeline(StandardScaler().fit(frame), c_cases.tabular("two classes")))
    with pytest.raises(NotFittedError):
        c_source(make_pipeline(StandardScaler(), pipeline[-1]))


@pytest.mark.parametrize("scaler", [MinMaxScaler, MaxAbsScaler])
def test_scalers_that_clip(scaler):
    if "clip" not in scaler().get_params():
        pytest.skip("this version of scikit-learn has no clip")
    pipeline = make_pipeline(scaler(clip=True), MLPClassifier(**c_cases.SHORT)).fit(c_cases.X, c_cases.LABELS)
    with pytest.raises(ValueError, match=rf"{scaler.__name__}\(clip=True\) .*fit it with clip=False"):
        c_source(pipeline)


@pytest.mark.parametrize("scaler", [StandardScaler, RobustScaler, MinMaxScaler])
def test_columns_that_float32_cannot_resolve(scaler):
    pd = pytest.importorskip("pandas")
    times = pd.DataFrame(1.7e9 + 30 * c_cases.X[:, :2], columns=["start", "end"])
    times["start"] -= 1.7e9

    def fitted(X, **params):
        return make_pipeline(scaler(), MLPClassifier(**c_cases.SHORT, **params)).fit(X, c_cases.LABELS)

    message = r"\(x - 1\.7e\+09\) \* 0\.\d+ of column 1 \('end'\), .* export with dtype='float64'"
    for pipeline, dtype in [(fitted(times), "float32"), (fitted(times, dtype="float32"), None)]:
        with pytest.raises(ValueError, match=message):
            c_source(pipeline, dtype=dtype)
        assert "const double *x" in c_source(pipeline, dtype="float64")
    with pytest.raises(ValueError, match=r"of column [01], with an error of about"):
        c_source(fitted(times.to_numpy()), dtype="float32")
    # years lose 2e-5 of their spread
    assert "const float *x" in c_source(fitted(2000 + 10 * c_cases.X), dtype="float32")


def test_parameters_must_be_finite():
    network = Network([2, 1], random_state=0)
    network.params[0] = 1e300
    with pytest.raises(ValueError, match=r"dtype='float32' cannot hold parameters of 1e\+300"):
        c_source(network, dtype="float32")
    network.params[0] = np.inf
    with pytest.raises(ValueError, match="parameters of the estimator must be finite"):
        c_source(network)


def test_names_of_features_and_layers_of_ones_own(tmp_path):
    """Names that C does not know: of columns in the comment, of blocks in the names of arrays."""
    network = c_cases.network_with_odd_names()
    to_c(network, tmp_path / "model.c")
    for compiler in COMPILERS:
        run(compiler, *C, *WARNINGS, "-c", tmp_path / "model.c", "-o", tmp_path / "model.o")
