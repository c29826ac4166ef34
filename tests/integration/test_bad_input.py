"""Broken files among good ones: the rest goes on, the counts add up, and a day that was published stays what it was."""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from pathlib import Path

import duckdb
import polars as pl
import pytest

from benchmarks import faults, fingerprint
from candor import pipeline, reporting, warehouse
from tests.integration.conftest import AFTER, DAY, SEED, Shop, differing, settings_at

HEADER = "contact_id,email,phone,full_name,postal_code,country_code,region_code,language,created_at,source_updated_at"
GOOD = "{name},{name}@mail.test,,,,DE,,de,2026-01-01T00:00:00Z,2026-11-24T01:00:00Z"


def _lines(name: str, count: int = 3) -> list[str]:
    return [GOOD.format(name=f"{name}{number}") for number in range(count)]


def _csv(*lines: str, header: str = HEADER, end: str = "\n") -> bytes:
    return end.join([header, *lines, ""]).encode()


def _entries(*rows: tuple[str, str, str]) -> bytes:
    """JSONL of ledger entries: (entry_id, amount, occurred_at)."""
    return b"".join(
        json.dumps(
            {"entry_id": entry, "account_id": "nobody", "kind": "deposit", "amount_usd": amount, "occurred_at": at}
        ).encode()
        + b"\n"
        for entry, amount, at in rows
    )


def _parquet_of_another_type() -> bytes:
    import io

    file = io.BytesIO()
    pl.DataFrame({"contact_id": ["pq1"], "created_at": [[1, 2]], "source_updated_at": [[3, 4]]}).write_parquet(file)
    return file.getvalue()


# name -> (table, file name, bytes, rows read, rows loaded, reasons of the rows refused, or what is noted)
BROKEN: dict[str, tuple[str, str, bytes, int, int, set[str]]] = {
    "truncated in a row": ("crm/contacts", "a.csv", _csv(*_lines("cut"))[:-70], 3, 2, {"wrong_number_of_fields"}),
    "wrong delimiter": (
        "crm/contacts", "b.csv", _csv(*_lines("semicolon")).replace(b",", b";"), 3, 0, {"file_without_column"},
    ),
    "unclosed quote": ("crm/contacts", "c.csv", _csv(*_lines("quote"), '"open' + GOOD.format(name="q")), 4, 3, {"quotes_do_not_close"}),
    "missing required column": (
        "crm/contacts", "d.csv", _csv("x1,2026-01-01T00:00:00Z", header="contact_id,created_at"), 1, 0, {"file_without_column"},
    ),
    "extra column": (
        "crm/contacts", "e.csv", _csv(*(f"{line},blue" for line in _lines("extra")), header=f"{HEADER},colour"), 3, 3, set(),
    ),
    "bad UTF-8": ("crm/contacts", "f.csv", _csv(*_lines("bytes")).replace(b"bytes1@", b"\xff\xfe@"), 3, 2, {"not_utf8"}),
    "byte order mark and CRLF": ("crm/contacts", "g.csv", b"\xef\xbb\xbf" + _csv(*_lines("bom"), end="\r\n"), 3, 3, set()),
    "a line past the limit": (
        "crm/contacts", "h.csv", _csv(*_lines("long"), GOOD.format(name="z" * 1_100_000)), 4, 3, {"line_too_long"},
    ),
    "an empty file": ("crm/contacts", "i.csv", b"", 0, 0, set()),
    "a Parquet file of another type": ("crm/contacts", "j.parquet", _parquet_of_another_type(), 1, 0, {"file_of_wrong_type"}),
    "a date of 9999": (
        "exchange/ledger_entries", "k.jsonl",
        _entries(("bad-date", "5", "9999-12-31T00:00:00Z"), ("good-date", "5", "2026-11-24T01:00:00Z")), 2, 1, {"out_of_time"},
    ),
    "a negative amount": (
        "exchange/ledger_entries", "l.jsonl", _entries(("negative", "-5", "2026-11-24T01:00:00Z")), 1, 0, {"below_minimum"},
    ),
    "duplicate keys with different values": (
        "exchange/ledger_entries", "m.jsonl",
        _entries(("twice", "5", "2026-11-24T01:00:00Z"), ("twice", "6", "2026-11-24T01:00:00Z")), 2, 2, set(),
    ),
}  # fmt: skip


