"""What the audit takes from the warehouse: staged rows, identities, arms, pins. Read as Arrow, some people at a time; nothing is
computed in SQL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from candor.audit.raw import Raw
from candor.errors import AuditFailed

if TYPE_CHECKING:
    import duckdb
    import polars as pl

    from candor.runs import Run
    from candor.settings import Settings

# One wide row per staged offer takes about 4 KB while it is judged, and people have seven: 200,000 people are some 6 GB.
STAGED = ("decisions", "staged_offers")
PEOPLE_AT_A_TIME = 200_000
DECISION_COLUMNS = [
    "decision_id",
    "batch_seq",
    "person_id",
    "offer_id",
    "channel",
    "is_promotion",
    "is_chosen",
    "send_after",
    "as_of",
]


@dataclass(frozen=True)
class Inputs:
    """The staged rows of some persons and what identity, experiments and earlier runs say about these persons."""

    staged: pl.DataFrame  # with is_twice: whether another staged row, of whomever, has the same decision_id
    identifiers: pl.DataFrame  # person_id, identifier_kind, identifier, is_weak of the staged persons
    stages: pl.DataFrame  # person_id, u_stage
    arms: pl.DataFrame  # person_id, arm, batch_seq
    withheld: pl.DataFrame  # person_id of those drawn to get no promotions this quarter
    erased_contacts: pl.DataFrame  # identifier_kind, identifier_hash, since: what each erasure left
    past_decisions: pl.DataFrame  # person_id, decision_id, offer_id, at: pushed promotions that earlier runs published
    penalties: pl.DataFrame  # decision_id, penalty_bp: what the run took off each staged offer's rank
    phone_numbers: pl.DataFrame
    deliveries: pl.DataFrame  # pinned to this run
    all_deliveries: pl.DataFrame
    kept: dict[str, pl.DataFrame] = field(
        default_factory=dict
    )  # of raw rows, what every part needs: one dictionary for all parts

    def raw(self, settings: Settings, as_of: datetime) -> Raw:
        """The raw rows of the pinned deliveries."""
        return Raw(settings, as_of, self.deliveries, self.all_deliveries, self.kept)


def read(
    connection: duckdb.DuckDBPyConnection,
    run: Run,
    *,
    people_at_a_time: int = PEOPLE_AT_A_TIME,
    rows_of: tuple[str, str] = STAGED,
    pinned: pl.DataFrame | None = None,
) -> Iterator[Inputs]:
    """Everything the audit needs, in parts that have all rows of their persons and together every staged row; at least one part.

    `rows_of` (schema, table) has the rows when they are not those that are staged, and `pinned` the deliveries that count when they are
    not those of the run. Raises AuditFailed when a staged row is in no part.
    """
    import polars as pl

    ids = _table(connection, *rows_of, ["person_id", "decision_id"])
    twice = ids.filter(pl.col("decision_id").is_duplicated()).select("decision_id").unique()
    people = ids.select(pl.col("person_id").drop_nulls().unique().sort())
    rows = ids.height
    del ids
    deliveries = _table(connection, "state", "deliveries")
    if pinned is None:
        pinned = _pinned(connection, run, deliveries)
    phone_numbers = _table(connection, "state", "phone_numbers", ["raw", "country", "phone_std", "phone_country", "is_valid"])
    weak = _table(connection, "identity", "evidence_classes", ["evidence_rank", "is_weak"]).filter("is_weak")["evidence_rank"]
    weak = weak.cast(pl.Int8)
    erased = pl.DataFrame(schema={"identifier_kind": pl.String, "identifier_hash": pl.String, "since": pl.Datetime("us")})
    if _exists(connection, "state", "suppressed_contacts"):
        erased = _table(connection, "vault.state", "suppressed_contacts", ["identifier_kind", "identifier_hash", "since"])
    now = run.as_of.replace(tzinfo=None)
    quarter = f"{run.as_of.year}-Q{(run.as_of.month - 1) // 3 + 1}"
    read_rows = 0
    kept: dict[str, pl.DataFrame] = {}
    for start in range(0, max(len(people), 1), people_at_a_time):
        wanted = people.slice(start, people_at_a_time)
        between = (wanted["person_id"][0], wanted["person_id"][-1]) if wanted.height else ("", "")
        staged = _table(connection, *rows_of, between=between)
        read_rows += staged.height
        identifiers = _table(
            connection,
            "identity",
            "person_identifiers",
            ["person_id", "identifier_kind", "identifier", "evidence_rank"],
            between,
        )
        stages = _table(connection, "core", "people", ["person_id", "lifecycle_stage"], between)
        arms = _table(connection, "state", "arms", ["person_id", "arm", "batch_seq"], between)
        drawn = _table(
            connection, "vault.state", "withheld", ["person_id", "quarter", "batch_seq", "starts_at", "ends_at"], between
        )
        yield Inputs(
            staged=staged.with_columns(pl.col("decision_id").is_in(twice["decision_id"].implode()).alias("is_twice")),
            identifiers=identifiers.join(wanted, on="person_id", how="semi")
            .with_columns(pl.col("evidence_rank").is_in(weak.implode()).alias("is_weak"))
            .drop("evidence_rank"),
            stages=stages.rename({"lifecycle_stage": "u_stage"}).join(wanted, on="person_id", how="semi"),
            arms=arms.filter(pl.col("batch_seq") <= run.batch_seq).join(wanted, on="person_id", how="semi"),
            withheld=drawn.filter(
                pl.col("batch_seq") <= run.batch_seq,
                pl.when(pl.col("starts_at").is_null())
                .then(pl.col("quarter") == quarter)
                .otherwise((pl.col("starts_at") <= now) & (now < pl.col("ends_at"))),
            )
            .select("person_id")
            .join(wanted, on="person_id", how="semi")
            .unique(),
            erased_contacts=erased,
            past_decisions=_past_decisions(connection, run, wanted, between),
            penalties=_penalties(connection, staged, between, is_of_past=rows_of != STAGED),
            phone_numbers=phone_numbers,
            deliveries=pinned,
            all_deliveries=deliveries,
            kept=kept,
        )
    if read_rows != rows:
        raise AuditFailed(
            f"{rows:,} offers are staged, {read_rows:,} could be assigned to a person",
            hint="a staged offer has no person_id; nothing was published, yesterday's offers are still live",
        )


def pinned_raw(connection: duckdb.DuckDBPyConnection, run: Run, settings: Settings) -> Raw:
    """The raw rows of the deliveries that the run is pinned to."""
    deliveries = _table(connection, "state", "deliveries")
    return Raw(settings, run.as_of.replace(tzinfo=None), _pinned(connection, run, deliveries), deliveries)


def _pinned(connection: duckdb.DuckDBPyConnection, run: Run, deliveries: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    pins = _table(connection, "state", "pins").filter(pl.col("as_of") == run.as_of.replace(tzinfo=None))
    return deliveries.join(pins, on="delivery_id", how="semi")


def merged_people(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Who was merged away, and into whom."""
    if not _exists(connection, "identity", "person_aliases"):
        return {}
    return dict(_table(connection, "identity", "person_aliases", ["person_id", "surviving_person_id"]).iter_rows())


