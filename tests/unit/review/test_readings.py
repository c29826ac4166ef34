"""Second readings and re-reviews: which are drawn, whom they wait for, what the reader is not told, and what is counted of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import pytest

from candor import review
from candor.policy.loading import load
from candor.review import agreement, deciding, readings, verdicts
from candor.review.verdicts import Creative, Verdict
from candor.settings import PROJECT_ROOT, Settings
from candor.warehouse import connect

AT = datetime(2026, 11, 23, 15, tzinfo=UTC)
DAY = timedelta(days=1)
LOW = Creative("cr-low", "spot1", 1, "h-low", 2)
POLICY = load(PROJECT_ROOT / "policy", "crypto").reviewing


def drawing(**shares: float):
    """The policy, of which everything is drawn that `shares` says."""
    none = {"double_review_share": 0.0, "re_review_share": 0.0}
    return replace(POLICY, numbers=MappingProxyType({**POLICY.numbers, **none, **shares}), reviewers=EVERYBODY)


EVERYBODY = MappingProxyType(dict.fromkeys(("jane", "ann", "joe"), ("compliance",)))
EVERY_SECOND, EVERY_WEEK = drawing(double_review_share=1.0), drawing(re_review_share=1.0)


def verdict(**changes) -> Verdict:
    said = {
        "item_id": "i1", "kind": "hold", "verdict": "release", "reviewer": "jane", "role": "compliance", "reason": "seen", "at": AT,
        "opened_at": AT - timedelta(minutes=3), "saw_score": False, "expires": AT + 30 * DAY, "rule_id": "JUR-002", "v": 1,
        "person_id": "p1", "facts": "u_country_conflict=true", "fact_hash": "h", "creatives": (LOW,),
    }  # fmt: skip
    return Verdict(**{**said, **changes})


def one_of(reviewing, settings: Settings, *words: Verdict):
    (found,) = readings.drawn(list(words), reviewing, settings)
    return found


def test_two_in_a_hundred_items_are_read_twice_and_the_same_ones_tomorrow(settings: Settings) -> None:
    items = [verdict(item_id=f"i{number}") for number in range(5000)]
    of_policy = drawing(double_review_share=POLICY.numbers["double_review_share"])
    drawn = [one.item_id for one in items if readings.drawn([one], of_policy, settings)]
    assert 60 <= len(drawn) <= 140
    assert drawn == [one.item_id for one in items if readings.drawn([replace(one, reviewer="ann")], of_policy, settings)]


def test_a_second_reading_waits_for_everybody_but_the_first(settings: Settings) -> None:
    reading = one_of(EVERY_SECOND, settings, verdict())
    assert (reading.kind, reading.due_at) == ("second reading", AT + timedelta(hours=48))
    assert readings.open_for("ann", [reading], AT) == reading
    assert readings.open_for("jane", [reading], AT) is None


def test_the_same_person_again_answers_no_second_reading(settings: Settings) -> None:
    again = verdict(at=AT + DAY, verdict="uphold")
    assert one_of(EVERY_SECOND, settings, verdict(), again).answer is None
    by_another = verdict(at=AT + DAY, reviewer="ann")
    assert one_of(EVERY_SECOND, settings, verdict(), again, by_another).answer == by_another


def test_a_release_is_looked_at_again_after_a_week_by_somebody_else(settings: Settings) -> None:
    reading = one_of(EVERY_WEEK, settings, verdict())
    assert reading.since == AT + 7 * DAY
    assert [readings.open_for("ann", [reading], AT + 7 * DAY - timedelta(seconds=left)) for left in (1, 0)] == [None, reading]
    assert readings.open_for("jane", [reading], AT + 8 * DAY) is None


@pytest.mark.parametrize(
    "words",
    [
        pytest.param([verdict(verdict="uphold", expires=None)], id="upheld_from_the_start"),
        pytest.param([verdict(), verdict(reviewer="ann", verdict="uphold", at=AT + DAY)], id="upheld_meanwhile"),
        pytest.param([verdict(expires=AT + 7 * DAY)], id="ran_out_by_then"),
        pytest.param([verdict(creatives=(replace(LOW, rank=4),))], id="one_of_two_who_must_release"),
    ],
)
def test_what_releases_nobody_is_not_looked_at_again(settings: Settings, words: list[Verdict]) -> None:
    assert readings.drawn(words, EVERY_WEEK, settings) == []


def test_a_word_within_the_week_is_no_re_review(settings: Settings) -> None:
    early, late = verdict(reviewer="ann", at=AT + DAY), verdict(reviewer="joe", verdict="uphold", at=AT + 8 * DAY)
    assert one_of(EVERY_WEEK, settings, verdict(), early).answer is None
    assert one_of(EVERY_WEEK, settings, verdict(), early, late).answer == late


def test_kappa_is_over_drawn_readings_and_their_first_words(settings: Settings) -> None:
    """Sixty items, thirty released and thirty upheld; the second reader says the same of all, the first later changes their mind of all."""
    given = []
    for number in range(60):
        word, other = ("release", "uphold") if number % 2 else ("uphold", "release")
        given += [
            verdict(item_id=f"i{number}", verdict=word),
            verdict(item_id=f"i{number}", verdict=word, reviewer="ann", at=AT + DAY / 2),
            verdict(item_id=f"i{number}", verdict=other, at=AT + DAY),
        ]
    told = agreement.report(given, [], EVERY_SECOND, AT + 2 * DAY, settings)
    assert (told["read_by_two"], told["kappa"]) == (60, 1.0)
    later = [verdict(item_id=f"i{number}", verdict="uphold", reviewer="joe", at=AT + 9 * DAY) for number in range(60)]
    both = drawing(double_review_share=1.0, re_review_share=1.0)
    steady = [one for one in given if one.at < AT + DAY] + later
    told = agreement.report(steady, [], both, AT + 10 * DAY, settings)
    assert (told["read_by_two"], told["kappa"], told["overturned_on_re_review"]) == (60, 1.0, 30)
    told = agreement.report(given, [], drawing(), AT + 2 * DAY, settings)
    assert (told["read_by_two"], told["kappa"], told["pairs_needed"]) == (0, None, 50)


def test_the_report_counts_what_a_re_review_overturned(settings: Settings) -> None:
    given = [verdict(item_id=f"i{number}") for number in range(4)]
    given += [
        verdict(item_id="i0", reviewer="ann", verdict="uphold", at=AT + 8 * DAY),
        verdict(item_id="i1", reviewer="ann", at=AT + 8 * DAY),
    ]
    told = agreement.report(given, [], EVERY_WEEK, AT + 9 * DAY, settings)
    assert {name: told[name] for name in ("drawn_for_a_re_review", "re_reviews_wait", "overturned_on_re_review", "re_review_overturn_rate")} == {
        "drawn_for_a_re_review": 4, "re_reviews_wait": 2, "overturned_on_re_review": 1, "re_review_overturn_rate": 0.5,
    }  # fmt: skip
    before = agreement.report(given, [], EVERY_WEEK, AT + 6 * DAY, settings)
    assert (before["drawn_for_a_re_review"], before["re_review_overturn_rate"]) == (0, None)


@pytest.mark.parametrize(
    ("login", "refused"),
    [("ann", False), ("admin", True), ("max", True)],
    ids=["of_the_role", "of_another_role", "of_none"],
)
def test_who_answers_on_the_page_must_be_a_reviewer_of_the_role(
    decided: Settings, monkeypatch: pytest.MonkeyPatch, login: str, refused: bool
) -> None:
    some = replace(EVERY_SECOND, reviewers=MappingProxyType({"ann": ("brand", "compliance"), "admin": ("brand",)}))
    monkeypatch.setattr(deciding, "reviewing_of", lambda settings: some)
    before = verdicts.file_of(decided).read_bytes()
    asked = [{"item_id": "i1", "is_drawn": True, "shown_at": f"{AT:%Y-%m-%dT%H:%M:%SZ}"}]
    answer = {
        "chosen_options": ["release"],
        "responded_by_user": {"name": login},
        "responded_at": AT + DAY,
        "params_input": {"reason": "seen"},
    }
    told = deciding.record(asked, [answer], "compliance", decided)
    assert [text.splitlines()[0] for text in told["refused"]] == (
        [f"i1 by {login}: {login} may not answer for compliance"] if refused else []
    )
    assert (verdicts.file_of(decided).read_bytes() == before) == refused


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "waits"),
        (["release"], "released"),
        (["release", "uphold"], "disputed"),
        (["release", "release", "uphold"], "disputed"),
        (["release", "uphold", "uphold"], "upheld"),
        (["uphold"], "upheld"),
    ],
    ids=["nobody", "one", "one_against_one", "one_against_two", "two_against_one", "against"],
)
def test_the_stricter_word_counts_until_they_agree(words: list[str], expected: str) -> None:
    said = [verdict(reviewer=f"r{number}", verdict=word) for number, word in enumerate(words)]
    item = {"rule_id": "JUR-002", "highest_rank": 2}
    assert deciding.status(item, said, POLICY) == expected
    assert bool(list(verdicts.releases(said, POLICY, AT))) == (expected == "released")


@pytest.fixture
def decided(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A queue of one hold that jane released, and a policy that has everything read twice."""
    settings.warehouse_path.parent.mkdir(parents=True, exist_ok=True)
    with connect(settings, restricted=True) as connection:
        review.prepare(connection)
        connection.execute(
            "create schema policy; create table policy.rulebook as select 'JUR_CONFLICT' as code, 'JUR-002' as rule_id, 'HOLD' as effect"
        )
        connection.execute("""
            create table vault.review.queue as
            select 'i1' as item_id, 'hold' as kind, 1 as priority, timestamp '2026-11-22 15:00' as queued_at,
                timestamp '2026-11-24 15:00' as due_at, ['compliance'] as roles, 'JUR-002' as rule_id, 1 as v, 'JUR_CONFLICT' as code,
                'internal' as visibility, 'p1' as person_id, cast(null as varchar) as offer_id, cast(null as bigint) as offer_version,
                cast(null as varchar) as segment, 'u_x=1' as facts, 2 as highest_rank, '' as statement, '' as cite,
                [struct_pack(creative_id := 'cr-low', offer_id := 'spot1', offer_version := 1, creative_hash := 'h-low', rank := 2)] as creatives
        """)
    monkeypatch.setattr(deciding, "reviewing_of", lambda settings: EVERY_SECOND)
    say(settings, "jane")
    return settings


