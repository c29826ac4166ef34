"""Any table of cases decided by the rules: facts derived, the compiled SQL of every grain run over them, all reasons combined.

The rules are the compiled SELECTs that dbt runs (`compiling.grain_sql`); the expressions that derive facts are the eligibility models'
own macros (`expressions`). Two derivations are written here a second time, because the models work them out for something else: quiet
hours, which a run turns into the next window of each place and a case asks for one instant; and regimes, which a run gathers from accounts
and a case gives as market keys. tests/integration/test_cases_like_the_day.py asks the people of a day as cases and holds both, and every
code, to what the models made of them.

Facts are derived where they differ, once per instant and zone, set of countries, end and zone, and only then joined to the cases;
cases go through in batches, so that memory does not grow with the table.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from candor.errors import UsageError
from candor.policy import columns as table
from candor.policy import compiling, store
from candor.policy.columns import OBSERVED, OPERATIONAL, RELEASES, RELEASES_TYPE, SQL_TYPES, Column
from candor.policy.expressions import expression
from candor.policy.grains import ALL_GRAINS
from candor.policy.model import Policy

if TYPE_CHECKING:
    import duckdb

BATCH = 524_288  # cases that are decided at a time
MOST_PENALTY_BP = 9000


@dataclass(frozen=True)
class Counts:
    """What came out: how many cases, and how many of each decision."""

    cases: int
    decisions: dict[str, int]


def evaluate_file(
    policy: Policy,
    facts: Path,
    out: Path,
    *,
    as_of: datetime | None = None,
    shrinks: bool = False,
    threads: int = 2,
    memory: str = "4GB",
) -> Counts:
    """The decisions on every case of `facts` (Parquet or CSV), written to `out` (Parquet) in the order of case_id; whole or not at all.

    `shrinks`: in stressed markets facts are too old as early as in the daily run (max_age_stressed_hours).
    """
    import duckdb

    if not facts.is_file():
        raise UsageError(f"there is no file {facts}", hint="a Parquet or CSV file with one row per case")
    readers = {".parquet": "read_parquet({})", ".csv": "read_csv({}, all_varchar = true, header = true)"}
    if facts.suffix.lower() not in readers:
        raise UsageError(f"{facts.name} is neither .parquet nor .csv", hint="a Parquet or CSV file with one row per case")
    if not out.parent.is_dir():
        raise UsageError(f"there is no folder {out.parent}", hint="make it first, or give another --out")
    relation = readers[facts.suffix.lower()].format(compiling.quoted(str(facts)))
    with tempfile.TemporaryDirectory(prefix=".candor-evaluate-", dir=out.parent) as scratch:
        with _Evaluation(policy, Path(scratch), threads, memory, shrinks) as evaluation:
            try:
                evaluation.connection.execute(f"describe select * from {relation}")
            except duckdb.Error as error:
                raise UsageError(
                    f"{facts} cannot be read: {str(error).splitlines()[0]}", hint="a Parquet or CSV file with one row per case"
                ) from error
            evaluation.run(relation, as_of)
            made = Path(scratch) / "decisions.parquet"
            evaluation.connection.execute(
                f"copy (select * from decisions order by case_id) to {compiling.quoted(str(made))} (format parquet, compression zstd)"
            )
            counts = evaluation.counts()
        shutil.move(made, out)
    return counts


def evaluate_rows(policy: Policy, cases: Any, *, as_of: datetime | None = None, shrinks: bool = False) -> list[dict[str, Any]]:
    """The decisions on an Arrow table of cases, as dicts in the order of case_id. For a few thousand; files take `evaluate_file`."""
    with (
        tempfile.TemporaryDirectory(prefix="candor-evaluate-") as scratch,
        _Evaluation(policy, Path(scratch), 2, "2GB", shrinks) as evaluation,
    ):
        evaluation.connection.register("cases_given", cases)
        evaluation.run("cases_given", as_of)
        fetched = evaluation.connection.execute("select * from decisions order by case_id")
        names = [str(column[0]) for column in fetched.description or []]
        return [dict(zip(names, row, strict=True)) for row in fetched.fetchall()]


class _Evaluation:
    """One database beside the result, with the policy's tables, the cases and what becomes of them."""

    def __init__(self, policy: Policy, scratch: Path, threads: int, memory: str, shrinks: bool = False) -> None:
        import duckdb

        self.policy = compiling.complete(policy)
        self.connection: duckdb.DuckDBPyConnection = duckdb.connect(str(scratch / "cases.duckdb"))
        for setting, value in (
            ("timezone", "'UTC'"), ("threads", str(threads)), ("memory_limit", f"'{memory}'"), ("temp_directory", f"'{scratch / 'spill'}'"),
            ("preserve_insertion_order", "false"), ("enable_progress_bar", "false"),
        ):  # fmt: skip
            self.connection.execute(f"set {setting} = {value}")
        self.has_releases = False
        self.shrinks = shrinks

    def __enter__(self) -> _Evaluation:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def run(self, relation: str, as_of: datetime | None) -> None:
        """Fill table `decisions` from the cases in `relation`."""
        given = table.recognise(self.policy, relation, self.connection, has_as_of=as_of is not None)
        _check_ids(relation, self.connection)
        table.check_values(given, relation, self.connection)
        self._lookups()
        cases = self._take(given, relation, as_of)
        for first in range(0, max(cases, 1), BATCH):
            self.connection.execute(
                f"create or replace temp view known as select rowid as n, * from cases where rowid >= {first} and rowid < {first + BATCH}"
            )
            for name, sql in derivations(self.policy).items():
                self.connection.execute(f"create or replace temp table {name} as {sql}")
            self._judge()
            fill = "create table decisions as" if first == 0 else "insert into decisions"
            self.connection.execute(f"{fill} {_decisions_sql(self.has_releases)}")

    def counts(self) -> Counts:
        rows = self.connection.execute(
            "select decision, count(*) from decisions group by decision order by decision"
        ).fetchall()
        return Counts(sum(count for _, count in rows), dict(rows))

    def _lookups(self) -> None:
        execute = self.connection.execute
        execute("create schema policy")
        contents = store.contents(self.policy)
        for name in ("matrix", "regime_map", "permissions", "quiet_hours", "sensitive_features"):
            store.create(self.connection, f"policy.{name}", store.TABLES[name], contents[name])
        rule_channels = {channel: rule_channel for channel, rule_channel, *_ in self.policy.channels}
        rule_channels |= {name: name for name in (*rule_channels.values(), *self.policy.channels_not_served)}
        store.create(self.connection, "rule_channels", "channel varchar, rule_channel varchar", rule_channels.items())
        execute("create table zones as select distinct name as zone from pg_timezone_names()")
        # Who may be offered what from when to when: the list of permitting regimes changes only where a permission begins or ends.
        execute("""
            create table grants as
            with edges as (
                select client_class, product_line, valid_from as starts_at from policy.permissions
                union
                select client_class, product_line, valid_to from policy.permissions
            )
            select
                edges.client_class,
                edges.product_line,
                edges.starts_at,
                lead(edges.starts_at) over (partition by edges.client_class, edges.product_line order by edges.starts_at) as ends_at,
                (
                    select list(distinct permissions.regime order by permissions.regime)
                    from policy.permissions
                    where permissions.client_class = edges.client_class and permissions.product_line = edges.product_line
                        and permissions.valid_from <= edges.starts_at and permissions.valid_to > edges.starts_at
                ) as regimes
            from edges
        """)

    def _is_stressed(self, by_name: dict[str, Column]) -> str:
        """Where the case's market is stressed or nobody can say how it is, as SQL; nowhere when no age shrinks or the shop looks at no market."""
        name = "c_vol_rank"
        if not self.shrinks or not self.policy.market_basket:
            return "false"
        if name not in by_name:
            return "true"
        rank = table.known_value(self.policy.facts.get(name), by_name[name], by_name.get(name + OBSERVED))
        return f"coalesce({rank}, 2) = 2"

    def _take(self, given: list[Column], relation: str, as_of: datetime | None) -> int:
        """Table `cases`: every declared fact, null where it is unknown; their count."""
        by_name = {column.name: column for column in given}
        read = [f"{column.expression} as {column.name}" for column in given if column.name != "c_as_of"]
        stated = by_name["c_as_of"].expression if "c_as_of" in by_name else "cast(null as timestamp)"
        read.append(
            f"coalesce({stated}, {compiling.literal(as_of.astimezone(UTC))}) as c_as_of"
            if as_of is not None
            else f"{stated} as c_as_of"
        )
        known = []
        is_stressed = self._is_stressed(by_name)
        for name, kind in table.accepted(self.policy).items():
            if name in ("c_as_of", "c_channel"):
                continue
            if name in by_name:
                value = table.known_value(self.policy.facts.get(name), by_name[name], by_name.get(name + OBSERVED), is_stressed)
            else:
                value = str(OPERATIONAL[name]).lower() if name in OPERATIONAL else f"cast(null as {SQL_TYPES[kind]})"
            known.append(f"{value} as {name}")
        described = self.connection.execute(f"describe select * from {relation}").fetchall()
        self.has_releases = RELEASES in {str(row[0]) for row in described}
        if self.has_releases:
            read.append(f"cast({RELEASES} as {RELEASES_TYPE}) as {RELEASES}")
            known.append(RELEASES)
        if "c_channel" not in by_name:
            read.append("cast(null as varchar) as c_channel")
        self.connection.execute(f"""
            create table cases as
            select case_id, c_as_of, {", ".join(known)}, rule_channels.rule_channel as c_channel
            from (select case_id, {", ".join(read)} from {relation}) as given
            left join rule_channels on given.c_channel = rule_channels.channel
        """)
        lacking = self.connection.execute("select count(*), min(case_id::varchar) from cases where c_as_of is null").fetchone()
        assert lacking is not None
        if lacking[0]:
            raise UsageError(
                f"{lacking[0]:,} cases have no c_as_of, the first is {lacking[1]}",
                hint="give --as-of, or the instant in the table",
            )
        counted = self.connection.execute("select count(*) from cases").fetchone()
        assert counted is not None
        return int(counted[0])

    def _judge(self) -> None:
        """Tables `hits` and `duties` from table `facts`."""
        for grain in ALL_GRAINS:
            for suffix in ("", "_by_promotion"):
                self.connection.execute(f"create or replace temp view eval_{grain}{suffix} as from facts")
        selects = " union all ".join(
            f"select try_cast({'creative_id' if grain.startswith('offer') else 'person_id'} as bigint) as n, "
            f"rule_id, effect, visibility, code, penalty_bp from ({compiling.grain_sql(self.policy, grain)})"
            for grain in ALL_GRAINS
        )
        self.connection.execute(f"create or replace temp table hits as {selects}")
        self.connection.execute(f"create or replace temp table duties as {compiling.obligations_sql(self.policy, 'n')}")


