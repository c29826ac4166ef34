"""Faults planted in what sources deliver: each stops the day or degrades it as its heading in docs/runbook.md says, and names rows."""

from __future__ import annotations

import importlib
import json
import re
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from candor import pipeline, reporting, warehouse
from candor.errors import GateFailed
from candor.settings import PROJECT_ROOT, Settings
from tests.integration.conftest import DAY, settings_at

PEOPLE, DAYS, SEED = 300, 30, 11
BEFORE = DAY - timedelta(days=1)
NOW = "2026-11-23T10:00:00.000000Z"  # after the run before, before the day's deliveries
# Six quiet days more, remembered and never run: what is usual must be known before anything can be unusual.
QUIET_DAYS = """
insert into state.batches
    select 10 + range, timestamp '2026-11-22 15:00:00' - to_days(range::integer + 1), 'quiet' || range, policy_version, null
    from range(6) cross join state.batches;
insert into state.hygiene_history
    select 10 + range, metric, source, table_name, key, value, n from state.hygiene_history cross join range(6);
update state.batches set batch_seq = 100 where as_of = timestamp '2026-11-23 15:00:00';
"""


def call(stage: str, as_of: datetime, settings: Settings) -> dict[str, Any]:
    """A stage by itself: a shop this small is implausible to some gates that this is not about."""
    result: dict[str, Any] = {}
    for path, *arguments in pipeline.STAGES[pipeline.NAMES.index(stage)].calls:
        module, _, function = path.partition(":")
        result |= getattr(importlib.import_module(module), function)(*arguments, as_of=as_of, settings=settings) or {}
    return result


def day(landing: Path, table: str) -> Path:
    """The folder of the day's delivery of a table."""
    return sorted((landing / table.replace(".", "/")).iterdir())[-1]


def append(landing: Path, table: str, rows: list[dict[str, Any]]) -> str:
    """Add rows to the day's delivery of a table, with their number in its manifest; gives the folder's name."""
    folder = day(landing, table)
    [path] = sorted(folder.glob("part-0.*"))
    if path.suffix == ".csv":
        read = pl.read_csv(path, infer_schema=False)
        more = pl.DataFrame(rows, schema=dict.fromkeys(read.columns, pl.String))
        pl.concat([read, more]).write_csv(path)
    else:
        read = pl.read_parquet(path)
        more = pl.DataFrame([{name: row.get(name) for name in read.columns} for row in rows], schema=read.schema, strict=False)
        pl.concat([read, more]).write_parquet(path)
    manifest = json.loads((folder / "_manifest.json").read_text(encoding="utf-8"))
    (folder / "_manifest.json").write_text(json.dumps({**manifest, "rows": len(read) + len(rows)}), encoding="utf-8")
    return folder.name


def contact(name: str, **more: str) -> dict[str, str]:
    return {"contact_id": name, "country_code": "DE", "language": "de", "created_at": NOW, "source_updated_at": NOW, **more}


def account(name: str, **more: Any) -> dict[str, Any]:
    at = datetime.fromisoformat(NOW)
    return {"account_id": name, "country_code": "DE", "created_at": at, "source_updated_at": at, **more}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `landing` and `state`, in which the day before has run and six quiet days are remembered.

    The market source never delivers there, and events did not on the day before.
    """
    from simulation import generate

    base = tmp_path_factory.mktemp("faults")
    landing = base / "landing"
    generate(people=PEOPLE, days=DAYS, seed=SEED, landing=landing, truth=base / "truth", ends_at=DAY)
    shutil.rmtree(landing / "market")
    shutil.rmtree(sorted((landing / "events" / "events").iterdir())[-2])
    settings = settings_at(base / "state", landing)
    for stage in ("ingest", "staging", "identity"):
        call(stage, BEFORE, settings)
    result = pipeline._function("candor.gates:run")("identity", as_of=BEFORE, settings=settings)
    assert result["warned"] == []
    return base


@pytest.fixture
def planted(shop: Path, tmp_path: Path) -> Callable[[Callable[[Path], None]], Settings]:
    """Settings of a copy of the shop whose landing was edited by the function given."""

    def plant(edit: Callable[[Path], None]) -> Settings:
        shutil.copytree(shop / "landing", tmp_path / "landing")
        shutil.copytree(shop / "state", tmp_path / "state")
        edit(tmp_path / "landing")
        return settings_at(tmp_path / "state", tmp_path / "landing")

    return plant


def until_identity(settings: Settings) -> None:
    """The day up to who is who, held against seven quiet days."""
    call("ingest", DAY, settings)
    with warehouse.connect(settings) as connection:
        connection.execute(
            QUIET_DAYS.replace("cross join state.batches", "cross join (from state.batches where batch_seq = 1)")
        )
    for stage in ("staging", "identity"):
        call(stage, DAY, settings)


def failing(settings: Settings, gate: str) -> dict[str, dict[str, Any]]:
    """The checks of the day's gate that did not pass, by name."""
    [run] = [path for path in settings.reports_dir.glob(f"*/gates/{gate}.json") if _is_of_the_day(path)]
    return {check["name"]: check for check in json.loads(run.read_text(encoding="utf-8"))["checks"] if not check["success"]}


