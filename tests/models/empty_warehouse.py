"""A warehouse and vault with every table that the dbt project reads but does not build, typed and empty."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from candor import agents, review, runs, standardise, withholding
from candor.erasure import suppressed
from candor.identity import keys
from candor.settings import PROJECT_ROOT
from candor.warehouse import connect

if TYPE_CHECKING:
    import duckdb

    from candor.settings import Settings

# As docs/architecture.md says under "Raw".
TYPES = {
    "string": "varchar", "instant": "timestamp", "date": "date", "decimal": "decimal(38, 12)", "int": "bigint",
    "bool": "boolean", "json": "varchar", "strings": "varchar[]", "country": "varchar", "region": "varchar",
}  # fmt: skip
RAW_COLUMNS = (
    "_row_hash uuid, _delivery_id varchar, _extracted_at timestamp, _is_superseded boolean, _file varchar, _line bigint"
)
ELSEWHERE = """
create schema if not exists identity;
create table if not exists identity.person_identifiers (
    identifier_kind varchar, identifier varchar, person_id varchar, first_batch_seq bigint, evidence_rank tinyint, linked_at timestamp
);
create table if not exists identity.persons (
    person_id varchar, identifiers bigint, weakest_evidence varchar, weakest_evidence_rank tinyint, match_probability double,
    linked_at timestamp
);
create table if not exists identity.person_aliases (person_id varchar, surviving_person_id varchar);
create schema if not exists policy;
create table if not exists policy.creative_findings (
    offer_id varchar, offer_version bigint, creative_id varchar, channel varchar, locale varchar, field varchar, finding varchar,
    becomes varchar, quote varchar, place bigint, words varchar
);
create schema if not exists decisions;
create table if not exists decisions.scores (
    person_id varchar, offer_id varchar, offer_version bigint, channel varchar,
    p_if_shown double, p_if_held_out double, model_version varchar, gain double
);
create table if not exists decisions.allocations (person_id varchar, product_line varchar, offer_id varchar);
create table if not exists decisions.people_set_aside (person_id varchar);
create table if not exists decisions.explanations (decision_id varchar, reason_text varchar, drivers varchar[], effects double[]);
create table if not exists decisions.shadow_prices (
    what varchar, offer_id varchar, limit_units decimal(18, 6), used_before bigint, given decimal(18, 6), price_usd double
);
create table if not exists raw.feeds (
    source varchar, table_name varchar, last_extracted_at timestamp, known_whole_at timestamp
);
create table if not exists raw.silos (
    source varchar, table_name varchar, feed varchar, state varchar, last_delivered_at timestamp, hours_since_delivery double,
    late_after_hours integer, when_late varchar, needed_for varchar[], features varchar[], owner varchar, why varchar
);
"""


def make(settings: Settings) -> None:
    """Make what is missing; what is there stays."""
    contract = yaml.safe_load((PROJECT_ROOT / "candor" / "contract.yml").read_text(encoding="utf-8"))
    with connect(settings, restricted=True) as connection:
        connection.execute("create schema if not exists raw; create schema if not exists vault.raw")
        for source_name, source in contract["sources"].items():
            schema = "vault.raw" if source.get("restricted") else "raw"
            for table_name, table in source["tables"].items():
                _make_raw(connection, f"{schema}.{source_name}__{table_name}", table["columns"])
        runs.prepare(connection)
        standardise.prepare(connection)
        keys.prepare(connection)
        withholding.prepare(connection)
        suppressed.prepare(connection)
        review.prepare(connection)
        connection.execute(agents.table_ddl())
        connection.execute(ELSEWHERE)


def _make_raw(connection: duckdb.DuckDBPyConnection, name: str, columns: dict[str, object]) -> None:
    kinds = {column: (kind["type"] if isinstance(kind, dict) else kind) for column, kind in columns.items()}
    typed = ", ".join(f'"{column}" {TYPES[str(kind).rstrip("?")]}' for column, kind in kinds.items())
    connection.execute(f"create table if not exists {name} ({typed}, {RAW_COLUMNS})")
