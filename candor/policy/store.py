"""Where a run finds its policy again: the snapshot under the state folder and the tables of schema `policy`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from candor.errors import PolicyError
from candor.policy import compiling, rulebook
from candor.policy.grains import ALL_GRAINS, PATTERNED
from candor.policy.kill_switches import SCOPE, KillSwitch
from candor.policy.loading import load, read_files, version_of
from candor.policy.model import Policy
from candor.policy.reading import Problems
from candor.policy.retention import RecordClass, read_retention
from candor.policy.staleness import of_rank
from candor.warehouse import utc

if TYPE_CHECKING:
    import duckdb

    from candor.runs import Run
    from candor.settings import Settings


def snapshot(settings: Settings) -> str:
    """The version of the policy as it is now, kept under `<state>/policy/<version>/` so that the run can be repeated.

    Raises PolicyError, with every problem, when it does not load.
    """
    policy = load(settings.policy_dir, settings.shop)
    kept = settings.state_dir / "policy" / policy.version
    if kept.is_dir():
        return policy.version
    beside = kept.with_name(f".{policy.version}.{os.getpid()}")
    shutil.rmtree(beside, ignore_errors=True)
    for path in sorted(settings.policy_dir.rglob("*")):
        if path.suffix in (".yml", ".yaml") and path.is_file():
            target = beside / path.relative_to(settings.policy_dir)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    if load(beside, settings.shop).version != policy.version:
        raise PolicyError(f"the files in {settings.policy_dir} changed while they were copied", hint="run again")
    try:
        beside.rename(kept)
    except OSError:
        if not kept.is_dir():  # otherwise another process was first, with the same content
            raise
        shutil.rmtree(beside)
    return policy.version


def for_run(settings: Settings, run: Run) -> Policy:
    """The policy that the run was pinned to. Raises PolicyError when its snapshot is gone or is no longer what it was."""
    kept = settings.state_dir / "policy" / run.policy_version
    if not kept.is_dir():
        raise PolicyError(
            f"the run of {run.as_of.isoformat()} uses policy {run.policy_version}, of which there is no snapshot at {kept}",
            hint="restore the folder from a backup of the state folder; another policy would give other offers",
        )
    policy = load(kept, settings.shop)
    if policy.version != run.policy_version:
        raise PolicyError(
            f"the snapshot {kept} reads as version {policy.version} for shop {settings.shop!r}",
            hint="the run was made for another shop (CANDOR_SHOP), or somebody edited the snapshot",
        )
    return policy


def retention_of(settings: Settings, version: str | None) -> tuple[RecordClass, ...] | None:
    """What is kept for how long by the policy in force (None), or by that of a past run; None when its snapshot is gone or was edited.

    Of a past policy nothing but its version and this one file is asked: what is demanded of the others today need not hold of it.
    """
    if version is None:
        return load(settings.policy_dir, settings.shop).retention
    nodes = read_files(settings.state_dir / "policy" / version, settings.shop, Problems())
    if version_of(nodes) != version:
        return None
    roles = nodes["owners"].get("roles") if nodes["owners"] is not None else None
    names = {str(role.get("role")) for role in roles} if isinstance(roles, list) else set()
    return read_retention(nodes.get("retention"), names, Problems())


TABLES = {
    "product_lines": (
        "product_line varchar, rank integer, min_kyc integer, approp boolean, vol_max integer, outcome_needs_offer boolean"
    ),
    "matrix": (
        "product_line varchar, rank integer, min_kyc integer, approp boolean, vol_max integer, profiles varchar[], stages varchar[]"
    ),
    "outcome_kinds": "product_line varchar, kind varchar",
    "regime_map": "residence varchar, regimes varchar[], permission_regime varchar",
    "permissions": "regime varchar, client_class varchar, product_line varchar, valid_from timestamp, valid_to timestamp",
    "fatf_countries": "list varchar, country varchar, valid_from timestamp, valid_to timestamp",
    "quiet_hours": "regime varchar, iso_weekday integer, opens_minute integer, closes_minute integer",
    "email_optout_regimes": "regime varchar",
    "channels": "channel varchar, rule_channel varchar, slots integer, is_push boolean, has_window boolean",
    "limits": "name varchar, value double, why varchar",
    "objectives": "name varchar, value double, why varchar",
    "education_ratio": "lifecycle_stage varchar, promotions_per_education double",
    "budgets": "name varchar, limit_usd double",
    "rule_codes": "code varchar, rule_id varchar, v integer, effect varchar, visibility varchar, grain varchar, title varchar",
    "rulebook": rulebook.COLUMNS,
    "texts": "otherwise varchar",
    "staleness": "product_line varchar, is_promotion boolean, hours integer, hours_stressed integer",
    "facts": "fact varchar, type varchar, max_age_hours integer, max_age_stressed_hours integer, visibility varchar, sources varchar[]",
    "sensitive_features": "feature varchar",
    "experiments": "holdout_share double, salt varchar, withhold_share double, withhold_salt varchar",
    "silos": (
        "feed varchar, when_late varchar, late_after_hours integer, needed_for varchar[], features varchar[], owner varchar, why varchar"
    ),
    "rules_left_out": "rule_id varchar, reason varchar",
    "market_basket": 'asset varchar, weight double, "interval" varchar',
    "roles": "role varchar, holder varchar, approves varchar[]",
    "kill_switches": (
        "switch_id varchar, offer_id varchar, product_line varchar, channel varchar, market varchar, segment varchar, "
        "since timestamp, until timestamp"
    ),
    "pack": "valid_from timestamp, valid_to timestamp, version varchar, pack_id varchar, pack_version varchar, shop varchar",
}


def contents(policy: Policy) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of each table of schema `policy`, in the order of TABLES' columns."""

    def minutes(clock: str) -> int:
        return int(clock[:2]) * 60 + int(clock[3:])

    lines = policy.product_lines
    return {
        "product_lines": [
            (line.product_line, line.rank, line.min_kyc, line.approp, line.vol_max, line.outcome_needs_offer) for line in lines
        ],
        "matrix": [
            (line.product_line, line.rank, line.min_kyc, line.approp, line.vol_max, list(line.profiles), list(line.stages))
            for line in lines
        ],
        "outcome_kinds": [(line.product_line, kind) for line in lines for kind in line.outcomes],
        "regime_map": [(market, list(regimes), permission) for market, (regimes, permission) in policy.regime_map.items()],
        "permissions": [
            (regime, client_class, product, valid_from, valid_to)
            for regime, client_class, products, valid_from, valid_to in policy.permissions
            for product in products
        ],
        "fatf_countries": [
            (one.name, country, one.valid_from, one.valid_to) for one in policy.fatf for country in one.countries
        ],
        # The margin is taken off here, once: whatever reads this table sends early enough.
        "quiet_hours": [
            (regime, day, minutes(opens), minutes(closes) - policy.latency_margin_min)
            for regime, days, opens, closes in policy.quiet_hours
            for day in days
        ],
        "email_optout_regimes": [(regime,) for regime in policy.email_optout_regimes],
        "channels": list(policy.channels),
        "limits": [(name, value, why) for name, (value, why) in policy.limits.items()],
        "staleness": [
            (line.product_line, row.is_promotion, row.hours, row.hours_stressed)
            for line in lines
            for row in of_rank(policy.staleness, line.rank)
        ],
        "objectives": [(name, value, why) for name, (value, why) in policy.objectives.items()],
        "education_ratio": list(policy.promotions_per_education),
        "budgets": [("incentives", policy.incentive_budget_usd)],
        "rule_codes": list(compiling.codes(policy)),
        "rulebook": rulebook.rows(policy),
        "texts": [(policy.constant_text,)],
        "facts": [
            (fact.name, fact.type, fact.max_age_hours, fact.max_age_stressed_hours, fact.visibility, list(fact.sources))
            for fact in policy.facts.values()
            if fact.awaits is None and not fact.is_of_cases
        ],
        "sensitive_features": [(feature,) for feature in policy.sensitive_features],
        "experiments": [(policy.holdout_share, policy.salt, policy.withhold_share, policy.withhold_salt)],
        "silos": [
            (
                silo.table,
                silo.when_late,
                silo.late_after_hours,
                list(silo.needed_for),
                list(silo.features),
                silo.owner,
                silo.why,
            )
            for silo in policy.silos
        ],
        "rules_left_out": list(policy.leaves_out.items()),
        "market_basket": list(policy.market_basket),
        "roles": [(role, holder, list(approves)) for role, holder, approves in policy.roles],
        "pack": [(policy.valid_from, policy.valid_to, policy.version, policy.pack_id, policy.pack_version, policy.shop)],
    }


