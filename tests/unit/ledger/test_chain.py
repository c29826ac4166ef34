"""What was published stays provable: one changed byte is named, other content is refused, the same content changes nothing."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from candor import publishing
from candor.errors import UsageError
from candor.ledger import chain, files, published
from candor.publishing import export, store
from tests.unit.publishing.conftest import MONDAY, TUESDAY, Shop, make_settings, two_published_days


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A shop that has published nothing yet."""
    return Shop(make_settings(tmp_path, f"sqlite:///{tmp_path / 'serving' / 'offers.sqlite'}"))


@pytest.fixture(scope="module")
def published_once(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return two_published_days(tmp_path_factory.mktemp("two_days"))


@pytest.fixture
def two_days(published_once: Shop, tmp_path: Path) -> Shop:
    """Monday and Tuesday are published."""
    return published_once.copy(tmp_path / "state")


def bytes_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_chain_holds_every_run_with_all_its_files_of_both_faces(two_days: Shop) -> None:
    first, second = chain.entries(two_days.settings)
    assert (first.sequence, first.as_of, first.previous) == (1, "2026-11-23T15:00:00Z", None)
    assert (second.sequence, second.as_of, second.previous) == (2, "2026-11-24T15:00:00Z", first.hash)
    assert first.files.keys() == {f"{face}/{name}.parquet" for face, name in chain.chained_names()}
    verdict = chain.verify(two_days.settings)
    assert (verdict.runs, verdict.files, verdict.files_closed) == (2, len(first.files) + len(second.files), 0)
    assert (verdict.difference, verdict.head, verdict.unchained) == (None, second.hash, ())


def test_the_chain_knows_no_wall_clock_and_no_machine(tmp_path: Path) -> None:
    heads = []
    for name in ("here", "there"):
        folder = tmp_path / name
        folder.mkdir()
        shop = Shop(make_settings(folder, f"sqlite:///{folder / 'serving' / 'offers.sqlite'}"))
        shop.stage(MONDAY)
        heads.append(publishing.run(MONDAY, shop.settings)["ledger_hash"])
    assert heads[0] == heads[1]


@pytest.mark.parametrize(
    "file",
    [
        "published/ledger",
        "published/ledger_rules",
        "published/explanations",
        "restricted/explanations",
        "restricted/facts_person",
        "restricted/user_hits",
    ],
    ids=lambda file: file,
)
@pytest.mark.parametrize("position", [0, -1, 100], ids=["first_byte", "last_byte", "byte_in_the_middle"])
def test_one_changed_byte_is_found_and_its_file_named(two_days: Shop, file: str, position: int) -> None:
    face, _, name = file.partition("/")
    entry = chain.entries(two_days.settings)[0]
    path = chain.folders(two_days.settings, entry.run_id)[face] / f"{name}.parquet"
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    verdict = chain.verify(two_days.settings)
    assert verdict.difference is not None
    assert verdict.difference.startswith(f"{file}.parquet of run {entry.run_id} (entry 1) is not what was published")
    assert verdict.runs == 0


def test_a_missing_file_is_named(two_days: Shop) -> None:
    entry = chain.entries(two_days.settings)[1]
    (two_days.settings.published_dir / entry.run_id / "offers.parquet").unlink()
    verdict = chain.verify(two_days.settings)
    assert verdict.difference == f"published/offers.parquet of run {entry.run_id} (entry 2) is gone"
    assert verdict.runs == 1


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"champion_version": "another"}, "was changed: its content has another hash"),
        ({"files": {}}, "was changed: its content has another hash"),
        ({"sequence": 7}, "is entry 7 of run"),
    ],
    ids=["another_model", "files_taken_out", "another_place"],
)
def test_an_entry_that_was_rewritten_is_named(two_days: Shop, change: dict, told: str) -> None:
    path = sorted(chain.chain_dir(two_days.settings).glob("*.json"))[0]
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    difference = chain.verify(two_days.settings).difference
    assert difference is not None
    assert path.name in difference
    assert told in difference


def test_a_rewritten_entry_with_a_hash_of_its_own_breaks_the_next_one(two_days: Shop) -> None:
    first, second = sorted(chain.chain_dir(two_days.settings).glob("*.json"))
    forged = json.loads(first.read_text()) | {"champion_version": "another"}
    forged["hash"] = chain.Entry(**forged).computed_hash()
    first.write_text(json.dumps(forged))
    assert (
        chain.verify(two_days.settings).difference == f"published/chain/{second.name} does not follow from the entry before it"
    )


