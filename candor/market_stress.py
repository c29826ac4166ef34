"""Markets that turned stressed since the current run: what may then no longer be live is suppressed until a run knows of it itself.

Worked out by the model that the run uses (dbt_project/models/core/market_states.sql), over the bars in raw segments and in what landed since, so
no warehouse is opened. Only the newest state counts, only when a delivery says something that the run could not know, and it only takes away:
lines whose matrix row does not bear such a market at once, the others when they are older than they may be live in one (policy/limits.yml).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import jinja2

from candor import warehouse
from candor.publishing import store
from candor.settings import PROJECT_ROOT
from candor.warehouse import instant_text

if TYPE_CHECKING:
    import duckdb

    from candor.ingest.deliveries import Folder
    from candor.settings import Settings

REASON_KIND = "market"
PRICES = "market.prices"
STRESSED = 2
MODEL = PROJECT_ROOT / "dbt_project" / "models" / "core" / "market_states.sql"
BARS = ("asset", "bar_start", "interval", "open_usd", "high_usd", "low_usd", "close_usd")

FIRST_KNOWN = """
create table prices as
select * from bars where _extracted_at <= $as_of
qualify row_number() over (partition by asset, bar_start, "interval" order by _extracted_at, open_usd, high_usd, low_usd, close_usd) = 1
"""
LATEST = """
select bar_end, vol_rank from states
where epoch($as_of - bar_end) <= (select value * 3600 from policy.limits where name = 'market_max_age_hours')
order by bar_end desc limit 1
"""
# From when a promotion of each line may not be live: at once where the matrix does not bear the market, else when it is too old for it.
LINES = """
select matrix.product_line, case when matrix.vol_max >= $stressed then staleness.hours_stressed else 0 end as hours
from policy.matrix as matrix
left join policy.staleness as staleness on matrix.product_line = staleness.product_line and staleness.is_promotion
where matrix.vol_max < $stressed or staleness.hours_stressed is not null
order by matrix.product_line
"""


def apply(settings: Settings, as_of: datetime) -> dict[str, Any]:
    """How markets are, if a delivery says so that the current run could not know, and how many suppressions that changed.

    Suppressions of another run than the current one end.
    """
    from candor import policy, runs
    from candor.contract import load as load_contract
    from candor.ingest.deliveries import find
    from candor.policy import store as policy_store

    with store.reading(settings) as reader:
        current = reader.rows("select run_id, as_of from runs where is_current = 1")
    if not current:
        return {"market_vol_rank": None, "market_suppressions_changed": 0}
    ((run_id, run_as_of),) = current
    since = warehouse.utc(runs.parse_as_of(run_as_of))
    folders, _ = find(settings.landing_dir, load_contract(), until=warehouse.utc(as_of), tables=(PRICES,))
    news = [folder for folder in folders if folder.extracted_at > since]
    rules = policy.load(settings.policy_dir, settings.shop)
    rank: int | None = None
    lines: list[tuple[str, int]] = []
    at: datetime | None = None
    if news and rules.market_basket:
        with warehouse.scratch(settings) as connection:
            policy_store.install_tables(connection, rules, [])
            _bars(connection, settings, news)
            connection.execute(FIRST_KNOWN, {"as_of": warehouse.utc(as_of)})
            connection.execute(f"create table states as {_model(as_of)}")
            latest = connection.execute(LATEST, {"as_of": warehouse.utc(as_of)}).fetchall()
            at, rank = latest[0] if latest else (None, None)
            lines = connection.execute(LINES, {"stressed": STRESSED}).fetchall()
    with store.transaction(settings) as serving:
        changed = _end_others(serving, run_id, as_of)
        if rank == STRESSED and at is not None and at > since:
            changed += _suppress(serving, run_id, since, as_of, lines)
    return {"market_vol_rank": rank, "market_suppressions_changed": changed}


def _bars(connection: duckdb.DuckDBPyConnection, settings: Settings, news: list[Folder]) -> None:
    """Table `bars`: those of raw segments and of what landed since, each with when it was extracted."""
    from candor.ingest import read_delivery

    columns = ", ".join(f'"{name}"' for name in BARS)
    source, _, table = PRICES.partition(".")
    kinds = 'asset varchar, bar_start timestamp, "interval" varchar, ' + ", ".join(
        f"{name} decimal(38, 12)" for name in BARS[3:]
    )
    connection.execute(f"create table bars ({kinds}, _extracted_at timestamp)")
    paths = sorted(str(path) for path in (settings.raw_dir / source / table).glob("*.parquet"))
    if paths:
        connection.execute(f"insert into bars select {columns}, _extracted_at from read_parquet($paths)", {"paths": paths})
    for folder in news:
        delivery = read_delivery(folder.path, folder.table, settings)
        connection.register("good", delivery.good)
        connection.execute(f"insert into bars select {columns}, ? from good", [delivery.extracted_at])
        connection.unregister("good")


def _model(as_of: datetime) -> str:
    """The model's query with `prices` and the policy's tables where dbt puts them."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)  # makes SQL, no page
    environment.globals.update(
        ref=lambda name: {"stg_market__prices": "prices"}[name],
        source=lambda schema, name: f"{schema}.{name}",
        as_of=lambda: warehouse.sql_timestamp(as_of),
    )
    return environment.from_string(MODEL.read_text(encoding="utf-8")).render()


def _suppress(serving: store.Store, run_id: str, since: datetime, as_of: datetime, lines: list[tuple[str, int]]) -> int:
    """One suppression per offer of each line that promotes; gives how many were not there yet."""
    counted = "select count(*) from suppressions"
    before = serving.rows(counted)[0][0]
    for product_line, hours in lines:
        begins = (since + timedelta(hours=hours)).replace(tzinfo=UTC) if hours else as_of
        serving.execute(
            """
            insert into suppressions (suppression_id, offer_id, reason_kind, since, cause)
            select cast(? as text) || '|' || offer_id, offer_id, cast(? as text), cast(? as text), cast(? as text)
            from offer_lines
            where product_line = ? and offer_id not in (select offer_id from lessons)
            on conflict do nothing
            """,
            (f"{REASON_KIND}|{run_id}", REASON_KIND, instant_text(begins), f"{REASON_KIND} {run_id}", product_line),
        )
    return int(serving.rows(counted)[0][0] - before)


def _end_others(serving: store.Store, run_id: str, as_of: datetime) -> int:
    others = "reason_kind = ? and cause <> ? and until is null"
    given = (REASON_KIND, f"{REASON_KIND} {run_id}")
    (ending,) = serving.rows(f"select count(*) from suppressions where {others}", given)[0]
    serving.execute(
        f"update suppressions set until = case when since > ? then since else ? end where {others}",
        (instant_text(as_of), instant_text(as_of), *given),
    )
    return int(ending)
