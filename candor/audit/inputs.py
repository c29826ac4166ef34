"""What the audit takes from the warehouse: staged rows, identities, arms, pins. Read whole, as Arrow; nothing is computed in SQL."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from candor.audit.raw import Raw

if TYPE_CHECKING:
    import duckdb
    import polars as pl

    from candor.runs import Run
    from candor.settings import Settings

DECISION_COLUMNS = ["decision_id", "batch_seq", "person_id", "channel", "is_promotion", "is_chosen", "send_after", "as_of"]


@dataclass(frozen=True)
class Inputs:
    """The staged rows and what identity, experiments and earlier runs say about their persons."""

    staged: pl.DataFrame
    identifiers: pl.DataFrame  # person_id, identifier_kind, identifier of the staged persons
    stages: pl.DataFrame  # person_id, u_stage
    arms: pl.DataFrame  # person_id, arm, batch_seq
    past_decisions: pl.DataFrame  # person_id, decision_id, at: pushed promotions that earlier runs published
    phone_numbers: pl.DataFrame
    deliveries: pl.DataFrame  # pinned to this run
    all_deliveries: pl.DataFrame

    def raw(self, settings: Settings, as_of: datetime) -> Raw:
        """The raw rows of the pinned deliveries."""
        return Raw(settings, as_of, self.deliveries, self.all_deliveries)


def read(connection: duckdb.DuckDBPyConnection, run: Run) -> Inputs:
    """Everything the audit needs, cut to the persons that have a staged row."""
    import polars as pl

    staged = _table(connection, "decisions", "staged_offers")
    people = staged.select("person_id").unique()
    identifiers = _table(connection, "identity", "person_identifiers", ["person_id", "identifier_kind", "identifier"])
    stages = _table(connection, "core", "people", ["person_id", "lifecycle_stage"]).rename({"lifecycle_stage": "u_stage"})
    arms = _table(connection, "state", "arms", ["person_id", "arm", "batch_seq"])
    pins = _table(connection, "state", "pins").filter(pl.col("as_of") == run.as_of.replace(tzinfo=None))
    deliveries = _table(connection, "state", "deliveries")
    return Inputs(
        staged=staged,
        identifiers=identifiers.join(people, on="person_id", how="semi"),
        stages=stages.join(people, on="person_id", how="semi"),
        arms=arms.filter(pl.col("batch_seq") <= run.batch_seq).join(people, on="person_id", how="semi"),
        past_decisions=_past_decisions(connection, run, people),
        phone_numbers=_table(
            connection, "state", "phone_numbers", ["raw", "country", "phone_std", "phone_country", "is_valid"]
        ),
        deliveries=deliveries.join(pins, on="delivery_id", how="semi"),
        all_deliveries=deliveries,
    )


def _past_decisions(connection: duckdb.DuckDBPyConnection, run: Run, people: pl.DataFrame) -> pl.DataFrame:
    """Pushed promotions that runs before this one published, with the instant each was to be sent."""
    import polars as pl

    from candor.audit.rules import PUSHED

    if not _exists(connection, "state", "decisions"):  # nothing was ever published
        return pl.DataFrame(schema={"person_id": pl.String, "decision_id": pl.String, "at": pl.Datetime("us")})
    return (
        _table(connection, "state", "decisions", DECISION_COLUMNS)
        .filter(pl.col("batch_seq") < run.batch_seq, pl.col("is_chosen"), pl.col("is_promotion").fill_null(True))
        .filter(pl.col("channel").is_in(PUSHED))
        .join(people, on="person_id", how="semi")
        # A channel without a window sends when the run is published.
        .select("person_id", "decision_id", pl.col("send_after").fill_null(pl.col("as_of")).cast(pl.Datetime("us")).alias("at"))
    )


def _exists(connection: duckdb.DuckDBPyConnection, schema: str, name: str) -> bool:
    found = connection.execute(
        "select 1 from information_schema.tables where table_schema = ? and table_name = ?", [schema, name]
    ).fetchone()
    return found is not None


def _table(connection: duckdb.DuckDBPyConnection, schema: str, name: str, columns: list[str] | None = None) -> pl.DataFrame:
    import polars as pl

    chosen = ", ".join(f'"{column}"' for column in columns) if columns else "*"
    arrow = connection.execute(f"select {chosen} from {schema}.{name}").to_arrow_table()
    frame = pl.from_arrow(arrow)
    assert isinstance(frame, pl.DataFrame)
    return frame.with_columns(
        pl.col(column).cast(pl.Datetime("us")) for column, kind in frame.schema.items() if isinstance(kind, pl.Datetime)
    )
