"""Made-up examples with an effect that depends on a feature, in the columns of features.training_examples."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import numpy as np
import pyarrow as pa

from candor import runs, warehouse
from candor.settings import Settings
from training.config import registry

AS_OF = datetime(2026, 11, 23, 15, tzinfo=UTC)
CATEGORIES = {
    "activity_stage": ["prospect", "new", "developing", "experienced", "dormant"],
    "product_line": ["education", "spot", "staking"],
    "incentive": ["none", "fee_discount"],
    "asset_kind": ["none", "other"],
    "target_market": ["everybody", "adults who asked for it"],
    "channel": ["web", "app", "email"],
}


def examples_table(rows: int, seed: int, *, effect: float = 1.4) -> pa.Table:
    """Labelled examples over 50 days; being shown raises the log-odds by `effect` for people who viewed the product line."""
    generator = np.random.default_rng(seed)
    columns: dict[str, np.ndarray] = {}
    for column in registry().allowed:
        if column.kind == "category":
            columns[column.name] = generator.choice(np.array(CATEGORIES[column.name], dtype=object), rows)
        else:
            columns[column.name] = generator.poisson(1.5, rows).astype(float)
    person = generator.integers(0, rows // 4, rows)
    exposed = generator.random(rows) < 0.7
    columns["line_views_last_30_days"] = generator.poisson(0.7, rows).astype(float)
    interested = columns["line_views_last_30_days"] > 0
    margin = (
        -2.6 + 0.5 * columns["sessions_last_30_days"] * (columns["product_line"] != "staking") + effect * exposed * interested
    )
    label = (generator.random(rows) < 1 / (1 + np.exp(-margin))).astype(np.int32)
    start = np.datetime64("2026-09-26T00:00:00", "us")
    assigned_at = start + np.sort(generator.integers(0, 50 * 86_400_000_000, rows)).astype("timedelta64[us]")
    return pa.table(
        {
            "assignment_id": [f"a{number:06d}" for number in range(rows)],
            "person_id": [f"p{number:05d}" for number in person],
            "offer_id": np.where(columns["product_line"] == "spot", "spot_btc", "other"),
            "offer_version": np.ones(rows, dtype=np.int64),
            "arm": np.where(exposed, "shown", "held_out"),
            "is_exposed": exposed,
            "propensity": np.full(rows, 0.1),
            "assigned_at": assigned_at,
            "outcome_window_days": np.full(rows, 7, dtype=np.int32),
            "label": label,
            "label_known_at": assigned_at + np.timedelta64(7, "D"),
            "weight": np.ones(rows),
            "outcome_needs_offer": np.zeros(rows, dtype=bool),
            **columns,
        }
    )


def put(connection: duckdb.DuckDBPyConnection, table: pa.Table) -> None:
    """`table` as features.training_examples."""
    connection.execute("create schema if not exists features")
    connection.register("given", table)
    connection.execute("create or replace table features.training_examples as select * from given")
    connection.unregister("given")


def current_run(connection: duckdb.DuckDBPyConnection, as_of: datetime = AS_OF) -> None:
    """A run of `as_of` that the warehouse is built for."""
    runs.prepare(connection)
    instant = warehouse.utc(as_of)
    if not connection.execute("select 1 from state.batches where as_of = ?", [instant]).fetchone():
        connection.execute(
            "insert into state.batches select coalesce(max(batch_seq), 0) + 1, ?, ?, 'p1', null from state.batches",
            [instant, f"r{instant:%Y%m%d}"],
        )
    connection.execute("delete from state.current_run")
    connection.execute("insert into state.current_run values (?)", [instant])


@cache
def _registry_file() -> bytes:
    from mlflow import MlflowClient

    with TemporaryDirectory() as folder:
        path = Path(folder) / "mlflow.db"
        client = MlflowClient(tracking_uri=f"sqlite:///{path}", registry_uri=f"sqlite:///{path}")
        client.search_registered_models()
        return path.read_bytes()


def empty_registry(settings: Settings) -> None:
    """An empty MLflow database for `settings`; making one takes seconds, so it is made once and copied."""
    settings.mlflow_dir.mkdir(parents=True)
    (settings.mlflow_dir / "mlflow.db").write_bytes(_registry_file())
