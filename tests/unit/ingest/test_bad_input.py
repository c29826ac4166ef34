"""Whatever a source gets wrong costs its row or file, has a reason, and the counts add up."""

from collections import Counter
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from candor import ingest

TABLE = "exchange.trades"
HEADER = "trade_id,account_id,product_line,asset,side,quantity,amount_usd,traded_at"
GOOD = "t1,a1,spot,BTC,buy,1.5,100,2026-11-22T10:00:00Z"
ALSO = "t2,a2,spot,ETH,sell,2,50.25,2026-11-22T11:00:00Z"
OBJECT = (
    '{"trade_id":"t1","account_id":"a1","product_line":"spot","asset":"BTC","side":"buy","quantity":"1.5",'
    '"amount_usd":100,"traded_at":"2026-11-22T10:00:00Z"}'
)
COLUMNS = {
    "trade_id": ["t1", "t2"],
    "account_id": ["a1", "a2"],
    "product_line": ["spot", "spot"],
    "asset": ["BTC", "ETH"],
    "side": ["buy", "sell"],
    "quantity": [1.5, 2.0],
    "amount_usd": [100.0, 50.25],
    "traded_at": [datetime.fromisoformat("2026-11-22T10:00:00"), datetime.fromisoformat("2026-11-22T11:00:00")],
}


def parquet(**changes):
    """A function that writes COLUMNS with changes (None drops a column) to a path."""
    columns = {name: values for name, values in {**COLUMNS, **changes}.items() if values is not None}
    return lambda path: pq.write_table(pa.table(columns), path)


def parquet_with_broken_pages(path: Path):
    parquet()(path)
    content = bytearray(path.read_bytes())
    content[4:300] = b"\xff" * 296  # the pages, not the footer
    path.write_bytes(bytes(content))


def csv(*lines: str, end: str = "\n") -> str:
    return end.join([HEADER, *lines]) + end