def holders(
    connection: duckdb.DuckDBPyConnection,
    run: Run,
    offers: list[str],
    *,
    rows_of: tuple[str, str] = ("decisions", "staged_offers"),
) -> pl.DataFrame:
    """One row per offer of `offers`: how many people hold a place of it once this run is published, those of earlier runs included."""
    import polars as pl

    aliases = pl.DataFrame(schema={"person_id": pl.String, "surviving_person_id": pl.String})
    if _exists(connection, "identity", "person_aliases"):
        aliases = _table(connection, "identity", "person_aliases", ["person_id", "surviving_person_id"])
    given = [_table(connection, *rows_of, ["offer_id", "person_id"], offers=offers)]
    if _exists(connection, "state", "decisions"):
        columns = ["offer_id", "person_id", "batch_seq", "is_chosen", "arm"]
        past = _table(connection, "state", "decisions", columns, offers=offers)
        past = past.filter(pl.col("batch_seq") < run.batch_seq, pl.col("is_chosen"), pl.col("arm") == "treated")
        given.append(past.select("offer_id", "person_id"))
    return (
        pl.concat(given)
        .join(aliases, on="person_id", how="left")
        .with_columns(pl.coalesce("surviving_person_id", "person_id").alias("person_id"))
        .group_by("offer_id")
        .agg(pl.col("person_id").n_unique().cast(pl.Int64).alias("holders"))
    )


