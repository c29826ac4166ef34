"""Features at a moment are the same whether or not the future is in the tables: the SQL that dbt runs, rendered without dbt."""

from __future__ import annotations

from datetime import datetime, timedelta

import duckdb
import jinja2
import numpy as np
import pyarrow as pa
import pytest

from candor.settings import PROJECT_ROOT

DBT = PROJECT_ROOT / "dbt_project"
AS_OF = datetime.fromisoformat("2026-11-23T15:00:00")  # without zone, as in the warehouse
MODELS = ("message_facts", "person_activity", "line_activity")
LINES = ["spot", "staking", "education"]


def render(text: str) -> str:
    macros = "".join((DBT / "macros" / f"{name}.sql").read_text(encoding="utf-8") for name in ("activity", "features"))
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
    return environment.from_string(macros + text).render(ref=lambda name: name, as_of=lambda: f"timestamp '{AS_OF}'")


def core_tables(seed: int) -> dict[str, pa.Table]:
    """Random core rows of 12 people over 120 days, each known up to two days after it happened, some a little before."""
    generator = np.random.default_rng(seed)

    def times(rows: int) -> tuple[np.ndarray, np.ndarray]:
        happened = np.datetime64(AS_OF, "us") - generator.integers(0, 120 * 86_400, rows).astype("timedelta64[s]")
        return happened, happened + generator.integers(-3_600, 172_800, rows).astype("timedelta64[s]")

    def pick(values: list, rows: int) -> np.ndarray:
        return generator.choice(np.array(values, dtype=object), rows)

    people = [f"p{number}" for number in range(12)]
    tables = {}
    rows = 400
    occurred, known = times(rows)
    names = ["session_start", "product_view", "asset_view", "search", "offer_shown", "offer_clicked", "offer_dismissed"]
    tables["events"] = pa.table(
        {
            "person_id": pick(people, rows), "occurred_at": occurred, "known_at": known, "event_name": pick(names, rows),
            "channel": pick(["web", "app"], rows), "session_id": pick([f"s{number}" for number in range(60)], rows),
            "product_line": pick([*LINES, None], rows), "offer_id": pick(["o1", "o2", None], rows),
        }
    )  # fmt: skip
    occurred, known = times(rows)
    tables["trades"] = pa.table(
        {
            "person_id": pick(people, rows), "side": pick(["buy", "sell"], rows), "amount_usd": generator.integers(1, 5000, rows) / 8,
            "traded_at": occurred, "known_at": known,
        }
    )  # fmt: skip
    occurred, known = times(rows)
    tables["ledger_entries"] = pa.table(
        {
            "person_id": pick(people, rows), "kind": pick(["deposit", "withdrawal", "reward", "liquidation"], rows),
            "amount_usd": generator.integers(1, 5000, rows) / 8, "occurred_at": occurred, "known_at": known,
        }
    )  # fmt: skip
    occurred, known = times(rows)
    tables["product_uses"] = pa.table(
        {
            "use_id": [f"u{number}" for number in range(rows)], "person_id": pick(people, rows), "product_line": pick(LINES, rows),
            "occurred_at": occurred, "known_at": known,
        }
    )  # fmt: skip
    assigned, known = times(rows)
    offer = generator.integers(1, 3, rows)
    tables["assignments"] = pa.table(
        {
            "person_id": pick(people, rows), "offer_id": [f"o{number}" for number in offer], "offer_version": np.ones(rows, int),
            "product_line": [LINES[number - 1] for number in offer], "arm": pick(["shown", "held_out"], rows),
            "assigned_at": assigned, "known_at": known,
        }
    )  # fmt: skip
    occurred, known = times(100)
    never = pa.nulls(100, pa.timestamp("us"))
    tables["messages"] = pa.table(
        {
            "message_id": [f"m{number}" for number in range(100)], "person_id": pick(people, 100), "sent_at": occurred,
            "opened_at": never, "clicked_at": never, "unsubscribed_at": never, "complained_at": never, "known_at": known,
        }
    )  # fmt: skip
    tables["stg_catalogue__offers"] = pa.table(
        {"offer_id": ["o1", "o2"], "version": [1, 1], "product_line": ["spot", "staking"], "outcome_window_days": [7, 14]}
    )
    return tables


def features(tables: dict[str, pa.Table], moment: datetime, *, until: datetime | None) -> list[tuple]:
    """Everything the macros say about 12 people x 3 lines at `moment`; with `until`, from rows known and happened by then only."""
    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        for name, table in tables.items():
            connection.register(f"given_{name}", table)
            happened = next(
                (column for column in ("occurred_at", "traded_at", "sent_at", "assigned_at") if column in table.column_names),
                None,
            )
            only = "" if until is None or happened is None else f"where greatest(known_at, {happened}) <= timestamp '{until}'"
            connection.execute(f"create table {name} as select * from given_{name} {only}")
        for model in MODELS:
            text = (DBT / "models" / "features" / f"{model}.sql").read_text(encoding="utf-8")
            connection.execute(f"create table {model} as {render(text)}")
        connection.execute(
            f"create table moments as select 'p' || number as person_id, timestamp '{moment}' as moment_at from range(12) as t (number)"
        )
        connection.execute(
            f"create table line_moments as select * from moments cross join (select unnest({LINES}) as product_line)"
        )
        people = connection.execute(render("{{ person_features_at('moments') }}") + " order by all").fetchall()
        lines = connection.execute(render("{{ line_features_at('line_moments') }}") + " order by all").fetchall()
    return people + lines


@pytest.mark.parametrize("seed", range(3))
def test_rows_known_later_than_the_moment_change_nothing(seed):
    tables = core_tables(seed)
    moment = AS_OF - timedelta(days=10 + seed, seconds=seed * 997)
    with_the_future = features(tables, moment, until=None)
    assert with_the_future == features(tables, moment, until=moment)
    assert sum(row[2] > 0 for row in with_the_future[:12]) > 3, (
        "some of the twelve must have had a session, or nothing was compared"
    )


def test_a_row_known_exactly_at_the_moment_counts_and_one_second_later_does_not():
    tables = core_tables(0)
    moment = tables["trades"].column("known_at")[0].as_py().replace(microsecond=0)
    one = tables["trades"].slice(0, 1)
    at, later = (
        one.set_column(one.column_names.index(name), name, pa.array([value], pa.timestamp("us")))
        for name, value in (("known_at", moment), ("known_at", moment + timedelta(seconds=1)))
    )
    before = (moment - timedelta(hours=1),)
    at, later = (
        table.set_column(table.column_names.index("traded_at"), "traded_at", pa.array(before, pa.timestamp("us")))
        for table in (at, later)
    )
    nothing = features({**tables, "trades": one.slice(0, 0)}, moment, until=None)
    assert features({**tables, "trades": at}, moment, until=None) != nothing
    assert features({**tables, "trades": later}, moment, until=None) == nothing