def _check_ids(relation: str, connection: duckdb.DuckDBPyConnection) -> None:
    """Refuse cases without a name, or two with the same."""
    missing = connection.execute(f"select count(*) from {relation} where case_id is null").fetchone()
    if missing is not None and missing[0]:
        raise UsageError(f"{missing[0]:,} cases have no case_id", hint="every case needs a name of its own")
    twice = connection.execute(
        f"select case_id::varchar, count(*) from {relation} group by case_id having count(*) > 1 order by 1 limit 3"
    ).fetchall()
    if twice:
        named = ", ".join(f"{case_id} ({count} times)" for case_id, count in twice)
        raise UsageError(f"case_id must be unique; there is {named}", hint="one row per case")


def derivations(policy: Policy) -> dict[str, str]:
    """The tables between `known` and `facts`, in order, each with its SELECT."""
    end = expression("first_instant", "zone", "local_end")
    local = expression("local_time", "zone", "c_as_of")
    minute = expression("minute_of_day", "clocks.local")
    years = expression("full_years", "known.u_dob", "clocks.local")
    years_nowhere = expression("full_years", "known.u_dob", "(known.c_as_of - interval 12 hour)")
    opt_out = expression(
        "is_email_opt_out", "u_perm_regimes", f"[{', '.join(map(compiling.quoted, policy.email_optout_regimes))}]"
    )
    return {
        # A set of zones with one that nobody knows is not known.
        "zone_sets": """
            with sets as (select distinct u_tzs from known where len(u_tzs) > 0),
            members as (select u_tzs, unnest(u_tzs) as zone from sets)
            select members.u_tzs
            from members
            left join zones on members.zone = zones.zone
            group by members.u_tzs
            having count(*) = count(zones.zone)
        """,
        "case_zones": """
            select known.n, known.c_as_of, known.o_end_local, unnest(zone_sets.u_tzs) as zone
            from known
            inner join zone_sets on known.u_tzs = zone_sets.u_tzs
        """,
        "clocks": f"""
            select zone, c_as_of, {local} as local
            from (select distinct zone, c_as_of from case_zones)
        """,
        "clocks_quiet": f"""
            select
                clocks.zone,
                clocks.c_as_of,
                any_value(clocks.local) as local,
                coalesce(list(quiet_hours.regime) filter (where quiet_hours.regime is not null), []) as regimes
            from clocks
            left join policy.quiet_hours
                on isodow(clocks.local) = quiet_hours.iso_weekday
                and {expression("is_quiet", f"({minute})", "quiet_hours")}
            group by clocks.zone, clocks.c_as_of
        """,
        # "GB" beside a residence "US-NY" is another signal; "US" is the residence said less exactly.
        "country_sets": f"""
            with sets as (
                select distinct
                    u_residence,
                    u_other_countries,
                    list_distinct([u_residence] || list_transform(
                        u_other_countries, lambda signal: case when signal = split_part(u_residence, '-', 1) then u_residence else signal end
                    )) as signals
                from known
                where u_residence is not null and u_other_countries is not null
            ),
            signals as (
                select u_residence, u_other_countries, unnest(signals) as signal
                from sets
            ),
            mapped as (
                select
                    signals.u_residence,
                    signals.u_other_countries,
                    list_sort(list_distinct(flatten(list(regime_map.regimes)))) as u_regimes,
                    list_sort(list_distinct(list(regime_map.permission_regime))) as u_perm_regimes
                from signals
                left join policy.regime_map on signals.signal = regime_map.residence
                group by signals.u_residence, signals.u_other_countries
                having count(*) = count(regime_map.residence)
            )
            select *, {opt_out} as is_email_opt_out
            from mapped
        """,
        "local_ends": f"""
            select zone, o_end_local, {end} as ends_at
            from (
                select distinct zone, o_end_local, {expression("wall_clock", "o_end_local")} as local_end
                from case_zones
                where o_end_local is not null
            )
        """,
        "by_zone": f"""
            select
                case_zones.n,
                min({years}) as d_age,
                min(local_ends.ends_at) as ends_at,
                sum(len(list_filter(clocks.regimes, lambda regime: regime = '*'))) as quiet_house,
                coalesce(sum(len(list_filter(
                    clocks.regimes,
                    lambda regime: (regime = 'US' or starts_with(regime, 'US-')) and list_contains(country_sets.u_regimes, regime)
                ))), 0) as quiet_us
            from case_zones
            inner join known on case_zones.n = known.n
            inner join clocks_quiet as clocks on case_zones.zone = clocks.zone and case_zones.c_as_of = clocks.c_as_of
            left join local_ends on case_zones.zone = local_ends.zone and case_zones.o_end_local = local_ends.o_end_local
            left join country_sets
                on known.u_residence = country_sets.u_residence and known.u_other_countries = country_sets.u_other_countries
            group by case_zones.n
        """,
        "sensitive_sets": """
            select
                features,
                list_has_any(features, (select list(feature) from policy.sensitive_features)) as is_sensitive
            from (select distinct o_features as features from known where o_features is not null)
        """,
        "facts": f"""
            with placed as (
                select
                    known.* exclude (u_residence, u_other_countries, u_tzs, u_dob),
                    country_sets.u_regimes,
                    country_sets.u_perm_regimes,
                    country_sets.is_email_opt_out,
                    case when by_zone.n is null then {years_nowhere} else by_zone.d_age end as d_age,
                    by_zone.quiet_house as d_quiet_house_violations,
                    by_zone.quiet_us as d_quiet_us_violations,
                    case
                        when by_zone.n is null then {expression("wall_clock", "known.o_end_local")} - interval 14 hour
                        else by_zone.ends_at
                    end as d_end_local
                from known
                left join by_zone on known.n = by_zone.n
                left join country_sets
                    on known.u_residence = country_sets.u_residence and known.u_other_countries = country_sets.u_other_countries
            )
            select
                placed.* exclude (u_consent_thirdparty, o_product, o_from, o_to, o_end_local),
                placed.n as person_id,
                placed.n as place_id,
                placed.n as creative_id,
                placed.n as offer_class,
                placed.n as rule_channel,
                matrix.product_line as m_product,
                matrix.rank as m_rank,
                matrix.min_kyc as m_min_kyc,
                matrix.approp as m_approp,
                matrix.vol_max as m_vol_max,
                matrix.profiles as m_profiles,
                matrix.stages as m_stages,
                {expression("channel_ok", "placed.c_channel", "placed.is_email_opt_out", "placed", consent_thirdparty="placed.u_consent_thirdparty")}
                    as d_channel_ok,
                {expression("permissions_missing", "placed.u_perm_regimes", "placed.u_client_class", "matrix.product_line", "grants.regimes")}
                    as d_perm_missing,
                sensitive_sets.is_sensitive as d_sensitive_feature,
                placed.o_from as o_starts_at,
                -- An end that nobody knows is not the other end: known to be over, or unknown.
                case
                    when placed.o_end_local is null then placed.o_to
                    when placed.o_to is null then case when placed.c_as_of >= placed.d_end_local then placed.d_end_local end
                    else least(placed.o_to, placed.d_end_local)
                end as o_ends_at
            from placed
            left join policy.matrix on placed.o_product = matrix.product_line
            left join sensitive_sets on placed.o_features = sensitive_sets.features
            left join grants
                on placed.u_client_class = grants.client_class
                and matrix.product_line = grants.product_line
                and placed.c_as_of >= grants.starts_at
                and (placed.c_as_of < grants.ends_at or grants.ends_at is null)
        """,
    }