def _penalties(
    connection: duckdb.DuckDBPyConnection, staged: pl.DataFrame, between: tuple[str, str], *, is_of_past: bool
) -> pl.DataFrame:
    """(decision_id, penalty_bp) of the staged offers, the least of any that the ledger has twice.

    `is_of_past`: they are of an earlier run, whose ledger gave way to that of the latest; what was published of it is kept in state.decisions.
    """
    import polars as pl

    columns = ["decision_id", "penalty_bp"]
    ledger = _table(connection, "decisions", "ledger", columns, between)
    if is_of_past and _exists(connection, "state", "decisions"):
        past = _table(connection, "state", "decisions", columns, between)
        ledger = pl.concat([ledger, past], how="vertical_relaxed")
    ledger = ledger.join(staged.select("decision_id").unique(), on="decision_id", how="semi")
    return ledger.group_by("decision_id").agg(pl.col("penalty_bp").cast(pl.Int64).min())


def _past_decisions(
    connection: duckdb.DuckDBPyConnection, run: Run, people: pl.DataFrame, between: tuple[str, str]
) -> pl.DataFrame:
    """Pushed promotions that runs before this one published, with the instant each was to be sent."""
    import polars as pl

    from candor.audit.rules import PUSHED

    if not _exists(connection, "state", "decisions"):  # nothing was ever published
        return pl.DataFrame(
            schema={"person_id": pl.String, "decision_id": pl.String, "offer_id": pl.String, "at": pl.Datetime("us")}
        )
    return (
        _table(connection, "state", "decisions", DECISION_COLUMNS, between)
        .filter(pl.col("batch_seq") < run.batch_seq, pl.col("is_chosen"), pl.col("is_promotion").fill_null(True))
        .filter(pl.col("channel").is_in(PUSHED))
        .join(people, on="person_id", how="semi")
        # A channel without a window sends when the run is published.
        .select(
            "person_id",
            "decision_id",
            "offer_id",
            pl.col("send_after").fill_null(pl.col("as_of")).cast(pl.Datetime("us")).alias("at"),
        )
    )


def _exists(connection: duckdb.DuckDBPyConnection, schema: str, name: str) -> bool:
    found = connection.execute(
        "select 1 from information_schema.tables where table_schema = ? and table_name = ?", [schema, name]
    ).fetchone()
    return found is not None


def _table(
    connection: duckdb.DuckDBPyConnection,
    schema: str,
    name: str,
    columns: list[str] | None = None,
    between: tuple[str, str] | None = None,
    offers: list[str] | None = None,
) -> pl.DataFrame:
    """The table, or its rows of the persons from the first to the last of `between`, or of `offers`."""
    import polars as pl

    chosen = ", ".join(f'"{column}"' for column in columns) if columns else "*"
    some = "" if between is None else " where person_id between ? and ?"
    given: list[Any] = list(between or ())
    if offers is not None:
        some, given = " where list_contains(?, offer_id)", [offers]
    arrow = connection.execute(f"select {chosen} from {schema}.{name}{some}", given).to_arrow_table()
    frame = pl.from_arrow(arrow)
    assert isinstance(frame, pl.DataFrame)
    return frame.with_columns(
        pl.col(column).cast(pl.Datetime("us")) for column, kind in frame.schema.items() if isinstance(kind, pl.Datetime)
    )
