"""Before staging: did every source deliver, in time, about as much as usual, and mostly within its contract?

Of the restricted tables this gate looks at counts, hashes and delivery names only: its report is open to everybody.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

import candor
from candor.gates.checks import CRITICAL, WARNING, Inputs, Table, no_rows

# Without one row of each of these, nobody could be permitted anything, or no offer could be shown: a run would be empty.
REQUIRED = {
    "exchange.accounts",
    "crm.contacts",
    "crm.consents",
    "compliance.kyc_records",
    "compliance.screening_runs",
    "catalogue.offers",
    "catalogue.creatives",
    "catalogue.approvals",
}
# What policy reads absence from ("no restriction", "no objection"): absence is known only from a feed known whole.
WHOLE = {
    "compliance.kyc_records",
    "compliance.screening_runs",
    "compliance.screening_hits",
    "compliance.restrictions",
    "compliance.assessments",
    "crm.consents",
}

# The policy's facts on consent, objection and self-exclusion go stale after 1 h, those on screening and restrictions after
# 24 h. Past 1 h people are excluded as unknown, which is right but empties the day: somebody should hear of it.
MAX_HOURS_SINCE_WHOLE = 24
WARN_HOURS_SINCE_WHOLE = 1
# Sources break their contract in single rows every day (bad dates, malformed amounts); a systematic break spoils a column.
MAX_QUARANTINED_SHARE = 0.05
WARN_QUARANTINED_SHARE = 0.01
# One bad row of a ten-row table is 10 %; that alone must not stop the company's offers.
MIN_QUARANTINED_ROWS = 20
# Volume: an outage halves a day, a double landing doubles it; a tenth or ten times is not the business's own rhythm.
MIN_RUNS_OF_HISTORY = 5
HISTORY_RUNS = 28
MIN_USUAL_ROWS = 100
CRITICAL_VOLUME_RATIO = (0.1, 10)
WARN_VOLUME_RATIO = (0.5, 2)


def tables(inputs: Inputs) -> list[Table]:
    """Feeds, deliveries, volumes, then the keys of every raw table that exists."""
    contract = yaml.safe_load((Path(candor.__file__).parent / "contract.yml").read_text(encoding="utf-8"))["sources"]
    feeds = [(source, name) for source, given in contract.items() for name in given["tables"]]
    restricted = {source for source, given in contract.items() if given.get("restricted")}
    return [
        _feeds(inputs, feeds),
        _silos(inputs),
        _deliveries(inputs),
        _volumes(inputs),
        *(
            _keys(source, name, contract[source]["tables"][name]["key"], restricted=source in restricted)
            for source, name in feeds
            if _view(source, name, restricted=source in restricted) in inputs.relations
        ),
    ]


def _view(source: str, name: str, *, restricted: bool) -> str:
    return f"{'vault.' if restricted else ''}raw.{source}__{name}"


def _pinned(inputs: Inputs) -> str:
    return (
        "select deliveries.* from state.deliveries as deliveries inner join state.pins as pins "
        f"on deliveries.delivery_id = pins.delivery_id where pins.as_of = {inputs.as_of}"
    )


def _feeds(inputs: Inputs, feeds: list[tuple[str, str]]) -> Table:
    expected = ", ".join(
        f"('{source}', '{name}', {f'{source}.{name}' in REQUIRED}, {f'{source}.{name}' in WHOLE})" for source, name in feeds
    )
    query = f"""
        with pinned as ({_pinned(inputs)}),
        delivered as (
            select source, table_name, sum(rows_loaded)::bigint as rows_loaded,
                max_by(delivery, (extracted_at, delivery_id)) as latest_delivery
            from pinned group by source, table_name
        )
        select expected.source || '.' || expected.table_name as feed, expected.is_required, expected.must_be_whole,
            coalesce(delivered.rows_loaded, 0) as rows_loaded, delivered.latest_delivery,
            feeds.last_extracted_at, feeds.known_whole_at,
            round(epoch({inputs.as_of} - feeds.last_extracted_at) / 3600.0, 2) as hours_since_delivery,
            round(epoch({inputs.as_of} - feeds.known_whole_at) / 3600.0, 2) as hours_since_whole
        from (values {expected}) as expected(source, table_name, is_required, must_be_whole)
        left join raw.feeds as feeds on expected.source = feeds.source and expected.table_name = feeds.table_name
        left join delivered on expected.source = delivered.source and expected.table_name = delivered.table_name
    """
    shown = (
        "select feed, latest_delivery, last_extracted_at, known_whole_at, hours_since_delivery, hours_since_whole, rows_loaded"
    )
    return Table(
        "raw.feeds",
        query,
        [
            no_rows(
                "every required table holds rows",
                f"{shown} from {{batch}} where is_required and rows_loaded = 0",
                note="Without these tables nobody can be permitted an offer, so the run would publish an empty day.",
            ),
            no_rows(
                f"restricted tables and consents were known whole at most {MAX_HOURS_SINCE_WHOLE} h before the run",
                f"{shown} from {{batch}} where must_be_whole and "
                f"(known_whole_at is null or hours_since_whole > {MAX_HOURS_SINCE_WHOLE})",
                note="That somebody has no restriction or objection is known only from a whole extract with gapless increments "
                "after it; past 24 h every fact built from it is unknown.",
            ),
            no_rows(
                f"restricted tables and consents were known whole at most {WARN_HOURS_SINCE_WHOLE} h before the run",
                f"{shown} from {{batch}} where must_be_whole and "
                f"hours_since_whole > {WARN_HOURS_SINCE_WHOLE} and hours_since_whole <= {MAX_HOURS_SINCE_WHOLE}",
                note="Consent, objection, erasure and self-exclusion go stale after 1 h: expect many exclusions as unknown.",
                severity=WARNING,
            ),
            no_rows(
                "no feed was observed after the run's instant",
                f"{shown} from {{batch}} where hours_since_delivery < 0 or hours_since_whole < 0",
                note="A run may not see what was extracted after its as_of; if it does, reruns of past days would differ.",
            ),
        ],
        keys=("feed", "latest_delivery"),
    )


def _silos(inputs: Inputs) -> Table:
    # Thresholds, and what each silo is needed for, are policy/silos.yml: compliance decides what a run can do without.
    query = f"""
        select silos.feed, silos.state, silos.when_late, silos.last_delivered_at as since, silos.hours_since_delivery,
            silos.late_after_hours, delivered.latest_delivery, array_to_string(silos.needed_for, ', ') as needed_for, silos.owner
        from raw.silos as silos
        left join (
            select source || '.' || table_name as feed, max_by(delivery, (extracted_at, delivery_id)) as latest_delivery
            from ({_pinned(inputs)}) as pinned group by all
        ) as delivered on silos.feed = delivered.feed
        where silos.state <> 'in time'
    """
    shown = "select feed, state, since, hours_since_delivery, late_after_hours, latest_delivery"
    return Table(
        "silos late or missing",
        query,
        [
            no_rows(
                "every silo that the day cannot do without was delivered in time",
                f"{shown} from {{batch}} where when_late = 'stop'",
                note="policy/silos.yml says which and why: what compliance, catalogue, accounts, contacts and consents did not deliver "
                "would be decided on yesterday's answer.",
            ),
            no_rows(
                "every other silo was delivered in time",
                f"{shown}, needed_for, owner from {{batch}} where when_late = 'degrade'",
                note="The run goes on; offers that need the silo are withheld (DQ_SILO_LATE, DQ_SILO_MISSING) until it delivers.",
                severity=WARNING,
            ),
        ],
        keys=("feed", "latest_delivery"),
    )


def _deliveries(inputs: Inputs) -> Table:
    # New = extracted since the last earlier run; every pinned delivery in the first run.
    query = f"""
        with new_deliveries as (
            select * from ({_pinned(inputs)})
            where extracted_at > coalesce(
                (select max(as_of) from state.batches where as_of < {inputs.as_of} and batch_seq < {inputs.run.batch_seq}),
                timestamp '1900-01-01'
            )
        )
        select source || '.' || table_name as feed,
            sum(rows_read)::bigint as rows_read, sum(rows_quarantined)::bigint as rows_quarantined,
            sum(rows_read - rows_loaded - rows_quarantined)::bigint as rows_unaccounted,
            max_by(delivery, (rows_quarantined, delivery_id)) as worst_delivery,
            max(rows_quarantined)::bigint as quarantined_in_it
        from new_deliveries group by source, table_name
    """
    shown = (
        "select feed, rows_quarantined, rows_read, round(rows_quarantined / rows_read, 4) as share, worst_delivery, "
        "quarantined_in_it from {batch} where rows_read > 0 and"
    )
    grave = f"(rows_quarantined > {MAX_QUARANTINED_SHARE} * rows_read and rows_quarantined >= {MIN_QUARANTINED_ROWS})"
    return Table(
        "new deliveries",
        query,
        [
            no_rows(
                f"at most {MAX_QUARANTINED_SHARE:.0%} of a table's new rows were quarantined",
                f"{shown} {grave}",
                note=f"Single rows break their contract every day; more than this (and at least {MIN_QUARANTINED_ROWS} rows) "
                "means that a column or an export changed. The quarantine has each row with its reason.",
            ),
            no_rows(
                f"at most {WARN_QUARANTINED_SHARE:.0%} of a table's new rows were quarantined",
                f"{shown} not {grave} and rows_quarantined > {WARN_QUARANTINED_SHARE} * rows_read",
                note="Usual is well below 1 %; ask the source's owner before it grows.",
                severity=WARNING,
            ),
            no_rows(
                "rows read = loaded + quarantined",
                "select feed, rows_read, rows_quarantined, rows_unaccounted, worst_delivery from {batch} "
                "where rows_unaccounted <> 0",
                note="A row that is neither loaded nor quarantined was lost; nothing downstream could notice.",
            ),
        ],
        keys=("feed", "worst_delivery"),
    )


def _volumes(inputs: Inputs) -> Table:
    """Rows of incremental deliveries of the last day, against the median of earlier runs' last days."""
    query = f"""
        with batches as (
            select as_of, as_of = {inputs.as_of} as is_this from state.batches
            where as_of = {inputs.as_of} or (as_of < {inputs.as_of} and batch_seq < {inputs.run.batch_seq})
            qualify row_number() over (order by as_of desc) <= {HISTORY_RUNS + 1}
        ),
        daily as (
            select batches.as_of, batches.is_this, deliveries.source || '.' || deliveries.table_name as feed,
                sum(deliveries.rows_loaded)::bigint as rows_loaded, max(deliveries.delivery) as latest_delivery
            from batches
            inner join state.pins as pins on batches.as_of = pins.as_of
            inner join state.deliveries as deliveries on pins.delivery_id = deliveries.delivery_id
            where deliveries.extracted_at > batches.as_of - interval 24 hours
                and not (deliveries.is_complete and deliveries.covers_from is null)
            group by all
        ),
        usual as (
            select feed, count(*) as runs, median(rows_loaded) as usual_rows from daily where not is_this group by feed
        )
        select usual.feed, usual.runs, usual.usual_rows, coalesce(today.rows_loaded, 0) as rows_loaded,
            coalesce(today.rows_loaded, 0) / usual.usual_rows as ratio, today.latest_delivery
        from usual left join (select * from daily where is_this) as today on usual.feed = today.feed
        where usual.runs >= {MIN_RUNS_OF_HISTORY} and usual.usual_rows >= {MIN_USUAL_ROWS}
            and not exists (
                select 1 from ({_pinned(inputs)}) as whole
                where whole.source || '.' || whole.table_name = usual.feed and whole.is_complete and whole.covers_from is null
                    and whole.extracted_at > {inputs.as_of} - interval 24 hours
            )
    """
    skipped = (
        f" Skipped in this run: {inputs.earlier_runs} earlier runs known, {MIN_RUNS_OF_HISTORY} needed."
        if inputs.earlier_runs < MIN_RUNS_OF_HISTORY
        else f" Tables with {MIN_RUNS_OF_HISTORY} earlier runs and usually {MIN_USUAL_ROWS} rows a day; whole extracts left out."
    )
    shown = "select feed, rows_loaded, usual_rows, round(ratio, 3) as ratio, runs, latest_delivery from {batch} where"
    low, high = CRITICAL_VOLUME_RATIO
    warn_low, warn_high = WARN_VOLUME_RATIO
    return Table(
        "daily volumes",
        query,
        [
            no_rows(
                f"a day's rows are between {low} and {high} times the median of the last {HISTORY_RUNS} runs",
                f"{shown} ratio < {low} or ratio > {high}",
                note="An outage or a double export, not the business's own rhythm." + skipped,
                severity=CRITICAL,
            ),
            no_rows(
                f"a day's rows are between {warn_low} and {warn_high} times the median of the last {HISTORY_RUNS} runs",
                f"{shown} (ratio < {warn_low} and ratio >= {low}) or (ratio > {warn_high} and ratio <= {high})",
                note="Half or double happens on market days and outages; look before features drift." + skipped,
                severity=WARNING,
            ),
        ],
        keys=("feed", "latest_delivery"),
    )


def _keys(source: str, name: str, key: list[str], *, restricted: bool) -> Table:
    view = _view(source, name, restricted=restricted)
    missing = " or ".join(f'"{column}" is null' for column in key)
    columns = ", ".join(f'"{column}"' for column in key)
    expectations: list[Any] = [
        no_rows(
            f"{', '.join(key)} given in every row",
            f"select _delivery_id, _row_hash from {{batch}} where {missing} or _row_hash is null or _delivery_id is null",
            note="A row that cannot be named can neither be superseded nor traced.",
        )
    ]
    return Table(
        view, f"select {columns}, _delivery_id, _row_hash from {view}", expectations, keys=("_delivery_id", "_row_hash")
    )
