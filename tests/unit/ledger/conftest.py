"""A published run small enough to read: five people, three offers, two channels, written by the very queries that publishing uses."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pytest

from candor.ledger import chain, files
from candor.ledger.published import Decisions
from candor.ledger.roles import role
from candor.policy import load
from candor.policy import store as policy_store
from candor.publishing import export
from candor.runs import Run
from candor.settings import PROJECT_ROOT, Settings

AS_OF = datetime(2026, 11, 23, 15, tzinfo=UTC)
RUN = Run(AS_OF, "r0000000000000001", 1, "p1", "m1")

# clear: nothing against them. media, embargo: a restricted reason each, otherwise alike. vulnerable: a restricted reason against one kind of
# offer. objector: a reason that may be told. unsure: a reason that rests on something unknown. alone: held out.
PEOPLE = ("clear", "media", "embargo", "vulnerable", "objector", "unsure", "alone")
TABLES = """
create schema eligibility; create schema policy; create schema raw; create schema decisions; create schema vault.eligibility;

create table eligibility.offer_facts as select * from (values
    ('cr-spot-web', 'spot_btc', 1, 'spot', 'web', 'inapp', true, 'none', 'spot:true'),
    ('cr-spot-email', 'spot_btc', 1, 'spot', 'email', 'email', true, 'none', 'spot:true'),
    ('cr-stake-web', 'stake_eth', 1, 'staking', 'web', 'inapp', true, 'monetary', 'staking:true'),
    ('cr-edu-web', 'edu_basics', 1, 'education', 'web', 'inapp', false, 'none', 'education:false')
) as facts (creative_id, offer_id, offer_version, product_line, channel, c_channel, o_is_promotion, o_incentive, offer_class);
create table eligibility.offer_classes as select distinct offer_class, o_is_promotion from eligibility.offer_facts;
create table eligibility.creative_choices as
    select 'en-GB' as language, offer_id, channel, creative_id, 'en-GB' as locale from eligibility.offer_facts;
create table eligibility.market_state as select timestamp '2026-11-23 14:00:00' as observed_at, 0 as c_vol_rank;

create table vault.eligibility.person_facts as
    select person as person_id, 'GB' as market, 'en-GB' as language, 'z1' as place_id, 40 as d_age, false as u_is_test,
        person = 'embargo' as u_embargo, if(person = 'media', 'unresolved', 'none') as u_adverse_media, person = 'vulnerable' as u_vuln_flag,
        person = 'objector' as u_dm_objection, if(person = 'unsure', null, ['GB']) as u_regimes, 'retail' as u_client_class,
        true as u_of_a_new_kind
    from (select unnest($people) as person);
create table vault.eligibility.person_channel_facts as
    select person_id, unnest(['inapp', 'email']) as rule_channel, true as d_channel_ok from vault.eligibility.person_facts;
create table vault.eligibility.person_product_facts as
    select person_id, 'spot' as product_line, 'passed' as u_approp from vault.eligibility.person_facts;
create table vault.eligibility.offer_place_facts as select creative_id, 'z1' as place_id, 0 as d_perm_missing from eligibility.offer_facts;
create table vault.eligibility.fact_observations as
    select fact, timestamp '2026-11-23 14:31:02' as observed_at, true as is_fresh, max_age_hours from policy.facts where max_age_hours is not null;

create table vault.eligibility.user_hits as select *, 0 as penalty_bp, '' as facts from (values
    ('media', null::boolean, 'FC-007', 1, 'HOLD', 'restricted', 'FC_ADVERSE_MEDIA'),
    ('embargo', null, 'FC-004', 1, 'BLOCK', 'restricted', 'FC_EMBARGO'),
    ('embargo', null, 'FC-001', 1, 'BLOCK', 'restricted', 'FC_SANCTIONED_UNKNOWN'),
    ('objector', true, 'PRV-002', 1, 'BLOCK', 'safe', 'PRV_OBJECTED'),
    ('unsure', true, 'AGE-001', 1, 'BLOCK', 'safe', 'AGE_UNDER_18_UNKNOWN')
) as hits (person_id, is_promotion, rule_id, v, effect, visibility, code);
create table vault.eligibility.int_person_product_patterns as select * from (values
    ('vulnerable', 1::bigint), ('clear', 2), ('alone', 2)
) as patterns (person_id, pattern_id);
create table vault.eligibility.int_product_pattern_hits as select *, 0 as penalty_bp, '' as facts from (values
    (1::bigint, 'staking:true', 'VUL-001', 1, 'BLOCK', 'restricted', 'VUL_FLAG'),
    (2, 'staking:true', 'SUI-001', 1, 'BLOCK', 'safe', 'SUI_STAGE')
) as hits (pattern_id, offer_class, rule_id, v, effect, visibility, code);
create table vault.eligibility.user_channel_hits as select *, 0 as penalty_bp, '' as facts from (values
    ('clear', 'email', null::boolean, 'BRD-001', 1, 'BLOCK', 'safe', 'BRD_FREQ_CAP')
) as hits (person_id, rule_channel, is_promotion, rule_id, v, effect, visibility, code);
create table vault.eligibility.offer_hits as select *, 0 as penalty_bp, '' as facts from (values
    ('cr-edu-web', 'BRD-003', 1, 'BLOCK', 'internal', 'BRD_MANIPULATIVE')
) as hits (creative_id, rule_id, v, effect, visibility, code);
create table vault.eligibility.offer_regime_hits as
    select creative_id, 'z1' as place_id, rule_id, v, effect, visibility, code, penalty_bp, facts from vault.eligibility.offer_hits where false;
