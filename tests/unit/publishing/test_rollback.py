"""Rolling back: an earlier run is judged again by what is known now, and goes live without what may not be shown any more."""

import dataclasses
import json
import stat
from datetime import timedelta

import polars as pl
import pytest

from candor import publishing, runs
from candor.errors import AuditFailed, UsageError
from candor.hashing import install
from candor.publishing import publish, rollback, store
from candor.warehouse import connect
from tests.unit.audit.conftest import AS_OF, NOW, prices, usual_world

SOON = AS_OF + timedelta(minutes=30)
# What a channel would see of the current run whatever the clock says: the view, without its times.
SHOWN = """
select offers.title, offers.person_id, offers.channel from offers
where run_id = (select run_id from runs where is_current = 1) and not exists (
    select 1 from suppressions
    where coalesce(suppressions.person_id, offers.person_id) = offers.person_id
        and coalesce(suppressions.offer_id, offers.offer_id) = offers.offer_id
        and coalesce(suppressions.channel, offers.channel) = offers.channel
        and suppressions.until is null
)
order by 1, 2, 3
"""
WHOLE = [("Spot", "p-gb", "sms"), ("Spot", "p-gb", "web"), ("Spot", "p-ny", "web")]


@pytest.fixture
def world(tmp_path, make_store, monkeypatch):
    """The audit's usual world, with two offers for one person and one for another."""
    monkeypatch.setattr(publish, "LOOKUPS", {})  # nobody is looked up here
    made = usual_world(tmp_path)
    made.settings = dataclasses.replace(
        made.settings,
        serving_url=make_store(tmp_path),
        policy_dir=tmp_path / "policy" / "v1",
        landing_dir=tmp_path / "landing",
        hash_key="k" * 64,
    )
    for person, channel in (("gb", "web"), ("gb", "sms"), ("ny", "web")):
        made.offer(person, channel)
    return made


def publish_two(world, *, extra=""):
    """The audited rows as one run, and ten minutes later a run with a mistake; gives their ids."""
    world.audited()
    ids = []
    for as_of, change in ((AS_OF, ""), (AS_OF + timedelta(minutes=10), "update decisions.staged_offers set title = 'Mistake'")):
        with connect(world.settings) as connection:
            install(connection, world.settings)
            run = runs.pin(connection, as_of, policy_version="v1")
            if change:
                connection.execute(change)
                connection.execute(
                    "update decisions.staged_offers set run_id = ?, decision_id = 'x' || decision_id", [run.run_id]
                )
            elif extra:
                connection.execute(extra)
            publish.publish_to_store(connection, world.settings, run, {"staged_hash": run.run_id}, {})
            ids.append(run.run_id)
    return ids


def ask(world, sql):
    with store.reading(world.settings) as reader:
        return reader.rows(sql)


def test_the_run_before_is_live_whole_when_nothing_speaks_against_it(world):
    first, second = publish_two(world)
    assert {row[0] for row in ask(world, SHOWN)} == {"Mistake"}
    result = rollback.run(SOON, world.settings)
    assert ask(world, SHOWN) == WHOLE
    assert (result["rows_judged"], result["rows_masked"], result["masked_by_code"], result["rounds"]) == (3, 0, {}, 1)
    assert ask(world, "select run_id, rolled_back_from from runs where is_current = 1") == [(first, second)]
    assert json.loads((world.settings.reports_dir / first / "rollback.json").read_text())["rolled_back_from"] == second


