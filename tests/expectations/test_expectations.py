"""Each gate over a small warehouse: in order it passes; broken in many ways at once it fails in exactly those, and shows the rows."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from candor import gates, runs, settings, silos
from candor.errors import GateFailed
from candor.gates.checks import Inputs
from candor.gates.validation import validate
from candor.policy import load, store
from candor.warehouse import connect, sql_timestamp
from expectations import raw

AS_OF = datetime(2026, 11, 23, 15, tzinfo=UTC)
CONTRACT = yaml.safe_load((Path(gates.__file__).parents[1] / "contract.yml").read_text())["sources"]

IDENTITY = """
create schema staging; create schema identity;
create table staging.stg_exchange__accounts as select 'a' || range as account_id from range(30);
create table identity.identifiers as
    select 'account_id' as identifier_kind, account_id as identifier, false as is_hub, false as is_blocked from staging.stg_exchange__accounts
    union all select 'account_id', 'qa', true, false;
insert into staging.stg_exchange__accounts values ('qa');
create schema hygiene;
create table hygiene.trends as select * from (values
    ('join_key_joined', 'crm', 'contacts', 'email, all', 0.8::double, 100::bigint, 8::bigint, 0.8::double, 0.05::double, 'usual', 'low', false),
    ('join_key_joined', 'crm', 'contacts', 'phone, all', 0.6, 100, 8, 0.6, 0.05, 'usual', 'low', false),
    ('over_merge', '', '', 'largest component', 10, 30, 8, 10, 5, 'usual', 'high', false),
    ('links_dropped', '', '', 'hub', 0.1, 300, 8, 0.1, 0.05, 'usual', 'high', false),
    ('links_dropped', '', '', 'conflict_name', 0.01, 300, 8, 0.01, 0.02, 'usual', 'high', false),
    ('reachable', '', '', 'email consent', 0.4, 30, 8, 0.4, 0.02, 'usual', 'low', false)
    ) t(metric, source, table_name, key, value, n, runs, usual, tolerance, verdict, bad_side, is_bad);
create table hygiene.metrics as select * from (values ('recycled', 'exchange', 'accounts', 'new', 0.2::double, 30::bigint),
    ('recycled', 'crm', 'contacts', 'new', 0.0333333333, 30)) t(metric, source, table_name, key, value, n);
create table hygiene.join_keys as select * from (values
    ('crm', 'contacts', 'email', 'account email', 'all', 100::bigint, 90::bigint, 80::bigint, 0.9::double, 0.8::double, 50::bigint,
        null::varchar, '2026-11-23T144000Z'),
    ('crm', 'contacts', 'phone', 'account phone', 'all', 100, 90, 60, 0.9, 0.6, 50, null, '2026-11-23T144000Z')
    ) t(source, table_name, key, met, seen, records, carrying, joined, share_carrying, share_joined, targets, not_joined, latest_delivery);
create table hygiene.new_test_records as select null::varchar as source, null::varchar as table_name, null::varchar as record_id,
    null::varchar as row_hash, null::varchar as delivery_id, 0::bigint as new_tests, 0::bigint as new_records where false;
create table hygiene.new_hubs as select null::varchar as identifier_kind, null::varchar as identifier, null::varchar as shown_as,
    null::varchar as hub_of,
    null::varchar as record, 0::bigint as degree, false as had_an_owner where false;
create table hygiene.recycled_records as select null::varchar as source, null::varchar as table_name, null::varchar as record_id,
    null::varchar as row_hash, null::varchar as row_hash_before, null::varchar as delivery_id, true as is_new where false;
create table hygiene.merging as select 'over_merge' as side, 'largest component' as indicator, 'p1' as example_person;
create table identity.person_identifiers as
    select 'account_id' as identifier_kind, 'a' || range as identifier, 'p' || range as person_id from range(30)
    union all select 'contact_id', 'c' || range, 'p' || range from range(30)
    union all select 'device_id', 'd' || range, 'p' || range from range(30);
