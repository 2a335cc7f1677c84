"""Record fits with MLflow: parameters, scores, the loss of each epoch, and the model
==================================================================================

To run it::

    python examples/recipes/mlflow_autologging.py

`mlflow.sklearn.autolog()` records each `fit` of a scikit-learn pipeline or search: its parameters, training scores and
the model itself, also if the last step is an estimator of fastbp. It does not look into the training. A callback of a
few lines adds the loss and the validation score of each epoch, which MLflow shows as curves. The script records to a
temporary folder; in a project, leave `set_tracking_uri` out, and run `mlflow ui` to look at the runs.
"""

import logging
import os
import tempfile
import warnings
from pathlib import Path

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # no messages over the network
os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
os.environ["MLFLOW_RECORD_ENV_VARS_IN_MODEL_LOGGING"] = "false"
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # those of MLflow's own imports
    import mlflow
    import mlflow.sklearn

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastbp import Callback, MLPClassifier


class LogEpochs(Callback):
    """Records the numbers of each epoch in the active run of MLflow."""

    def on_epoch_end(self, state):
        """Record them.

        Parameters
        ----------
        state : TrainingState
        """
        numbers = {"loss": state.loss, "learning_rate": state.learning_rate}
        if state.validation_score is not None:
            numbers["validation_score"] = state.validation_score
        mlflow.log_metrics(numbers, step=state.epoch)


X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)

logging.getLogger("mlflow").setLevel(logging.ERROR)
logging.getLogger("alembic").setLevel(logging.ERROR)
with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
    warnings.simplefilter("ignore")  # MLflow's, about itself
    mlflow.set_tracking_uri(f"sqlite:///{folder}/runs.db")
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("digits", Path(folder, "artifacts").as_uri()))
    mlflow.sklearn.autolog(log_datasets=False, serialization_format="cloudpickle")

    network = MLPClassifier((64,), early_stopping=True, max_iter=200, random_state=0, callbacks=LogEpochs())
    with mlflow.start_run() as run:
        model = make_pipeline(StandardScaler(), network).fit(X_train, y_train)
        mlflow.log_metric("test_accuracy", model.score(X_test, y_test))

    client = mlflow.MlflowClient()
    recorded = client.get_run(run.info.run_id).data
    losses = client.get_metric_history(run.info.run_id, "loss")
    loaded = mlflow.sklearn.load_model(f"runs:/{run.info.run_id}/model")
    same = np.array_equal(loaded.predict_proba(X_test), model.predict_proba(X_test))
    mlflow.sklearn.autolog(disable=True)

print("some of the", len(recorded.params), "parameters:")
for name in ("mlpclassifier__hidden_layer_sizes", "mlpclassifier__solver", "mlpclassifier__early_stopping"):
    print(f"    {name} = {recorded.params[name]}")
print("scores:", {name: round(value, 3) for name, value in sorted(recorded.metrics.items())})
print(f"losses of {len(losses)} epochs, from {losses[0].value:.3f} to {losses[-1].value:.3f}")
print("the loaded model predicts the same:", same)

assert recorded.params["mlpclassifier__early_stopping"] == "True"
assert [metric.value for metric in losses] == model[-1].loss_curve_
assert "training_accuracy_score" in recorded.metrics
assert same