def test_what_was_withdrawn_since_is_masked_before_it_can_be_seen_and_nothing_tells_why(world, monkeypatch):
    """A hold that began after the run, which only the restricted face may name, and a consent withdrawn."""
    world.restrict("fincrime_hold", account_id="ac-ny", starts_at=NOW + timedelta(minutes=5))
    first, _ = publish_two(world)
    world.edit("crm.consents", "gb-marketing-sms", status="withdrawn")
    world._segment("crm.consents")
    seen, real = [], store.Store.execute

    def watching(self, sql, parameters=()):
        real(self, sql, parameters)
        if "set is_current = 1" in sql:  # in the transaction: the pointer has moved and nothing is committed
            seen.append((self.rows(SHOWN), ask(world, SHOWN)))

    monkeypatch.setattr(store.Store, "execute", watching)
    result = rollback.run(SOON, world.settings)
    (inside, outside), *others = seen
    assert (inside, others) == ([("Spot", "p-gb", "web")], [])
    assert {row[0] for row in outside} == {"Mistake"}
    assert ask(world, SHOWN) == [("Spot", "p-gb", "web")]
    assert result["masked_by_code"] == {"ELIG_NA": 1, "PRV_NO_CHANNEL_CONSENT": 1}
    masks = ask(world, "select person_id, channel, reason_kind, cause from suppressions order by 1")
    cause = f"rollback {first}"
    assert masks == [("p-gb", "sms", "rollback", cause), ("p-ny", "web", "rollback", cause)]
    told = (world.settings.reports_dir / first / "rollback.json").read_text()
    assert "FC_" not in told
    (file,) = (world.settings.restricted_published_dir / first).glob("rollback_*.parquet")
    assert set(pl.read_parquet(file)["code"]) == {"FC_RESTRICTED_HOLD", "PRV_NO_CHANNEL_CONSENT"}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_lesson_that_goes_takes_the_promotions_it_paid_for_with_it(world):
    """The ratio of promotions to education is looked at again over what is left."""
    world.learns_first = True
    for table, key in (
        ("catalogue.offers", "offer_id"),
        ("catalogue.creatives", "creative_id"),
        ("catalogue.approvals", "approval_id"),
    ):
        for row in list(world.tables[table]):
            changes = {"offer_id": "learn1", key: f"{row[key]}-l"} if key != "offer_id" else {"offer_id": "learn1"}
            kept = {"is_promotion": False, "product_line": "education"} if table == "catalogue.offers" else {}
            world.add(table, **{**row, **changes, **kept})
    for person, channel in (("gb", "email"), ("ny", "web")):
        world.offer(person, channel, offer_id="learn1", slot=2, creative_id=f"cr-{channel}-l")
    publish_two(world)
    world.edit("crm.consents", "gb-marketing-email", status="withdrawn")
    world._segment("crm.consents")
    result = rollback.run(SOON, world.settings)
    assert (result["rounds"], result["masked_by_code"]) == (3, {"ARB_EDUCATION_RATIO": 2, "PRV_NO_CHANNEL_CONSENT": 1})
    assert ask(world, SHOWN) == [("Spot", "p-ny", "web")] * 2


def test_the_next_run_goes_live_as_ever_and_ends_the_masks(world):
    publish_two(world)
    world.edit("crm.consents", "gb-marketing-sms", status="withdrawn")
    world._segment("crm.consents")
    rollback.run(SOON, world.settings)
    with connect(world.settings) as connection:
        install(connection, world.settings)
        run = runs.pin(connection, AS_OF + timedelta(days=1), policy_version="v1")
        connection.execute("update decisions.staged_offers set title = 'Next', run_id = ?", [run.run_id])
        result = publish.publish_to_store(connection, world.settings, run, {"staged_hash": "next"}, {})
    assert result["is_current"]
    assert result["suppressions_ended"] == 1
    assert ask(world, SHOWN) == [("Next", *row[1:]) for row in WHOLE]
    assert (
        rollback.run(SOON, world.settings, to=ask(world, "select run_id from runs order by as_of limit 1")[0][0])["rows_masked"]
        == 1
    )
    assert ask(world, SHOWN) == [row for row in WHOLE if row[2] != "sms"]


def test_suppressions_that_the_later_run_had_taken_into_account_hold_again(world):
    first, second = publish_two(world)
    with store.transaction(world.settings) as serving:
        for name, run_id, cause in (
            ("a", second, "only the later run knew"),
            ("b", second, "both knew"),
            ("c", first, "before"),
        ):
            serving.execute(
                "insert into suppressions values (?, 'p-gb', null, 'web', null, null, 'preference', '2020', '2026', ?, ?)",
                (name, cause, run_id),
            )
        serving.execute("insert into known_deliveries values (?, 'f', 'both knew')", (first,))
    assert rollback.run(SOON, world.settings)["suppressions_again"] == 1
    assert ask(world, "select suppression_id from suppressions where until is null") == [("a",)]
    assert ask(world, SHOWN) == [row for row in WHOLE if row[1:] != ("p-gb", "web")]