def say(settings: Settings, name: str, word: str = "release", at: datetime = AT) -> Verdict:
    verdicts.append_opened(settings, "i1", name, at - timedelta(minutes=5))
    return deciding.decide(settings, "i1", deciding.Reviewer(name, "compliance"), word, "documents seen", at)


def stands(settings: Settings, name: str, at: datetime = AT) -> list[tuple[str, datetime]]:
    return [(item["status"], item["due_at"]) for item in deciding.listed(settings, "compliance", at, name=name)]


def test_a_drawn_item_stands_in_the_list_again_for_another_and_not_for_who_decided_it(decided: Settings) -> None:
    assert stands(decided, "ann") == [("second reading", AT + timedelta(hours=48))]
    assert stands(decided, "jane") == []
    assert deciding.overdue(deciding.listed(decided, "compliance", AT + 3 * DAY, name="ann"), AT + 3 * DAY) == 1
    say(decided, "ann", at=AT + DAY)
    assert stands(decided, "joe", AT + DAY) == []


def test_the_second_reader_is_not_told_what_the_first_said(decided: Settings) -> None:
    """Had jane upheld it, the list for ann would be the same."""
    before = deciding.listed(decided, "compliance", AT, name="ann", everything=True)
    say(decided, "jane", "uphold")
    assert deciding.listed(decided, "compliance", AT, name="ann", everything=True) == before


def test_those_who_disagree_find_the_item_in_the_list_until_somebody_settles_it(decided: Settings) -> None:
    say(decided, "ann", "uphold", AT + DAY)
    assert [status for status, _ in stands(decided, "joe", AT + DAY)] == ["disputed"]
    say(decided, "joe", "uphold", AT + DAY)
    assert stands(decided, "ann", AT + DAY) == []


def test_the_first_reviewer_cannot_answer_a_second_reading_on_the_page(
    decided: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deciding, "FACTS_SHOWN", "select ? as name, '' as value, null as observed_at")
    monkeypatch.setattr(deciding, "OFFERS_SHOWN", "select 1 where ?::varchar[] is null")
    asked = deciding.questions(AT, "compliance", 10, decided)
    assert asked[0]["subject"].startswith("second reading of hold")
    answers = [
        {
            "chosen_options": ["release"],
            "responded_by_user": {"name": name},
            "responded_at": AT + DAY,
            "params_input": {"reason": "seen"},
        }
        for name in ("jane", "ann")
    ]
    told = deciding.record(asked * 2, answers, "compliance", decided)
    assert told["recorded"] == 1
    assert "does not read it a second time" in told["refused"][0]