def install(connection: duckdb.DuckDBPyConnection, settings: Settings, run: Run) -> str:
    """The version whose tables schema `policy` of the warehouse now holds: those of the run, all or none replaced."""
    from candor.kill_switches import all_of

    policy = for_run(settings, run)
    switches = all_of(settings, policy.kill_switches)
    connection.execute("begin")
    try:
        install_tables(connection, policy, holding(switches, run.as_of))
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise
    return policy.version


def install_tables(connection: duckdb.DuckDBPyConnection, policy: Policy, kill_switches: list[tuple[Any, ...]]) -> None:
    """Make schema `policy` of the connection's database hold the tables of `policy`, in the caller's transaction if there is one.

    `kill_switches` are rows of table kill_switches: those that hold, which the state says as well as the policy.
    """
    connection.execute("create schema if not exists policy")
    for name, rows in (contents(policy) | {"kill_switches": kill_switches}).items():
        connection.execute(f"create or replace table policy.{name} ({TABLES[name]})")
        if rows:
            marks = ", ".join("?" for _ in rows[0])
            connection.executemany(f"insert into policy.{name} values ({marks})", sorted(rows, key=repr))


def holding(switches: Iterable[KillSwitch], as_of: datetime) -> list[tuple[Any, ...]]:
    """Rows of table kill_switches for those that hold at `as_of`."""
    return [
        (switch.switch_id, *(getattr(switch, name) for name in SCOPE), utc(switch.since), switch.until and utc(switch.until))
        for switch in switches
        if switch.holds(as_of)
    ]


