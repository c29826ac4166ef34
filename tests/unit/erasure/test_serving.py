"""Erasing in the serving store, of both kinds: the person's rows and their bytes go, everybody else's stay and are live."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from benchmarks import channel
from benchmarks.postgres import Server
from candor.erasure import inventory, removing
from candor.errors import CandorError
from candor.publishing import store
from candor.settings import PROJECT_ROOT, Settings
from candor.warehouse import scratch

GONE, STAYS = "p-erased-0123456789", "p-stays-0123456789"


@pytest.fixture
def filled(tmp_path: Path, make_store) -> Settings:
    return filled_store(tmp_path, make_store(tmp_path))


def filled_store(folder: Path, url: str) -> Settings:
    """A store in which two people have a row of every table that knows people."""
    settings = Settings(
        state_dir=folder, landing_dir=folder / "landing", policy_dir=PROJECT_ROOT / "policy", serving_url=url,
        mlflow_tracking_uri="", hash_key="k" * 64, threads=1, memory_limit="1GB", shop="crypto",
    )  # fmt: skip
    store.prepare(settings)
    with store.transaction(settings) as serving:
        serving.execute("insert into runs values ('r1', '2000-01-01T00:00:00Z', '', 1, 2, 2, '', '', '', 1, '', '', null)")
        for person in (GONE, STAYS):
            for number in range(200):
                serving.execute(
                    "insert into offers values (?, 'r1', ?, 'web', 'GB', 's', 1, 1, 'o', 1, 'cr', 'en', 't', 'b', 'r', '[]', 'treated', "
                    "'2000-01-01T00:00:00Z', '2099-01-01T00:00:00Z', null, null, 'm', 'p')",
                    (f"{person}-{number}", person),
                )
            for table in ("person_lookup", "likely_lookup"):
                serving.execute(f"insert into {table} values ('account_id', ?, ?, 'r1', null)", (f"ac-{person}", person))
            serving.execute(
                "insert into suppressions (suppression_id, person_id, channel, reason_kind, since) values (?, ?, 'sms', 'preference', '2000')",
                (f"{person}|sms", person),
            )
    return settings


def erase(settings: Settings, call=removing.from_serving) -> dict[str, int]:
    with scratch(settings) as connection:
        connection.execute("create temp table erased_terms (kind varchar, value varchar)")
        connection.execute("insert into erased_terms values ('person', ?)", [GONE])
        return call(connection, settings)


def data_files(settings: Settings) -> bytes:
    """The bytes of the store's tables: SQLite's files, or those files of PostgreSQL that its tables stand in now."""
    if settings.serving_url.startswith("sqlite"):
        return b"".join(path.read_bytes() for path in (settings.state_dir / "serving").iterdir())
    with psycopg.connect(settings.serving_url, autocommit=True) as server:
        server.execute("checkpoint")
        ((folder,),) = server.execute("show data_directory").fetchall()
        database = server.execute("select oid from pg_database where datname = current_database()").fetchone()
        assert database is not None
    return b"".join(path.read_bytes() for path in Path(folder, "base", str(database[0])).iterdir() if path.is_file())


def test_every_row_of_the_person_goes_and_nobody_elses(filled: Settings) -> None:
    tables = [line.name for line in inventory.SERVING if line.does == "delete"]
    assert erase(filled) == {"serving.offers": 200} | {f"serving.{table}": 1 for table in tables if table != "offers"}
    assert set(erase_counts(filled).values()) == {0}
    with channel.read(filled.serving_url) as reader:
        assert reader.rows("select distinct person_id, count(*) from live_offers group by person_id") == [(STAYS, 200)]
        for table in tables:
            assert {person for (person,) in reader.rows(f"select distinct person_id from {table}")} == {STAYS}


def test_the_bytes_of_the_person_go_as_well_and_a_second_call_finds_nothing(filled: Settings) -> None:
    store.analyse(filled, "offers")  # as publishing does: PostgreSQL notes frequent values of a column beside the table
    before = data_files(filled)
    assert GONE.encode() in before
    assert STAYS.encode() in before
    erase(filled)
    after = data_files(filled)
    assert GONE.encode() not in after
    assert STAYS.encode() in after
    assert set(erase(filled).values()) == {0}


def test_an_account_that_may_not_overwrite_statistics_is_told_so_and_the_rows_are_gone(
    tmp_path: Path, postgres: Server
) -> None:
    url = postgres.database()
    database = url.partition("?")[0].rpartition("/")[2]
    postgres.execute("create role shopkeeper login")
    postgres.execute(f"grant create on database {database} to shopkeeper")
    limited = url.replace("postgres@", "shopkeeper@") + "&options=-csearch_path%3Dshop"
    with psycopg.connect(limited, autocommit=True) as server:
        server.execute("create schema shop")
    settings = filled_store(tmp_path, limited)
    with pytest.raises(CandorError, match=f"shopkeeper does not own the database {database}") as raised:
        erase(settings)
    assert f"alter database {database} owner to shopkeeper" in str(raised.value.hint)
    assert set(erase_counts(settings).values()) == {0}
    postgres.execute(f"alter database {database} owner to shopkeeper")
    assert set(erase(settings).values()) == {0}


def erase_counts(settings: Settings) -> dict[str, int]:
    return erase(settings, removing.count_serving)