"""
FEATURES = """
create schema staging; create schema core; create schema features; create schema eligibility;
create table core.people as select 'p' || range as person_id from range(40);
create table features.person_features as
    select 'p' || range as person_id, (range % 5)::integer as sessions_last_7_days, null::integer as days_since_last_trade from range(40);
create table features.training_examples as
    select 'as' || range as assignment_id, case when range < 300 then (range % 10 = 0)::integer end as label, true as is_exposed
    from range(400);
create table eligibility.offers_withheld as select null::varchar as source, null::varchar as table_name, null::varchar as state,
    null::timestamp as last_delivered_at, null::varchar as offer_id where false;
create table staging.stg_catalogue__offers as select 'o1' as offer_id, 1 as version;
create table eligibility.candidates as
    select 'p' || range as person_id, 'o1' as offer_id, 1 as offer_version, 'web' as channel, 'cr1' as creative_id from range(40);
"""
SERVED = """
create schema decisions; create schema policy;
create table policy.channels as select * from (values ('web', 3, false, false), ('email', 1, true, false), ('sms', 1, true, true))
    t(channel, slots, is_push, has_window);
create table decisions.staged_offers as
    select 'd' || range as decision_id, '{run_id}' as run_id, 'p' || range as person_id, 'web' as channel, 'GB' as market, 's' as segment,
        1 as slot, 1 as rank, 'o1' as offer_id, 1 as offer_version, 'cr1' as creative_id, 'en-GB' as locale, 'Title' as title, 'Body' as body,
        'Why' as reason_text, '["AD_LABEL"]' as disclosures, 'treated' as arm, timestamp '2026-11-23 15:00:00' as valid_from,
        timestamp '2026-11-25 03:00:00' as valid_until, null::timestamp as send_after, null::timestamp as send_before
    from range(20);
create table decisions.ledger as select decision_id, true as is_promotion from decisions.staged_offers;
create table decisions.scores as
    select person_id, offer_id, channel, 0.2::double as p_if_shown, 0.1::double as p_if_held_out from decisions.staged_offers;