create table vault.eligibility.pair_hits as
    select '' as person_id, '' as offer_id, '' as channel, * exclude (creative_id) from vault.eligibility.offer_hits where false;

create table decisions.ledger as
    select 'd-' || person_id || '-' || channel as decision_id, 'r0000000000000001' as run_id, person_id, channel, 'spot_btc' as offer_id,
        1::bigint as offer_version, 'spot' as product_line, 'cr-spot-' || channel as creative_id, 'en-GB' as locale, 'GB' as market,
        'moderate:new' as segment, true as is_promotion, channel = 'email' as is_push, if(person_id = 'alone', 'held_out', 'treated') as arm,
        0.3::double as p_if_shown, 0.2::double as p_if_held_out, 18.000000::decimal(18, 6) as unit_value_usd, 0.45::decimal(18, 6) as cost_usd,
        1.35::decimal(18, 6) as incremental_value_usd, 0 as penalty_bp, 1.35::decimal(18, 6) as expected_incremental_value_usd, 1 as rank,
        1 as slot, true as is_chosen, if(person_id = 'alone', 'held_out', null) as not_chosen_reason,
        timestamp '2026-11-23 15:00:00' as send_after, timestamp '2026-11-25 03:00:00' as send_before,
        timestamp '2026-11-25 03:00:00' as valid_until, 'm1' as model_version, 'p1' as policy_version
    from (values ('clear', 'web'), ('vulnerable', 'web'), ('vulnerable', 'email'), ('alone', 'web'), ('alone', 'email')) as who (person_id, channel);
create table decisions.staged_offers as
    select decision_id, person_id, channel, slot, offer_id, 'You look at ether often.' as reason_text from decisions.ledger where arm = 'treated';
create table decisions.scores as
    select person_id, offer_id, offer_version, channel, 0.1::double as gain from decisions.ledger;
create table decisions.explanations as select * from (values
    ('d-clear-web', 'You look at ether often.', ['line_used', 'lessons_taken'], [0.02, 0.005]::double[]),
    ('d-vulnerable-web', 'You look at ether often.', ['looked_around'], [0.03]::double[])
) as explanations (decision_id, reason_text, drivers, effects);
"""


def publish(settings: Settings, connection: duckdb.DuckDBPyConnection) -> chain.Entry:
    """Write the run's files by publishing's queries, and its entry."""
    queries = {
        "published": {
            **files.OPEN_FILES,
            "ledger": ("select * from decisions.ledger", "person_id, channel, rank"),
            "offers": ("select * from decisions.staged_offers", "person_id, channel, slot"),
        },
        "restricted": files.restricted_files(connection),
    }
    files.prepare(connection)
    hashes = {}
    for face, folder in chain.folders(settings, RUN.run_id).items():
        folder.mkdir(parents=True)
        for name, (query, order) in queries[face].items():
            export.to_parquet(connection, query, order, folder / f"{name}.parquet", RUN)
            hashes[f"{face}/{name}.parquet"] = chain.file_hash(folder / f"{name}.parquet")
    entry = chain.Entry(chain.SCHEMA, 1, RUN.run_id, "2026-11-23T15:00:00Z", 1, "p1", "m1", "c" * 64, hashes, None, "")
    return chain.Entry(**{**vars(entry), "hash": entry.computed_hash()})


@cache
def _contents() -> dict[str, list[tuple[Any, ...]]]:
    return policy_store.contents(load(PROJECT_ROOT / "policy", "crypto"))


class World:
    """The run, open for any role."""

    def __init__(self, settings: Settings, connection: duckdb.DuckDBPyConnection, closed_fact: str | None = None) -> None:
        """`closed_fact` is restricted by this run's policy, whatever the real one says of it."""
        self.settings, self.connection = settings, connection
        connection.execute("attach ':memory:' as vault")
        tables = TABLES.replace("$people", repr(list(PEOPLE)))
        schemas, rest = tables.strip().split("\n", 1)
        connection.execute(schemas)
        contents = _contents()
        for name in ("rulebook", "texts", "facts", "drivers"):
            policy_store.create(connection, f"policy.{name}", policy_store.TABLES[name], contents[name])
        connection.execute("update policy.facts set visibility = 'restricted' where fact = ?", [closed_fact])
        connection.execute(
            "create table raw.feeds as select distinct split_part(feed, '.', 1) as source, split_part(feed, '.', 2) as table_name, "
            "timestamp '2026-11-23 14:45:00' as known_whole_at from (select unnest(sources) as feed from policy.facts)"
        )
        connection.execute(rest)
        self.entry = publish(settings, connection)

    def before_drivers(self) -> None:
        """The entry is one of a version that kept no drivers, and their files are not there."""
        later = [key for key in self.entry.files if key.endswith(("/explanations.parquet", "/ledger_drivers.parquet"))]
        for key in later:
            face, _, name = key.partition("/")
            (self.folder(face) / name).unlink()
        assert len(later) == 3
        files = {key: value for key, value in self.entry.files.items() if key not in later}
        older = chain.Entry(**{**vars(self.entry), "files": files})
        self.entry = chain.Entry(**{**vars(older), "hash": older.computed_hash()})

    def decisions(self, name: str) -> Decisions:
        return Decisions(self.connection, self.settings, self.entry, role(name))

    def folder(self, face: str) -> Path:
        return chain.folders(self.settings, RUN.run_id)[face]


@pytest.fixture
def world(settings: Settings) -> Any:
    with duckdb.connect() as connection:
        yield World(settings, connection)
