"""What the switches of candor.cleaning do to the models, through the switch itself: a marked copy built under target `reduced`."""

from __future__ import annotations

import importlib.util
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from candor import cleaning, policy, runs, transform
from candor import settings as settings_module
from candor.errors import BuildFailed
from candor.warehouse import connect

AS_OF = datetime(2026, 11, 23, 15, tzinfo=UTC)


def _rows(connection: duckdb.DuckDBPyConnection) -> None:
    """An account in two versions, its events (one came twice, one is a dead session, one a robot's, one of tomorrow), a trade booked again
    under another id, an assignment delivered twice; and a test account with a trade."""
    connection.execute(
        """
        insert into raw.exchange__accounts by name
        select account_id, email, phone, full_name, birth_date, is_test,
            timestamp '2026-01-01' + to_days(version) as source_updated_at, timestamp '2025-01-01' as created_at,
            md5(account_id || version)::uuid as _row_hash, timestamp '2026-02-01' as _extracted_at, false as _is_superseded
        from (values
            ('ada', ' Ada@X.Example ', '+44 7712 345678', 'Lovelace, Ada', date '1970-01-01', false, 1),
            ('ada', ' Ada@X.Example ', '+44 7712 345678', 'Lovelace, Ada', date '1970-01-01', false, 2),
            ('qa', 'qa+1@x.example', null, 'Q A', null, true, 1)
        ) as rows (account_id, email, phone, full_name, birth_date, is_test, version);

        insert into raw.events__events by name
        select event_id, name as event_name, 'web' as channel, 'ada' as account_id, session as session_id, user_agent,
            timestamp '2026-11-01' + to_hours(place) as occurred_at, timestamp '2026-11-01' + to_hours(place) as received_at,
            md5(event_id || place)::uuid as _row_hash, timestamp '2026-11-20' as _extracted_at, false as _is_superseded
        from (values
            ('visit', 'login', 's1', 'Mozilla/5.0', 1), ('visit', 'login', 's1', 'Mozilla/5.0', 2),
            ('dead', 'session_start', 's2', 'Mozilla/5.0', 3),
            ('bot', 'login', 's3', 'Somebot/1.0', 4),
            ('future', 'login', 's4', 'Mozilla/5.0', 999)
        ) as rows (event_id, name, session, user_agent, place);

        insert into raw.exchange__trades by name
        select trade_id, account_id, 'spot' as product_line, 'BTC' as asset, 'buy' as side, 1 as quantity, 10 as amount_usd,
            timestamp '2026-11-01' as traded_at, md5(trade_id)::uuid as _row_hash, timestamp '2026-11-20' as _extracted_at,
            false as _is_superseded
        from (values ('t1', 'ada'), ('t1_again', 'ada'), ('tq', 'qa')) as rows (trade_id, account_id);

        insert into raw.catalogue__past_assignments by name
        select 'as1' as assignment_id, 'ada' as account_id, 'o' as offer_id, 1 as offer_version, 'web' as channel, 'shown' as arm,
            timestamp '2026-11-01' as assigned_at, md5('as1')::uuid as _row_hash, timestamp '2026-11-02' as _extracted_at,
            false as _is_superseded
        from range(2);

        insert into identity.person_identifiers (identifier_kind, identifier, person_id, first_batch_seq) values
            ('account_id', 'ada', 'p_ada', 1), ('account_id', 'qa', 'p_qa', 1);
        insert into state.user_agents by name
        select 'Somebot/1.0' as user_agent, true as is_declared, false as is_headless, true as is_no_browser, 'words' as rule, 'test' as said_by;
        """
    )


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> settings_module.Settings:
    """A warehouse with a handful of raw rows, whose staging and identity models all stand."""
    path = Path(__file__).parent / "empty_warehouse.py"
    spec = importlib.util.spec_from_file_location("empty_warehouse", path)
    empty_warehouse = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(empty_warehouse)
    loaded = settings_module.load({"CANDOR_STATE_DIR": str(tmp_path_factory.mktemp("reduced") / "var")})
    empty_warehouse.make(loaded)
    with connect(loaded, restricted=True) as connection:
        connection.execute(
            "insert into state.deliveries values "
            "('d', 's', 't', 'x', timestamp '2026-11-23', 'h', 1, 0, 0, 0, true, null, null, 'segment')"
        )
        run = runs.pin(connection, AS_OF, policy_version=policy.snapshot(loaded))
        policy.install(connection, loaded, run)
        _rows(connection)
    variables = {"as_of": "2026-11-23 15:00:00", "run_id": run.run_id, "batch_seq": run.batch_seq}
    transform.build_for_unit_tests(loaded, layers=("staging", "identity"), variables=variables)
    return loaded