# name -> (files, rows loaded, {reason: rows refused}, part of a rejected file's reason)
CASES = {
    "two_good_lines": ({"a_csv": csv(GOOD, ALSO)}, 2, {}, None),
    "crlf_is_no_part_of_the_last_value": ({"a_csv": csv(GOOD, ALSO, end="\r\n")}, 2, {}, None),
    "a_byte_order_mark_is_no_part_of_the_first_name": ({"a_csv": b"\xef\xbb\xbf" + csv(GOOD).encode()}, 1, {}, None),
    "a_byte_order_mark_before_json": ({"a_jsonl": b"\xef\xbb\xbf" + OBJECT.encode()}, 1, {}, None),
    "columns_in_any_order": (
        {"a_csv": "traded_at,side,trade_id,asset,account_id,amount_usd,product_line,quantity\n2026-11-22,buy,t1,BTC,a1,1,spot,2\n"},
        1, {}, None,
    ),
    "empty_lines_are_no_rows": ({"a_csv": csv(GOOD, "", "", ALSO)}, 2, {}, None),
    "quoted_commas_and_quotes": ({"a_csv": csv('"t,1","a""1",spot,BTC,buy,1,2,2026-11-22')}, 1, {}, None),
    "truncated_inside_a_line": (
        {"a_csv": csv(GOOD) + "t2,a2,spot"}, 1, {"wrong_number_of_fields: 3 instead of 8": 1}, None,
    ),
    "one_field_too_many": ({"a_csv": csv(GOOD, ALSO + ",")}, 1, {"wrong_number_of_fields: 9 instead of 8": 1}, None),
    "wrong_delimiter": (
        {"a_csv": csv(GOOD, ALSO).replace(",", ";"), "b_csv": csv(GOOD)}, 1, {"file_without_column": 2}, "separated by ';'",
    ),
    "an_unclosed_quote_costs_its_line": (
        {"a_csv": csv(GOOD, '"t3,a1,spot,BTC,buy,1,2,2026-11-22', ALSO)}, 2, {"quotes_do_not_close": 1}, None,
    ),
    "a_quote_inside_a_bare_field": ({"a_csv": csv(GOOD, ALSO.replace("a2", 'a"2'))}, 1, {"quotes_do_not_close": 1}, None),
    "missing_required_column_csv": (
        {"a_csv": csv(GOOD, ALSO).replace("side,", "").replace("buy,", "").replace("sell,", ""), "b_csv": csv(GOOD)},
        1, {"file_without_column": 2}, "side",
    ),
    "missing_required_column_jsonl": ({"a_jsonl": OBJECT.replace("side", "way")}, 0, {"file_without_column": 1}, "side"),
    "missing_required_column_parquet": ({"a_parquet": parquet(side=None)}, 0, {"file_without_column": 2}, "side"),
    "a_column_twice": ({"a_csv": csv(GOOD).replace("asset", "side", 1)}, 0, {"file_column_twice": 1}, "side"),
    "extra_column_is_kept_out": ({"a_parquet": parquet(colour=["red", "blue"])}, 2, {}, None),
    "extra_column_named_like_ours": ({"a_parquet": parquet(filename=["x", "y"], _file=["x", "y"], _line=[7, 8])}, 2, {}, None),
    "bad_utf8_costs_its_line": ({"a_csv": csv(GOOD).encode() + b"t\xff2" + ALSO[2:].encode() + b"\n"}, 1, {"not_utf8": 1}, None),
    "nul_byte_costs_its_line": ({"a_csv": csv(GOOD, ALSO.replace("a2", "a\0"))}, 1, {"nul_byte": 1}, None),
    "bad_utf8_in_the_header": ({"a_csv": b"\xff" + csv(GOOD).encode()}, 0, {"file_header_unusable": 1}, "not_utf8"),
    "utf16_is_no_text": ({"a_csv": csv(GOOD, ALSO).encode("utf-16")}, 0, {"file_header_unusable": 3}, "nul_byte"),
    "a_line_past_the_limit": (
        {"a_csv": csv(GOOD, ALSO.replace("a2", "a" * 5_000_000), ALSO)}, 2, {"line_too_long": 1}, None,
    ),
    "year_9999": ({"a_csv": csv(GOOD, ALSO.replace("2026-11-22T11", "9999-12-31T00"))}, 1, {"out_of_time:traded_at": 1}, None),
    "year_1_parquet": (
        {"a_parquet": parquet(traded_at=[datetime.fromisoformat("0001-01-01"), datetime.fromisoformat("2026-01-01")])},
        1, {"out_of_time:traded_at": 1}, None,
    ),
    "negative_amount": ({"a_csv": csv(GOOD, ALSO.replace("50.25", "-50.25"))}, 1, {"below_minimum:amount_usd": 1}, None),
    "not_a_number": ({"a_csv": csv(GOOD, ALSO.replace("50.25", "1,5"[0] + "x"))}, 1, {"not_a_decimal:amount_usd": 1}, None),
    "nan_is_no_amount": ({"a_parquet": parquet(amount_usd=[float("nan"), 1.0])}, 1, {"not_a_decimal:amount_usd": 1}, None),
    "thirtieth_of_february": ({"a_csv": csv(GOOD, ALSO.replace("11-22T", "02-30T"))}, 1, {"not_an_instant:traded_at": 1}, None),
    "an_epoch_is_no_instant": (
        {"a_csv": csv(GOOD, ALSO.replace("2026-11-22T11:00:00Z", "1763809200"))}, 1, {"not_an_instant:traded_at": 1}, None,
    ),
    "not_an_accepted_value": ({"a_csv": csv(GOOD, ALSO.replace("sell", "hold"))}, 1, {"not_an_accepted_value:side": 1}, None),
    "two_reasons_are_both_kept": (
        {"a_csv": csv(ALSO.replace("sell", "hold").replace("a2", ""))},
        0, {"not_an_accepted_value:side": 1, "missing_value:account_id": 1}, None,
    ),
    "a_null_that_may_not_be": ({"a_parquet": parquet(account_id=["a1", None])}, 1, {"missing_value:account_id": 1}, None),
    "an_empty_text_is_null": ({"a_parquet": parquet(account_id=["a1", ""])}, 1, {"missing_value:account_id": 1}, None),
    "unit_separator": ({"a_csv": csv(GOOD, ALSO.replace("a2", "a\x1f2"))}, 1, {"control_character:account_id": 1}, None),
    "broken_json_costs_its_line": (
        {"a_jsonl": OBJECT + '\n{"trade_id":\n[1,2]\n' + OBJECT.replace("t1", "t2")}, 2, {"not_json": 1, "not_a_json_object": 1}, None,
    ),
    "a_key_missing_in_one_object": (
        {"a_jsonl": OBJECT + "\n" + OBJECT.replace('"side":"buy",', "")}, 1, {"missing_value:side": 1}, None,
    ),
    "duplicate_keys_with_different_values": ({"a_csv": csv(GOOD, GOOD.replace("100", "200"), GOOD)}, 3, {}, None),
    "an_empty_csv": ({"a_csv": "", "b_csv": csv(GOOD)}, 1, {}, None),
    "only_a_header": ({"a_csv": HEADER}, 0, {}, None),
    "an_empty_jsonl": ({"a_jsonl": ""}, 0, {}, None),
    "an_empty_parquet_file": ({"a_parquet": b"", "b_csv": csv(GOOD)}, 1, {}, "file_unreadable"),
    "a_parquet_without_rows": ({"a_parquet": parquet(**{name: pa.array(v, pa.array(v).type)[:0] for name, v in COLUMNS.items()})}, 0, {}, None),
    "a_parquet_that_is_a_csv": ({"a_parquet": csv(GOOD), "b_csv": csv(GOOD)}, 1, {}, "file_unreadable"),
    "a_parquet_with_broken_pages": ({"a_parquet": parquet_with_broken_pages, "b_csv": csv(GOOD)}, 1, {"file_unreadable": 2}, "unreadable"),
    "parquet_of_texts": (
        {"a_parquet": parquet(quantity=["1", "2"], amount_usd=["3.5", "x"], traded_at=["2026-11-22", "2026-11-22T10:00:00+02:00"])},
        1, {"not_a_decimal:amount_usd": 1}, None,
    ),
    "parquet_of_other_numbers": (
        {"a_parquet": parquet(quantity=pa.array([1, 2], pa.int16()), amount_usd=pa.array(["1.50", "2.25"]).cast(pa.decimal128(9, 2)))},
        2, {}, None,
    ),
    "parquet_account_ids_as_numbers": ({"a_parquet": parquet(account_id=[17, 18])}, 2, {}, None),
    "parquet_of_an_impossible_type": (
        {"a_parquet": parquet(traded_at=[1763809200, 1763809201]), "b_csv": csv(GOOD)}, 1, {"file_of_wrong_type": 2}, "traded_at is bigint",
    ),
}  # fmt: skip


