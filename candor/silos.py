"""Which tables of which sources are late or missing at a run's instant, by policy/silos.yml.

`raw.silos`: one row per table of the landing contract, written when a run is pinned. The raw gate stops at those that a run cannot do
without; eligibility withholds the offers that need one of the others; the report says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from candor.warehouse import sql_timestamp

if TYPE_CHECKING:
    import duckdb

    from candor.runs import Run

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
    connection.execute(SILOS.format(as_of=sql_timestamp(run.as_of)))
