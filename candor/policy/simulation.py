"""What another policy would do to a standing run: who gains and who loses which offers, before anybody signs it.

Facts are those of the run; only what the policy says about them differs. Simulated is eligibility: which offers a person may see on which channel.
Which of them they then see (scores, worth, slots, caps of a run) is chosen anew every day and is not simulated.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from candor.errors import UsageError
from candor.policy import rebuilding, store
from candor.policy.model import Policy, Rule
from candor.policy.rebuilding import Rebuilt
from candor.runs import Run
from candor.warehouse import utc

if TYPE_CHECKING:
    import duckdb

    from candor.settings import Settings

DIMENSIONS = {"offer": "offer_id", "channel": "channel", "segment": "segment", "market": "market"}

# One row per person, offer and channel that was, or would be, permitted.
_MOVES = """
create temp table moves as
select
    coalesce(old.person_id, new.person_id) as person_id,
    coalesce(old.offer_id, new.offer_id) as offer_id,
    coalesce(old.channel, new.channel) as channel,
    coalesce(old.segment, new.segment) as segment,
    coalesce(old.market, new.market, 'unknown') as market,
    old.person_id is not null as is_before,
    new.person_id is not null as is_after,
    old.penalty_bp is distinct from new.penalty_bp as is_ranked_otherwise,
    (old.send_after, old.send_before, old.valid_until) is distinct from (new.send_after, new.send_before, new.valid_until) as is_timed_otherwise
from {before} as old
full join {after} as new
    on old.person_id = new.person_id and old.offer_id = new.offer_id and old.channel = new.channel
"""
_COUNTS = """
    count(*) filter (where is_before) as pairs_before,
    count(*) filter (where is_after) as pairs_after,
    count(distinct person_id) filter (where is_before) as people_before,
    count(distinct person_id) filter (where is_after) as people_after,
    count(*) filter (where is_after and not is_before) as pairs_gained,
    count(*) filter (where is_before and not is_after) as pairs_lost,
    count(distinct person_id) filter (where is_after and not is_before) as people_gaining,
    count(distinct person_id) filter (where is_before and not is_after) as people_losing