def without_detail(reason: str) -> str:
    return reason.split(":")[0] if reason.startswith("file_") else reason


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_refused_with_its_reason_and_the_rest_goes_on(shop, name):
    files, loaded, reasons, rejected = CASES[name]
    delivery = ingest.read_delivery(shop.deliver(TABLE, **files), TABLE, shop.settings)
    refused = delivery.quarantined.to_pylist()
    assert delivery.good.num_rows == loaded
    assert Counter(without_detail(reason) for row in refused for reason in row["reasons"]) == reasons
    assert delivery.rows_read == loaded + len(refused)
    rejections = [detail for _, what, detail, _ in delivery.notes if what == "file_rejected"]
    assert len(rejections) == (rejected is not None)
    assert rejected is None or rejected in rejections[0]


def test_all_bad_input_at_once_costs_nobody_else_a_row(shop):
    for second, (files, *_) in enumerate(CASES.values()):
        shop.deliver(TABLE, f"2026-11-23T1400{second:02}Z", **files)
    shop.deliver("exchange.accounts", a_csv="account_id,created_at,source_updated_at\na1,2026-01-01,2026-01-02\n")
    found = shop.ingest()["tables"]
    expected: Counter[str] = Counter()
    for _, _, reasons, _ in CASES.values():
        expected.update(reasons)
    refused: Counter[str] = Counter()
    for reason, count in found[TABLE]["quarantined_by_reason"].items():
        refused[without_detail(reason)] += count
    assert refused == expected
    assert found[TABLE]["rows_loaded"] == sum(case[1] for case in CASES.values())
    assert found[TABLE]["rows_read"] == found[TABLE]["rows_loaded"] + found[TABLE]["rows_quarantined"]
    assert found["exchange.accounts"]["rows_loaded"] == 1
    assert shop.rows("select count(*) from raw.exchange__trades") == [(found[TABLE]["rows_loaded"],)]


def test_extra_columns_and_empty_files_are_reported(shop):
    shop.deliver(TABLE, a_parquet=parquet(colour=["red", "blue"]), b_csv="", c_txt="x")
    table = shop.ingest()["tables"][TABLE]
    assert table["unknown_columns"] == ["colour"]
    assert table["other_notes"] == [
        "file_empty: exchange/trades/2026-11-23T143000Z/b.csv",
        "unknown_file: c.txt",
    ]