def _decisions_sql(has_releases: bool) -> str:
    """One row per case of the batch: every reason combined. A release lifts holds of its rule and nothing else, until it ends."""
    lifted = "false"
    if has_releases:
        lifted = f"""exists (
                select 1
                from (select n, c_as_of, unnest({RELEASES}, recursive := true) from facts) as releases
                where releases.n = hits.n and releases.rule = hits.rule_id and releases.c_as_of < releases.until
            )"""
    return f"""
        with judged as (
            select
                n, code, visibility, effect,
                effect = 'BLOCK' as is_block,
                effect = 'HOLD' and not ({lifted}) as is_hold
            from hits
            where effect in ('BLOCK', 'HOLD')
        ),
        reasons as (
            select
                n,
                bool_or(is_block) as is_blocked,
                bool_or(is_hold) as is_held,
                list_sort(list_distinct(list(code) filter (where is_block or is_hold))) as codes,
                list_sort(list_distinct(list(code) filter (where not is_block and not is_hold))) as released,
                bool_or((is_block or is_hold) and visibility = 'safe' and not ends_with(code, '_UNKNOWN')) as is_told
            from judged
            group by n
        ),
        penalties as (
            select n, least({MOST_PENALTY_BP}, sum(penalty_bp))::integer as penalty_bp
            from (select distinct n, code, penalty_bp from hits where effect = 'DEMOTE')
            group by n
        ),
        obliged as (
            select n, list_sort(list_distinct(list(obligation))) as obligations
            from duties
            group by n
        )
        select
            known.case_id,
            case when reasons.is_blocked then 'BLOCK' when reasons.is_held then 'HOLD' else 'ALLOW' end as decision,
            coalesce(reasons.codes, cast([] as varchar[])) as codes,
            coalesce(reasons.released, cast([] as varchar[])) as released,
            coalesce(penalties.penalty_bp, 0) as penalty_bp,
            coalesce(obliged.obligations, cast([] as varchar[])) as obligations,
            case
                when not coalesce(reasons.is_blocked or reasons.is_held, false) then null
                when reasons.is_told then 'SPECIFIC'
                else 'GENERIC'
            end as explanation
        from known
        left join reasons on known.n = reasons.n
        left join penalties on known.n = penalties.n
        left join obliged on known.n = obliged.n
    """
