"""A warehouse small enough to read: what publishing finds when a run was decided and audited."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from candor import publishing, runs, warehouse
from candor.settings import PROJECT_ROOT, Settings

MONDAY = datetime(2026, 11, 23, 15, tzinfo=UTC)
TUESDAY = MONDAY + timedelta(days=1)

TABLES = """
create schema if not exists staging; create schema if not exists identity; create schema if not exists core;
create schema if not exists decisions; create schema if not exists eligibility;
create or replace table staging.stg_exchange__accounts (account_id varchar, email varchar, email_std varchar);
create or replace table staging.stg_crm__contacts (contact_id varchar, email varchar, email_std varchar);
create or replace table identity.person_identifiers (identifier_kind varchar, identifier varchar, person_id varchar);
create or replace table identity.person_aliases (person_id varchar, surviving_person_id varchar);
create or replace table eligibility.exclusion_counts (code varchar, grain varchar, people bigint, pairs bigint);
create or replace table decisions.ledger (
    decision_id varchar, run_id varchar, person_id varchar, channel varchar, offer_id varchar, arm varchar, rank integer, slot integer,
    is_chosen boolean
);
create or replace table decisions.staged_offers (
    decision_id varchar, run_id varchar, person_id varchar, channel varchar, market varchar, segment varchar, slot integer,
    rank integer, offer_id varchar, offer_version bigint, creative_id varchar, locale varchar, title varchar, body varchar,
    reason_text varchar, disclosures varchar, arm varchar, valid_from timestamp, valid_until timestamp, send_after timestamp,
    send_before timestamp, model_version varchar, policy_version varchar
);
create schema if not exists vault.eligibility;
create or replace table vault.eligibility.person_hits (person_id varchar, code varchar);
create or replace table vault.eligibility.facts (person_id varchar);
insert into vault.eligibility.person_hits values ('bob', 'FC_HOLD'), ('ann', 'AGE_UNDER_18');
insert into staging.stg_exchange__accounts values ('acc_ann', ' A.nn@Gmail.com', 'ann@gmail.com');
insert into identity.person_identifiers values
    ('account_id', 'acc_ann', 'ann'), ('email', 'ann@gmail.com', 'ann'), ('phone', '+15550001', 'ann'), ('wallet', '0xab', 'bob');
insert into identity.person_aliases values ('old_ann', 'ann');
insert into eligibility.exclusion_counts values ('ELIG_NA', 'person', 1, 4), ('KYC_EXPIRED', 'person', 2, 9);
"""

PEOPLE = ("ann", "bob", "cem", "dan")


class Shop:
    """A state folder in which runs can be staged and published."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def stage(self, as_of: datetime = MONDAY, *, people=PEOPLE, held_out=("eve",), title="Learn", passed=True, extra="") -> str:
        """Decide a run by hand, with the audit and the gate that allow it; gives its run_id."""
        with warehouse.connect(self.settings, restricted=True) as connection:
            runs.prepare(connection)
            connection.execute(
                "insert into state.deliveries select 'crm.consents/2026-11-23T120000Z@aaaaaaaaaaaa', 'crm', 'consents', "
                "'2026-11-23T120000Z', timestamp '2026-11-23 12:00:00', 'a', 1, 1, 1, 0, true, null, null, 's' "
                "where not exists (select 1 from state.deliveries)"
            )
            run = runs.pin(connection, as_of, policy_version="p1")
            connection.execute(TABLES)
            connection.execute(
                "insert into state.key_map select p, 'email', p || '@x.org', 1 from (select unnest(?) as p) "
                "where not exists (select 1 from state.key_map)",
                [list(PEOPLE)],
            )
            for person, arm in [(p, "treated") for p in people] + [(p, "held_out") for p in held_out]:
                for slot in (1, 2):
                    decision = f"d-{run.run_id}-{person}-{slot}"
                    connection.execute(
                        "insert into decisions.ledger values (?, ?, ?, 'web', ?, ?, ?, ?, ?)",
                        [decision, run.run_id, person, f"offer{slot}", arm, slot, slot, True],
                    )
                    if arm == "treated":
                        connection.execute(
                            "insert into decisions.staged_offers values (?, ?, ?, 'web', 'GB', 's', ?, ?, ?, 1, 'cr', 'en', ?, 'Body', "
                            "'Why', '[]', 'treated', timestamp '2000-01-01', timestamp '2099-01-01', null, null, 'm1', 'p1')",
                            [decision, run.run_id, person, slot, slot, f"offer{slot}", title],
                        )
            if extra:
                connection.execute(extra)
        self.allow(run, passed=passed)
        return run.run_id

    def allow(self, run, *, passed=True, violations=0) -> None:
        """Write the audit's and the gate's verdict on what is staged."""
        with warehouse.connect(self.settings) as connection:
            rows = connection.execute("select count(*) from decisions.staged_offers").fetchone()[0]
            verdict = {
                "run_id": run.run_id,
                "rows_audited": rows,
                "violations": violations,
                "staged_hash": publishing.staged_hash(connection),
                "policy_version": "p1",
            }
        folder = runs.report_dir(self.settings, run)
        runs.write_json(folder / "audit.json", verdict)
        runs.write_json(folder / "gates" / "served.json", {"passed": passed})

    def read(self, sql: str, *parameters):
        """What a channel reads, by Python's own sqlite3."""
        import sqlite3

        connection = sqlite3.connect(self.settings.serving_url.removeprefix("sqlite:///"))
        try:
            return connection.execute(sql, parameters).fetchall()
        finally:
            connection.close()

    def write(self, sql: str, *parameters) -> None:
        import sqlite3

        connection = sqlite3.connect(self.settings.serving_url.removeprefix("sqlite:///"))
        try:
            with connection:
                connection.execute(sql, parameters)
        finally:
            connection.close()

    def live(self) -> dict[str, int]:
        """Live offers per person."""
        return dict(self.read("select person_id, count(*) from live_offers group by person_id order by person_id"))

    def audit(self, run_id: str) -> dict:
        return json.loads((self.settings.reports_dir / run_id / "audit.json").read_text())


def make_settings(folder) -> Settings:
    return Settings(
        state_dir=folder,
        landing_dir=folder / "landing",
        policy_dir=PROJECT_ROOT / "policy",
        serving_url=f"sqlite:///{folder / 'serving' / 'offers.sqlite'}",
        mlflow_tracking_uri="",
        hash_key="k" * 64,
        threads=2,
        memory_limit="1GB",
        shop="crypto",
    )


@pytest.fixture
def shop(tmp_path) -> Shop:
    return Shop(make_settings(tmp_path))


@pytest.fixture
def make_shop(tmp_path):
    return lambda name: Shop(make_settings(tmp_path / name))


@pytest.fixture
def monday() -> datetime:
    return MONDAY


@pytest.fixture
def tuesday() -> datetime:
    return TUESDAY