@pytest.fixture
def built(shop: settings_module.Settings, tmp_path_factory: pytest.TempPathFactory):
    """A function that builds staging, identity and core.events, core.trades and core.assignments in a reduced copy and reads from it."""
    folder = tmp_path_factory.getbasetemp() / "reduced-copy"

    def build(query: str, **reduced: object) -> list[tuple]:
        copied = cleaning.copy(shop, folder, cleaning.Cleaning(**reduced))
        transform.build_models(("path:models/staging", "path:models/identity"), AS_OF, copied, target="reduced")
        core = ("+events,path:models/core", "+trades,path:models/core", "+assignments,path:models/core")
        transform.build_models(core, AS_OF, copied, target="reduced")
        with connect(copied, restricted=True) as connection:
            return connection.execute(query).fetchall()

    return build


def test_with_everything_on_the_reduced_target_cleans_as_ever_and_whole_rows_stay_beside(built) -> None:
    both = built(
        """
        select (select list(event_id order by event_id) from reduced_core.events),
            (select list(trade_id order by trade_id) from reduced_core.trades),
            (select email_std from reduced_staging.stg_exchange__accounts where account_id = 'ada'),
            (select count(*) from staging.stg_exchange__accounts)
        """
    )
    assert both == [(["visit"], ["t1"], "ada@x.example", 2)]


def test_a_withheld_silo_is_gone_from_identity_and_core_and_stays_whole_in_staging(built) -> None:
    found = built(
        """
        select (select count(*) from reduced_staging.stg_exchange__accounts), (select count(*) from reduced_core.trades),
            (select list(event_id order by event_id) from reduced_core.events),
            (select count(*) from identity.int_identifier_pairs_observed where identifier_kind = 'account_id' and other_kind = 'email'),
            (select count(*) from staging.stg_exchange__accounts), (select count(*) from staging.stg_exchange__trades)
        """,
        withheld=frozenset({"exchange"}),
    )
    assert found == [(0, 0, ["visit"], 0, 2, 3)]


def test_duplicates_that_stay_are_used_as_often_as_they_came_but_reference_data_is_always_clean(built) -> None:
    found = built(
        """
        select (select list(event_id order by event_id) from reduced_core.events),
            (select list(trade_id order by trade_id) from reduced_core.trades),
            (select count(*) from reduced_staging.stg_exchange__accounts where account_id = 'ada'),
            (select count(*) from reduced_staging.stg_catalogue__past_assignments)
        """,
        removes_duplicates=False,
    )
    assert found == [(["visit", "visit"], ["t1", "t1_again"], 2, 1)]


def test_noise_that_stays_is_used_but_not_what_is_nobodys_or_not_yet_due(built) -> None:
    found = built(
        """
        select (select list(event_id order by event_id) from reduced_core.events),
            (select list(trade_id order by trade_id) from reduced_core.trades),
            (select count(*) from reduced_core.person_accounts where is_test)
        """,
        removes_noise=False,
    )
    assert found == [(["bot", "dead", "visit"], ["t1", "tq"], 0)]


def test_values_that_are_not_standardised_are_trimmed_and_all_believed(built) -> None:
    found = built(
        """
        select email_std, email_valid, phone_std, phone_valid, name_std, birth_date_std::varchar
        from reduced_staging.stg_exchange__accounts where account_id = 'ada'
        """,
        standardises=False,
    )
    assert found == [("Ada@X.Example", True, "+44 7712 345678", True, "Lovelace, Ada", "1970-01-01")]


def test_under_any_other_target_even_a_marked_copy_is_built_whole(shop: settings_module.Settings, tmp_path: Path) -> None:
    less = cleaning.Cleaning(frozenset({"exchange"}), removes_duplicates=False, removes_noise=False, standardises=False)
    copied = cleaning.copy(shop, tmp_path / "copy", less)
    transform.build_models(("stg_exchange__accounts", "stg_exchange__trades"), AS_OF, copied, target="open")
    with connect(copied) as connection:
        assert connection.execute("select count(*) from staging.stg_exchange__trades").fetchall() == [(3,)]
        assert connection.execute(
            "select email_std from staging.stg_exchange__accounts where account_id = 'ada'"
        ).fetchall() == [("ada@x.example",)]


def test_target_reduced_builds_nothing_in_a_warehouse_that_is_no_copy(shop: settings_module.Settings) -> None:
    with pytest.raises(BuildFailed, match=r"no state\.reduced_cleaning"):
        transform.build_models(("stg_exchange__accounts",), AS_OF, shop, target="reduced")
    with connect(shop) as connection:
        assert connection.execute("select count(*) from duckdb_tables() where schema_name like 'reduced%'").fetchall() == [(0,)]