def test_repeated_keys_are_loaded_and_counted(shop):
    shop.deliver(TABLE, a_csv=csv(GOOD, GOOD.replace("100", "200"), GOOD, ALSO, ALSO))
    table = shop.ingest()["tables"][TABLE]
    assert (table["rows_loaded"], table["duplicate_rows"], table["keys_with_different_values"]) == (5, 3, 1)


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("exchange/trades/yesterday", "name_is_no_instant"),
        ("exchange/trades/2026-02-30T000000Z", "name_is_no_instant"),
        ("exchange/prices/2026-11-23T143000Z", "unknown_table"),
        ("bank/trades/2026-11-23T143000Z", "unknown_source"),
        ("exchange/trades/2026-11-23T140000Z", "empty_delivery"),
    ],
)
def test_folders_out_of_place_are_reported_and_the_rest_goes_on(shop, path, what):
    (shop.settings.landing_dir / path).mkdir(parents=True)
    shop.deliver(TABLE, a_csv=csv(GOOD))
    found = shop.ingest()
    assert [problem["what"] for problem in found["problems"]] == [what]
    assert found["tables"][TABLE]["rows_loaded"] == 1


@pytest.mark.parametrize(
    ("manifest", "problem"),
    [
        ("{broken", "manifest_broken"),
        ("[]", "manifest_broken"),
        ({"complete": "yes"}, "manifest_broken"),
        ({"complete": True, "rows": -1}, "manifest_broken"),
        ({"complete": True, "covers_from": "yesterday", "covers_to": "2026-11-23T00:00:00Z"}, "manifest_broken"),
        ({"complete": True, "covers_from": "2026-11-22T00:00:00Z"}, "manifest_broken"),
        ({"complete": True, "rows": 3}, "manifest_rows_differ: 3 promised, 1 read"),
    ],
)
def test_a_wrong_manifest_proves_nothing_and_costs_no_row(shop, manifest, problem):
    shop.deliver(TABLE, a_csv=csv(GOOD), manifest=manifest)
    table = shop.ingest()["tables"][TABLE]
    assert table["rows_loaded"] == 1
    assert table["known_whole_at"] is None
    assert len(table["manifest_problems"]) == 1
    assert table["manifest_problems"][0].startswith(problem)


def test_a_complete_delivery_with_a_rejected_file_is_not_whole(shop):
    shop.deliver(TABLE, a_csv=csv(GOOD), b_csv="x;y\n1;2\n", manifest={"complete": True, "rows": 2})
    assert shop.ingest()["tables"][TABLE]["known_whole_at"] is None


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("country_code", "XX", "not_a_country:country_code"),
        ("country_code", "gb", None),
        ("region_code", "US-NY", None),
        ("region_code", "NY", "not_a_region:region_code"),
        ("region_code", "XX-NY", "not_a_region:region_code"),
        ("birth_date", "1980-13-01", "not_a_date:birth_date"),
        ("birth_date", "1899-12-31", "out_of_time:birth_date"),
        ("is_test", "maybe", "not_a_bool:is_test"),
        ("is_test", "TRUE", None),
    ],
)
def test_values_of_accounts(shop, column, value, reason):
    text = f"account_id,created_at,source_updated_at,{column}\na1,2026-01-01,2026-01-01,{value}\n"
    delivery = ingest.read_delivery(shop.deliver("exchange.accounts", a_csv=text), "exchange.accounts", shop.settings)
    assert delivery.quarantined["reasons"].to_pylist() == ([[reason]] if reason else [])


def test_quarantine_keeps_the_raw_line_and_its_place(shop):
    shop.deliver(TABLE, a_csv=csv(GOOD, ALSO.replace("sell", "hold")))
    refused = shop.rows(
        f"select _file, _line, reasons, raw from read_parquet('{shop.settings.quarantine_dir}/exchange/trades/*.parquet')"
    )
    assert refused == [
        ("exchange/trades/2026-11-23T143000Z/a.csv", 3, ["not_an_accepted_value:side"], ALSO.replace("sell", "hold"))
    ]


def test_restricted_rows_stay_under_the_restricted_folder(shop):
    header = "restriction_id,account_id,kind,status,starts_at,source_updated_at"
    lines = "r1,a1,embargo,open,2026-01-01,2026-01-01\nr2,a1,embargo,perhaps,2026-01-01,2026-01-01\n"
    shop.deliver("compliance.restrictions", a_csv=f"{header}\n{lines}")
    shop.ingest()
    parquets = [path.relative_to(shop.settings.state_dir).parts[0] for path in shop.settings.state_dir.rglob("*.parquet")]
    assert parquets == ["restricted", "restricted"]
    assert shop.settings.restricted_dir.stat().st_mode & 0o777 == 0o700
