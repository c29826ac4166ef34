"""What a run queues, over a few hits and rows served: once per thing to decide, and what a day drew for as long as somebody has to look."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType, SimpleNamespace

import pytest

from candor import review, runs
from candor.policy.loading import load
from candor.review import queueing, verdicts
from candor.review.verdicts import Creative, Verdict
from candor.settings import PROJECT_ROOT, Settings
from candor.warehouse import connect

AT = datetime(2026, 11, 23, 15, tzinfo=UTC)
DAY = timedelta(days=1)
OF_POLICY = load(PROJECT_ROOT / "policy", "crypto").reviewing
ALL_DRAWN = replace(OF_POLICY, numbers=MappingProxyType({**OF_POLICY.numbers, "random_share": 1.0}))

WORLD = """
create schema eligibility; create schema decisions; create schema policy; create schema vault.eligibility;
create table policy.rulebook as select * from (values
    ('JUR_CONFLICT', 'JUR-002', 1, '', 'signals disagree', ''),
    ('AGE_UNDER_18', 'AGE-001', 1, '', 'adults only', '')
) as t(code, rule_id, v, title, statement, cite);
create table eligibility.offer_classes as select * from (values ('lesson', false), ('spot', true)) as t(offer_class, o_is_promotion);
create table eligibility.offer_facts as select * from (values
    ('cr-1', 'h1', 'spot1', 1::bigint, 'spot', 'spot', 2, true), ('cr-2', 'h2', 'nft1', 3::bigint, 'spot', 'nft', 4, true)
) as t(creative_id, creative_hash, offer_id, offer_version, offer_class, product_line, m_rank, o_is_promotion);
create table vault.eligibility.person_facts as select * from (values ('p1', 18, 60), ('p2', 40, 60)) as t(person_id, d_age, u_trust);
create table vault.eligibility.user_hits as select * from (values
    ('held', true, 'JUR-002', 1, 'HOLD', 'internal', 'JUR_CONFLICT', 'u_country_conflict=true'),
    ('blocked', true, 'JUR-002', 1, 'HOLD', 'internal', 'JUR_CONFLICT', 'u_country_conflict=true'),
    ('blocked', true, 'AGE-001', 1, 'BLOCK', 'safe', 'AGE_UNDER_18', null)
) as t(person_id, is_promotion, rule_id, v, effect, visibility, code, facts);
create table vault.eligibility.user_product_hits (
    person_id varchar, offer_class varchar, rule_id varchar, v integer, effect varchar, visibility varchar, code varchar, facts varchar
);
create table vault.eligibility.offer_hits (
    creative_id varchar, rule_id varchar, v integer, effect varchar, visibility varchar, code varchar, facts varchar
);
create table vault.eligibility.offer_regime_hits as select * from vault.eligibility.offer_hits;
create table decisions.staged_offers as select * from (values
    ('d1', 'p1', 'low:new', 'spot1', 1::bigint, 'cr-1', 'web', 'treated'), ('d2', 'p2', 'high:new', 'nft1', 3::bigint, 'cr-2', 'web', 'treated'),
    ('d3', 'p3', 'high:new', 'nft1', 3::bigint, 'cr-2', 'web', 'held_out')
) as t(decision_id, person_id, segment, offer_id, offer_version, creative_id, channel, arm);
"""


@pytest.fixture
def queue(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    """Calls the stage as of a day, with everything drawn or nothing, and gives the queue's rows."""
    settings.warehouse_path.parent.mkdir(parents=True, exist_ok=True)
    with connect(settings, restricted=True) as connection:
        review.prepare(connection)
        connection.execute(WORLD)

    def call(day: int, reviewing=ALL_DRAWN) -> list[tuple]:
        at = AT + day * DAY
        monkeypatch.setattr(
            runs, "current", lambda connection, as_of: SimpleNamespace(batch_seq=day + 10, as_of=at, run_id=f"r{day}")
        )
        monkeypatch.setattr(queueing, "for_run", lambda settings, run: SimpleNamespace(reviewing=reviewing))
        review.queue(at, settings)
        with connect(settings, restricted=True) as connection:
            return connection.execute(
                "select kind, person_id, offer_id, highest_rank, item_id, queued_at, due_at from vault.review.queue order by all"
            ).fetchall()

    return call


def told(settings: Settings, day: int) -> dict:
    return json.loads((settings.reports_dir / f"r{day}" / "review.json").read_text(encoding="utf-8"))


