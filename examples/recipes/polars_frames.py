"""Data frames of polars: in, and out
==================================

To run it::

    python examples/recipes/polars_frames.py

The estimators take data frames of polars as those of pandas: `TabularMLPClassifier` with text, categories and nulls,
`MLPClassifier` with numbers, also behind a `ColumnTransformer` that chooses columns by name. Names of columns are kept:
a prediction from a frame with other columns is an error. With `set_output(transform="polars")`, the steps in between
return data frames of polars too.
"""

import numpy as np
import polars as pl
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fastbp import MLPClassifier, TabularMLPClassifier

rng = np.random.default_rng(0)
n = 2000
frame = pl.DataFrame(
    {
        "age": rng.integers(18, 90, n),
        "town": rng.choice(["Bonn", "Kiel", "Ulm"], n),
        "income": rng.lognormal(8, 0.5, n),
    }
).with_columns(
    pl.col("town").cast(pl.Categorical),
    pl.when(pl.Series(rng.random(n) > 0.1)).then(pl.col("income")),  # else null
    (pl.col("age") > 50).xor(pl.col("town") == "Kiel").alias("buys"),
)
train, test = frame.head(1500), frame.tail(500)
columns = ["age", "town", "income"]

# As it is
table = TabularMLPClassifier(preset="fast", random_state=0).fit(train[columns], train["buys"])
print(f"TabularMLPClassifier: accuracy {table.score(test[columns], test['buys']):.3f}")

# By steps that return data frames of polars
prepare = make_column_transformer(
    (make_pipeline(SimpleImputer(), StandardScaler()), ["age", "income"]),
    (OneHotEncoder(sparse_output=False), ["town"]),
    verbose_feature_names_out=False,
).set_output(transform="polars")
network = MLPClassifier((32,), max_iter=200, tol=0.001, n_iter_no_change=20, random_state=0)
model = make_pipeline(prepare, network).fit(train[columns], train["buys"])
print(f"MLPClassifier: accuracy {model.score(test[columns], test['buys']):.3f}")
print("it reads the columns", *model[-1].feature_names_in_)

# Predictions as columns of the frame
scored = test.with_columns(probability=pl.Series(table.predict_proba(test[columns])[:, 1]))
print(scored.group_by("buys").agg(pl.col("probability").mean()).sort("buys"))

try:
    table.predict(test[["town", "age", "income"]])
except ValueError as error:
    print("columns in another order:", str(error).splitlines()[0])
else:
    raise AssertionError("columns in another order were accepted")

assert table.score(test[columns], test["buys"]) > 0.9
assert model.score(test[columns], test["buys"]) > 0.9
