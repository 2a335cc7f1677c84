"""From a database to a network: DuckDB, Arrow, and fit_batches
============================================================

To run it::

    python examples/recipes/duckdb_to_fit_batches.py

DuckDB runs a query over tables or files that are larger than memory, and hands the result over in batches of Arrow.
`fit_batches` trains on them as they come, so that neither the table nor the result of the query has to fit into memory.
The query joins, filters and makes features. It runs once for each epoch; a query with an ORDER BY over a hash shuffles
the rows in the database, so that each window holds rows of all days.
"""

import duckdb
import numpy as np

from fastbp import MLPClassifier

database = duckdb.connect()
database.execute("SET threads = 2")
database.execute("SELECT setseed(0.5)")
database.execute("""
    CREATE TABLE stations AS
    SELECT station, random() AS altitude FROM range(20) AS numbers(station)
""")
database.execute("""
    CREATE TABLE weather AS
    SELECT day, station, 15 + 10 * sin(day / 58.0) + 4 * random() AS temperature, random() AS cloud
    FROM range(2000) AS days(day), range(20) AS numbers(station)
""")
QUERY = """
    SELECT temperature, cloud, altitude, sin(day / 58.0) AS season,
           (temperature - 8 * altitude - 6 * cloud > 12)::INTEGER AS is_warm
    FROM weather JOIN stations USING (station)
    WHERE day {days}
    ORDER BY hash(day * 20 + station)
"""
FEATURES = ["temperature", "cloud", "altitude", "season"]


def rows_of(days):
    """A function that runs the query and returns an iterator of blocks (X, y), as `fit_batches` takes it."""

    def blocks():
        for batch in database.cursor().sql(QUERY.format(days=days)).to_arrow_reader(4096):
            yield np.column_stack([batch[name] for name in FEATURES]), batch["is_warm"].to_numpy()

    return blocks


model = MLPClassifier(
    (32,), dtype="float32", learning_rate="one_cycle", learning_rate_init=0.02, max_iter=6, random_state=0
)
model.fit_batches(
    rows_of("< 1800"),
    classes=[0, 1],
    shuffle_rows=8192,
    validation=rows_of("BETWEEN 1800 AND 1899"),
)
X_test, y_test = (np.concatenate(parts) for parts in zip(*rows_of(">= 1900")(), strict=True))
print("accuracy on the validation days after each epoch:", *(f"{score:.3f}" for score in model.validation_scores_))
print(f"accuracy on the last 100 days: {model.score(X_test, y_test):.3f}")
assert model.score(X_test, y_test) > 0.95

# %%
# Or DuckDB writes Parquet files, and `fit_batches` reads them by itself::
#
#     database.execute("COPY (SELECT ...) TO 'weather.parquet' (ROW_GROUP_SIZE 8192)")
#     model.fit_batches("weather.parquet", target="is_warm")
