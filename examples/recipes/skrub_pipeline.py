"""Tables with dates and free text: skrub's tabular_pipeline around a network
==========================================================================

To run it::

    python examples/recipes/skrub_pipeline.py

`TabularMLPClassifier` and `TabularMLPRegressor` take numbers, categories and missing values, but no dates and no free
text, in which hardly any two values are equal. skrub's `tabular_pipeline` turns a data frame with such columns into
numbers for any regressor of scikit-learn's kind. The script compares three models on made-up orders: `MLPRegressor`
behind all of skrub's encoders, `TabularMLPRegressor` behind those for dates and text only (categories and numbers pass
through), and a ridge regression.
"""

import warnings

import numpy as np
import pandas as pd
import skrub
from sklearn.linear_model import Ridge
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from fastbp import MLPRegressor, TabularMLPRegressor

rng = np.random.default_rng(0)
n = 3000
products = {"garden chair": 40, "garden table": 120, "oak shelf": 90, "floor lamp": 60, "desk lamp": 35, "sofa": 400}
product = rng.choice(list(products), n)
extra = rng.choice(["", " with cover", ", second hand", " (set of two)"], n)
factor = pd.Series(extra).map({"": 1.0, " with cover": 1.2, ", second hand": 0.5, " (set of two)": 1.9})
orders = pd.DataFrame(
    {
        "ordered": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 700, n), unit="D"),
        "text": pd.Series([f"{p}{e}, no. {i:05}" for i, (p, e) in enumerate(zip(product, extra, strict=True))]),
        "country": pd.Categorical(rng.choice(["DE", "FR", "NL"], n)),
        "weight": np.where(rng.random(n) < 0.1, np.nan, rng.gamma(3, 2, n)),
    }
)
season = 1 + 0.3 * np.cos(2 * np.pi * orders["ordered"].dt.day_of_year / 365)
price = pd.Series(product).map(products) * factor * season * np.where(orders["country"] == "NL", 0.9, 1.0)
y = (price * rng.lognormal(0, 0.1, n)).to_numpy() / 100
X_train, X_test, y_train, y_test = train_test_split(orders, y, random_state=0)

network = MLPRegressor(
    hidden_layer_sizes=(64, 64),
    dropout=0.1,
    learning_rate="one_cycle",
    learning_rate_init=0.01,
    max_iter=60,
    n_iter_no_change=np.inf,
    random_state=0,
)
dates_and_text = skrub.TableVectorizer(low_cardinality="passthrough", numeric="passthrough")
models = {
    "Ridge": skrub.tabular_pipeline(Ridge()),
    "MLPRegressor": skrub.tabular_pipeline(network),
    "TabularMLPRegressor": make_pipeline(dates_and_text, TabularMLPRegressor(preset="fast", random_state=0)),
}
scores = {}
for name, model in models.items():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # skrub's, about its encoders
        scores[name] = model.fit(X_train, y_train).score(X_test, y_test)
    print(f"{name:20} R2 on test rows {scores[name]:.3f}")

assert scores["MLPRegressor"] > scores["Ridge"]
assert scores["TabularMLPRegressor"] > scores["Ridge"]