def test_an_entry_taken_out_is_noticed_and_a_cut_end_by_the_head_noted_elsewhere(two_days: Shop) -> None:
    first, second = sorted(chain.chain_dir(two_days.settings).glob("*.json"))
    head = chain.verify(two_days.settings).head
    kept = second.read_bytes()
    second.unlink()
    assert chain.verify(two_days.settings).difference is None, "without the head a shorter chain is a chain"
    assert chain.verify(two_days.settings).unchained == (second.stem.partition("-")[2],)
    difference = chain.verify(two_days.settings, head=head).difference
    assert difference is not None
    assert "the end of the chain was cut off" in difference
    second.write_bytes(kept)
    assert chain.verify(two_days.settings, head=head).difference is None
    first.unlink()
    difference = chain.verify(two_days.settings).difference
    assert difference is not None
    assert "where entry 1 should be" in difference


def test_a_text_that_is_no_entry_is_named(two_days: Shop) -> None:
    path = sorted(chain.chain_dir(two_days.settings).glob("*.json"))[1]
    path.write_text("{")
    difference = chain.verify(two_days.settings).difference
    assert difference is not None
    assert difference.startswith(f"published/chain/{path.name} is no entry of the chain")


def test_publishing_again_changes_neither_files_nor_chain(two_days: Shop) -> None:
    before = bytes_below(two_days.settings.published_dir), bytes_below(two_days.settings.restricted_published_dir)
    two_days.stage(MONDAY)
    entry = publishing.run(MONDAY, two_days.settings)["ledger_entry"]
    assert entry == 1
    after = bytes_below(two_days.settings.published_dir), bytes_below(two_days.settings.restricted_published_dir)
    assert after == before


@pytest.mark.parametrize(
    ("extra", "file"),
    [
        ("update decisions.ledger set rank = 9 where person_id = 'eve'", "published/ledger.parquet: 4 rows"),
        ("update vault.eligibility.person_facts set u_embargo = true", "restricted/facts_person_restricted.parquet: 2 rows"),
        ("delete from vault.eligibility.user_hits", "published/product_pattern_hits.parquet: 2 rows"),
    ],
    ids=["another_rank", "another_fact", "a_restricted_reason_less"],
)
def test_a_published_run_with_other_rows_is_refused_before_anything_is_replaced(two_days: Shop, extra: str, file: str) -> None:
    before = bytes_below(two_days.settings.published_dir), bytes_below(two_days.settings.restricted_published_dir)
    live = two_days.live()
    two_days.stage(TUESDAY, extra=extra)
    with pytest.raises(chain.LedgerBroken, match=f"was published with another {file}") as raised:
        publishing.run(TUESDAY, two_days.settings)
    assert raised.value.exit_code == 1
    assert raised.value.hint
    after = bytes_below(two_days.settings.published_dir), bytes_below(two_days.settings.restricted_published_dir)
    assert after == before
    assert two_days.live() == live
    assert chain.verify(two_days.settings).difference is None


def test_another_catalogue_behind_the_same_files_is_refused(two_days: Shop) -> None:
    two_days.stage(TUESDAY, extra="insert into staging.stg_catalogue__offers select gen_random_uuid()")
    with pytest.raises(chain.LedgerBroken, match="with other content: catalogue_hash"):
        publishing.run(TUESDAY, two_days.settings)