def test_what_an_earlier_run_took_off_is_read_where_it_is_kept_when_the_ledger_is_that_of_a_later_one(world):
    """decisions.ledger is replaced by every run; what earlier ones decided stands in state.decisions."""
    publish_two(world)
    with connect(world.settings) as connection:
        connection.execute(
            "create or replace table state.decisions as select * exclude (penalty_bp), 0 as penalty_bp, "
            "0 as batch_seq, false as is_chosen, channel, as_of, null::timestamp as send_after, 'treated' as arm "
            "from decisions.ledger cross join (select 'web' as channel, timestamp '2026-11-23 15:00:00' as as_of)"
        )
        connection.execute("update decisions.ledger set decision_id = 'x' || decision_id")
    assert rollback.run(SOON, world.settings)["rows_masked"] == 0
    assert ask(world, SHOWN) == WHOLE


def test_of_a_calm_day_only_what_may_live_that_short_in_a_crash_is_live_again(world):
    """Markets fell after the run: a row that lives longer than its class may in stress is masked, one within the limit is not."""
    world.penalties = {"p-gb": 9000, "p-ny": 9000}
    short = f"timestamp '{NOW + timedelta(hours=12):%Y-%m-%d %H:%M:%S}'"
    publish_two(world, extra=f"update decisions.staged_offers set valid_until = {short} where person_id = 'p-ny'")
    world.tables["market.prices"] = prices(*[-0.03] * 6)
    world._segment("market.prices")
    result = rollback.run(SOON, world.settings)
    assert result["masked_by_code"] == {"OFFER_STALE": 2}
    assert ask(world, SHOWN) == [("Spot", "p-ny", "web")]


def test_offers_that_have_run_out_are_not_judged(world):
    late = f"timestamp '{SOON - timedelta(minutes=1):%Y-%m-%d %H:%M:%S}'"
    publish_two(
        world, extra=f"update decisions.staged_offers set valid_until = {late} where channel = 'web' and person_id = 'p-ny'"
    )
    result = rollback.run(SOON, world.settings)
    assert (result["rows_judged"], result["rows_expired"]) == (2, 1)


@pytest.mark.parametrize(
    ("now", "told"),
    [
        pytest.param(AS_OF + timedelta(hours=30), "too old to judge by .* crm.consents", id="deliveries_of_yesterday"),
        pytest.param(
            AS_OF + timedelta(hours=2), "nothing of run .* all are refused .*_UNKNOWN", id="consents_of_two_hours_ago"
        ),
        pytest.param(AS_OF + timedelta(days=36500), "the policy is in force", id="a_policy_out_of_date"),
    ],
)
def test_what_cannot_be_judged_is_not_rolled_back_to(world, now, told):
    publish_two(world)
    before = ask(world, "select * from runs order by 1"), ask(world, SHOWN)
    with pytest.raises(AuditFailed, match=told):
        rollback.run(now, world.settings)
    assert (ask(world, "select * from runs order by 1"), ask(world, SHOWN)) == before
    assert ask(world, "select * from suppressions") == []


def test_a_kill_before_the_commit_leaves_the_run_live_that_was(world, monkeypatch):
    publish_two(world)
    world.edit("crm.consents", "gb-marketing-sms", status="withdrawn")
    world._segment("crm.consents")
    real = store.Store.execute

    def dying(self, sql, parameters=()):
        real(self, sql, parameters)
        if "set is_current = 1" in sql:
            raise KeyboardInterrupt

    monkeypatch.setattr(store.Store, "execute", dying)
    with pytest.raises(KeyboardInterrupt):
        rollback.run(SOON, world.settings)
    monkeypatch.undo()
    assert {row[0] for row in ask(world, SHOWN)} == {"Mistake"}
    assert ask(world, "select * from suppressions") == []
    assert rollback.run(SOON, world.settings)["rows_masked"] == 1


def test_only_a_run_that_has_its_offers_can_be_rolled_back_to(world, monkeypatch):
    with pytest.raises(UsageError, match="no run is live"):
        rollback.run(SOON, world.settings)
    first, second = publish_two(world)
    with pytest.raises(UsageError, match="is live already") as raised:
        rollback.run(SOON, world.settings, to=second)
    assert first in raised.value.hint
    with store.transaction(world.settings) as serving:
        serving.execute("update runs set has_offers = 0 where is_current = 0")
    with pytest.raises(UsageError, match=f"no run before {second}"):
        rollback.run(SOON, world.settings)
    with pytest.raises(UsageError, match="has no offers in the store"):
        rollback.run(SOON, world.settings, to=first)
    assert [run["is_current"] for run in publishing.list_runs(world.settings)] == [1, 0]
