"""What only a server can get wrong: rights, schemas, collations, readers with a transaction open."""

import adbc_driver_postgresql
import psycopg
import pytest

from benchmarks import channel
from candor import publishing
from candor.errors import CandorError
from candor.publishing import dialects, store
from tests.unit.publishing.conftest import Shop, make_settings


@pytest.fixture
def shop(tmp_path, postgres) -> Shop:
    return Shop(make_settings(tmp_path, postgres.database()))


def test_a_reader_with_a_transaction_open_holds_up_no_publication_and_keeps_its_run(shop, monday, tuesday, monkeypatch):
    shop.stage(monday, title="Monday")
    publishing.run(monday, shop.settings)
    monkeypatch.setattr(dialects, "LOCK_TIMEOUT_MS", 2_000)
    shop.stage(tuesday, title="Tuesday")
    titles = "select distinct title from live_offers"
    with channel.read(shop.settings.serving_url) as reader:
        reader.begin()
        assert reader.rows(titles) == [("Monday",)]
        publishing.run(tuesday, shop.settings)
        assert reader.rows(titles) == [("Monday",)]
        reader.end()
        assert reader.rows(titles) == [("Tuesday",)]


def test_a_prepared_store_is_not_altered(shop, monday):
    store.prepare(shop.settings)
    definitions = "select oid, relname, relfilenode, xmin::text from pg_class where relnamespace = current_schema()::text::regnamespace order by 1"
    before = shop.read(definitions)
    store.prepare(shop.settings)
    assert shop.read(definitions) == before
    assert len(before) >= len(store.NAMES)


def test_a_channel_reads_offers_and_never_suppressions(shop, postgres, monday):
    shop.stage()
    publishing.run(monday, shop.settings)
    url = shop.settings.serving_url
    role = f"channel_{url.partition('?')[0].rpartition('/')[2]}"
    for statement in (f"create role {role} login", f"grant select on live_offers, person_lookup to {role}"):
        shop.write(statement)
    shop.write(
        "insert into suppressions (suppression_id, person_id, reason_kind, since) values ('s', 'ann', 'preference', '2020')"
    )
    with channel.read(url.replace("postgres@", f"{role}@")) as reader:
        assert reader.rows("select count(*), count(distinct person_id) from live_offers") == [(6, 3)]
        assert len(reader.rows("select * from person_lookup")) == 5
        for table in ("suppressions", "offers", "likely_lookup", "known_deliveries"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.rows(f"select * from {table}")


def test_a_store_may_be_a_schema_of_a_database_that_has_another_one(tmp_path, postgres, monday):
    url = postgres.database()
    shops = []
    for name in ("a", "b"):
        with channel.read(url) as owner:
            owner.write(f"create schema {name}")
        shop = Shop(make_settings(tmp_path / name, f"{url}&options=-csearch_path%3D{name}"))
        shop.stage(title=name)
        publishing.run(monday, shop.settings)
        shops.append(shop)
    assert [shop.read("select distinct title from live_offers") for shop in shops] == [[("a",)], [("b",)]]
    assert [len(store.list_runs(shop.settings)) for shop in shops] == [1, 1]
    with channel.read(url) as owner:
        assert owner.rows("select count(*) from pg_tables where schemaname = 'public'") == [(0,)]


def test_texts_compare_byte_by_byte_whatever_the_databases_collation(shop):
    """In most languages b stands before C; SQLite compares bytes. The wheel's server knows no language, so the columns are asked."""
    store.prepare(shop.settings)
    collations = shop.read(
        """
        select collation_name, count(*) from information_schema.columns
        where table_schema = current_schema() and data_type = 'text' and table_name <> 'live_offers'
        group by collation_name
        """
    )
    assert [name for name, _ in collations] == ["C"]
    assert collations[0][1] > 50


def test_the_server_is_asked_for_its_types_once_and_a_database_that_goes_is_told_without_the_password(postgres, monkeypatch):
    made, connect = [], adbc_driver_postgresql.connect
    monkeypatch.setattr(adbc_driver_postgresql, "connect", lambda url: made.append(url) or connect(url))
    url = postgres.database().replace("postgres@", "postgres:geheim@")
    server = dialects.PostgreSQL(url)
    for _ in range(3):
        server.connect(autocommit=True).close()
    assert len(made) == 1
    postgres.execute(f"drop database {url.partition('?')[0].rpartition('/')[2]}")  # refused while a connection is open
    with pytest.raises(CandorError, match="cannot be reached") as told:
        server.connect(autocommit=True)
    assert "does not exist" in str(told.value)
    assert "geheim" not in str(told.value)
    assert len(made) == 1
