"""Deliveries land once, restatements are kept beside what they restate, and a run sees what was pinned to it."""

import os
import shutil
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from candor import ingest, warehouse
from candor.errors import ContractError, UsageError
from candor.ingest import landing
from candor.ingest.views import Pinned, known_whole_at

TABLE = "crm.consents"
VIEW = "raw.crm__consents"
HEADER = "consent_id,contact_id,channel,purpose,status,recorded_at"
EARLIER = datetime(2026, 11, 22, 15, tzinfo=UTC)


def consents(*rows: tuple[str, str], day: int = 22) -> str:
    lines = [f"{key},contact-{key},email,marketing,{status},2026-11-{day}T09:00:00Z" for key, status in rows]
    return "\n".join([HEADER, *lines]) + "\n"


def loaded(shop, **options):
    return shop.rows(f"select consent_id, status from {VIEW} order by all", **options)


def segments(shop):
    return sorted(path.name for path in (shop.settings.raw_dir / "crm" / "consents").glob("*"))


def test_the_same_delivery_twice_is_loaded_once(shop):
    shop.deliver(TABLE, a_csv=consents(("k1", "granted"), ("k2", "denied")))
    first = loaded(shop)
    before = segments(shop)
    assert loaded(shop) == first == [("k1", "granted"), ("k2", "denied")]
    assert shop.found["new_deliveries"] == {}
    assert segments(shop) == before


def as_table(text: str) -> pa.Table:
    return pa.csv.read_csv(pa.py_buffer(text.encode()), convert_options=pa.csv.ConvertOptions(strings_can_be_null=True))


def as_jsonl(text: str) -> str:
    names, *lines = [line.split(",") for line in text.splitlines()]
    return "".join(
        "{" + ",".join(f'"{name}":"{value}"' for name, value in zip(names, line, strict=True)) + "}\n"
        for line in reversed(lines)
    )


REWRITTEN = {
    "lines_shuffled": lambda text: {"a_csv": "\n".join([text.splitlines()[0], *reversed(text.splitlines()[1:])])},
    "split_into_two_files": lambda text: {
        "a_csv": "\n".join(text.splitlines()[:2]),
        "b_csv": "\n".join([text.splitlines()[0], *text.splitlines()[2:]]),
    },
    "as_jsonl": lambda text: {"a_jsonl": as_jsonl(text)},
    "as_parquet": lambda text: {"a_parquet": lambda path: pq.write_table(as_table(text), path)},
    "as_parquet_with_a_zone_and_nanoseconds": lambda text: {
        "a_parquet": lambda path: pq.write_table(
            as_table(text).set_column(5, "recorded_at", as_table(text)["recorded_at"].cast(pa.timestamp("ns", "UTC"))), path
        )
    },
    "columns_reversed_and_one_more": lambda text: {
        "a_csv": "\n".join(",".join([*reversed(line.split(",")), "x"]) for line in text.splitlines())
    },
    "zone_written_otherwise": lambda text: {"a_csv": text.replace("T09:00:00Z", "T10:00:00+01:00")},
}


@pytest.mark.parametrize("how", REWRITTEN)
def test_the_same_rows_in_other_files_change_nothing(shop, how):
    text = consents(("k1", "granted"), ("k2", "denied"), ("k3", "perhaps"))
    folder = shop.deliver(TABLE, a_csv=text)
    query = f"select consent_id, _row_hash::varchar, _delivery_id from {VIEW} order by all"
    first = shop.rows(query)
    shutil.rmtree(folder)
    shop.deliver(TABLE, **REWRITTEN[how](text))
    assert shop.rows(query) == first
    assert shop.found["new_deliveries"] == {}
    delivery = ingest.read_delivery(folder, TABLE, shop.settings)
    refused = shop.rows(
        f"select replace(_row_hash::varchar, '-', '') from '{shop.settings.quarantine_dir}/crm/consents/*.parquet'"
    )
    assert [(row_hash,) for row_hash in delivery.quarantined["_row_hash"].to_pylist()] == refused