def _land_broken(landing: Path) -> dict[str, str]:
    """The broken files, one delivery each, as deliveries of the day after; gives the folder's name by the case's."""
    folders = {}
    for number, (case, (table, file, content, *_)) in enumerate(BROKEN.items()):
        folders[case] = f"2026-11-24T1410{number:02d}Z"
        folder = landing / table / folders[case]
        folder.mkdir(parents=True)
        (folder / file).write_bytes(content)
    return folders


def _restate_and_repeat(landing: Path) -> None:
    """The day's last consents land again with one row less, its last contacts land again under another name and once more as they were."""
    consents = sorted((landing / "crm" / "consents").iterdir())[-1]
    lines = (consents / "part-0.csv").read_text(encoding="utf-8").splitlines()
    (consents / "part-0.csv").write_text("\n".join(lines[:-1]) + "\n", encoding="utf-8")
    manifest = json.loads((consents / "_manifest.json").read_text(encoding="utf-8"))
    (consents / "_manifest.json").write_text(json.dumps({**manifest, "rows": len(lines) - 2}), encoding="utf-8")
    contacts = sorted((landing / "crm" / "contacts").iterdir())[-1]
    shutil.copytree(contacts, contacts.with_name("2026-11-24T140959Z"))
    again = (contacts / "part-0.csv").read_bytes()
    (contacts / "part-0.csv").write_bytes(again)


def test_a_day_rebuilt_after_a_restatement_gives_the_same_bytes_and_the_next_day_goes_on_despite_broken_files(
    copied: Shop, simulated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from simulation import respond

    base = tmp_path / "shop"
    shutil.copytree(simulated, base)
    shop = dataclasses.replace(copied, settings=settings_at(copied.settings.state_dir, base / "landing"))
    _restate_and_repeat(base / "landing")
    again = pipeline.run(DAY, shop.settings, full_refresh=True)
    assert again["run_id"] == shop.run_id
    assert differing(shop.expected, fingerprint.of_state(shop.settings.state_dir)) == []

    respond(published=shop.published, landing=base / "landing", truth=base / "truth", as_of=DAY, seed=SEED)
    folders = _land_broken(base / "landing")
    with faults.Readers(shop.store) as readers:
        after = str(pipeline.run(AFTER, shop.settings)["run_id"])
        time.sleep(2)  # so that they see the new run, too
    with capsys.disabled():
        print(f"\n  {readers.seen}")
    assert readers.seen.torn == []
    assert readers.seen.errors == {}
    assert readers.seen.whole.keys() == {shop.run_id, after}

    with warehouse.connect(shop.settings) as connection:
        found = connection.execute(
            "select source || '/' || table_name, delivery, rows_read, rows_loaded, rows_quarantined from state.deliveries "
            "inner join state.pins using (delivery_id) where as_of = ?",
            [warehouse.utc(AFTER)],
        ).fetchall()
    counted = {(table, delivery): (read, loaded, refused) for table, delivery, read, loaded, refused in found}
    assert all(read == loaded + refused for read, loaded, refused in counted.values())
    for case, (table, _, _, read, loaded, _) in BROKEN.items():
        assert counted[table, folders[case]] == (read, loaded, read - loaded), case
    for case, (table, _, _, _, _, reasons) in BROKEN.items():
        assert {reason.split(":")[0] for reason in _reasons(shop, table, folders[case])} == reasons, case

    told = reporting.collect(AFTER, shop.settings)
    ingested = next(stage for stage in told["stages"] if stage["stage"] == "ingest")["result"]
    assert told["status"] == "done"
    assert (
        ingested["rows_read"]
        == ingested["rows_loaded"] + ingested["rows_quarantined"]
        == sum(row[0] for row in counted.values())
    )
    assert "colour" in ingested["tables"]["crm.contacts"]["unknown_columns"]
    assert ingested["tables"]["exchange.ledger_entries"]["keys_with_different_values"] >= 1
    assert told["published"]["offers"]["offers"] > 0
    with warehouse.connect(shop.settings) as connection:
        restated = connection.execute(
            "select delivery, count(*) from state.deliveries where source = 'crm' and table_name = 'consents' "
            "group by delivery having count(*) > 1"
        ).fetchall()
        assert len(restated) == 1, "both contents of the restated delivery are kept"


def _reasons(shop: Shop, table: str, delivery: str) -> set[str]:
    folder = shop.settings.quarantine_dir / table
    rows = duckdb.sql(
        f"select distinct unnest(reasons) from read_parquet('{folder}/*.parquet') where _file like '%/{delivery}/%'"
    ).fetchall()
    return {row[0] for row in rows}
