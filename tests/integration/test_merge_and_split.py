"""Two people merged by mistake and parted again stand as if they had never been merged: consents, compliance state, eligibility, keys."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from candor import pipeline
from candor.settings import PROJECT_ROOT, Settings
from candor.warehouse import connect
from tests.integration.conftest import DAY, settings_at

PEOPLE, DAYS, SEED = 300, 30, 11
FIRST, SECOND, THIRD = (DAY - timedelta(days=days) for days in (2, 1, 0))


def to_eligibility(as_of: datetime, settings: Settings) -> None:
    """A day up to eligibility, without the gates: a shop this small is implausible, and this is not about gates."""
    for stage in pipeline.STAGES[: pipeline.NAMES.index("eligibility") + 1]:
        if not stage.name.startswith("gate_"):
            for path, *arguments in stage.calls:
                module, _, function = path.partition(":")
                getattr(importlib.import_module(module), function)(*arguments, as_of=as_of, settings=settings)


def standing(settings: Settings) -> dict[str, list[tuple]]:
    """Every row of who is who and who may see what, in both databases, order aside; what names the run left out."""
    found = {}
    with connect(settings, restricted=True) as connection:
        tables = connection.execute(
            "select database_name, schema_name, table_name from duckdb_tables() "
            "where schema_name in ('eligibility', 'identity') order by all"
        ).fetchall()
        for database, schema, table in tables:
            # What identity remembers of a batch numbers families in the order in which they came.
            # Since which batch an identifier is somebody's, and what became of the other key, tell of the detour, as they must.
            if (schema, table) in {("identity", "person_aliases")} or table.startswith("memory_"):
                continue
            left_out = "('run_id', 'policy_version', 'first_batch_seq')"
            query = f'select columns(name -> name not in {left_out}) from "{database}"."{schema}"."{table}" order by all'
            rows = connection.execute(query).fetchall()
            found[f"{database}.{schema}.{table}"] = rows
    return found


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from simulation import generate

    base = tmp_path_factory.mktemp("small-shop")
    generate(people=PEOPLE, days=DAYS, seed=SEED, landing=base / "landing", truth=base / "truth", ends_at=DAY)
    return base / "landing"


@pytest.fixture
def with_overrides(tmp_path: Path) -> Callable[[Settings, str], Settings]:
    """The same settings under a policy that decides this about who is who."""

    def of(settings: Settings, *rows: str) -> Settings:
        folder = tmp_path / f"policy-{abs(hash(rows))}"
        if not folder.exists():
            shutil.copytree(PROJECT_ROOT / "policy", folder)
            listed = "".join(f"\n- {row}" for row in rows) or " []"
            (folder / "identity_overrides.yml").write_text(f"schema: identity-overrides/1\noverrides:{listed}\n")
        return replace(settings, policy_dir=folder)

    return of


def test_merge_then_split_gives_the_consent_compliance_and_eligibility_of_never_merged(landed, tmp_path, with_overrides):
    never, merged = settings_at(tmp_path / "never", landed), settings_at(tmp_path / "merged", landed)
    to_eligibility(FIRST, never)
    shutil.copytree(tmp_path / "never", tmp_path / "merged")
    with connect(never, restricted=True) as connection:
        # A customer who may be told by e-mail, and somebody the CRM knows who said no: merged, the no holds for both.
        one = connection.execute(
            "select min(account_id) from core.person_accounts inner join vault.eligibility.person_facts using (person_id) "
            "where u_consent_email = 'granted' and u_kyc_tier = 2"
        ).fetchall()[0][0]
        other = connection.execute(
            "select min(contact_id) from core.person_contacts inner join vault.eligibility.person_facts using (person_id) "
            "where u_consent_email in ('withdrawn', 'denied') "
            "and not exists (select 1 from core.person_accounts as a where a.person_id = person_contacts.person_id)"
        ).fetchall()[0][0]
    assert one
    assert other
    pair = f"one: account_id/{one}, other: contact_id/{other}, owner: data, reason: a test"
    link = f"{{action: link, {pair}, since: {FIRST.isoformat()}, until: {(FIRST + timedelta(days=30)).isoformat()}}}"

    to_eligibility(SECOND, never)
    to_eligibility(SECOND, with_overrides(merged, link))
    with connect(merged, restricted=True) as connection:
        together = connection.execute(
            "select distinct person_id, u_consent_email, u_kyc_tier from vault.eligibility.person_facts where person_id in "
            "(select person_id from identity.person_identifiers where identifier in (?, ?))",
            [one, other],
        ).fetchall()
    assert [(consent in ("withdrawn", "denied"), tier) for _, consent, tier in together] == [(True, 2)]

    to_eligibility(THIRD, never)
    to_eligibility(THIRD, with_overrides(merged))
    expected, found = standing(never), standing(merged)
    assert expected.keys() == found.keys()
    assert len(expected) > 25
    assert [name for name in expected if expected[name] != found[name]] == []
    with connect(merged) as connection:
        told = connection.execute("select event, evidence, batch_seq from state.identity_changes order by all").fetchall()
    assert [event for event in told if event[1] == "operator"] == [("merge", "operator", 2)]
    assert ("split", "evidence_withdrawn", 3) in told
