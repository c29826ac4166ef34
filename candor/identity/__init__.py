"""Which identifiers are one person, and the key each person keeps.

dbt decides which pairs may link and why the others may not (`dbt_project/models/identity`); records that share no identifier may still
meet by likeness (`probabilistic`). Here the kept pairs become clusters (`clusters`, after the `guards`), clusters become persons with keys
that outlive the grouping (`keys`), and what happened to them is written down (`changes`). Operators may overrule (`overrides`).
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from candor import runs, transform
from candor import settings as settings_module
from candor.identity import clusters, graph, keys, memory, overrides, probabilistic, scopes
from candor.warehouse import connect, sql_timestamp

if TYPE_CHECKING:
    import duckdb

    from candor.settings import Settings

# Raised whenever guards or keys would decide otherwise than before; limits and evidence classes are hashed beside it.
GUARDS_VERSION = 3

RULE_VERSION = """
select left(md5(concat_ws('|', $guards, $overrides, (
    select string_agg(concat_ws(',', identifier_kind, other_kind, max_others), ';' order by identifier_kind, other_kind)
    from identity.link_limits
), (
    select string_agg(concat_ws(',', evidence, evidence_rank), ';' order by evidence_rank)
    from identity.evidence_classes
))), 12)
"""


def run(as_of: datetime, settings: Settings | None = None) -> dict[str, Any]:
    """Persons of the run of `as_of`: {people, identifiers, edges, dropped by reason, hubs, minted, merged, split, …}.

    The same `as_of` again gives the same rows, whatever other runs came between.
    """
    settings = settings or settings_module.load()
    built = transform.build("identity", as_of, settings)
    with connect(settings, restricted=True) as connection:
        counts = of_standing_pairs(connection, settings, as_of) | cluster_wallets(connection, as_of)
    return {**counts, "models": built["models"], "tests": built["tests"]}


def of_standing_pairs(
    connection: duckdb.DuckDBPyConnection, settings: Settings, as_of: datetime, *, staging: str = "staging"
) -> dict[str, Any]:
    """Persons made of the pairs that the identity models left, and of likeness, as the policy of the run has it; the counts of both.

    `staging` is the schema whose accounts and contacts are compared.
    """
    from candor import policy

    current = runs.current(connection, as_of)
    decided = tuple(each for each in policy.for_run(settings, current).identity_overrides if each.holds(current.as_of))
    row = connection.execute(RULE_VERSION, {"guards": str(GUARDS_VERSION), "overrides": repr(decided)}).fetchone()
    likeness = probabilistic.link(
        connection,
        settings,
        batch_seq=current.batch_seq,
        model=runs.report_dir(settings, current) / "likeness_model.json",
        staging=staging,
    )
    counts = assign(
        connection,
        batch_seq=current.batch_seq,
        hash_key=settings.mint_key,
        overruled=decided,
        rule_version=str(row[0]) if row else "",
    )
    return counts | likeness


def assign(
    connection: duckdb.DuckDBPyConnection,
    *,
    batch_seq: int,
    hash_key: str,
    overruled: tuple[overrides.Override, ...] = (),
    rule_version: str = "",
) -> dict[str, Any]:
    """Clusters and keys written from the tables of schema `identity`, in one transaction; the counts of what was done.

    Of the day after a batch that is remembered only what something new touches is computed (`memory`, `scopes`), with the same result.
    """
    keys.prepare(connection)
    connection.execute("begin")
    try:
        linked = overrides.link(connection, overruled)
        scope = scopes.open_scope(
            connection, batch_seq=batch_seq, guards=GUARDS_VERSION, hash_key=hash_key, overrides=overruled
        )
        formed = clusters.form(connection, graph.intern(connection), overruled)
        cut = clusters.move_cuts(connection, formed, is_whole=scope.is_whole)
        given = keys.give(connection, formed, batch_seq=batch_seq, hash_key=hash_key)
        keyed = keys.write(connection, formed, given, batch_seq=batch_seq, is_whole=scope.is_whole)
        memory.remember(connection, scope, formed, given, batch_seq=batch_seq)
        scopes.close_scope(connection, scope)
        connection.execute("delete from state.identity_rules where batch_seq = ?", [batch_seq])
        connection.execute("insert into state.identity_rules values (?, ?)", [batch_seq, rule_version])
        counts = _counts(connection)
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise
    return {**counts, "cut_by_guards": cut, **keyed, **linked, **scope.counts}


# Test networks move play money. One kind per chain and asset: amounts compare only within one.
TRANSFERS = """(
    select
        from_wallet_std as from_id,
        to_wallet_std as to_id,
        concat_ws(':', chain_std, asset_std) as kind,
        occurred_at,
        amount
    from staging.stg_wallets__transfers
    where not is_testnet
        and from_wallet_valid
        and to_wallet_valid
        and occurred_at <= {as_of}
)"""


def cluster_wallets(connection: duckdb.DuckDBPyConnection, as_of: datetime) -> dict[str, int]:
    """What transfers say about wallets, in the vault: {wallets, wallet_hubs, wallet_groups, wallets_suspected}.

    `vault.identity.wallet_clusters` has one row per wallet (cluster, hub, sybil score, evidence), `vault.identity.wallet_links` one per pair
    that holds. Suspicion of abuse is not for every reader, and weak evidence joins no persons.
    """
    from candor.identity.wallets import cluster_transfers

    query = TRANSFERS.format(as_of=sql_timestamp(as_of))
    found = connection.execute(f"select count(*) from {query} as transfers").fetchone()
    connection.execute("create schema if not exists vault.identity")
    if found is None or found[0] == 0:
        connection.execute(NO_WALLETS)
        return {"wallets": 0, "wallet_hubs": 0, "wallet_groups": 0, "wallets_suspected": 0}
    clustering = cluster_transfers(query, connection=connection)
    connection.execute("begin")
    try:
        for name, table in (("wallet_clusters", clustering.nodes), ("wallet_links", clustering.links)):
            connection.register("wallet_arrow", table)
            connection.execute(f"create or replace table vault.identity.{name} as select * from wallet_arrow")
            connection.unregister("wallet_arrow")
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise
    row = connection.execute(
        """
        select count(*), count(*) filter (where is_hub), count(distinct cluster_id) filter (where cluster_size > 1),
            count(*) filter (where sybil_score >= 0.5)
        from vault.identity.wallet_clusters
        """
    ).fetchone()
    assert row is not None
    return dict(zip(("wallets", "wallet_hubs", "wallet_groups", "wallets_suspected"), row, strict=True))


NO_WALLETS = """
create or replace table vault.identity.wallet_clusters (
    node_id varchar, cluster_id varchar, is_hub boolean, sybil_score double, cluster_size bigint, counterparties bigint, evidence varchar
);
create or replace table vault.identity.wallet_links (
    node_id varchar, other_id varchar, evidence varchar, via_id varchar, log_odds double
);
"""


def _counts(connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    def one(sql: str) -> int:
        row = connection.execute(sql).fetchone()
        return int(row[0]) if row else 0

    def by(sql: str) -> dict[str, int]:
        return dict(connection.execute(sql).fetchall())

    return {
        "people": one("select count(*) from identity.persons"),
        "largest_component": one("select coalesce(max(identifiers), 0) from identity.persons"),
        "identifiers_with_person": one("select count(*) from identity.person_identifiers"),
        "identifiers": one("select count(*) from identity.identifiers"),
        "blocked": one("select count(*) from identity.identifiers where is_blocked"),
        "edges": one("select count(*) from identity.edges"),
        "dropped": by("select reason, count(*) from identity.dropped_edges group by reason order by reason"),
        "hubs": by("select identifier_kind, count(*) from identity.identifiers where is_hub group by all order by all"),
        # Two birth dates or two checked names hold against an operator too.
        "operator_links_refused": one("select count(*) from identity.dropped_edges where evidence = 'operator'"),
        "weakest_bridges": by("select weakest_evidence, count(*) from identity.persons group by all order by all"),
    }