"""


def standing_run(connection: duckdb.DuckDBPyConnection, as_of: datetime | None) -> Run:
    """The run whose facts the attached warehouse holds. Raises UsageError when that is not the one of `as_of`, or its eligibility was not built."""
    row = connection.execute(
        """
        select batches.as_of, batches.run_id, batches.batch_seq, batches.policy_version, batches.champion_version, marks.as_of
        from candor.state.current_run as standing
        inner join candor.state.batches as batches on standing.as_of = batches.as_of
        left join candor.state.stage_marks as marks on marks.stage = 'eligibility'
        """
    ).fetchone()
    if row is None:
        raise UsageError("no run stands in the warehouse", hint="`candor run --as-of …` makes one")
    stands = f"{row[0].isoformat()}Z"
    if as_of is not None and utc(as_of) != row[0]:
        raise UsageError(
            f"the warehouse holds the facts of {stands}, not those of {utc(as_of).isoformat()}Z",
            hint=f"`candor run --as-of {utc(as_of).isoformat()}Z` builds them again; or leave --as-of out",
        )
    if row[5] != row[0]:
        raise UsageError(
            f"the run of {stands} has not decided eligibility yet", hint=f"`candor run --as-of {stands}` goes on with it"
        )
    return Run(row[0].replace(tzinfo=UTC), row[1], row[2], row[3], row[4])


def simulate(
    settings: Settings,
    policy: Policy,
    *,
    as_of: datetime | None = None,
    may_see_restricted: bool = False,
    everything: bool = False,
    told: Callable[[str], None] = lambda name: None,
) -> dict[str, Any]:
    """What `policy` would do to the standing run, every count exact: `candor.policy.shown` hides the small ones.

    Raises UsageError when restricted rules differ and `may_see_restricted` is not given: who loses by them says whom they are about.
    """
    with rebuilding.attached(settings) as connection:
        run = standing_run(connection, as_of)
        before = store.for_run(settings, run)
        differing = restricted_that_differ(before, policy)
        if differing and not may_see_restricted:
            raise UsageError(
                f"restricted rules differ ({', '.join(differing)}): who gains and loses by them says whom they are about",
                hint="compliance may see it: --as compliance",
            )
        rebuilt = Rebuilt(connection, run.as_of, before, policy, everything=everything, told=told)
        return _compared(connection, rebuilt, run, before, policy, may_see_restricted=may_see_restricted)


def restricted_that_differ(before: Policy, after: Policy) -> list[str]:
    """The ids of restricted rules that are not the same in both."""
    return sorted({rule.rule_id for rule in _rules(before) ^ _rules(after) if rule.visibility == "restricted"})


def _rules(policy: Policy) -> set[Rule]:
    return {*policy.rules, *policy.waiting}


def _compared(
    connection: duckdb.DuckDBPyConnection,
    rebuilt: Rebuilt,
    run: Run,
    before: Policy,
    after: Policy,
    *,
    may_see_restricted: bool,
) -> dict[str, Any]:
    connection.execute(_MOVES.format(before="candor.eligibility.candidates", after=rebuilt.relation("candidates")))
    (people,) = connection.execute("select count(*) from vault.eligibility.person_facts").fetchall()[0]
    total = _rows(connection, f"select {_COUNTS} from moves")[0]
    left = _rows(
        connection,
        """
        select
            count(*) filter (where was and not is_) as people_left_without_anything,
            count(*) filter (where is_ and not was) as people_who_had_nothing
        from (select person_id, bool_or(is_before) as was, bool_or(is_after) as is_ from moves group by person_id)
        """,
    )[0]
    kept = _rows(
        connection,
        """
        select
            count(*) filter (where is_ranked_otherwise) as pairs_ranked_otherwise,
            count(distinct person_id) filter (where is_ranked_otherwise) as people_ranked_otherwise,
            count(*) filter (where is_timed_otherwise) as pairs_timed_otherwise,
            count(distinct person_id) filter (where is_timed_otherwise) as people_timed_otherwise
        from moves where is_before and is_after
        """,
    )[0]
    by = {
        name: _rows(connection, f"select {column} as name, {_COUNTS} from moves group by {column} order by {column}")
        for name, column in DIMENSIONS.items()
    }
    return {
        "run_id": run.run_id,
        "as_of": utc(run.as_of).isoformat() + "Z",
        "policy_before": before.version,
        "policy_after": after.version,
        "people": people,
        "total": total,
        **left,
        **kept,
        "by": by,
        "codes": _codes(connection, rebuilt, may_see_restricted=may_see_restricted),
        "served": _served(connection, rebuilt, run),
        "rules_without_effect": rules_without_effect(before, after, run.as_of),
        "not_simulated": not_simulated(before, after),
        "built_again": list(rebuilt.built),
    }


def _codes(connection: duckdb.DuckDBPyConnection, rebuilt: Rebuilt, *, may_see_restricted: bool) -> list[dict[str, Any]]:
    """Each code before and after, most changed first. Without `may_see_restricted` all restricted ones are the one ELIG_NA."""
    if may_see_restricted:
        before, after = "vault.eligibility.int_exclusions_counted", rebuilt.relation("int_exclusions_counted")
    else:
        before, after = "candor.eligibility.exclusion_counts", rebuilt.relation("exclusion_counts")
    return _rows(
        connection,
        f"""
        select
            coalesce(old.code, new.code) as code,
            coalesce(old.grain, new.grain) as grain,
            coalesce(old.people, 0)::bigint as people_before,
            coalesce(new.people, 0)::bigint as people_after,
            coalesce(old.pairs, 0)::bigint as pairs_before,
            coalesce(new.pairs, 0)::bigint as pairs_after
        from {before} as old
        full join {after} as new on old.code = new.code and old.grain = new.grain
        where old.people is distinct from new.people or old.pairs is distinct from new.pairs
        order by abs(pairs_after - pairs_before) desc, code, grain
        """,
    )


def _served(connection: duckdb.DuckDBPyConnection, rebuilt: Rebuilt, run: Run) -> dict[str, Any] | None:
    """What of the run's published offers would not be permitted; None when the run has not published."""
    published = connection.execute(
        "select 1 from candor.state.stage_marks where stage = 'publish' and as_of = ?", [utc(run.as_of)]
    ).fetchone()
    if published is None:
        return None
    connection.execute(
        f"""
        create temp table served as
        select staged.person_id, staged.offer_id, staged.channel, candidates.person_id is null as falls_away
        from candor.decisions.staged_offers as staged
        left join {rebuilt.relation("candidates")} as candidates
            on staged.person_id = candidates.person_id and staged.offer_id = candidates.offer_id
            and staged.channel = candidates.channel and staged.creative_id = candidates.creative_id
        """
    )
    counts = """
        count(*) as served, count(distinct person_id) as people_served,
        count(*) filter (where falls_away) as falling_away, count(distinct person_id) filter (where falls_away) as people_losing
    """
    return {
        "total": _rows(connection, f"select {counts} from served")[0],
        "by_offer": _rows(
            connection,
            f"select offer_id as name, {counts} from served group by offer_id having falling_away > 0 order by offer_id",
        ),
    }


