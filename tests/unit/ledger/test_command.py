"""`candor explain` and `candor ledger verify` as somebody types them, and the headings of the runbook that name them."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from candor import publishing
from candor import settings as settings_module
from candor.cli import app
from candor.ledger import chain
from candor.settings import PROJECT_ROOT
from tests.unit.publishing.conftest import MONDAY, Shop, make_settings

OFFERS = """
insert into eligibility.offer_facts values ('cr', 'offer1', 1, 'spot', 'web', 'inapp', true, 'none', 'spot:true');
insert into eligibility.creative_choices values ('en-GB', 'offer1', 'web', 'cr', 'en-GB');
insert into policy.texts values ('Not now.');
create or replace table policy.rulebook as
    select 'X' as code, 'X-1' as rule_id, 1 as v, '' as title, '' as statement, '' as cite, '' as applies_when, '' as requires,
        []::varchar[] as facts, false as is_unknown, null::varchar as customer_text
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """Monday is published, and the command reads this state folder."""
    made = Shop(make_settings(tmp_path / "state", f"sqlite:///{tmp_path / 'state' / 'serving' / 'offers.sqlite'}"))
    made.stage(MONDAY, extra=OFFERS)
    publishing.run(MONDAY, made.settings)
    for name, value in settings_module.as_variables(made.settings).items():
        monkeypatch.setenv(name, value)
    return made


def candor(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_a_person_is_found_by_any_identifier_and_by_day(shop: Shop) -> None:
    texts = {
        candor("explain", name, "--as", "customer", "--on", "2026-11-23").output
        for name in ("account_id/acc_ann", "ann@gmail.com")
    }
    (text,) = texts
    assert text.splitlines() == [
        f"ann in run {chain.entries(shop.settings)[0].run_id} of 2026-11-23T15:00:00Z, as customer may know it",
        "  offer1 by web: shown. Why",
    ]


def test_a_page_is_written_for_its_reader_alone(shop: Shop, tmp_path: Path) -> None:
    page = tmp_path / "answers" / "why.html"
    assert candor("explain", "acc_ann", "--as", "support", "--html", str(page)).output == f"page: {page}\n"
    assert "<h1>Why ann sees what they see</h1>" in page.read_text(encoding="utf-8")
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    refused = candor("explain", "acc_ann", "--html", str(tmp_path / "why.pdf"))
    assert "does not end in .html" in str(refused.exception)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nobody@x.org"], "knows nobody by nobody@x.org"),
        (["acc_ann", "--on", "2026-11-30"], "no published run is of 2026-11-30"),
        (["acc_ann", "--as", "boss"], "no role is called 'boss'"),
        (["acc_ann", "--offer", "offer2"], "knew no offer 'offer2'"),
    ],
    ids=["an_unknown_person", "an_unknown_day", "an_unknown_role", "an_unknown_offer"],
)
def test_what_is_not_known_is_told_with_a_hint(shop: Shop, arguments: list[str], told: str) -> None:
    raised = candor("explain", *arguments).exception
    assert told in str(raised)
    assert "hint: " in str(raised)


def test_verify_prints_the_head_and_names_the_first_file_that_differs(shop: Shop) -> None:
    (entry,) = chain.entries(shop.settings)
    said = candor("ledger", "verify").output
    assert said == f"1 published runs, {len(entry.files)} files are as they were published\nhead: {entry.hash}\n"
    assert candor("ledger", "verify", "--head", entry.hash).exit_code == 0
    assert "the end of the chain was cut off" in str(candor("ledger", "verify", "--head", "0" * 64).exception)
    path = shop.settings.published_dir / entry.run_id / "ledger.parquet"
    path.write_bytes(path.read_bytes() + b"?")
    assert "published/ledger.parquet" in str(candor("ledger", "verify").exception)


def headings() -> dict[str, str]:
    """What docs/runbook.md says under each heading."""
    text = (PROJECT_ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    parts = re.split(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_a_regulator_asks_why_as_the_runbook_says(shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told = headings()["A regulator asks why"]
    (command,) = re.findall(r"`candor (explain PERSON [^`]*)`", told)[:1]
    asked = [str(tmp_path / word) if word.endswith(".html") else word.replace("PERSON", "acc_ann") for word in command.split()]
    (shop.settings.restricted_published_dir / chain.entries(shop.settings)[0].run_id).rename(tmp_path / "closed")
    refused = candor(*asked)
    for part in ("the role", "reads", "which this account may not read"):
        assert part.lower() in told.lower()
        assert part in str(refused.exception)
    assert "no published run is of" in str(candor("explain", "acc_ann", "--on", "2026-01-01").exception)
    assert "no published run is of" in told.lower()
    known = {name for parameter in typer.main.get_command(app).commands["explain"].params for name in parameter.opts}
    assert set(re.findall(r"`(--[a-z]+)`", told)) <= known


def test_the_ledger_refuses_a_run_as_the_runbook_says(shop: Shop) -> None:
    told = headings()["The ledger refuses a run"]
    shop.stage(MONDAY, extra=f"{OFFERS}; update decisions.ledger set rank = 9 where slot = 1 and person_id = 'ann'")
    with pytest.raises(chain.LedgerBroken) as raised:
        publishing.run(MONDAY, shop.settings)
    assert raised.value.exit_code == 1
    for part in ("was published with another published/ledger.parquet", "rows are in one of them alone"):
        assert part in told
        assert part in raised.value.message
