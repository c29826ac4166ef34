"""Somebody is erased from a shop that has run: nothing of them is left but what the proof names, and everybody else's day stays as it is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from typer.testing import CliRunner

from candor import pipeline
from candor.cli import app
from candor.erasure import erase as erasing
from candor.erasure import proof, removing, retain, turns
from candor.erasure.erase import Outcome, erase
from candor.errors import UsageError
from candor.hashing import keyed_hash
from candor.ledger import chain
from candor.scoring import registry
from candor.settings import Settings, as_variables
from candor.warehouse import connect
from tests.integration.conftest import DAY, NEXT, Shop, copy_of, settings_at

NOW = DAY + timedelta(minutes=5)


@dataclass(frozen=True)
class Erased:
    """A copy of the shop from which somebody was erased, and who that was."""

    shop: Shop
    person_id: str
    identifiers: list[tuple[str, str]]
    outcome: Outcome

    @property
    def settings(self) -> Settings:
        return self.shop.settings

    def of(self, kind: str) -> str:
        return next(value for name, value in self.identifiers if name == kind)


def somebody(shop: Shop) -> tuple[str, list[tuple[str, str]]]:
    """Who has offers, is an example to learn from, and is known by the most kinds of identifiers; all of them trusted."""
    with duckdb.connect(str(shop.settings.warehouse_path), read_only=True) as connection:
        (person_id,) = connection.execute(
            """
            select identifiers.person_id from identity.person_identifiers as identifiers
            where identifiers.person_id in (select person_id from decisions.staged_offers)
                and identifiers.person_id in (select person_id from features.training_examples where label is not null)
            group by identifiers.person_id having max(evidence_rank) < 10
            order by count(distinct identifier_kind) desc, count(*) desc, identifiers.person_id limit 1
            """
        ).fetchall()[0]
        identifiers = connection.execute(
            "select identifier_kind, identifier from identity.person_identifiers where person_id = ? order by all", [person_id]
        ).fetchall()
    return str(person_id), identifiers


@pytest.fixture(scope="module")
def erased(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Erased]:
    folder = tmp_path_factory.mktemp("erased")
    copied = copy_of(shop, folder / "state")
    person_id, identifiers = somebody(copied)
    (outcome,) = erase(NOW, copied.settings, persons=[person_id])
    yield Erased(copied, person_id, identifiers, outcome)
    shutil.rmtree(folder)


def places(outcome: Outcome) -> dict[str, dict[str, Any]]:
    return {f"{place['store']}.{place['name']}": place for place in outcome.report["places"]}


def rows(query: str, **parameters: Any) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        return connection.execute(query, parameters).fetchall()


def test_every_table_and_file_of_a_shop_is_in_the_inventory_and_a_new_one_is_missed(copied: Shop) -> None:
    with connect(copied.settings, restricted=True) as connection:
        assert proof.unknown_places(connection, copied.settings) == []
        connection.execute("create table features.shoe_sizes (person_id varchar)")
        connection.execute("create table vault.state.rumours (person_id varchar)")
        (copied.published / "nicknames.parquet").write_bytes((copied.published / "arms.parquet").read_bytes())
        (copied.settings.state_dir / "notes.txt").write_text("somebody")
        assert proof.unknown_places(connection, copied.settings) == [
            "published.nicknames", "state.notes.txt", "vault.state.rumours", "warehouse.features.shoe_sizes",
        ]  # fmt: skip


def test_nothing_is_left_of_who_was_erased(erased: Erased) -> None:
    assert erased.outcome.is_proven, erased.outcome.report["proof"]
    found = places(erased.outcome)
    for place in (
        "raw.exchange.accounts", "warehouse.state.key_map", "warehouse.identity.persons", "warehouse.features.person_features",
        "warehouse.features.training_examples", "warehouse.decisions.scores", "serving.offers", "serving.person_lookup",
        "published.identity_members", "published.key_map",
    ):  # fmt: skip
        assert found[place]["before"] > 0, place
    assert {place: one["after"] for place, one in found.items() if one["after"]} == {}


def test_no_byte_of_an_identifier_is_left_in_any_file(erased: Erased) -> None:
    """Read by nothing of the product: plain bytes, and every text of every Parquet file."""
    needles = [value for _, value in erased.identifiers if value not in shared(erased)]
    needles += [keyed_hash(erased.settings, value) for kind, value in erased.identifiers if kind in ("email", "phone")]
    assert len(needles) >= 5
    held = erased.settings.restricted_dir / "held"
    for path in sorted(erased.settings.state_dir.rglob("*")):
        if not path.is_file() or path.is_relative_to(held):
            continue
        content = path.read_bytes()
        assert [needle for needle in needles if needle.encode() in content] == [], path
        if path.suffix == ".parquet":
            told = rows(f"select to_json(t)::varchar from read_parquet('{path}') as t")
            assert [needle for needle in needles if any(needle in line for (line,) in told)] == [], path


def shared(erased: Erased) -> set[str]:
    """Machines and wallets that records of others name as well."""
    found: set[str] = set()
    with duckdb.connect(str(erased.settings.warehouse_path), read_only=True) as connection:
        for table, column in (
            ("staging.stg_events__events", "device_id"), ("staging.stg_events__events", "anonymous_id"),
            ("staging.stg_wallets__transfers", "from_wallet_std"), ("staging.stg_wallets__transfers", "to_wallet_std"),
            ("staging.stg_exchange__accounts", "email_std"), ("staging.stg_exchange__accounts", "phone_std"),
            ("staging.stg_crm__contacts", "email_std"), ("staging.stg_crm__contacts", "phone_std"),
            ("staging.stg_wallets__wallet_links", "device_id"), ("staging.stg_wallets__wallet_links", "wallet_std"),
        ):  # fmt: skip
            found |= {row[0] for row in connection.execute(f"select distinct {column} from {table}").fetchall()}
    assert erased.of("account_id") not in found
    return found & {value for _, value in erased.identifiers}


def test_the_decisions_stand_under_nobodys_name_and_the_chain_holds(erased: Erased, monkeypatch: pytest.MonkeyPatch) -> None:
    assert chain.verify(erased.settings).difference is None
    ledger = rows(f"select count(*) from '{erased.shop.published}/ledger.parquet' where person_id = $p", p=erased.person_id)
    assert ledger[0][0] > 0
    for name in (
        "identity_members",
        "key_map",
        "person_lookup",
        "likely_lookup",
        "measurement/exposures",
        "measurement/outcomes",
    ):
        left = rows(f"select count(*) from '{erased.shop.published}/{name}.parquet' where person_id = $p", p=erased.person_id)
        assert left[0][0] == 0, name
    for name, value in as_variables(erased.settings).items():
        monkeypatch.setenv(name, value)
    told = CliRunner().invoke(app, ["explain", erased.person_id])
    assert isinstance(told.exception, UsageError)
    assert "was erased as of 2026-11-23T15:05:00Z" in str(told.exception)


def test_what_learnt_from_the_person_is_to_be_trained_again(erased: Erased) -> None:
    client = registry.client(erased.settings)
    (version,) = client.search_model_versions(f"name = '{registry.NAME}'")
    assert version.tags["retrain_due"] == "2026-11-23T15:05:00Z"
    assert [model["model_version"] for model in erased.outcome.report["retrain_due"]] == [version.tags["model_version"]]


def test_what_the_law_requires_is_held_apart_and_only_its_own_report_says_so(erased: Erased) -> None:
    restricted = json.loads((turns.folder(erased.settings) / f"{erased.outcome.erasure_id}.json").read_text(encoding="utf-8"))
    classes = {one["record_class"] for one in restricted["held"]}
    assert "customer_due_diligence" in classes
    held = erased.settings.restricted_dir / "held"
    for one in restricted["held"]:
        (count,) = rows(
            f"select count(*) from '{held}/{one['record_class']}.{one['table']}.{erased.outcome.erasure_id}.parquet'"
        )[0]
        assert count == one["rows"] > 0
    assert (held.stat().st_mode & 0o777) == 0o700
    told = erased.outcome.path.read_text(encoding="utf-8") if erased.outcome.path else ""
    for word in ("vault", "screening", "suspicion", "sanctions", "kyc_records", "due_diligence"):
        assert word not in told
    assert erasing.CONSTANT in told


def test_the_proof_names_nobody(erased: Erased) -> None:
    for path in (
        *(erased.settings.state_dir / "erasures").glob("e[0-9a-f]*"), *turns.folder(erased.settings).glob("e[0-9a-f]*"),
    ):  # fmt: skip
        told = path.read_text(encoding="utf-8")
        assert erased.person_id not in told
        assert [value for _, value in erased.identifiers if value in told] == []


# What the proof finds when a step is left out: the store and how its names begin.
LEFT_BY = {
    "serving": ("serving", "offers"),
    "raw": ("state", "raw/"),
    "databases": ("warehouse", "state.key_map"),
    "published": ("published", "person_lookup"),
    "texts": ("state", "reports/"),
}


@pytest.mark.parametrize("left_out", [["texts"], ["serving", "raw", "databases", "published"]], ids=["texts", "all_others"])
def test_each_step_left_out_is_seen_by_the_proof_and_the_next_call_goes_on(copied: Shop, left_out: list[str]) -> None:
    person_id, identifiers = somebody(copied)
    mentioned = copied.settings.reports_dir / copied.run_id / "gates" / "note.json"
    mentioned.write_text(json.dumps({"seen": dict(identifiers)["account_id"]}))
    (outcome,) = erase(NOW, copied.settings, persons=[person_id], skip=frozenset(left_out))
    assert not outcome.is_proven
    found = [(rest["store"], rest["name"]) for rest in outcome.report["proof"]["found_by_search"] if "name" in rest]
    for step in left_out:
        store, begins = LEFT_BY[step]
        assert [name for where, name in found if where == store and name.startswith(begins)], step
    with pytest.raises(UsageError, match="an erasure stopped in the middle"):
        pipeline.run_stage("ingest", NEXT, copied.settings)
    (again,) = erase(NOW, copied.settings)
    assert again.is_proven, again.report["proof"]
    assert again.erasure_id == outcome.erasure_id
    assert "[erased]" in mentioned.read_text(encoding="utf-8")
    assert erase(NOW, copied.settings) == []


def test_a_killed_erasure_goes_on_where_it_stopped(copied: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    person_id, _ = somebody(copied)

    def killed(*_: Any) -> dict[str, int]:
        raise KeyboardInterrupt

    monkeypatch.setattr(removing, "from_published", killed)
    with pytest.raises(KeyboardInterrupt):
        erase(NOW, copied.settings, persons=[person_id])
    monkeypatch.undo()
    (outcome,) = erase(NOW, copied.settings)
    assert outcome.is_proven, outcome.report["proof"]
    with pytest.raises(UsageError, match="nobody has the person_id"):
        erase(NOW, copied.settings, persons=[person_id])


def test_an_erasure_waits_for_no_run_and_a_dry_one_writes_nothing(copied: Shop) -> None:
    person_id, _ = somebody(copied)
    with turns.running(copied.settings), pytest.raises(UsageError, match="a run is going on"):
        erase(NOW, copied.settings, persons=[person_id])

    def stands() -> dict[str, tuple[int, int]]:
        return {
            str(path): (path.stat().st_size, path.stat().st_mtime_ns)
            for folder in (copied.settings.raw_dir, copied.settings.published_dir, copied.settings.state_dir / "serving")
            for path in sorted(folder.rglob("*.parquet"))
        }

    before = stands()
    (outcome,) = erase(NOW, copied.settings, persons=[person_id], dry_run=True)
    assert outcome.path is None
    assert places(outcome)["serving.offers"]["before"] > 0
    assert stands() == before
    assert turns.plans(copied.settings) == []


def test_who_was_erased_and_is_landed_again_is_somebody_new_and_left_alone(erased: Erased, tmp_path: Path) -> None:
    """Their account comes back with the same e-mail address and phone number: another person_id, no offer, and PRV_ERASURE as the reason."""
    shutil.copytree(erased.settings.state_dir, tmp_path / "state", ignore=shutil.ignore_patterns("landing"))
    shutil.copytree(erased.settings.landing_dir, tmp_path / "landing")
    settings = settings_at(tmp_path / "state", tmp_path / "landing")
    accounts = tmp_path / "landing" / "exchange" / "accounts"
    again = accounts / f"{NOW + timedelta(minutes=1):%Y-%m-%dT%H%M%SZ}"
    again.mkdir()
    with duckdb.connect() as connection:
        connection.execute(
            f"copy (select * from read_parquet('{accounts}/*/*.parquet', union_by_name = true) where account_id = ? "
            f"qualify row_number() over (order by source_updated_at desc) = 1) to '{again}/part-0.parquet'",
            [erased.of("account_id")],
        )
    pipeline.run(NEXT, settings)
    with connect(settings, restricted=True) as connection:
        ((person_id,),) = connection.execute(
            "select person_id from identity.person_identifiers where (identifier_kind, identifier) = ('account_id', ?)",
            [erased.of("account_id")],
        ).fetchall()
        codes = connection.execute("select code from vault.eligibility.user_hits where person_id = ?", [person_id]).fetchall()
        offers = connection.execute("select count(*) from decisions.staged_offers where person_id = ?", [person_id]).fetchall()
    assert person_id != erased.person_id
    assert ("PRV_ERASURE",) in codes
    assert offers == [(0,)]


def test_everybody_elses_next_day_is_as_if_nobody_had_been_erased(erased: Erased, later: Shop) -> None:
    """Offers with their places, prices and sentences; the person had none of a scarce offer, or who got its place would differ."""
    pipeline.run(NEXT, erased.settings)
    offers = []
    for shop in (erased.shop, later):
        entry = max(chain.entries(shop.settings), key=lambda entry: entry.sequence)
        path = shop.settings.published_dir / entry.run_id / "offers.parquet"
        offers.append(
            rows(f"select * exclude (run_id, decision_id) from '{path}' where person_id <> $p order by all", p=erased.person_id)
        )
        had = rows(f"select count(*) from '{path}' where person_id = $p", p=erased.person_id)[0][0]
        assert (had > 0) == (shop is later)
    assert offers[0] == offers[1]
    assert chain.verify(erased.settings).difference is None


def test_what_is_past_its_period_goes_and_nothing_before(erased: Erased) -> None:
    settings = erased.settings
    early = {one["record_class"]: one for one in retain.retain(NOW, settings)}
    assert {name for name, one in early.items() if one["past"]} == set()
    later = NOW.replace(year=NOW.year + 6)
    told = {one["record_class"]: one for one in retain.retain(later, settings, dry_run=True)}
    assert told["customer_due_diligence"]["past"] > 0
    assert told["service_records"]["past"] > 1000
    assert told["suitability"]["past"] == 0
    retain.retain(later, settings)
    again = {one["record_class"]: one for one in retain.retain(later, settings)}
    assert {name for name, one in again.items() if one["past"]} == set()
    with connect(settings, restricted=True) as connection:
        assert proof.raw_verified(connection, settings) == []
    assert list((settings.restricted_dir / "held").glob("suitability.*"))