def test_the_same_rows_in_other_bytes_leave_the_published_bytes(two_days: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    before = bytes_below(two_days.settings.published_dir)["chain/" + chain_name(two_days, 1)]
    entry = chain.entries(two_days.settings)[0]
    written = export.to_parquet

    def another_version(connection, query, order, file, run) -> int:
        rows = written(connection, query, order, file, run)
        connection.execute(f"copy (from read_parquet('{file}')) to '{file}.other' (format parquet, compression snappy)")
        Path(f"{file}.other").replace(file)
        return rows

    monkeypatch.setattr(export, "to_parquet", another_version)
    two_days.stage(MONDAY)
    publishing.run(MONDAY, two_days.settings)
    assert chain.verify(two_days.settings).difference is None
    assert bytes_below(two_days.settings.published_dir)["chain/" + chain_name(two_days, 1)] == before
    assert chain.entries(two_days.settings)[0] == entry


def chain_name(shop: Shop, sequence: int) -> str:
    return next(path.name for path in chain.chain_dir(shop.settings).glob(f"{sequence:06}-*.json"))


def test_an_entry_lists_what_its_version_published_and_a_later_version_holds_to_that_list(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.stage(MONDAY)
    with monkeypatch.context() as older:
        older.setattr(chain, "CHAINED_OPEN", ("ledger", "offers"))
        publishing.run(MONDAY, shop.settings)
    (entry,) = chain.entries(shop.settings)
    assert "published/persons.parquet" not in entry.files
    shop.stage(MONDAY)
    publishing.run(MONDAY, shop.settings)
    assert chain.entries(shop.settings) == [entry]
    shop.stage(MONDAY, extra="update decisions.ledger set rank = 9 where person_id = 'eve'")
    with pytest.raises(chain.LedgerBroken, match=r"another published/ledger\.parquet"):
        publishing.run(MONDAY, shop.settings)


def test_a_run_published_before_there_was_a_file_stays_without_it_and_verifies(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = ("explanations", "ledger_drivers")

    def published_files() -> set[str]:
        folders = (shop.settings.published_dir, shop.settings.restricted_published_dir)
        return {path.stem for folder in folders for path in folder.glob("*/*.parquet")}

    shop.stage(MONDAY)
    with monkeypatch.context() as older:
        for name in ("CHAINED_OPEN", "CHAINED_RESTRICTED"):
            older.setattr(chain, name, tuple(file for file in getattr(chain, name) if file not in later))
        publishing.run(MONDAY, shop.settings)
    for folder in chain.folders(shop.settings, chain.entries(shop.settings)[0].run_id).values():
        for name in later:
            (folder / f"{name}.parquet").unlink(missing_ok=True)  # the older version wrote none
    (entry,) = chain.entries(shop.settings)
    shop.stage(MONDAY)
    publishing.run(MONDAY, shop.settings)
    assert chain.entries(shop.settings) == [entry]
    assert published_files().isdisjoint(later), "nothing would vouch for it, nor let it go with the log"
    shop.stage(TUESDAY)
    publishing.run(TUESDAY, shop.settings)
    assert set(later) <= published_files()
    verdict = chain.verify(shop.settings)
    assert (verdict.difference, verdict.runs) == (None, 2)
    assert verdict.files == 2 * len(list(chain.chained_names())) - 3


def test_a_changed_file_is_mended_by_publishing_the_same_content_again(two_days: Shop) -> None:
    entry = chain.entries(two_days.settings)[1]
    (two_days.settings.published_dir / entry.run_id / "ledger.parquet").write_bytes(b"spoilt")
    two_days.stage(TUESDAY)
    publishing.run(TUESDAY, two_days.settings)
    assert chain.verify(two_days.settings).difference is None


def test_days_published_out_of_order_stand_in_the_order_of_publication(shop: Shop) -> None:
    shop.stage(TUESDAY)
    publishing.run(TUESDAY, shop.settings)
    shop.stage(MONDAY)
    publishing.run(MONDAY, shop.settings)
    assert [entry.as_of[:10] for entry in chain.entries(shop.settings)] == ["2026-11-24", "2026-11-23"]
    assert chain.verify(shop.settings).difference is None
    assert published.find(shop.settings, None).as_of == "2026-11-24T15:00:00Z"
    assert published.find(shop.settings, "2026-11-23").sequence == 2


def test_the_entry_stands_before_the_store_is_touched_and_a_second_try_adds_none(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.stage(MONDAY)
    with monkeypatch.context() as broken:
        broken.setattr(store, "transaction", lambda settings: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            publishing.run(MONDAY, shop.settings)
    (entry,) = chain.entries(shop.settings)
    publishing.run(MONDAY, shop.settings)
    assert chain.entries(shop.settings) == [entry]


def test_files_that_this_account_may_not_read_are_counted_apart(two_days: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed = chain.file_hash

    def closed(path: Path) -> str:
        if two_days.settings.restricted_dir in path.parents:
            raise PermissionError(path)
        return hashed(path)

    monkeypatch.setattr(chain, "file_hash", closed)
    verdict = chain.verify(two_days.settings)
    assert verdict.difference is None
    assert verdict.files_closed == 2 * len(chain.CHAINED_RESTRICTED)
    assert verdict.files == 2 * len(chain.CHAINED_OPEN)


def test_a_run_from_before_the_chain_is_told_and_joins_when_it_is_published_again(two_days: Shop) -> None:
    for path in chain.chain_dir(two_days.settings).glob("*.json"):
        path.unlink()
    assert len(chain.verify(two_days.settings).unchained) == 2
    two_days.stage(MONDAY)
    assert publishing.run(MONDAY, two_days.settings)["ledger_entry"] == 1
    assert len(chain.verify(two_days.settings).unchained) == 1


def test_restricted_reasons_are_one_neutral_row_per_person_and_kind_of_offer_in_the_ordinary_face(shop: Shop) -> None:
    import duckdb

    columns = "person_id, is_promotion, rule_id, v, effect, visibility, code, penalty_bp"
    run_id = shop.stage(
        MONDAY,
        extra=f"""
        insert into vault.eligibility.user_hits ({columns}) values
            ('bob', null, 'FC-001', 1, 'BLOCK', 'restricted', 'FC_SANCTIONED', 0),
            ('ann', true, 'FC-007', 1, 'HOLD', 'restricted', 'FC_ADVERSE_MEDIA', 0),
            ('ann', null, 'KYC-002', 1, 'BLOCK', 'safe', 'KYC_EXPIRED', 0);
        insert into vault.eligibility.int_person_product_patterns values ('bob', 11), ('ann', 12), ('cem', 13), ('dan', 14);
        insert into vault.eligibility.int_product_pattern_hits (pattern_id, offer_class, rule_id, v, effect, visibility, code, penalty_bp) values
            (11, 'spot:true', 'VUL-001', 1, 'BLOCK', 'restricted', 'VUL_FLAG', 0),
            (12, 'spot:true', 'SUI-001', 1, 'DEMOTE', 'restricted', 'SUI_QUIETLY', 50),
            (13, 'spot:true', 'SUI-002', 1, 'BLOCK', 'safe', 'SUI_STAGE', 0), (13, 'spot:true', 'SUI-002', 1, 'HOLD', 'restricted', 'SUI_X', 0),
            (14, 'spot:true', 'SUI-002', 1, 'BLOCK', 'safe', 'SUI_STAGE', 0)
        """,
    )
    publishing.run(MONDAY, shop.settings)
    faces = chain.folders(shop.settings, run_id)

    def rows(face: str, name: str, what: str) -> list[tuple]:
        return duckdb.sql(f"select {what} from '{faces[face] / name}.parquet' order by all").fetchall()

    assert rows("published", "user_hits", "person_id, code") == [("ann", "KYC_EXPIRED")]
    neutral = ("ELIG_NA", 1, "BLOCK", "restricted", "ELIG_NA", 0)
    stage = ("SUI-002", 1, "BLOCK", "safe", "SUI_STAGE", 0)
    patterns, hits = (f"'{faces['published'] / name}.parquet'" for name in files.PATTERN_FILES)
    told = duckdb.sql(
        f"select person_id, * exclude (person_id, pattern_id) from {patterns} join {hits} using (pattern_id) order by all"
    )
    assert told.fetchall() == [
        ("ann", "spot:true", *neutral), ("bob", "education:false", *neutral), ("bob", "spot:true", *neutral), ("cem", "spot:true", *neutral),
        ("cem", "spot:true", *stage), ("dan", "spot:true", *stage),
    ]  # fmt: skip
    # Those whose facts differ only in what may not be told have one pattern.
    alike = duckdb.sql(f"select string_agg(person_id, ' ' order by person_id) from {patterns} group by pattern_id order by 1")
    assert alike.fetchall() == [("ann cem",), ("bob",), ("cem dan",)]
    assert len(rows("restricted", "user_hits", "code")) == 4
    for name in chain.CHAINED_OPEN:
        if name.endswith("_hits"):
            true = described(faces["restricted"] / f"{name}.parquet")
            # What a hit rests on is nobody's business in the ordinary face.
            assert described(faces["published"] / f"{name}.parquet") == [one for one in true if one[0] != "facts"]


def described(file: Path) -> list[tuple]:
    import duckdb

    return [row[:2] for row in duckdb.sql(f"describe from '{file}'").fetchall()]


@pytest.mark.parametrize(
    ("on", "told"),
    [
        ("2026-11-30", "no published run is of 2026-11-30"),
        ("2026-11-23T16:00:00Z", "no published run is of 2026-11-23T16:00:00Z"),
        ("2026-13-01", "not a day"),
        ("yesterday", "not an instant"),
    ],
    ids=["a_day_without_run", "an_instant_without_run", "no_day", "no_instant"],
)
def test_a_day_that_was_not_published_is_told_with_those_that_were(two_days: Shop, on: str, told: str) -> None:
    with pytest.raises(UsageError, match=told) as raised:
        published.find(two_days.settings, on)
    assert raised.value.hint


def test_an_empty_ledger_says_how_to_publish(shop: Shop) -> None:
    with pytest.raises(UsageError, match="no run stands in the ledger yet"):
        published.find(shop.settings, None)
    assert chain.verify(shop.settings) == chain.Verdict(0, 0, 0, None, None, ())


def test_of_two_runs_of_a_day_the_later_one_is_meant(shop: Shop) -> None:
    for day in (MONDAY, MONDAY - timedelta(hours=3)):
        shop.stage(day)
        publishing.run(day, shop.settings)
    assert published.find(shop.settings, "2026-11-23").as_of == "2026-11-23T15:00:00Z"
    assert published.find(shop.settings, "2026-11-23T12:00:00Z").sequence == 2
