"""A hold that a reviewer lifted passes the audit, exactly where everything is still as they saw it."""

from __future__ import annotations

import hashlib
import json

import pytest


def hash_of(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def verdict(world, **changes) -> dict:
    """What a fincrime reviewer said of p-gb's adverse media and the creative that is shown to them."""
    creative = next(row for row in world.tables["catalogue.creatives"] if row["creative_id"] == "cr-web")
    said = [creative["channel"], creative["locale"], creative["title"], creative["body"], ",".join(creative["disclosures"])]
    line = {
        "item_id": "i1", "kind": "hold_fincrime", "verdict": "release", "reviewer": "joe", "role": "fincrime", "reason": "seen",
        "at": "2026-11-22T10:00:00Z", "opened_at": None, "saw_score": False, "expires": "2026-12-10T00:00:00Z", "rule_id": "FC-007", "v": 1,
        "person_id": "p-gb", "facts": "u_adverse_media=unresolved",
        "creatives": [["cr-web", "spot1", 1, hash_of("|".join([*said, creative["why_template"]])), 2]],
    }  # fmt: skip
    line |= changes
    return {"fact_hash": hash_of(line["facts"]), **line}


def found(world, *lines: dict) -> set[str]:
    file = world.settings.restricted_dir / "review_verdicts.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return world.found()


def in_the_news(made):
    """Somebody of whom the news says something, and is shown an offer all the same."""
    made.offer("gb", "web")
    made.restrict("adverse_media")
    return made


def unsuspected(made):
    """Somebody who is shown an offer that nothing speaks against."""
    made.offer("gb", "web")
    return made


@pytest.fixture
def world(make_world, tmp_path):
    return in_the_news(make_world(tmp_path))


@pytest.fixture
def served(make_world, tmp_path):
    return unsuspected(make_world(tmp_path))


def of_its_own(line: dict, suffix: str) -> dict:
    """The verdict, said of the person, offer and creative that a world taken in has under this suffix."""
    person = line["person_id"] and line["person_id"] + suffix
    creatives = [[creative + suffix, offer + suffix, *rest] for creative, offer, *rest in line["creatives"]]
    return {**line, "item_id": line["item_id"] + suffix, "person_id": person, "creatives": creatives}


@pytest.fixture(scope="module")
def codes(make_world, tmp_path_factory):
    """{case: codes found}, by kind of case. One audited day for all, each with people, an offer and a verdict of its own."""
    together, lines, names = make_world(tmp_path_factory.mktemp("together")).without_people(), [], {}
    cases = [
        *(("leaks", name, in_the_news, changes) for name, changes in LEAKS.items()),
        *(("upheld", name, unsuspected, {"verdict": "uphold", "expires": None, **changes}) for name, changes in UPHELD.items()),
        *(
            ("passes", name, unsuspected, {"verdict": "uphold", "expires": None, "kind": "random", **changes})
            for name, changes in PASSES.items()
        ),
        ("released", "by_a_verdict_of_its_own", in_the_news, {}),
    ]
    for number, (kind, name, of, changes) in enumerate(cases):
        suffix, alone = f"#{number:03}", of(make_world(tmp_path_factory.mktemp("alone")))
        lines.append(of_its_own(verdict(alone, **changes), suffix))
        together.take_in(alone, suffix)
        names[suffix] = kind, name
    found(together, *lines)
    told: dict[str, dict[str, set[str]]] = {"leaks": {}, "upheld": {}, "passes": {}, "released": {}}
    for decision, code in together.violations().select("decision_id", "code").rows():
        kind, name = names[decision[-4:]]
        told[kind].setdefault(name, set()).add(code)
    return told


def test_a_hold_without_a_verdict_is_found(world) -> None:
    assert found(world) == {"FC_ADVERSE_MEDIA"}


def test_a_released_hold_passes(world) -> None:
    assert found(world, verdict(world)) == set()


LEAKS = {
    "facts_that_are_no_longer_so": {"facts": "u_adverse_media=none"},
    "no_facts_at_all": {"facts": ""},
    "hash_of_other_facts": {"fact_hash": hash_of("u_adverse_media=none")},
    "expired": {"expires": "2026-11-23T15:00:00Z"},
    "ends_before_the_row_does": {"expires": "2026-11-23T16:00:00Z"},
    "for_longer_than_a_release_may_last": {"expires": "2027-02-10T00:00:00Z"},
    "given_after_the_run": {"at": "2026-11-23T15:00:01Z"},
    "by_somebody_who_may_not": {"role": "compliance"},
    "upheld": {"verdict": "uphold"},
    "of_somebody_else": {"person_id": "p-ny"},
    "of_another_rule": {"rule_id": "FC-008"},
    "of_another_version_of_the_rule": {"v": 2},
    "of_another_creative": {"creatives": [["cr-email", "spot1", 1, hash_of("x"), 2]]},
    "of_other_words": {"creatives": [["cr-web", "spot1", 1, hash_of("other words"), 2]]},
}


@pytest.mark.parametrize("name", LEAKS)
def test_a_release_that_is_not_of_this_hold_lifts_nothing(codes, name: str) -> None:
    assert codes["leaks"][name] == {"FC_ADVERSE_MEDIA"}


def test_beside_them_a_released_hold_passes(codes) -> None:
    assert codes["released"] == {}


def test_who_upholds_keeps_the_hold_whoever_else_releases_it(world) -> None:
    assert found(world, verdict(world), verdict(world, reviewer="ann", verdict="uphold")) == {"FC_ADVERSE_MEDIA"}


def test_the_last_word_of_a_reviewer_counts(world) -> None:
    before = verdict(world, verdict="uphold", at="2026-11-21T10:00:00Z")
    assert found(world, before, verdict(world)) == set()


def test_a_block_is_lifted_by_nobody(make_world, tmp_path) -> None:
    blocked = make_world(tmp_path)
    blocked.offer("gb", "web")
    blocked.restrict("fincrime_hold")
    line = verdict(blocked, rule_id="FC-009", facts="u_fincrime_hold=true")
    assert found(blocked, line) == {"FC_RESTRICTED_HOLD"}


@pytest.mark.parametrize(
    ("reviewers", "codes"),
    [(["joe"], {"REV_NOT_REVIEWED"}), (["joe", "joe"], {"REV_NOT_REVIEWED"}), (["joe", "ann"], set())],
    ids=["one", "one_twice", "two"],
)
def test_of_high_risk_two_people_must_agree(make_world, tmp_path, reviewers: list[str], codes: set[str]) -> None:
    nft = make_world(tmp_path)
    nft.offer("gb", "web")
    nft.edit("catalogue.offers", product_line="nft")
    nft.edit("compliance.assessments", "as-gb-spot", product_line="nft")
    of_offer = {
        "kind": "new_offer",
        "role": "brand",
        "rule_id": "ENG-REVIEW",
        "person_id": None,
        "facts": "m_rank=4;o_reviewed=false",
    }
    assert found(nft, *(verdict(nft, **of_offer, reviewer=name) for name in reviewers)) == codes


UPHELD = {
    "a_near_miss": {"kind": "near_miss"},
    "a_random_draw": {"kind": "random"},
    "a_segment": {"kind": "high_risk_segment", "person_id": None, "segment": "aggressive:experienced"},
    "a_new_creative": {"kind": "new_offer", "person_id": None},
}


@pytest.mark.parametrize("name", UPHELD)
def test_what_a_reviewer_said_must_not_be_shown_is_found(codes, name: str) -> None:
    assert codes["upheld"][name] == {"REV_UPHELD"}


PASSES = {
    "said_after_the_run": {"at": "2026-11-23T15:00:01Z"},
    "of_somebody_else": {"person_id": "p-ny"},
    "of_another_version": {"creatives": [["cr-web", "spot1", 2, "h", 2]]},
    "of_another_offer": {"creatives": [["cr-web", "spot2", 1, "h", 2]]},
    "of_other_words": {"kind": "new_offer", "creatives": [["cr-web", "spot1", 1, "h", 2]]},
    "of_another_segment": {"kind": "high_risk_segment", "person_id": None, "segment": "somebody:else"},
    "of_a_hold": {"kind": "hold"},
    "released": {"verdict": "release"},
}


@pytest.mark.parametrize("name", PASSES)
def test_an_uphold_of_something_else_forbids_nothing(codes, name: str) -> None:
    assert codes["passes"].get(name, set()) == set()


def test_an_uphold_of_somebody_merged_away_is_found_of_who_they_are_now(served) -> None:
    from candor.warehouse import connect

    with connect(served.settings) as connection:
        connection.execute(
            "create schema if not exists identity; "
            "create table identity.person_aliases as select 'p-old' as person_id, 'p-gb' as surviving_person_id"
        )
    assert found(served, verdict(served, verdict="uphold", kind="random", expires=None, person_id="p-old")) == {"REV_UPHELD"}
