"""What the audit says about a day: passed, refused, empty, incomplete; and what it may not tell."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime

import pytest

from candor import audit
from candor.audit import inputs
from candor.audit.raw import Raw
from candor.errors import AuditFailed, PolicyError

AS_OF = datetime(2026, 11, 23, 15, tzinfo=UTC)


def report(world, name="audit.json"):
    return json.loads(next(world.settings.reports_dir.glob(f"*/{name}")).read_text())


def stage_everything(world):
    world.offer("gb", "web")
    world.offer("gb", "sms")
    world.offer("ny", "web")
    world.offer("ny", "push")


def test_offers_that_every_rule_permits_pass_with_a_bound_that_says_how_many_there_were(world):
    stage_everything(world)
    result = world.audited()
    assert (result["rows_audited"], result["violations"], result["bound_3_over_n"]) == (4, 0, 0.75)
    assert world.violations().is_empty()
    content = report(world)
    assert content["checks"]["PRV_NO_CHANNEL_CONSENT"] == {"rule": "PRV-001", "rows": 4, "violations": 0}
    assert content["checks"]["ELIG_NA"] == {"rule": "ELIG_NA", "rows": 4, "violations": 0}
    assert content["policy_version"] == "v1"
    assert len(content["rule_hash"]) == 64
    assert not list(world.settings.reports_dir.glob("*/incident.json"))


def test_an_empty_day_has_no_violations_and_no_bound(world):
    result = world.audited()
    assert (result["rows_audited"], result["violations"], result["bound_3_over_n"]) == (0, 0, None)


def test_what_every_part_of_the_people_needs_is_read_once_and_judged_alike(world, monkeypatch):
    stage_everything(world)
    world.edit("crm.consents", "gb-marketing-sms", status="withdrawn")
    read: list[str] = []
    rows = Raw.rows

    def watched(raw, table, columns):
        read.append(table)
        return rows(raw, table, columns)

    monkeypatch.setattr(Raw, "rows", watched)
    with pytest.raises(AuditFailed) as refused:
        world.audited()
    whole, read[:] = list(read), []
    monkeypatch.setitem(inputs.read.__kwdefaults__, "people_at_a_time", 1)
    with pytest.raises(AuditFailed) as refused_in_parts:
        audit.run(AS_OF, world.settings)
    assert str(refused_in_parts.value) == str(refused.value)
    assert whole.count("events.events") > 3
    assert read.count("events.events") == whole.count("events.events")
    assert read.count("crm.consents") > whole.count("crm.consents")  # there were more parts than one


def test_a_violation_refuses_the_day_names_rows_and_rule_path_and_opens_an_incident(world):
    stage_everything(world)
    world.edit("crm.consents", "gb-marketing-sms", status="withdrawn")
    with pytest.raises(AuditFailed) as refused:
        world.audited()
    text = str(refused.value)
    assert "refused 1 of 4 staged offers: PRV_NO_CHANNEL_CONSENT 1" in text
    assert "decision d-gb-sms-1 person p-gb offer spot1 channel sms" in text
    assert "PRV-001 > PRV_NO_CHANNEL_CONSENT >" in text
    assert "yesterday's offers are still live" in text
    assert report(world)["violations"] == 1
    assert report(world)["bound_3_over_n"] is None
    assert report(world, "incident.json")["codes"] == {"PRV_NO_CHANNEL_CONSENT": 1}


def test_a_restricted_reason_is_neutral_everywhere_but_in_the_restricted_file(world):
    stage_everything(world)
    world.restrict("fincrime_hold")
    world.restrict("embargo")
    with pytest.raises(AuditFailed) as refused:
        world.audited()
    open_texts = [str(refused.value)] + [path.read_text() for path in world.settings.reports_dir.glob("*/*.json")]
    for text in open_texts:
        assert "FC_" not in text.replace("FC_TRAVEL_RULE", "")  # the one rule of financial crime that the firm may talk about
        assert "fincrime" not in text
        assert "ELIG_NA" in text
    assert report(world)["checks"]["ELIG_NA"]["violations"] == 2
    assert set(world.violations()["code"]) == {"FC_RESTRICTED_HOLD", "FC_EMBARGO"}
    kept = next(world.settings.restricted_published_dir.glob("*/audit_violations.parquet"))
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_the_same_day_audited_twice_gives_the_same_bytes(world):
    stage_everything(world)
    world.audited()
    first = next(world.settings.reports_dir.glob("*/audit.json")).read_bytes()
    from candor import audit
    from candor.runs import parse_as_of

    audit.run(parse_as_of("2026-11-23T15:00:00Z"), world.settings)
    assert next(world.settings.reports_dir.glob("*/audit.json")).read_bytes() == first


def test_a_missing_raw_segment_is_no_proof_of_absence(world):
    stage_everything(world)
    world.restrict("embargo", account_id="somebody else")
    world.write()
    next(world.settings.restricted_raw_dir.glob("compliance/restrictions/*.parquet")).unlink()
    from candor import audit
    from candor.runs import parse_as_of

    with pytest.raises(AuditFailed, match=r"raw segment seg1\.parquet of compliance\.restrictions is gone"):
        audit.run(parse_as_of("2026-11-23T15:00:00Z"), world.settings)


def test_a_policy_that_is_gone_stops_the_audit(world):
    stage_everything(world)
    world.policy = lambda folder: (folder / "channels.yml").unlink()
    with pytest.raises(PolicyError, match=r"no channels\.yml"):
        world.audited()


@pytest.mark.parametrize(
    ("email", "is_test"),
    [
        ("QA+7@example.com ", True),
        ("ada+qa1@example.com", True),
        ("ada@shop.invalid", True),
        ("qadir@example.com", False),
        ("a@b.tests", False),
    ],
)
def test_an_address_that_only_testers_have_makes_a_person_one(world, email, is_test):
    world.offer("gb", "web")
    world.edit("exchange.accounts", "ac-gb", email=email)
    assert world.found() == ({"ENG_TEST_PERSON"} if is_test else set())
