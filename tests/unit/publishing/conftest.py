"""A warehouse small enough to read: what publishing finds when a run was decided and audited."""

import json
import shutil
from datetime import UTC, datetime, timedelta

import pytest

from benchmarks import channel
from candor import publishing, runs, warehouse
from candor.identity import keys
from candor.settings import PROJECT_ROOT, Settings

MONDAY = datetime(2026, 11, 23, 15, tzinfo=UTC)
TUESDAY = MONDAY + timedelta(days=1)

TABLES = """
create schema if not exists staging; create schema if not exists identity; create schema if not exists core;
create schema if not exists decisions; create schema if not exists eligibility;
create or replace table staging.stg_exchange__accounts (account_id varchar, email varchar, email_std varchar);
create or replace table staging.stg_crm__contacts (contact_id varchar, email varchar, email_std varchar);
create or replace table identity.person_identifiers (
    identifier_kind varchar, identifier varchar, person_id varchar, first_batch_seq bigint default 1, evidence_rank tinyint default 0,
    linked_at timestamp
);
create or replace table identity.evidence_classes as
    select * from (values (5, false), (10, true)) as classes (evidence_rank, is_weak);
create or replace table identity.persons (
    person_id varchar, identifiers bigint, weakest_evidence varchar, weakest_evidence_rank tinyint, match_probability double,
    linked_at timestamp
);
create or replace table identity.edges (
    identifier_kind varchar, identifier varchar, other_kind varchar, other_identifier varchar, evidence varchar, evidence_rank integer,
    first_known_at timestamp
);
create or replace table identity.dropped_edges (
    identifier_kind varchar, identifier varchar, other_kind varchar, other_identifier varchar, evidence varchar, evidence_rank integer,
    reason varchar, first_known_at timestamp
);
create or replace table identity.person_aliases (person_id varchar, surviving_person_id varchar);
create or replace table core.hygiene_shares (
    source varchar, landed_rows bigint, duplicated_rows bigint, superseded_rows bigint, expired_values bigint,
    share_duplicated_or_outdated double
);
create schema if not exists hygiene; create schema if not exists raw;
create or replace table hygiene.trends (metric varchar, source varchar, table_name varchar, key varchar, earlier_values double[]);
create or replace table core.hygiene_trends as from hygiene.trends;
create or replace table raw.silos (feed varchar, state varchar);
create or replace table eligibility.offers_withheld (source varchar, table_name varchar, offer_id varchar, code varchar);
create or replace table eligibility.exclusion_counts (code varchar, grain varchar, people bigint, pairs bigint);
create or replace table decisions.ledger (
    decision_id varchar, run_id varchar, person_id varchar, channel varchar, offer_id varchar, arm varchar, rank integer, slot integer,
    product_line varchar,
    is_chosen boolean, is_promotion boolean, not_chosen_reason varchar, offer_version bigint default 1, locale varchar default 'en-GB'
);
create or replace table decisions.scores (person_id varchar, offer_id varchar, offer_version bigint, channel varchar, gain double);
create or replace table decisions.explanations (decision_id varchar, reason_text varchar, drivers varchar[], effects double[]);
create or replace table decisions.shadow_prices (
    what varchar, offer_id varchar, limit_units decimal(18, 6), used_before bigint, given decimal(18, 6), price_usd double
);
create schema if not exists policy;
create or replace table policy.creative_findings (offer_id varchar, finding varchar);
create or replace table core.market_states (bar_end timestamp, vol_rank integer);
create or replace table decisions.staged_offers (
    decision_id varchar, run_id varchar, person_id varchar, channel varchar, market varchar, segment varchar, slot integer,
    rank integer, offer_id varchar, offer_version bigint, creative_id varchar, locale varchar, title varchar, body varchar,
    reason_text varchar, disclosures varchar, arm varchar, valid_from timestamp, valid_until timestamp, send_after timestamp,
    send_before timestamp, model_version varchar, policy_version varchar
);
create schema if not exists vault.eligibility;
-- Nobody's business: only what the ledger names is published.
create or replace table vault.eligibility.other_hits (person_id varchar, code varchar);
create or replace table vault.eligibility.facts (person_id varchar);
create schema if not exists policy;
create or replace table raw.feeds (source varchar, table_name varchar, known_whole_at timestamp);
create or replace table policy.facts (fact varchar, visibility varchar, max_age_hours integer, sources varchar[]);
create or replace table policy.rulebook (code varchar, rule_id varchar, v integer);
create or replace table policy.texts (otherwise varchar);
create or replace table policy.drivers (
    driver varchar, sensitivity integer, needs_feature varchar, at_least double, without struct(feature varchar, value double)[],
    words struct(language varchar, clause varchar)[]
);
insert into policy.drivers values
    ('looked_around', 0, 'product_views_last_30_days', 1, [{'feature': 'product_views_last_30_days', 'value': 0.0}], []),
    ('line_used', 2, 'line_ever_used', 1, [{'feature': 'line_ever_used', 'value': 0.0}], []);
create or replace table staging.stg_catalogue__offers (row_hash uuid);
create or replace table staging.stg_catalogue__creatives as from staging.stg_catalogue__offers;
create or replace table staging.stg_catalogue__approvals as from staging.stg_catalogue__offers;
create or replace table eligibility.offer_classes (offer_class varchar, o_is_promotion boolean);
create or replace table eligibility.offer_facts (
    creative_id varchar, offer_id varchar, offer_version bigint, product_line varchar, channel varchar, c_channel varchar,
    o_is_promotion boolean, o_incentive varchar, offer_class varchar
);
create or replace table eligibility.creative_choices (language varchar, offer_id varchar, channel varchar, creative_id varchar, locale varchar);
create or replace table eligibility.market_state (observed_at timestamp, c_vol_rank integer);
create or replace table vault.eligibility.person_facts (
    person_id varchar, market varchar, language varchar, place_id varchar, u_embargo boolean, d_age integer
);
create or replace table vault.eligibility.person_channel_facts (person_id varchar, rule_channel varchar, d_channel_ok boolean);
create or replace table vault.eligibility.person_product_facts (person_id varchar, product_line varchar, u_approp varchar);
create or replace table vault.eligibility.offer_place_facts (creative_id varchar, place_id varchar, d_perm_missing bigint);
create or replace table vault.eligibility.fact_observations (
    fact varchar, max_age_hours integer, observed_at timestamp, is_fresh boolean
);
create or replace table vault.eligibility.user_hits (
    person_id varchar, is_promotion boolean, rule_id varchar, v integer, effect varchar, visibility varchar, code varchar, penalty_bp integer,
    facts varchar
);
create or replace table vault.eligibility.int_person_product_patterns (person_id varchar, pattern_id bigint);
create or replace table vault.eligibility.int_product_pattern_hits as
    select 0::bigint as pattern_id, '' as offer_class, * exclude (person_id, is_promotion) from vault.eligibility.user_hits;
create or replace table vault.eligibility.user_channel_hits as select *, '' as rule_channel from vault.eligibility.user_hits;
create or replace table vault.eligibility.offer_hits as
    select * exclude (person_id, is_promotion), '' as creative_id from vault.eligibility.user_hits;
create or replace table vault.eligibility.offer_regime_hits as select *, '' as place_id from vault.eligibility.offer_hits;
create or replace table vault.eligibility.pair_hits as
    select * exclude (is_promotion), '' as offer_id, '' as channel from vault.eligibility.user_hits;
insert into policy.facts values ('u_embargo', 'restricted', 24, ['compliance.restrictions']);
insert into vault.eligibility.person_facts values ('ann', 'GB', 'en-GB', 'here', false, 40), ('bob', 'GB', 'en-GB', 'here', true, 41);
insert into vault.eligibility.user_hits values ('bob', null, 'FC-004', 1, 'BLOCK', 'restricted', 'FC_EMBARGO', 0, '');
insert into eligibility.offer_classes values ('spot:true', true), ('education:false', false);
insert into staging.stg_exchange__accounts values ('acc_ann', ' A.nn@Gmail.com', 'ann@gmail.com');
insert into identity.person_identifiers (identifier_kind, identifier, person_id) values
    ('account_id', 'acc_ann', 'ann'), ('email', 'ann@gmail.com', 'ann'), ('phone', '+15550001', 'ann'), ('wallet', '0xab', 'bob');
insert into identity.person_aliases values ('old_ann', 'ann');
insert into eligibility.exclusion_counts values ('ELIG_NA', 'person', 1, 4), ('KYC_EXPIRED', 'person', 2, 9);
"""