def _is_of_the_day(path: Path) -> bool:
    return json.loads(path.read_text(encoding="utf-8"))["as_of"].startswith(f"{DAY:%Y-%m-%d}")


def headings() -> dict[str, str]:
    """What docs/runbook.md says under each heading."""
    text = (PROJECT_ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    parts = re.split(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_a_lost_join_key_stops_the_day_and_names_the_records(planted) -> None:
    def edit(landing: Path) -> None:
        append(
            landing, "crm.contacts", [contact(f"lost{n:02}", email=f"{n:032x}", full_name=f"Ada Lost{n}") for n in range(30)]
        )

    settings = planted(edit)
    until_identity(settings)
    with pytest.raises(GateFailed, match="no join key was lost"):
        call("gate_identity", DAY, settings)
    check = failing(settings, "identity")["no join key was lost"]
    rows = {(row["feed"], row["key"], row["seen"]): row for row in check["unexpected_rows"]}
    email = rows["crm.contacts", "email", "new"]
    assert email["not_joined"].startswith("lost00, lost01")
    assert email["latest_delivery"] == day(settings.landing_dir, "crm.contacts").name
    assert check["severity"] == "critical"
    assert "stops" in headings()["Join key lost"]


def test_tests_in_bulk_a_shared_address_and_recycled_ids_stop_the_day_and_a_public_machine_does_not(planted) -> None:
    accounts: list[str] = []

    def edit(landing: Path) -> None:
        standing = pl.read_parquet(sorted((landing / "exchange" / "accounts").iterdir())[0] / "part-0.parquet")
        whole = (
            standing.filter(pl.col("full_name").is_not_null() & pl.col("birth_date").is_not_null())
            .unique("account_id")
            .sort("account_id")
        )
        accounts.extend(whole["account_id"].to_list())
        tests = [account(f"qa{n:02}", email=f"qa{n}@elsewhere.org", is_test=True) for n in range(40)]
        born = datetime(1991, 2, 3).date()  # noqa: DTZ001
        turned = [
            account(
                name, full_name=f"Zdenka Quimby{n}", birth_date=born, email=f"zq{n}@elsewhere.org", phone=f"+49301234{n:03}"
            )
            for n, name in enumerate(accounts[:6])
        ]
        append(landing, "exchange.accounts", tests + turned)
        append(
            landing,
            "crm.contacts",
            [contact(f"form{n:02}", email="none.given@elsewhere.org", full_name=f"Bo Form{n}") for n in range(60)],
        )
        at = datetime.fromisoformat(NOW)
        logins = [
            {"event_id": f"kiosk{n}", "occurred_at": at, "received_at": at, "event_name": "login", "channel": "app", "device_id": "kiosk",
             "account_id": name}
            for n, name in enumerate(accounts[10:80])
        ]  # fmt: skip
        append(landing, "events.events", logins)

    settings = planted(edit)
    until_identity(settings)
    with pytest.raises(GateFailed):
        call("gate_identity", DAY, settings)
    found = failing(settings, "identity")

    tests = found["test accounts do not come in bulk"]
    assert tests["severity"] == "critical"
    assert [row["record_id"] for row in tests["unexpected_rows"]] == [f"qa{n:02}" for n in range(5)]
    assert {row["delivery_id"].partition("@")[0] for row in tests["unexpected_rows"]} == {
        f"exchange.accounts/{day(settings.landing_dir, 'exchange.accounts').name}"
    }
    recycled = found["ids do not pass to other people in bulk"]
    assert recycled["severity"] == "critical"
    assert [row["record_id"] for row in recycled["unexpected_rows"]] == accounts[:5]
    assert all(row["row_hash"] != row["row_hash_before"] for row in recycled["unexpected_rows"])
    address = found["no address became a hub of 50 or more"]
    assert address["severity"] == "critical"
    assert address["unexpected_rows"][0] == {
        "identifier_kind": "email", "shown_as": "n…@elsewhere.org", "degree": 60, "hub_of": "contact_id", "record": "contact_id/form00",
        "had_an_owner": False,
    }  # fmt: skip
    machine = found["no machine, wallet or account became a hub of 50 or more"]
    assert machine["severity"] == "warning"
    assert [(row["shown_as"], row["degree"]) for row in machine["unexpected_rows"]] == [("kiosk", 70)]
    with warehouse.connect(settings) as connection:
        owners = connection.execute("select count(*) from identity.person_identifiers where identifier = 'kiosk'").fetchall()
    assert owners == [(0,)], "a public machine is nobody's"
    told = headings()
    assert all("stops" in told[name] for name in ("Mass test accounts", "Id recycled"))
    assert "goes on" in told["Hub injected"]
    assert "stops" in told["Hub injected"]


def test_offers_that_need_a_late_or_missing_silo_are_withheld_and_the_others_go_on(planted, capsys) -> None:
    settings = planted(lambda landing: shutil.rmtree(day(landing, "events.events")))
    for stage in pipeline.STAGES[: pipeline.NAMES.index("eligibility") + 1]:
        pipeline.run_stage(stage.name, DAY, settings)
    pipeline._function("candor.gates:run")("features", as_of=DAY, settings=settings)

    late = failing(settings, "raw")["every other silo was delivered in time"]
    seen = {row["feed"]: (row["state"], row["since"], row["latest_delivery"]) for row in late["unexpected_rows"]}
    assert late["severity"] == "warning"
    assert seen["market.prices"] == ("missing", None, None)
    assert seen["events.events"][0] == "late"
    assert seen["events.events"][2] == day(settings.landing_dir, "events.events").name
    with warehouse.connect(settings, restricted=True) as connection:

        def offers(query: str) -> set[str]:
            return {row[0] for row in connection.execute(query).fetchall()}

        withheld = offers("select offer_id from eligibility.offers_withheld")
        by_rule = offers(
            "select product_line from policy.matrix where vol_max < 2 or not list_has_all(stages, "
            "['prospect', 'new', 'developing', 'experienced', 'dormant'])"
        )
        expected = offers(
            "select offer_id from staging.stg_catalogue__offers qualify row_number() over (partition by offer_id order by version desc) = 1 "
            f"and (product_line in {tuple(by_rule)} or list_has_any(uses_features, ['asset_views_30d', 'product_views_30d']))"
        )
        left = offers("select distinct offer_id from eligibility.candidates")
        counted = connection.execute(
            "select code, people > 0, pairs > 0 from eligibility.exclusion_counts where code like 'DQ_SILO%' order by code"
        ).fetchall()
        told = connection.execute(
            "select distinct offer_id from vault.eligibility.exclusions where code = 'DQ_SILO_LATE' and offer_id = 'spot_btc'"
        ).fetchall()
    assert withheld == expected
    assert {"spot_btc", "stake_eth", "nft_gallery"} <= withheld
    assert left
    assert left & withheld == set()
    assert left <= {"edu_basics", "edu_risk", "wallet_deposit", "card_everyday"}
    assert counted == [("DQ_SILO_LATE", True, True), ("DQ_SILO_MISSING", True, True)]
    assert told == [("spot_btc",)]

    reporting.run(DAY, settings, raise_on_failure=False)
    summary = reporting.collect(DAY, settings)
    silos = {silo["feed"]: silo for silo in summary["silos"]}
    assert set(silos) == {"events.events", "market.prices"}
    assert silos["events.events"]["offers_withheld"] >= len({"spot_btc", "stake_eth"})
    assert silos["market.prices"]["since"] is None
    page = (settings.reports_dir / summary["run_id"] / "index.html").read_text(encoding="utf-8")
    assert "Silos late or missing" in page
    reporting.print_summary(DAY, settings)
    printed = capsys.readouterr().out
    assert "never delivered" in printed
    assert "offers withheld" in printed
    headed = headings()
    assert all("goes on" in headed[name] for name in ("Silo late", "Silo missing"))


@pytest.mark.parametrize("table", ["compliance.restrictions", "catalogue.approvals", "crm.consents"])
def test_what_the_day_cannot_do_without_stops_it_when_it_is_late(planted, table: str) -> None:
    def edit(landing: Path) -> None:
        for folder in sorted((landing / table.replace(".", "/")).iterdir())[-2:]:
            shutil.rmtree(folder)

    settings = planted(edit)
    shutil.rmtree(settings.state_dir)  # the delivery of the day before was there when that day ran
    call("ingest", DAY, settings)
    with pytest.raises(
        GateFailed, match=f"every silo that the day cannot do without .*\\n.*\\n  feed {re.escape(table)}, state late"
    ):
        call("gate_raw", DAY, settings)
