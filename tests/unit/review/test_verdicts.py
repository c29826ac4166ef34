"""What follows from the verdicts on record, and what is refused."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from candor import review
from candor.errors import CandorError, PolicyError, UsageError
from candor.policy.loading import load
from candor.review import agreement, deciding, verdicts
from candor.review.verdicts import Creative, Verdict
from candor.settings import PROJECT_ROOT, Settings
from candor.warehouse import connect

AT = datetime(2026, 11, 23, 15, tzinfo=UTC)
DAY = timedelta(days=1)
LOW, HIGH = Creative("cr-low", "spot1", 1, "h-low", 2), Creative("cr-high", "perp", 1, "h-high", 6)
REVIEWING = load(PROJECT_ROOT / "policy", "crypto").reviewing


def verdict(**changes) -> Verdict:
    said = {
        "item_id": "i1", "kind": "hold", "verdict": "release", "reviewer": "jane", "role": "compliance", "reason": "seen", "at": AT - DAY,
        "opened_at": AT - DAY - timedelta(minutes=3), "saw_score": False, "expires": AT + 9 * DAY, "rule_id": "JUR-002", "v": 1,
        "person_id": "p1", "facts": "u_country_conflict=true", "fact_hash": "h", "creatives": (LOW, HIGH),
    }  # fmt: skip
    return Verdict(**{**said, **changes})


def released(*given: Verdict, at: datetime = AT) -> set[str]:
    return {one.creative.creative_id for one in verdicts.releases(given, REVIEWING, at)}


def test_one_reviewer_releases_low_risk_and_two_release_high_risk() -> None:
    assert released(verdict()) == {"cr-low"}
    assert released(verdict(), verdict(reviewer="ann")) == {"cr-low", "cr-high"}


def test_the_same_reviewer_twice_is_one() -> None:
    assert released(verdict(), verdict(at=AT - DAY / 2)) == {"cr-low"}


def test_who_upholds_keeps_the_hold_until_they_think_otherwise() -> None:
    upheld = verdict(reviewer="ann", verdict="uphold", expires=None)
    assert released(verdict(), upheld) == set()
    assert released(verdict(), upheld, verdict(reviewer="ann", at=AT - DAY / 2)) == {"cr-low", "cr-high"}


def test_a_release_begins_when_it_is_given_and_ends_when_it_expires() -> None:
    instants = (AT - DAY - timedelta(seconds=1), AT - DAY, AT + 9 * DAY - timedelta(seconds=1), AT + 9 * DAY)
    assert [released(verdict(), at=at) for at in instants] == [set(), {"cr-low"}, {"cr-low"}, set()]


def test_of_two_the_one_that_ends_first_ends_the_release_of_high_risk() -> None:
    two = (verdict(), verdict(reviewer="ann", expires=AT + 2 * DAY))
    assert released(*two, at=AT + 3 * DAY) == {"cr-low"}


def test_what_is_read_is_what_was_said(settings: Settings) -> None:
    said = verdict(expires=None, verdict="uphold", person_id=None)
    verdicts.append(settings, said)
    verdicts.append_opened(settings, "i2", "ann", AT)
    verdicts.append(settings, verdict())
    assert verdicts.read(settings) == ([said, verdict()], {("i2", "ann"): AT})
    assert verdicts.file_of(settings).stat().st_mode & 0o777 == 0o600


def test_a_line_that_nobody_can_read_stops_everything(settings: Settings) -> None:
    verdicts.append(settings, verdict())
    with verdicts.file_of(settings).open("a", encoding="utf-8") as file:
        file.write('{"item_id": "i1"}\n')
    with pytest.raises(CandorError, match="line 2 is no verdict"):
        verdicts.read(settings)


def test_a_torn_line_is_not_joined_with_the_next(settings: Settings) -> None:
    verdicts.append(settings, verdict())
    with verdicts.file_of(settings).open("a", encoding="utf-8") as file:
        file.write('{"item_id": ')
    verdicts.append(settings, verdict())
    lines = verdicts.file_of(settings).read_text(encoding="utf-8").splitlines()
    assert [bool(json.loads(line)) for line in (lines[0], lines[2])] == [True, True]


@pytest.fixture
def queued(settings: Settings) -> Settings:
    """A queue of a hold, one of fincrime, and a block that somebody put there."""
    settings.warehouse_path.parent.mkdir(parents=True, exist_ok=True)
    with connect(settings, restricted=True) as connection:
        review.prepare(connection)
        connection.execute("create schema policy; create schema vault.state")
        connection.execute("create table policy.rulebook as select * from (values ('JUR_CONFLICT', 'JUR-002', 'HOLD'), "
                           "('FC_AML_BAND', 'FC-008', 'HOLD'), ('AGE_UNDER_18', 'AGE-001', 'BLOCK')) as t(code, rule_id, effect)")  # fmt: skip
        connection.execute(
            "create table vault.state.review_items as select 'i9' as item_id, timestamp '2026-11-20' as queued_at"
        )
        connection.execute("""
            create table vault.review.queue as
            select item_id, kind, 1 as priority, timestamp '2026-11-22 15:00' as queued_at, timestamp '2026-11-24 15:00' as due_at,
                roles, rule_id, 1 as v, code, 'p1' as person_id, cast(null as varchar) as offer_id, cast(null as bigint) as offer_version,
                cast(null as varchar) as segment, 'u_x=1' as facts, 2 as highest_rank, '' as statement, '' as cite,
                [struct_pack(creative_id := 'cr-low', offer_id := 'spot1', offer_version := 1, creative_hash := 'h-low', rank := 2)] as creatives
            from (values ('i1', 'hold', ['compliance'], 'JUR-002', 'JUR_CONFLICT'), ('i2', 'hold_fincrime', ['fincrime'], 'FC-008', 'FC_AML_BAND'),
                ('i3', 'hold', ['compliance'], 'AGE-001', 'AGE_UNDER_18')) as t(item_id, kind, roles, rule_id, code)
        """)
    for item in ("i1", "i2", "i3"):
        verdicts.append_opened(settings, item, "jane", AT - timedelta(minutes=5))
    return settings


def say(settings: Settings, item: str = "i1", who: str = "jane/compliance", **changes) -> Verdict:
    given = {"verdict": "release", "reason": "documents seen", "at": AT, **changes}
    return deciding.decide(settings, item, deciding.Reviewer.of(who), **given)


def test_a_verdict_takes_the_item_off_the_list(queued: Settings) -> None:
    assert [item["item_id"] for item in deciding.listed(queued, "compliance", AT)] == ["i1", "i3"]
    assert say(queued).expires == AT + 30 * DAY
    assert [item["item_id"] for item in deciding.listed(queued, "compliance", AT)] == ["i3"]


REFUSED = {
    "another_role": ({"item": "i2"}, "compliance has no item 'i2'"),
    "an_item_that_changed": ({"item": "i9"}, "i9 no longer waits"),
    "an_item_nobody_knows": ({"item": "i0"}, "compliance has no item 'i0'"),
    "a_block": ({"item": "i3"}, "AGE-001 .* is no hold: BLOCK"),
    "without_a_reason": ({"reason": "  "}, "needs a reason"),
    "for_too_long": ({"expires": AT + 31 * DAY}, "at most 30 days"),
    "ended_already": ({"expires": AT}, "ends after it begins"),
    "another_word": ({"verdict": "maybe"}, "release or uphold"),
    "never_shown": ({"who": "ann/compliance"}, "ann has not been shown i1"),
    "no_role": ({"who": "jane"}, "must name a reviewer and a role"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_verdict_is_refused(queued: Settings, name: str) -> None:
    changes, complaint = REFUSED[name]
    before = verdicts.file_of(queued).read_text(encoding="utf-8")
    with pytest.raises(UsageError, match=complaint):
        say(queued, **changes)
    assert verdicts.file_of(queued).read_text(encoding="utf-8") == before


def test_kappa_is_that_of_the_worked_example() -> None:
    """Two people, 50 grants: 20 both yes, 15 both no, 5 and 10 apart. Agreement 0.7, chance 0.5, kappa 0.4."""
    pairs = [("yes", "yes")] * 20 + [("no", "no")] * 15 + [("yes", "no")] * 5 + [("no", "yes")] * 10
    kappa = agreement.cohens_kappa(pairs)
    assert kappa.kappa == pytest.approx(0.4)
    assert kappa.low is not None
    assert kappa.high is not None
    assert kappa.low < 0.4 < kappa.high


def test_kappa_of_few_pairs_is_not_told() -> None:
    kappa = agreement.cohens_kappa([("release", "uphold")] * 49)
    assert (kappa.kappa, kappa.needed) == (None, 1)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_interval_covers_the_truth_nineteen_times_in_twenty(seed: int) -> None:
    """Both say the truth with probability 0.9, which is a kappa of 0.64 where both words are as likely."""
    of = random.Random(seed)
    covered = 0
    for _ in range(400):
        truths = [of.random() < 0.5 for _ in range(200)]
        pairs = [tuple("no" if truth != (of.random() < 0.9) else "yes" for _ in "ab") for truth in truths]
        kappa = agreement.cohens_kappa(pairs)
        covered += kappa.low <= 0.64 <= kappa.high
    assert 0.92 <= covered / 400 <= 0.98


def test_the_report_counts_fast_and_overturned_verdicts(settings: Settings) -> None:
    given = [
        verdict(opened_at=AT - DAY - timedelta(seconds=19)),
        verdict(item_id="i2", opened_at=AT - DAY - timedelta(seconds=20)),
        verdict(item_id="i2", reviewer="ann", verdict="uphold", at=AT - DAY / 2, saw_score=True),
    ]
    told = agreement.report(given, [{"due_at": AT - DAY}, {"due_at": AT + DAY}], REVIEWING, AT, settings)
    assert {name: told[name] for name in ("faster_than_they_can_read", "overturned", "overturn_rate", "saw_the_score_first", "overdue")} == {
        "faster_than_they_can_read": 1, "overturned": 1, "overturn_rate": 0.5, "saw_the_score_first": 1, "overdue": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("sla_hours: 24", "sla_hours: 0", "sla_hours must be at least 1, is 0"),
        ("roles: [fincrime]", "roles: [strangers]", "role 'strangers' is none of owners.yml"),
        ("roles: [fincrime]", "roles: []", "somebody must be able to decide it"),
        ("value: 0.02", "value: 1.02", "must be from 0 to 1, is 1.02"),
        (
            "roles: [compliance]\n  why: The login",
            "roles: [strangers]\n  why: The login",
            "role 'strangers' is none of owners.yml",
        ),
        ("name: least_seconds", "name: fewest_seconds", "least_seconds is missing"),
    ],
    ids=["no_time", "unknown_role", "nobody", "share_over_one", "login_of_no_role", "number_missing"],
)
def test_a_review_policy_that_cannot_be_is_refused(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    import shutil

    folder = tmp_path / "policy"
    shutil.copytree(PROJECT_ROOT / "policy", folder)
    file = folder / "review.yml"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(PolicyError, match=complaint):
        load(folder, "crypto")


def refused(*given: Verdict, at: datetime = AT) -> list[tuple]:
    return [
        (one.person_id, one.segment, one.offer_id, one.offer_version, one.creative_id) for one in verdicts.refusals(given, at)
    ]


def upheld(kind: str, **changes) -> Verdict:
    return verdict(kind=kind, verdict="uphold", expires=None, creatives=(LOW,), **changes)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (upheld("near_miss"), [("p1", None, "spot1", 1, None)]),
        (upheld("random"), [("p1", None, "spot1", 1, None)]),
        (upheld("high_risk_segment", person_id=None, segment="low:new"), [(None, "low:new", "spot1", 1, None)]),
        (upheld("new_offer", person_id=None), [(None, None, "spot1", 1, "cr-low")]),
        (upheld("hold"), []),
        (upheld("random", person_id=None), []),
        (verdict(kind="near_miss"), []),
    ],
    ids=["near_miss", "random", "segment", "new_offer", "a_hold_stays_one", "of_nobody", "released"],
)
def test_an_uphold_withholds_what_it_is_about_and_no_more(said: Verdict, expected: list[tuple]) -> None:
    assert refused(said) == expected


def test_an_uphold_counts_from_when_it_was_said_until_its_reviewer_says_otherwise() -> None:
    said, other = upheld("random"), verdict(kind="random", reviewer="ann", at=AT)
    assert refused(said, at=AT - DAY - timedelta(seconds=1)) == []
    assert refused(said, other, at=AT) == refused(said)  # another's release lets nothing through
    assert refused(said, verdict(kind="random", at=AT)) == []


def test_the_run_is_given_the_releases_and_refusals_that_hold_for_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A release must outlast every row of the run; whoever was merged away is refused as who they are now."""
    policy = load(PROJECT_ROOT / "policy", "crypto")
    last = AT + timedelta(hours=policy.limits["offer_validity_hours"][0])
    monkeypatch.setattr("candor.policy.store.for_run", lambda settings, run: policy)
    monkeypatch.setattr("candor.runs.current", lambda connection, as_of: None)
    settings.warehouse_path.parent.mkdir(parents=True, exist_ok=True)
    with connect(settings, restricted=True) as connection:
        connection.execute(
            "create schema identity; create table identity.person_aliases as select 'p1' as person_id, 'p9' as surviving_person_id"
        )
    for number, expires in enumerate((last, last - timedelta(seconds=1))):
        verdicts.append(settings, verdict(item_id=f"i{number}", expires=expires))
    verdicts.append(settings, upheld("near_miss", item_id="i8"))
    verdicts.append(settings, upheld("new_offer", item_id="i9", person_id=None))
    verdicts.append(settings, upheld("random", item_id="late", at=AT + timedelta(seconds=1)))
    verdicts.append(
        settings, verdict(item_id="i7", kind="hold_fincrime", rule_id="FC-008")
    )  # in force, and nobody else's business
    for _ in range(2):
        assert review.install(AT, settings) == {"releases": 1, "items_released": 1, "refusals": 2}
    with connect(settings, restricted=True) as connection:
        releases = connection.execute(
            "select person_id, rule_id, v, creative_id, creative_hash, until from vault.review.releases"
        ).fetchall()
        refusals = connection.execute(
            "select item_id, person_id, offer_id, offer_version, creative_id, creative_hash from vault.review.refusals"
        ).fetchall()
    assert [row for row in releases if row[1] == "FC-008"] != []
    assert [row for row in releases if row[1] != "FC-008"] == [
        ("p1", "JUR-002", 1, "cr-low", "h-low", last.replace(tzinfo=None))
    ]
    assert sorted(refusals) == [("i8", "p9", "spot1", 1, None, None), ("i9", None, "spot1", 1, "cr-low", "h-low")]
