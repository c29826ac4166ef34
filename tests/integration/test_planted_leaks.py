"""A break planted in the pipeline's own SQL or tables is caught by the audit; nothing is published, and the page says so.

The audit alone stands between a planted break and the customers here: eligibility, scoring and arbitration run on it unhindered.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import polars as pl
import pytest

from benchmarks import fingerprint
from candor import pipeline, reporting, warehouse
from candor.errors import AuditFailed
from candor.policy import compiling
from candor.policy.model import Policy, Rule
from tests.integration.conftest import DAY, Shop

# Every kind of rule that the first policy covers, and a code the audit must give when it is broken.
KINDS = {
    "channel consent": "PRV_NO_CHANNEL_CONSENT",
    "objection": "PRV_OBJECTED",
    "KYC tier": "KYC_TIER_LOW",
    "KYC expiry": "KYC_EXPIRED",
    "screening": "FC_SANCTIONED",
    "possible match": "FC_SANCTIONS_POTENTIAL",
    "restriction of financial crime": "FC_RESTRICTED_HOLD",
    "restriction for vulnerability": "VUL_FLAG",
    "self-exclusion": "VUL_SELF_EXCLUDED",
    "residence": "JUR_UNKNOWN",
    "market permission": "JUR_NO_PERMISSION",
    "age": "AGE_UNDER_18",
    "offer dates": "OFFER_NOT_STARTED",
    "approvals": "BRD_NOT_APPROVED",
    "frequency cap": "BRD_FREQ_CAP",
}


def _drop_rules(monkeypatch: pytest.MonkeyPatch, dropped: set[str] | None) -> None:
    """Compile the pack without the rules named (None: without any, the engine's own included)."""
    rules_of = compiling.rules_of

    def kept(policy: Policy, grain: str) -> list[Rule]:
        return [rule for rule in rules_of(policy, grain) if dropped is not None and rule.rule_id not in dropped]

    monkeypatch.setattr(compiling, "rules_of", kept)


def _decide_again(shop: Shop) -> None:
    """Everything between the facts and the audit, on whatever was broken."""
    for name in ("eligibility", "score", "decide"):
        pipeline.run_stage(name, DAY, shop.settings)


def _refused(shop: Shop) -> tuple[AuditFailed, set[str]]:
    """What the audit said, and the true codes in the restricted file; after looking that nothing went out and that the page tells."""
    serving = fingerprint.serving_store(shop.store)
    published = fingerprint.published_files(shop.settings.published_dir)
    with pytest.raises(AuditFailed) as caught:
        pipeline.run_stage("audit", DAY, shop.settings)
    with pytest.raises(AuditFailed):
        pipeline.run_stage("publish", DAY, shop.settings) if _skip_gate(shop) else None
    assert fingerprint.serving_store(shop.store) == serving
    assert fingerprint.published_files(shop.settings.published_dir) == published
    with closing(sqlite3.connect(shop.store)) as store:
        assert store.execute("select run_id from runs where is_current = 1").fetchall() == [(shop.run_id,)]

    told = reporting.run(DAY, shop.settings, raise_on_failure=False)
    assert told["status"] == "stopped at audit"
    folder = shop.settings.reports_dir / shop.run_id
    assert "stopped at audit" in (folder / "index.html").read_text(encoding="utf-8")
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert summary["audit"]["violations"] > 0
    assert json.loads((folder / "incident.json").read_text(encoding="utf-8"))["published"] is False
    return caught.value, set(_violations(shop)["code"])


def _skip_gate(shop: Shop) -> bool:
    """Let `publish` be called as if the served gate had passed: the audit's verdict alone must hold it back."""
    with warehouse.connect(shop.settings) as connection:
        connection.execute("insert or replace into state.stage_marks values ('gate_served', ?)", [warehouse.utc(DAY)])
    return True


def _violations(shop: Shop) -> pl.DataFrame:
    return pl.read_parquet(shop.settings.restricted_published_dir / shop.run_id / "audit_violations.parquet")


def test_with_every_rule_gone_from_the_sql_the_audit_names_every_kind_of_violation(
    copied: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _drop_rules(monkeypatch, None)
    # Offers outside their dates are made worth choosing, so that the test does not hang on what the model prefers.
    with warehouse.connect(copied.settings) as connection:
        instant = warehouse.sql_timestamp(DAY)
        connection.execute(
            f"update staging.stg_catalogue__offers set unit_value_usd = 9999 where starts_at > {instant} or ends_at <= {instant}"
        )
    _decide_again(copied)
    error, codes = _refused(copied)
    with capsys.disabled():
        print(f"\n  {_violations(copied).height:,} violations, codes {sorted(codes)}")
    plain = codes | {code.removesuffix("_UNKNOWN") for code in codes}
    assert {kind: code for kind, code in KINDS.items() if code not in plain} == {}
    for code in ("FC_SANCTIONED", "FC_SANCTIONS_POTENTIAL", "FC_RESTRICTED_HOLD", "VUL_FLAG"):
        assert code not in str(error), "a restricted code may not be told outside the restricted face"
    assert "ELIG_NA" in str(error)


@pytest.mark.parametrize(
    ("rule", "code"), [("PRV-001", "PRV_NO_CHANNEL_CONSENT"), ("KYC-001", "KYC_TIER_LOW")], ids=["consent", "KYC tier"]
)
def test_one_rule_gone_from_the_sql_is_caught_and_named(
    copied: Shop, monkeypatch: pytest.MonkeyPatch, rule: str, code: str
) -> None:
    _drop_rules(monkeypatch, {rule})
    _decide_again(copied)
    error, codes = _refused(copied)
    assert {found.removesuffix("_UNKNOWN") for found in codes} == {code}
    assert code in str(error)
    assert rule in str(error)


def test_withdrawals_lost_on_their_way_into_staging_are_caught(copied: Shop) -> None:
    with warehouse.connect(copied.settings) as connection:
        connection.execute("delete from staging.stg_crm__consents where status in ('denied', 'withdrawn')")
    _decide_again(copied)
    error, codes = _refused(copied)
    assert {found.removesuffix("_UNKNOWN") for found in codes} & {"PRV_NO_CHANNEL_CONSENT", "PRV_OBJECTED"}
    assert "PRV" in str(error)


def test_two_people_merged_into_one_are_judged_by_the_worse_of_both(copied: Shop) -> None:
    with warehouse.connect(copied.settings, restricted=True) as connection:
        wrongly_merged = connection.execute(
            """
            select identifiers.person_id
            from vault.staging.stg_compliance__restrictions as restrictions
            inner join identity.person_identifiers as identifiers
                on identifiers.identifier_kind = 'account_id' and identifiers.identifier = restrictions.account_id
            where restrictions.kind = 'fincrime_hold' and restrictions.status = 'open' and restrictions.ends_at is null
            order by 1 limit 1
            """
        ).fetchone()[0]
        staged = connection.execute(
            "select min(offers.person_id) from decisions.staged_offers as offers inner join decisions.ledger using (decision_id) "
            "where is_promotion"
        ).fetchone()[0]
        connection.execute("update identity.person_identifiers set person_id = ? where person_id = ?", [staged, wrongly_merged])
    error, codes = _refused(copied)
    assert "FC_RESTRICTED_HOLD" in codes
    assert "FC_RESTRICTED_HOLD" not in str(error)
    assert set(_violations(copied)["person_id"]) == {staged}


# What somebody could do to decisions.staged_offers by hand, and the code that names it.
BY_HAND = {
    "an offer for a held-out person": (
        "insert into decisions.staged_offers select * replace ('d-by-hand' as decision_id, (select min(person_id) from state.arms "
        "where arm = 'held_out') as person_id) from decisions.staged_offers order by decision_id limit 1",
        "ROW_HELD_OUT",
    ),
    "the same decision twice": (
        "insert into decisions.staged_offers select * from decisions.kept where {one}",
        "ROW_TWICE",
    ),
    "a person nobody knows": ("update decisions.staged_offers set person_id = 'p-nobody' where {one}", "ROW_UNKNOWN_PERSON"),
    "another text": ("update decisions.staged_offers set title = 'Guaranteed 40 % a year' where {one}", "ROW_TEXT_CHANGED"),
    "an offer that outlives its end": (
        "update decisions.staged_offers set valid_until = valid_until + interval 400 day where {one}",
        "OFFER_OUTLIVES_END",
    ),
    "an offer the catalogue does not have": (
        "update decisions.staged_offers set offer_id = 'o-by-hand' where {one}",
        "ROW_UNKNOWN_OFFER",
    ),
}


def test_rows_put_among_the_staged_offers_by_hand_are_refused_before_and_after_the_audit(copied: Shop) -> None:
    one = "decision_id = (select min(decision_id) from decisions.staged_offers)"
    with warehouse.connect(copied.settings) as connection:
        connection.execute("create table decisions.kept as from decisions.staged_offers")
    for case, (sql, _) in BY_HAND.items():
        with warehouse.connect(copied.settings) as connection:
            connection.execute("delete from decisions.staged_offers")
            connection.execute("insert into decisions.staged_offers from decisions.kept")
            connection.execute(sql.format(one=one))
        serving = fingerprint.serving_store(copied.store)
        _skip_gate(copied)
        # after the audit: the verdict that stands is about other rows
        with pytest.raises(AuditFailed, match=r"audited|staged|saw"):
            pipeline.run_stage("publish", DAY, copied.settings)
        assert fingerprint.serving_store(copied.store) == serving, case
    # before the audit: it names what it found
    for case, (sql, code) in BY_HAND.items():
        with warehouse.connect(copied.settings) as connection:
            connection.execute("delete from decisions.staged_offers")
            connection.execute("insert into decisions.staged_offers from decisions.kept")
            connection.execute(sql.format(one=one))
        with pytest.raises(AuditFailed):
            pipeline.run_stage("audit", DAY, copied.settings)
        assert code in set(_violations(copied)["code"]), case
