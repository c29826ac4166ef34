"""Which tables of which sources are late or missing at a run's instant, by policy/silos.yml.

`raw.silos`: one row per table of the landing contract, written when a run is pinned. The raw gate stops at those that a run cannot do
without; eligibility withholds the offers that need one of the others; the report says so.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from candor import runs
from candor import settings as settings_module
from candor.warehouse import connect, sql_timestamp

if TYPE_CHECKING:
    import duckdb

    from candor.runs import Run
    from candor.settings import Settings

# Missing: never delivered. A table that was delivered without rows is known to be empty, which is something else.
SILOS = """
create or replace table raw.silos as
select
    feeds.source,
    feeds.table_name,
    feeds.source || '.' || feeds.table_name as feed,
    case
        when feeds.last_extracted_at is null then 'missing'
        when epoch({as_of} - feeds.last_extracted_at) > silos.late_after_hours * 3600 then 'late'
        else 'in time'
    end as state,
    feeds.last_extracted_at as last_delivered_at,
    round(epoch({as_of} - feeds.last_extracted_at) / 3600.0, 2) as hours_since_delivery,
    silos.late_after_hours,
    silos.when_late,
    silos.needed_for,
    silos.features,
    silos.owner,
    silos.why
from raw.feeds as feeds
inner join policy.silos as silos
    on feeds.source || '.' || feeds.table_name = silos.feed
order by feed
"""


def write(connection: duckdb.DuckDBPyConnection, run: Run) -> None:
    """Make `raw.silos` say of every table whether it is in time, late or missing at the run's instant."""
    write_at(connection, run.as_of)


def write_at(connection: duckdb.DuckDBPyConnection, as_of: datetime) -> None:
    """The same for an instant, from whatever `raw.feeds` and `policy.silos` the connection has."""
    connection.execute(SILOS.format(as_of=sql_timestamp(as_of)))


def behind(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """The tables of the run that stands which are late or missing: feed, state, since (None: never), what happens because of it."""
    found = connection.execute(
        "select feed, state, last_delivered_at, hours_since_delivery, when_late, why from raw.silos where state <> 'in time' order by feed"
    ).fetchall()
    return [
        {
            "feed": feed,
            "state": state,
            "since": None if since is None else since.isoformat(),
            "hours": hours,
            "when_late": then,
            "why": why,
        }
        for feed, state, since, hours, then, why in found
    ]


def withheld(as_of: datetime, settings: Settings | None = None) -> dict[str, Any]:
    """{offers_withheld, silos_withholding: per late or missing table how many offers it took from the day, and which}.

    After eligibility was built.
    """
    settings = settings or settings_module.load()
    with connect(settings) as connection:
        runs.current(connection, as_of)
        found = connection.execute(
            """
            select source || '.' || table_name as feed, state, any_value(code), list(offer_id order by offer_id)
            from eligibility.offers_withheld group by feed, state order by feed
            """
        ).fetchall()
    return {
        "offers_withheld": len({offer for _, _, _, offers in found for offer in offers}),
        "silos_withholding": [
            {"feed": feed, "state": state, "code": code, "offers": len(offers), "offer_ids": offers}
            for feed, state, code, offers in found
        ],
    }