def test_a_changed_value_of_the_same_length_and_time_is_noticed(shop):
    folder = shop.deliver(TABLE, a_csv=consents(("k1", "granted")))
    shop.ingest()
    stat = (folder / "a.csv").stat()
    shop.deliver(TABLE, a_csv=consents(("k2", "granted")))
    os.utime(folder / "a.csv", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    shop.ingest()
    assert shop.found["new_deliveries"] == {TABLE: 1}


def test_a_restatement_is_seen_by_later_new_runs_and_not_by_reruns(shop):
    name = "2026-11-22T143000Z"
    shop.deliver(TABLE, name, a_csv=consents(("k1", "granted"), ("k2", "granted")))
    assert loaded(shop, as_of=EARLIER) == [("k1", "granted"), ("k2", "granted")]
    shop.deliver(TABLE, name, a_csv=consents(("k1", "withdrawn"), ("k2", "granted")))
    assert loaded(shop, as_of=EARLIER) == [("k1", "granted"), ("k2", "granted")], "a rerun sees what it saw first"
    assert loaded(shop) == [("k1", "withdrawn"), ("k2", "granted")]
    assert shop.query("select count(*), count(distinct segment) from state.deliveries") == [(2, 2)]


def test_a_restatement_taken_back_is_the_newest_content_again(shop):
    for status in ("granted", "denied", "granted"):
        shop.deliver(TABLE, a_csv=consents(("k1", status)))
        with warehouse.connect(shop.settings, restricted=True) as connection:
            ingest.land(connection, shop.settings, datetime(2026, 11, 23, 15, tzinfo=UTC))
    assert loaded(shop) == [("k1", "granted")]
    assert shop.query("select count(*) from state.deliveries") == [(2,)]


def test_rows_of_a_segment_whose_delivery_is_not_pinned_stay_out(shop):
    shop.deliver(TABLE, "2026-11-21T143000Z", a_csv=consents(("old", "granted"), day=20))
    shop.deliver(TABLE, "2026-11-22T143000Z", a_csv=consents(("k1", "granted")))
    with warehouse.connect(shop.settings, restricted=True) as connection:
        ingest.land(connection, shop.settings, datetime(2026, 11, 23, 15, tzinfo=UTC))  # one segment holds both
    assert loaded(shop, as_of=datetime(2026, 11, 21, 15, tzinfo=UTC)) == [("old", "granted")]
    shop.deliver(TABLE, "2026-11-22T143000Z", a_csv=consents(("k1", "denied")))
    assert loaded(shop) == [("k1", "denied"), ("old", "granted")]


def test_a_delivery_extracted_after_the_run_waits(shop):
    shop.deliver(TABLE, "2026-11-22T143000Z", a_csv=consents(("k1", "granted")))
    shop.deliver(TABLE, "2026-11-23T143000Z", a_csv=consents(("k2", "granted")))
    assert loaded(shop, as_of=EARLIER) == [("k1", "granted")]
    assert loaded(shop) == [("k1", "granted"), ("k2", "granted")]


def test_rows_from_before_the_last_whole_extract_are_superseded(shop):
    shop.deliver(TABLE, "2026-11-21T143000Z", a_csv=consents(("gone", "granted"), day=20))
    shop.deliver(TABLE, "2026-11-22T143000Z", a_csv=consents(("kept", "granted")), manifest={"complete": True, "rows": 1})
    shop.deliver(TABLE, "2026-11-23T143000Z", a_csv=consents(("new", "granted"), day=23))
    assert shop.rows(f"select consent_id, _is_superseded from {VIEW} order by all") == [
        ("gone", True),
        ("kept", False),
        ("new", False),
    ]


def test_every_table_has_a_typed_view_even_without_deliveries(shop):
    shop.deliver(TABLE, a_csv=consents(("k1", "granted")))
    rows = shop.rows(
        """
        select database_name, view_name from duckdb_views() where schema_name = 'raw' and not internal order by all
        """
    )
    names = {name for _, name in rows}
    assert {"exchange__accounts", "events__events", "compliance__kyc_records"} <= names
    assert {database for database, name in rows if name.startswith("compliance")} == {"vault"}
    assert shop.query("select column_type from (describe vault.raw.compliance__kyc_records) where column_name = 'tier'") == [
        ("BIGINT",)
    ]
    described = shop.query(f"select column_name, column_type from (describe {VIEW}) where starts_with(column_name, '_')")
    assert described == [
        ("_row_hash", "UUID"),
        ("_delivery_id", "VARCHAR"),
        ("_extracted_at", "TIMESTAMP"),
        ("_is_superseded", "BOOLEAN"),
        ("_file", "VARCHAR"),
        ("_line", "BIGINT"),
    ]


def at(day: int, hour: int = 14, minute: int = 0) -> datetime:
    return datetime.fromisoformat(f"2026-11-{day:02}T{hour:02}:{minute:02}:00")


def pinned(extracted, complete=True, covers_from=None, covers_to=None) -> Pinned:
    return Pinned(f"d{extracted}", TABLE, extracted, 1, complete, covers_from, covers_to, "s")


@pytest.mark.parametrize(
    ("deliveries", "expected"),
    [
        pytest.param([], None, id="no_delivery"),
        pytest.param([pinned(at(20), complete=False)], None, id="increments_prove_nothing"),
        pytest.param([pinned(at(20))], at(20), id="whole_without_covers_to_counts_when_extracted"),
        pytest.param([pinned(at(20), covers_to=at(20, 9))], at(20, 9), id="whole_with_covers_to"),
        pytest.param([pinned(at(20)), pinned(at(21), covers_from=at(20), covers_to=at(21))], at(21), id="gapless"),
        pytest.param([pinned(at(20)), pinned(at(21), covers_from=at(19), covers_to=at(21))], at(21), id="overlapping"),
        pytest.param([pinned(at(20)), pinned(at(21), covers_from=at(20, 15), covers_to=at(21))], at(20), id="a_gap"),
        pytest.param(
            [pinned(at(20)), pinned(at(22), covers_from=at(21), covers_to=at(22)), pinned(at(23), covers_from=at(20), covers_to=at(21))],
            at(22), id="the_gap_is_closed_by_a_later_delivery",
        ),
        pytest.param([pinned(at(20)), pinned(at(21), covers_from=at(21), covers_to=at(21)), pinned(at(22))], at(22), id="whole_again"),
        pytest.param([pinned(at(20)), pinned(at(21), complete=False)], at(20), id="an_incomplete_increment_adds_nothing"),
        pytest.param([pinned(at(20), covers_from=at(1), covers_to=at(20))], None, id="increments_without_a_whole_extract"),
    ],
)  # fmt: skip
def test_a_table_is_known_whole_up_to(deliveries, expected):
    assert known_whole_at(deliveries) == expected


def test_feeds_hold_the_watermarks_of_every_table(shop):
    shop.deliver(TABLE, "2026-11-22T143000Z", a_csv=consents(("k1", "granted")), manifest={"complete": True})
    increment = {"complete": True, "covers_from": "2026-11-22T14:30:00Z", "covers_to": "2026-11-23T14:25:00Z", "rows": 0}
    shop.deliver(TABLE, "2026-11-23T143000Z", manifest=increment)
    assert shop.rows("select * exclude (source) from raw.feeds where source = 'crm' and table_name in ('consents', 'messages') order by all") == [
        ("consents", at(23, 14, 30), at(23, 14, 25), 2, 1),
        ("messages", None, None, 0, 0),
    ]  # fmt: skip


def test_a_row_hash_leads_to_its_line_also_from_quarantine(shop):
    shop.deliver(TABLE, a_csv=consents(("k1", "granted"), ("k2", "perhaps")))
    [(row_hash,)] = shop.rows(f"select _row_hash::varchar from {VIEW}")
    [(refused,)] = shop.query(f"select _row_hash::varchar from '{shop.settings.quarantine_dir}/crm/consents/*.parquet'")
    [found] = ingest.trace(row_hash, shop.settings)
    assert (found.delivery, found.file, found.line, found.reasons) == (
        "2026-11-23T143000Z", "crm/consents/2026-11-23T143000Z/a.csv", 2, (),
    )  # fmt: skip
    [found] = ingest.trace(refused.replace("-", "").upper(), shop.settings)
    assert (found.line, found.reasons) == (3, ("not_an_accepted_value:status",))
    assert ingest.trace("0" * 32, shop.settings) == []
    with pytest.raises(UsageError, match="not a row hash: 'k1'"):
        ingest.trace("k1", shop.settings)


def test_a_delivery_can_be_read_without_the_warehouse(shop):
    folder = shop.deliver(TABLE, a_csv=consents(("k1", "granted"), ("k2", "perhaps")), manifest={"complete": True, "rows": 2})
    delivery = ingest.read_delivery(folder, TABLE, shop.settings)
    assert not shop.settings.warehouse_path.exists()
    assert delivery.good.column("consent_id").to_pylist() == ["k1"]
    assert delivery.quarantined.column("reasons").to_pylist() == [["not_an_accepted_value:status"]]
    assert delivery.is_complete
    shop.ingest()
    assert shop.query("select delivery_id from state.deliveries") == [(delivery.delivery_id,)]
    with pytest.raises(ContractError, match=r"is no delivery of crm\.consents"):
        ingest.read_delivery(folder.parent, TABLE, shop.settings)


class KilledError(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize("step", ["write", "examine", "_sync_rename", "_register"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_kill_between_any_two_steps_loses_and_doubles_nothing(shop, monkeypatch, step, after):
    shop.deliver(TABLE, "2026-11-22T143000Z", a_csv=consents(("k1", "granted"), ("k2", "perhaps")))
    shop.deliver(TABLE, "2026-11-23T143000Z", a_csv=consents(("k3", "granted"), day=23))
    genuine = getattr(landing, step)

    def killed(*arguments, **options):
        if after:
            genuine(*arguments, **options)
        raise KilledError

    monkeypatch.setattr(landing, step, killed)
    with pytest.raises(KilledError):
        shop.ingest()
    monkeypatch.undo()
    assert loaded(shop) == [("k1", "granted"), ("k3", "granted")]
    assert len(segments(shop)) == 1
    table = shop.found["tables"][TABLE]
    assert (table["deliveries"], table["rows_read"], table["rows_loaded"], table["rows_quarantined"]) == (2, 3, 2, 1)


def test_a_full_refresh_reads_again_and_changes_nothing(shop):
    shop.deliver(TABLE, a_csv=consents(("k1", "granted")))
    first = shop.rows(f"select * from {VIEW}")
    shop.ingest(full_refresh=True)
    assert shop.found["new_deliveries"] == {}
    assert shop.rows(f"select * from {VIEW}") == first


@pytest.mark.parametrize("seed", range(3))
def test_texts_in_any_script_survive_csv_and_hash_apart(shop, seed):
    import random

    rng = random.Random(seed)
    pieces = ['"', ",", "é", "漢", " ", "x", "'", "\\", "\t", "{", "$"]
    texts = sorted({"".join(rng.choices(pieces, k=rng.randint(1, 8))) for _ in range(200)})
    quoted = ['"' + text.replace('"', '""') + '"' for text in texts]
    lines = [f"k{n},{text},email,marketing,granted,2026-11-22" for n, text in enumerate(quoted)]
    shop.deliver(TABLE, a_csv="\n".join([HEADER, *lines]))
    rows = shop.rows(f"select contact_id, _row_hash from {VIEW} order by _line")
    assert [text for text, _ in rows] == texts
    assert len({row_hash for _, row_hash in rows}) == len(texts)