def rules_without_effect(before: Policy, after: Policy, as_of: datetime) -> list[dict[str, str]]:
    """The rules of `after` that differ from those of `before` and do not judge at `as_of`, each with why."""
    instant, made = utc(as_of), []
    for rule in sorted(_rules(after) - _rules(before), key=lambda rule: (rule.rule_id, rule.version, rule.grain)):
        why = None
        if rule.waits_for:
            why = f"waits for {', '.join(rule.waits_for)}, which the daily run does not know yet"
        elif rule.starts_at is not None and instant < rule.starts_at:
            why = f"is in force from {rule.starts_at.isoformat()}Z"
        elif rule.ends_at is not None and instant >= rule.ends_at:
            why = f"was in force until {rule.ends_at.isoformat()}Z"
        if why is not None:
            codes = [check.code for check in rule.checks] + [f"DISC_MISSING_{duty.name}" for duty in rule.obligations]
            made.append({"rule": f"{rule.rule_id} v{rule.version}", "codes": ", ".join(codes), "why": why})
    if not after.valid_from <= instant < after.valid_to:
        why = f"is valid from {after.valid_from.isoformat()}Z until {after.valid_to.isoformat()}Z, so at the run's instant it permits nothing"
        made.append({"rule": "the pack", "codes": "PACK_OUT_OF_DATE", "why": why})
    return made


def not_simulated(before: Policy, after: Policy) -> list[str]:
    """What differs and acts before eligibility or after it, so that the counts do not show it."""

    def limits(policy: Policy, *beginnings: str) -> dict[str, float]:
        return {name: value for name, (value, _) in policy.limits.items() if name.startswith(beginnings)}

    def both(read: Callable[[Policy], Any]) -> bool:
        return bool(read(before) != read(after))

    market = ("market_elevated", "market_stressed", "market_drawdown", "market_hold", "market_history")
    found = (
        (both(lambda one: dict(one.regime_map)), "regime map: the market by which people are grouped stays that of the run (their regimes do not)"),
        (both(lambda one: (one.market_basket, limits(one, *market))), "market basket and market limits: the state of markets stays that of the run"),
        (
            both(lambda one: {line.product_line: line.outcomes for line in one.product_lines}),
            "outcomes of product lines: what people did, and their lifecycle stage, stay as the run saw them",
        ),
        (
            both(lambda one: {silo.table: (silo.when_late, silo.late_after_hours) for silo in one.silos}),
            "silos: whether the raw gate would have stopped the run",
        ),
        (both(lambda one: one.identity_overrides), "identity overrides: persons stay those of the run"),
        (both(lambda one: {row[0]: row[2:4] for row in one.channels}), "slots and interruptions of channels: they act when offers are chosen"),
        (
            both(lambda one: (limits(one, "cool_down", "feedback"), dict(one.objectives), one.promotions_per_education, one.incentive_budget_usd)),
            "objectives, cool-downs, education ratio, budget: they act when offers are chosen",
        ),
        (both(lambda one: (one.holdout_share, one.salt)), "experiments: who is held out stays as it is"),
    )  # fmt: skip
    return [text for differs, text in found if differs]


def _rows(connection: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    found = connection.execute(query)
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