PEOPLE = ("ann", "bob", "cem", "dan")


class Shop:
    """A state folder in which runs can be staged and published."""

    def __init__(self, settings: Settings, make_store=None, policy_version: str = "p1") -> None:
        self.settings = settings
        self.policy_version = policy_version
        self.make_store = make_store

    def stage(self, as_of: datetime = MONDAY, *, people=PEOPLE, held_out=("eve",), title="Learn", passed=True, extra="") -> str:
        """Decide a run by hand, with the audit and the gate that allow it; gives its run_id."""
        with warehouse.connect(self.settings, restricted=True) as connection:
            runs.prepare(connection)
            connection.execute(
                "insert into state.deliveries select 'crm.consents/2026-11-23T120000Z@aaaaaaaaaaaa', 'crm', 'consents', "
                "'2026-11-23T120000Z', timestamp '2026-11-23 12:00:00', 'a', 1, 1, 1, 0, true, null, null, 's' "
                "where not exists (select 1 from state.deliveries)"
            )
            run = runs.pin(connection, as_of, policy_version=self.policy_version)
            connection.execute(TABLES)
            keys.prepare(connection)
            connection.execute(
                "insert into state.key_map (person_id, identifier_kind, identifier, batch_seq) "
                "select p, 'email', p || '@x.org', 1 from (select unnest(?) as p) "
                "where not exists (select 1 from state.key_map)",
                [list(PEOPLE)],
            )
            connection.execute(
                """
                insert into decisions.ledger
                select concat_ws('-', 'd', $run_id, person, slot), $run_id, person, 'web', 'offer' || slot,
                    case when list_contains($held_out, person) then 'held_out' else 'treated' end, slot, slot, 'spot', true, true, null, 1, 'en-GB'
                from (select unnest($people::varchar[] || $held_out::varchar[]) as person) cross join (values (1), (2)) as slots (slot)
                """,
                {"run_id": run.run_id, "people": list(people), "held_out": list(held_out)},
            )
            connection.execute(
                """
                insert into decisions.staged_offers
                select decision_id, run_id, person_id, channel, 'GB', 's', slot, rank, offer_id, 1, 'cr', 'en', ?, 'Body', 'Why', '[]', arm,
                    timestamp '2000-01-01', timestamp '2099-01-01', null, null, 'm1', 'p1'
                from decisions.ledger where arm = 'treated'
                """,
                [title],
            )
            connection.execute(
                """
                insert into decisions.scores select person_id, offer_id, offer_version, channel, 0.03 from decisions.ledger;
                insert into decisions.explanations
                select decision_id, reason_text, ['looked_around', 'line_used'], [0.011, 0.002] from decisions.staged_offers
                """
            )
            if extra:
                connection.execute(extra)
        self.allow(run, passed=passed)
        return run.run_id

    def copy(self, folder) -> "Shop":
        """Another shop in the same state."""
        shutil.copytree(self.settings.state_dir, folder)
        return Shop(make_settings(folder, self.make_store(folder, self.settings.serving_url)), self.make_store)

    def allow(self, run, *, passed=True, violations=0) -> None:
        """Write the audit's and the gate's verdict on what is staged."""
        with warehouse.connect(self.settings) as connection:
            rows = connection.execute("select count(*) from decisions.staged_offers").fetchone()[0]
            verdict = {
                "run_id": run.run_id,
                "rows_audited": rows,
                "violations": violations,
                "staged_hash": publishing.staged_hash(connection),
                "policy_version": self.policy_version,
            }
        folder = runs.report_dir(self.settings, run)
        runs.write_json(folder / "audit.json", verdict)
        runs.write_json(folder / "gates" / "served.json", {"passed": passed})

    @property
    def on_sqlite(self) -> bool:
        return self.settings.serving_url.startswith("sqlite")

    def read(self, sql: str, *parameters):
        """What a channel reads, by Python's own sqlite3 or psycopg."""
        with channel.read(self.settings.serving_url) as reader:
            return reader.rows(sql, *parameters)

    def write(self, sql: str, *parameters) -> None:
        with channel.read(self.settings.serving_url, writable=True) as writer:
            writer.write(sql, *parameters)

    def live(self) -> dict[str, int]:
        """Live offers per person."""
        return dict(self.read("select person_id, count(*) from live_offers group by person_id order by person_id"))

    def audit(self, run_id: str) -> dict:
        return json.loads((self.settings.reports_dir / run_id / "audit.json").read_text())