"""

# check: (the statement that breaks it, a row it must show)
BREAKS = {
    "identity": {
        "no identifier belongs to two persons": (
            "insert into identity.person_identifiers values ('device_id', 'd1', 'p2')",
            {"identifier_kind": "device_id", "persons": 2, "one": "p1", "other": "p2"},
        ),
        "every row names a kind, an identifier and a person": (
            "insert into identity.person_identifiers values ('email', null, 'p3')",
            {"person_id": "p3", "identifier_kind": "email"},
        ),
        "nobody has more than 500 identifiers": (
            "insert into identity.person_identifiers select 'anonymous_id', 'x' || range, 'p4' from range(498)",
            {"person_id": "p4", "identifiers": 501, "accounts": 1},
        ),
        "nobody has more than 5 accounts": (
            "insert into identity.person_identifiers select 'account_id', 'more' || range, 'p5' from range(5)",
            {"person_id": "p5", "accounts": 6, "identifiers": 8},
        ),
        "every account that is no hub and not blocked has exactly one person": (
            "delete from identity.person_identifiers where identifier = 'a6'",
            {"account_id": "a6", "persons": 0},
        ),
        "accounts meet contacts, e-mails, phones, devices and wallets wherever those exist": (
            "insert into identity.person_identifiers select 'wallet', 'w' || range, 'lonely' || range from range(20)",
            {"identifier_kind": "wallet", "persons_with_it": 20, "accounts_joined": 0, "accounts": 34},
        ),
        "no join key was lost": (
            "insert into hygiene.join_keys values ('crm', 'contacts', 'email', 'account email', 'new', 25, 0, 0, 0, 0, 50, 'c1, c2, c3', "
            "'2026-11-23T144000Z')",
            {"feed": "crm.contacts", "key": "email", "seen": "new", "records": 25, "share_joined": 0.0, "not_joined": "c1, c2, c3"},
        ),
        "every join key joins as much as usual": (
            "update hygiene.trends set verdict = 'low', usual = 0.7 where key = 'phone, all'",
            {"feed": "crm.contacts", "key": "phone", "seen": "all", "share_joined": 0.6, "usual": 0.7},
        ),
        "test accounts do not come in bulk": (
            "insert into hygiene.new_test_records select 'exchange', 'accounts', 't' || range, 'h', 'd', 20, 90 from range(20)",
            {"feed": "exchange.accounts", "record_id": "t0", "delivery_id": "d", "new_tests": 20, "new_records": 90},
        ),
        "no address became a hub of 50 or more": (
            "insert into hygiene.new_hubs values ('email', 'none@none.test', 'n…@none.test', 'account_id', 'account_id/a1', 50, true)",
            {"identifier_kind": "email", "shown_as": "n…@none.test", "degree": 50, "record": "account_id/a1"},
        ),
        "no machine, wallet or account became a hub of 50 or more": (
            "insert into hygiene.new_hubs values ('device_id', 'lib', 'lib', 'account_id', 'account_id/a1', 51, false), "
            "('wallet', 'w', 'w', 'account_id', 'account_id/a1', 49, false)",
            {"identifier_kind": "device_id", "shown_as": "lib", "degree": 51},
        ),
        "ids do not pass to other people in bulk": (
            "insert into hygiene.recycled_records select 'exchange', 'accounts', 'a' || range, 'new', 'old', 'd', true from range(6)",
            {"feed": "exchange.accounts", "record_id": "a0", "row_hash_before": "old", "row_hash": "new", "recycled": 6},
        ),
        "no id passed to another person": (
            "insert into hygiene.recycled_records values ('crm', 'contacts', 'c1', 'new', 'old', 'd', true)",
            {"feed": "crm.contacts", "record_id": "c1", "recycled": 1},
        ),
        "no person grew, and no ids changed hands, out of all proportion": (
            "update hygiene.trends set value = 40, verdict = 'high', is_bad = true where metric = 'over_merge'",
            {"metric": "over_merge", "key": "largest component", "value": 40.0, "example_person": "p1"},
        ),
        "at most 60% of links hang on hubs": (
            "update hygiene.trends set value = 0.7 where metric = 'links_dropped' and key = 'hub'",
            {"metric": "links_dropped", "key": "hub", "value": 0.7},
        ),
        "persons are merged and split as usual": (
            "update hygiene.trends set value = 0.2, verdict = 'high', is_bad = true where key = 'conflict_name'",
            {"metric": "links_dropped", "key": "conflict_name", "value": 0.2},
        ),
        "completeness, freshness, orphans, silos and reach are as usual": (
            "update hygiene.trends set value = 0.1, verdict = 'low', is_bad = true where metric = 'reachable'",
            {"metric": "reachable", "key": "email consent", "value": 0.1, "usual": 0.4, "verdict": "low"},
        ),
    },
    "features": {
        "person_id: column values to be unique": (
            "insert into features.person_features values ('p1', 1, null)",
            {"person_id": "p1"},
        ),
        "sessions_last_7_days: column values to be between": (
            "update features.person_features set sessions_last_7_days = -1 where person_id = 'p2'",
            {"person_id": "p2", "sessions_last_7_days": -1},
        ),
        "every person has features and every feature row a person": (
            "delete from features.person_features where person_id = 'p3'",
            {"person_id": "p3", "featured_person_id": None},
        ),
        "labels are 0, 1 or not yet known": (
            "update features.training_examples set label = 7 where assignment_id = 'as0'",
            {"assignment_id": "as0", "label": 7},
        ),
        "every candidate is a known offer for a known person": (
            "update eligibility.candidates set offer_version = 9 where person_id = 'p4'",
            {"person_id": "p4", "offer_id": "o1", "offer_version": 9, "channel": "web"},
        ),
        "no person, offer and channel twice": (
            "insert into eligibility.candidates values ('p5', 'o1', 1, 'web', 'cr2')",
            {"person_id": "p5", "offer_id": "o1", "channel": "web", "candidates": 2},
        ),
        "every candidate has a creative": (
            "update eligibility.candidates set creative_id = null where person_id = 'p6'",
            {"person_id": "p6", "offer_id": "o1", "channel": "web"},
        ),
        "no offer is withheld because a silo is late or missing": (
            "insert into eligibility.offers_withheld values ('events', 'events', 'late', timestamp '2026-11-21', 'o7')",
            {"feed": "events.events", "state": "late", "offers_withheld": 1, "one_of_them": "o7"},
        ),
    },
    "served": {
        "decision_id: column values to be unique": (
            "update decisions.staged_offers set decision_id = 'd0' where decision_id = 'd1'",
            {"decision_id": "d0", "person_id": "p0", "offer_id": "o1", "channel": "web"},
        ),
        "arm: column values to be in set": (
            "update decisions.staged_offers set arm = 'held_out' where person_id = 'p2'",
            {"arm": "held_out", "decision_id": "d2", "person_id": "p2", "offer_id": "o1", "channel": "web"},
        ),
        "every key is given": (
            "update decisions.staged_offers set locale = null where person_id = 'p3'",
            {"decision_id": "d3", "person_id": "p3", "offer_id": "o1", "channel": "web"},
        ),
        "title, body, reason and disclosures are not empty": (
            "update decisions.staged_offers set body = ' ' where person_id = 'p4'",
            {"decision_id": "d4", "person_id": "p4", "offer_id": "o1", "channel": "web", "creative_id": "cr1"},
        ),
        "the slot is one of the channel's": (
            "update decisions.staged_offers set slot = 4 where person_id = 'p5'",
            {"decision_id": "d5", "person_id": "p5", "offer_id": "o1", "channel": "web", "slot": 4, "slots": 3},
        ),
        "one offer per person, channel and slot": (
            "update decisions.staged_offers set person_id = 'p6', offer_id = 'o2' where person_id = 'p7'",
            {"person_id": "p6", "channel": "web", "slot": 1, "offers": 2},
        ),
        "no offer twice for one person in one channel": (
            "update decisions.staged_offers set person_id = 'p8', slot = 2 where person_id = 'p9'",
            {"person_id": "p8", "offer_id": "o1", "channel": "web", "times": 2},
        ),
        "valid from the run's instant, until later": (
            "update decisions.staged_offers set valid_until = valid_from where person_id = 'p10'",
            {
                "decision_id": "d10",
                "person_id": "p10",
                "offer_id": "o1",
                "channel": "web",
                "valid_from": "2026-11-23 15:00:00",
                "valid_until": "2026-11-23 15:00:00",
            },
        ),
        "the send window lies within the validity, and channels that wait for hours have one": (
            "update decisions.staged_offers set channel = 'sms' where person_id = 'p11'",
            {
                "decision_id": "d11",
                "person_id": "p11",
                "offer_id": "o1",
                "channel": "sms",
                "valid_from": "2026-11-23 15:00:00",
                "send_after": None,
                "send_before": None,
                "valid_until": "2026-11-25 03:00:00",
            },
        ),
        "at most one pushed promotion per person": (
            "update decisions.staged_offers set channel = 'email' where person_id = 'p12'; "
            "insert into decisions.staged_offers by name select * replace ('o2' as offer_id, 'e' || decision_id as decision_id, "
            "'sms' as channel, valid_from as send_after, valid_until as send_before) from decisions.staged_offers "
            "where person_id = 'p12'",
            {"person_id": "p12", "pushed_promotions": 2, "first_offer": "o1", "last_offer": "o2"},
        ),
        "p_if_shown: column values to be between": (
            "update decisions.scores set p_if_shown = 1.7 where person_id = 'p13'",
            {"p_if_shown": 1.7, "person_id": "p13", "offer_id": "o1", "channel": "web"},
        ),
        "every score is a number": (
            "update decisions.scores set p_if_held_out = null where person_id = 'p14'",
            {"person_id": "p14", "offer_id": "o1", "channel": "web", "p_if_shown": 0.2, "p_if_held_out": None},
        ),
    },
    "raw": {
        "every required table holds rows": (
            "update state.deliveries set rows_loaded = 0, rows_quarantined = rows_read where table_name = 'approvals'",
            {"feed": "catalogue.approvals", "rows_loaded": 0},
        ),
        "restricted tables and consents were known whole at most 24 h before the run": (
            "update raw.feeds set known_whole_at = null where table_name = 'restrictions'",
            {"feed": "compliance.restrictions", "known_whole_at": None},
        ),
        "restricted tables and consents were known whole at most 1 h before the run": (
            "update raw.feeds set known_whole_at = timestamp '2026-11-23 13:00:00' where table_name = 'consents'",
            {"feed": "crm.consents", "hours_since_whole": 2.0},
        ),
        "no feed was observed after the run's instant": (
            "update raw.feeds set last_extracted_at = timestamp '2026-11-23 16:00:00' where table_name = 'contacts'",
            {"feed": "crm.contacts", "hours_since_delivery": -1.0},
        ),
        "every silo that the day cannot do without was delivered in time": (
            "update raw.silos set state = 'late', hours_since_delivery = 27.0 where feed = 'crm.consents'",
            {"feed": "crm.consents", "state": "late", "latest_delivery": "2026-11-23T144000Z", "hours_since_delivery": 27.0},
        ),
        "every other silo was delivered in time": (
            "update raw.silos set state = 'missing', last_delivered_at = null where feed = 'surveys.responses'",
            {"feed": "surveys.responses", "state": "missing", "since": None, "owner": "data"},
        ),
        "at most 5% of a table's new rows were quarantined": (
            "update state.deliveries set rows_loaded = 970, rows_quarantined = 30 where table_name = 'trades'; "
            "update state.deliveries set rows_read = 400, rows_loaded = 370 where table_name = 'trades'",
            {"feed": "exchange.trades", "rows_quarantined": 30, "share": 0.075, "worst_delivery": "2026-11-23T144000Z"},
        ),
        "at most 1% of a table's new rows were quarantined": (
            "update state.deliveries set rows_loaded = 985, rows_quarantined = 15 where table_name = 'messages'",
            {"feed": "crm.messages", "rows_quarantined": 15, "share": 0.015},
        ),
        "rows read = loaded + quarantined": (
            "update state.deliveries set rows_loaded = rows_read - 2 where table_name = 'prices'",
            {"feed": "market.prices", "rows_unaccounted": 2},
        ),
        "offer_id, version given in every row": (
            "insert into raw.catalogue__offers by name select null as offer_id, 1 as version, 'dx' as _delivery_id, 'hx' as _row_hash",
            {"_delivery_id": "dx", "_row_hash": "hx"},
        ),
        "restriction_id given in every row": (
            "insert into vault.raw.compliance__restrictions by name select 'dy' as _delivery_id, 'hy' as _row_hash",
            {"_delivery_id": "dy", "_row_hash": "hy"},
        ),
    },
}  # fmt: skip
WARNINGS = {
    "every join key joins as much as usual",
    "no machine, wallet or account became a hub of 50 or more",
    "no id passed to another person",
    "persons are merged and split as usual",
    "completeness, freshness, orphans, silos and reach are as usual",
    "no offer is withheld because a silo is late or missing",
    "restricted tables and consents were known whole at most 1 h before the run",
    "every other silo was delivered in time",
    "at most 1% of a table's new rows were quarantined",
}


def raw_tables() -> str:
    """Every contract table with one keyed row, delivered 20 minutes before the run."""
    made = [
        "create schema raw; create schema vault.raw",
        "create table raw.feeds as select source, table_name, extracted_at as last_extracted_at, extracted_at as known_whole_at "
        "from state.deliveries",
    ]
    for source, given in CONTRACT.items():
        for name, table in given["tables"].items():
            view = f"{'vault.' if given.get('restricted') else ''}raw.{source}__{name}"
            keys = ", ".join(f"'1' as {key}" for key in table["key"])
            made.append(f"create table {view} as select {keys}, 'd' as _delivery_id, 'h' as _row_hash")
    return "; ".join(made)


@pytest.fixture
def warehouse(tmp_path):
    """Makes a warehouse with the tables a gate reads, then broken by the statements given."""
    given = replace(settings.load({"CANDOR_STATE_DIR": str(tmp_path)}), memory_limit="1GB")

    def make(gate: str, *breaking: str) -> settings.Settings:
        with connect(given, restricted=True) as connection:
            runs.prepare(connection)
            for source, declared in CONTRACT.items():
                for name in declared["tables"]:
                    connection.execute(
                        "insert into state.deliveries values (?, ?, ?, '2026-11-23T144000Z', timestamp '2026-11-23 14:40:00', 'h', 1, "
                        "1000, 1000, 0, true, null, null, 's')",
                        [f"{source}.{name}", source, name],
                    )
            pinned = runs.pin(connection, AS_OF, policy_version="p")
            made = {"identity": IDENTITY, "features": FEATURES, "served": SERVED.replace("{run_id}", pinned.run_id)}
            connection.execute(made.get(gate) or raw_tables())
            if gate == "raw":
                connection.execute(f"create schema policy; create table policy.silos ({store.TABLES['silos']})")
                rows = store.contents(load(given.policy_dir, "crypto"))["silos"]
                connection.executemany("insert into policy.silos values (?, ?, ?, ?, ?, ?, ?)", rows)
                silos.write(connection, pinned)
            for statement in breaking:
                connection.execute(statement)
        return given

    return make


def checks(state: settings.Settings, gate: str) -> dict:
    content = json.loads(next(state.reports_dir.glob(f"*/gates/{gate}.json")).read_text())
    return {check["name"]: check for check in content["checks"]}


@pytest.mark.parametrize("gate", gates.GATES)
def test_a_warehouse_in_order_passes(warehouse, gate):
    state = warehouse(gate)
    result = gates.run(gate, AS_OF, state)
    assert result["passed"]
    assert result["warned"] == []
    assert all(check["note"] for check in checks(state, gate).values())


@pytest.mark.parametrize("gate", gates.GATES)
def test_each_break_is_found_by_its_own_check_with_its_rows(warehouse, gate):
    state = warehouse(gate, *(statement for statement, _ in BREAKS[gate].values()))
    with pytest.raises(GateFailed):
        gates.run(gate, AS_OF, state)
    found = checks(state, gate)
    failed = {name for name, check in found.items() if not check["success"]}
    assert failed == set(BREAKS[gate])
    for name, (_, row) in BREAKS[gate].items():
        assert not found[name]["error"]
        assert found[name]["severity"] == ("warning" if name in WARNINGS else "critical")
        shown = [{key: value for key, value in shown.items() if key in row} for shown in found[name]["unexpected_rows"]]
        assert row in shown, f"{name}: {found[name]['unexpected_rows']}"


def test_a_day_on_which_late_silos_leave_nothing_to_offer_is_refused(warehouse):
    late = "insert into eligibility.offers_withheld values ('events', 'events', 'late', timestamp '2026-11-21', 'o1')"
    state = warehouse("features", late, "delete from eligibility.candidates")
    with pytest.raises(
        GateFailed, match=r"late and missing silos leave something to offer.*\n.*\n  feed events\.events, state late"
    ):
        gates.run("features", AS_OF, state)


@pytest.mark.parametrize(
    ("row", "lost"),
    [
        pytest.param("'new', 25, 0, 0, 0, 0, 50", True, id="none_of_25_new_ones_though_nine_in_ten_of_all"),
        pytest.param("'new', 25, 1, 1, 0.04, 0.04, 50", True, id="one_good_record_hides_nothing"),
        pytest.param("'new', 11, 0, 0, 0, 0, 50", False, id="too_few_new_ones_to_say_with_certainty"),
        pytest.param("'new', 20, 0, 0, 0, 0, 50", True, id="a_score_of_new_ones"),
        pytest.param("'new', 19, 0, 0, 0, 0, 50", False, id="a_small_import_is_a_warning"),
        pytest.param("'new', 25, 9, 1, 0.36, 0.04, 50", False, id="a_third_still_carry_it"),
        pytest.param("'new', 500, 480, 0, 0.96, 0, 50", False, id="people_nobody_knew_yet_were_imported"),
        pytest.param("'new', 25, 0, 0, 0, 0, 3", False, id="nothing_there_to_meet"),
    ],
)
def test_a_key_that_new_rows_lost_is_found_without_any_history(warehouse, row, lost):
    state = warehouse(
        "identity", "delete from hygiene.trends where metric = 'join_key_joined'",
        f"insert into hygiene.join_keys values ('crm', 'contacts', 'email', 'account email', {row}, 'c1', '2026-11-23T144000Z')",
    )  # fmt: skip
    if lost:
        with pytest.raises(GateFailed):
            gates.run("identity", AS_OF, state)
    else:
        gates.run("identity", AS_OF, state)
    assert checks(state, "identity")["no join key was lost"]["success"] is not lost


def test_an_empty_day_is_allowed_and_said(warehouse):
    state = warehouse("served", "delete from decisions.staged_offers")
    result = gates.run("served", AS_OF, state)
    assert result["passed"]
    assert result["warned"] == ["there is something to publish"]


HISTORY = """
insert into state.batches
    select range + 100, timestamp '2026-11-23 15:00:00' - to_days(range::integer + 1), 'r' || range, 'p', null from range({runs});