def word(item: str, kind: str, **changes) -> Verdict:
    said = {
        "item_id": item, "kind": kind, "verdict": "release", "reviewer": "jane", "role": "compliance", "reason": "seen", "at": AT,
        "opened_at": AT, "saw_score": False, "expires": AT + 30 * DAY, "rule_id": "JUR-002", "v": 1, "person_id": "p1", "facts": "x=1",
        "fact_hash": "h", "creatives": (Creative("cr-1", "spot1", 1, "h1", 2),),
    }  # fmt: skip
    return Verdict(**{**said, **changes})


def about(rows: list[tuple]) -> list[tuple[str, str, str]]:
    """Kind, person and offer of each row."""
    return sorted((kind, person or "", offer or "") for kind, person, offer, *_ in rows)


def test_each_thing_to_decide_is_queued_once(queue) -> None:
    """Held out, blocked otherwise, served without being drawn: none of these is anybody's business."""
    assert about(queue(0)) == [
        ("high_risk_segment", "", "nft1"), ("hold", "held", ""), ("near_miss", "p1", "spot1"), ("random", "p1", "spot1"), ("random", "p2", "nft1"),
    ]  # fmt: skip


def test_what_a_day_drew_waits_on_the_days_after_as_it_was_shown(queue, settings: Settings) -> None:
    first = queue(0)
    with connect(settings, restricted=True) as connection:
        connection.execute("delete from decisions.staged_offers where person_id in ('p1', 'p2')")
        connection.execute("update eligibility.offer_facts set creative_hash = 'other', offer_version = 9")
    second = queue(1)
    drawn = [row for row in first if row[0] in ("near_miss", "random")]
    assert [row for row in second if row[0] in ("near_miss", "random")] == drawn
    with connect(settings, restricted=True) as connection:
        hashes = connection.execute(
            "select distinct unnest(creatives).creative_hash from vault.review.queue where kind in ('near_miss', 'random') order by 1"
        ).fetchall()
    assert hashes == [("h1",), ("h2",)]


@pytest.mark.parametrize(("day", "expected"), [(28, 3), (29, 0)], ids=["to_the_last_day", "no_longer"])
def test_what_was_drawn_leaves_the_queue_after_four_weeks(queue, settings: Settings, day: int, expected: int) -> None:
    queue(0)
    with connect(settings, restricted=True) as connection:
        connection.execute("delete from decisions.staged_offers")
    assert sum(row[0] in ("near_miss", "random") for row in queue(day)) == expected


def test_a_rerun_queues_the_same_and_knows_nothing_of_days_after_it(queue) -> None:
    first = queue(0)
    queue(1)
    assert queue(0) == first


def test_the_report_counts_what_waits_what_is_overdue_and_what_was_decided(queue, settings: Settings) -> None:
    items = {(kind, offer): item for kind, _, offer, _, item, *_ in queue(0)}
    for kind, offer in (("random", "spot1"), ("near_miss", "spot1")):
        verdicts.append(settings, word(items[(kind, offer)], kind, verdict="uphold"))
    none_again = replace(
        ALL_DRAWN, numbers=MappingProxyType({**ALL_DRAWN.numbers, "double_review_share": 0, "random_share": 0})
    )
    queue(8, none_again)
    counted = {row["kind"]: (row["waiting"], row["overdue"], row["decided"]) for row in told(settings, 8)["kinds"]}
    # The near miss of the eighth day is one of its own; the draw of rank 4 that nobody looked at has waited for more than a week.
    assert counted == {
        "new_offer": (0, 0, 0),
        "hold": (1, 1, 0),
        "high_risk_segment": (1, 1, 0),
        "near_miss": (1, 0, 1),
        "random": (1, 1, 1),
    }
    assert (told(settings, 8)["overdue"], told(settings, 8)["refusals"], told(settings, 8)["kappa"]) == (3, 2, None)


def test_nothing_of_restricted_holds_is_in_what_everybody_reads(queue, settings: Settings) -> None:
    queue(0)
    before = (settings.reports_dir / "r0" / "review.json").read_bytes()
    with connect(settings, restricted=True) as connection:
        connection.execute(
            "insert into vault.eligibility.user_hits values ('p7', true, 'FC-008', 1, 'HOLD', 'restricted', 'FC_AML_BAND', 'u_aml_band=high')"
        )
    verdicts.append(settings, word("i7", "hold_fincrime", role="fincrime", rule_id="FC-008"))
    assert "hold_fincrime" in {row[0] for row in queue(0)}
    assert (settings.reports_dir / "r0" / "review.json").read_bytes() == before


def test_a_near_miss_says_which_rule_was_nearly_broken(queue, settings: Settings) -> None:
    queue(0)
    with connect(settings, restricted=True) as connection:
        told = connection.execute(
            "select kind, statement from vault.review.queue where statement is not null order by all"
        ).fetchall()
    assert told == [("hold", "signals disagree"), ("near_miss", "adults only")]