def make_settings(folder, serving_url) -> Settings:
    return Settings(
        state_dir=folder,
        landing_dir=folder / "landing",
        policy_dir=PROJECT_ROOT / "policy",
        serving_url=serving_url,
        mlflow_tracking_uri="",
        hash_key="k" * 64,
        threads=2,
        memory_limit="1GB",
        shop="crypto",
    )


@pytest.fixture
def shop(tmp_path, make_store) -> Shop:
    return Shop(make_settings(tmp_path, make_store(tmp_path)), make_store)


@pytest.fixture
def any_shop(tmp_path) -> Shop:
    """For what does not depend on the kind of store."""
    return Shop(make_settings(tmp_path, f"sqlite:///{tmp_path / 'serving' / 'offers.sqlite'}"))


def sqlite_store(folder, like=None) -> str:
    """The address of a store in a file of the folder."""
    return f"sqlite:///{folder / 'serving' / 'offers.sqlite'}"


def two_published_days(folder) -> Shop:
    """A shop that has published Monday and Tuesday to SQLite. Not to be changed: copy it."""
    shop = Shop(make_settings(folder, sqlite_store(folder)), sqlite_store)
    for day in (MONDAY, TUESDAY):
        shop.stage(day)
        publishing.run(day, shop.settings)
    return shop


@pytest.fixture(scope="module")
def between_runs(tmp_path_factory, make_store) -> Shop:
    """Monday is live, Tuesday is allowed out. Not to be published from: copy it."""
    folder = tmp_path_factory.mktemp("between")
    shop = Shop(make_settings(folder, make_store(folder)), make_store)
    shop.stage(MONDAY, title="Monday")
    publishing.run(MONDAY, shop.settings)
    shop.stage(TUESDAY, title="Tuesday", people=("ann", "cem", "new"))
    return shop


@pytest.fixture(scope="module")
def undisturbed(between_runs, tmp_path_factory) -> Shop:
    """What publishing Tuesday gives when nobody interferes."""
    shop = between_runs.copy(tmp_path_factory.mktemp("undisturbed") / "state")
    publishing.run(TUESDAY, shop.settings)
    return shop


@pytest.fixture
def disturbed(between_runs, tmp_path) -> Shop:
    """The same state, to be disturbed."""
    return between_runs.copy(tmp_path / "state")


@pytest.fixture
def monday() -> datetime:
    return MONDAY


@pytest.fixture
def tuesday() -> datetime:
    return TUESDAY