insert into state.deliveries
    select 'x' || range, 'crm', 'messages', 'x' || range, timestamp '2026-11-23 14:00:00' - to_days(range::integer + 1),
    'h', 1, 500, 500, 0, true, timestamp '2026-01-01', timestamp '2026-01-02', 's' from range({runs});
insert into state.pins select timestamp '2026-11-23 15:00:00' - to_days(range::integer + 1), 'x' || range from range({runs});
update state.batches set batch_seq = 1000 where as_of = timestamp '2026-11-23 15:00:00';
update state.deliveries set covers_from = timestamp '2026-11-22', rows_read = {today}, rows_loaded = {today} where delivery_id = 'crm.messages'
"""


@pytest.mark.parametrize(
    ("runs_before", "today", "failed"),
    [
        pytest.param(6, 500, set(), id="as_usual"),
        pytest.param(6, 200, {"0.5 and 2"}, id="less_than_half_is_a_warning"),
        pytest.param(6, 20, {"0.1 and 10"}, id="a_twenty_fifth_is_an_outage"),
        pytest.param(4, 20, set(), id="too_few_runs_to_know_what_is_usual"),
    ],
)
def test_a_days_volume_is_held_against_earlier_runs(warehouse, runs_before, today, failed):
    state = warehouse("raw", HISTORY.format(runs=runs_before, today=today))
    with connect(state) as connection:
        given = Inputs(state, runs.get(connection, AS_OF), sql_timestamp(AS_OF), runs_before, frozenset())
    volumes = [table for table in raw.tables(given) if table.name == "daily volumes"]
    found = validate("raw", volumes, state, restricted=False, docs=state.reports_dir / "docs")
    assert [check["error"] for check in found] == ["", ""]
    assert {
        text for text in ("0.5 and 2", "0.1 and 10") for check in found if text in check["name"] and not check["success"]
    } == failed
    if failed:
        assert [row["feed"] for check in found for row in check["unexpected_rows"]] == ["crm.messages"]
    if runs_before < 5:
        assert all("Skipped in this run: 4 earlier runs known" in check["note"] for check in found)