def dbt_vars(settings: Settings, run: Run) -> dict[str, Any]:
    """What the eligibility models are compiled with: each grain's rules as SQL, and what they read, of the policy the run is pinned to."""
    policy = for_run(settings, run)
    return {
        "compiled_rules": {grain: compiling.daily_sql(policy, grain) for grain in ALL_GRAINS},
        "rule_facts": {grain: compiling.rule_facts(policy, grain) for grain in PATTERNED},
        "policy_version": policy.version,
    }


def explain(code: str, policy: Policy | None = None) -> dict[str, Any]:
    """What stands behind a code: rule, title, statement, citation, effect, visibility, and whether a fact was unknown.

    Raises PolicyError for a code that no rule gives. `policy` is by default that of the policy folder.
    """
    if policy is None:
        from candor import settings as settings_module

        settings = settings_module.load()
        policy = load(Path(settings.policy_dir), settings.shop)
    # The code itself first: JUR_UNKNOWN is a code of its own.
    for plain in (code, code.removesuffix("_UNKNOWN")):
        for rule in (*compiling.engine_rules(policy), *policy.rules, *policy.waiting):
            given = {check.code for check in rule.checks} | {f"DISC_MISSING_{duty.name}" for duty in rule.obligations}
            is_missing = plain.startswith("DISC_MISSING_")
            if plain in given:
                return {
                    "code": code,
                    "rule_id": rule.rule_id,
                    "v": rule.version,
                    "title": rule.title,
                    "statement": rule.statement,
                    "cite": rule.cite,
                    "effect": "BLOCK" if is_missing else rule.effect,
                    "visibility": "internal" if is_missing and rule.visibility == "safe" else rule.visibility,
                    "is_unknown": plain != code,
                    # JUR_UNKNOWN is no suffix, but it says that something is not known as well.
                    "may_be_told": rule.visibility == "safe" and not is_missing and not code.endswith("_UNKNOWN"),
                }
    raise PolicyError(f"no rule gives the code {code!r}", hint="policy.rule_codes in the warehouse lists them")
