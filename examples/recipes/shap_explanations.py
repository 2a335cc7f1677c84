"""Explain predictions with SHAP: what each feature adds to one prediction
=======================================================================

To run it::

    python examples/recipes/shap_explanations.py

The SHAP values of a row are its features' contributions: together with the mean prediction they sum to the prediction
of the row (Lundberg and Lee, 2017, A unified approach to interpreting model predictions). `shap.Explainer` computes
them from calls of `predict` for many mixed rows, which is where a fast prediction helps. For a network there is another
way, without sampling: `input_gradient` and `Network.jacobian` give exact derivatives. The script shows that both agree
for a model that is almost linear.
"""

import warnings

import numpy as np

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # those of shap's own imports
    import shap

from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastbp import MLPRegressor

diabetes = load_diabetes(scaled=False)
X_train, X_test, y_train, y_test = train_test_split(diabetes.data, diabetes.target / 100, random_state=0)
network = MLPRegressor(
    hidden_layer_sizes=(20,), activation="tanh", solver="lbfgs", alpha=10, max_iter=1000, random_state=0
)
model = make_pipeline(StandardScaler(), network).fit(X_train, y_train)
print(f"R2 on test rows {model.score(X_test, y_test):.2f}")

background = X_train[:50]
explainer = shap.Explainer(model.predict, background, feature_names=diabetes.feature_names, seed=0)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    explanation = explainer(X_test[:40], silent=True)

first = np.argsort(-np.abs(explanation.values[0]))[:4]
print(f"the first test row: prediction {model.predict(X_test[:1])[0]:.2f}, mean {explanation.base_values[0]:.2f}, and")
for feature in first:
    print(f"    {diabetes.feature_names[feature]:4} {explanation.values[0, feature]:+6.2f}")

# Contributions sum to the prediction
sums = explanation.base_values + explanation.values.sum(axis=1)
assert np.allclose(sums, model.predict(X_test[:40]), atol=1e-6 * np.abs(sums).max())

# Derivative times distance from the mean of the background, in units of the scaled features
scaled, mean = model[0].transform(X_test[:40]), model[0].transform(background).mean(axis=0)
slopes = model[-1].network_.jacobian(scaled)[:, 0]
linear = slopes * (scaled - mean)
agreement = np.corrcoef(linear.ravel(), explanation.values.ravel())[0, 1]
print(f"correlation of SHAP values and derivatives times distances: {agreement:.3f}")
assert agreement > 0.9
