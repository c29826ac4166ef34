"""The decision log goes when its period is over, and the chain still says of every file that it is as published or was dropped in time."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from candor import policy, publishing
from candor.erasure import retain
from candor.ledger import chain
from candor.ledger.files import digest
from candor.policy import load
from candor.policy.retention import RecordClass
from candor.settings import PROJECT_ROOT
from tests.unit.publishing.conftest import TUESDAY, Shop, two_published_days

DUE = datetime(2033, 11, 23, 15, tzinfo=UTC)  # seven years after Monday, a day too early for Tuesday
(LOG,) = (one for one in load(PROJECT_ROOT / "policy", "crypto").retention if one.name == "decision_log")


@pytest.fixture(scope="module")
def published_once(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return two_published_days(tmp_path_factory.mktemp("two_days"))


@pytest.fixture
def shop(published_once: Shop, tmp_path: Path) -> Shop:
    """Monday and Tuesday are published."""
    return published_once.copy(tmp_path / "state")


def drop(shop: Shop, as_of: datetime = DUE, log=LOG, *, dry_run: bool = False) -> tuple[int, int]:
    ((_, past, dropped),) = retain._log(shop.settings, log, chain.entries(shop.settings), as_of, dry_run)
    return past, dropped


def standing(shop: Shop, number: int) -> list[Path]:
    entry = chain.entries(shop.settings)[number]
    paths = [chain.folders(shop.settings, entry.run_id)[key.partition("/")[0]] / key.partition("/")[2] for key in entry.files]
    return [path for path in paths if path.is_file()]


def tombstone(shop: Shop) -> Path:
    (path,) = (chain.chain_dir(shop.settings) / "dropped").glob("*.json")
    return path


def test_what_is_due_goes_and_the_chain_holds_from_the_first_entry_to_the_last(shop: Shop) -> None:
    first, second = chain.entries(shop.settings)
    assert drop(shop, dry_run=True) == (len(first.files), 0)
    assert drop(shop) == (len(first.files), len(first.files))
    assert (standing(shop, 0), len(standing(shop, 1))) == ([], len(second.files))
    verdict = chain.verify(shop.settings, head=second.hash)
    assert (verdict.difference, verdict.runs, verdict.files, verdict.files_dropped) == (
        None,
        2,
        len(second.files),
        len(first.files),
    )
    assert drop(shop) == (0, 0)


def test_nothing_goes_a_second_before_its_time(shop: Shop) -> None:
    assert drop(shop, DUE - timedelta(seconds=1)) == (0, 0)
    assert standing(shop, 0)


def test_what_the_law_holds_is_told_and_kept(shop: Shop) -> None:
    past, dropped = drop(shop, log=replace(LOG, legal_hold=True))
    assert (past > 0, dropped, len(standing(shop, 0))) == (True, 0, past)


def test_a_call_that_was_killed_between_files_is_gone_on_with(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    unlink, gone = Path.unlink, []

    def dies(path: Path, missing_ok: bool = False) -> None:
        if path.suffix == ".parquet" and len(gone) == 3:
            raise KeyboardInterrupt
        gone.append(path)
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", dies)
    with pytest.raises(KeyboardInterrupt):
        drop(shop)
    monkeypatch.undo()
    assert (chain.verify(shop.settings).difference, chain.verify(shop.settings).files_dropped) == (None, 3)
    drop(shop)
    assert (chain.verify(shop.settings).difference, standing(shop, 0)) == (None, [])


FORGED = {
    "of_no_period": {"months": 0, "dropped_as_of": "2026-11-24T00:00:00Z"},
    "of_a_month": {"months": 1, "dropped_as_of": "2027-01-01T00:00:00Z"},
    "of_a_month_less_than_the_policy_says": {"months": 83},
    "of_no_number": {"months": None},
    "of_a_class_that_goes_sooner": {
        "record_class": "features_and_scores",
        "months": 13,
        "dropped_as_of": "2028-01-01T00:00:00Z",
    },
    "before_its_time": {"dropped_as_of": "2033-11-23T14:59:59Z"},
    "of_a_shorter_period_than_it_says": {"months": 1000},
    "of_another_run": {"entry": "0" * 64},
    "of_other_content": {"files": {"published/offers.parquet": "0" * 64}},
    "without_the_file": {"files": {}},
}


@pytest.mark.parametrize("name", FORGED)
@pytest.mark.parametrize("is_hashed_again", [True, False], ids=["hashed_again", "as_it_was"])
def test_a_tombstone_that_is_not_of_the_file_hides_nothing(shop: Shop, name: str, is_hashed_again: bool) -> None:
    drop(shop)
    said = json.loads(tombstone(shop).read_text(encoding="utf-8")) | FORGED[name]
    if is_hashed_again:
        said["hash"] = digest({key: value for key, value in said.items() if key != "hash"})
    tombstone(shop).write_text(json.dumps(said), encoding="utf-8")
    difference = chain.verify(shop.settings).difference
    assert difference is not None
    assert difference.endswith("(entry 1) is gone")


def test_a_file_that_goes_without_being_dropped_is_missed_as_before(shop: Shop) -> None:
    drop(shop)
    standing(shop, 1)[0].unlink()
    assert "(entry 2) is gone" in str(chain.verify(shop.settings).difference)


def test_nothing_is_explained_from_what_was_dropped(shop: Shop) -> None:
    drop(shop)
    with pytest.raises(chain.LedgerBroken, match="was dropped when its period of retention was over"):
        chain.check_files(shop.settings, chain.entries(shop.settings)[0], ("published",))


def test_nothing_was_dropped_after_the_instant_at_which_the_chain_is_read(shop: Shop) -> None:
    drop(shop)
    assert "(entry 1) is gone" in str(chain.verify(shop.settings, at=DUE - timedelta(seconds=1)).difference)
    assert chain.verify(shop.settings, at=DUE).difference is None


def of_months(tmp_path: Path, months: int | None) -> Path:
    """A policy folder under which the decision log is kept so long."""
    folder = tmp_path / f"policy_{months}"
    shutil.copytree(PROJECT_ROOT / "policy", folder)
    path = folder / "retention.yml"
    said = path.read_text(encoding="utf-8")
    start = said.index("months:", said.index("record_class: decision_log"))
    value = "null" if months is None else str(months)
    path.write_text(f"{said[:start]}months: {value}{said[said.index(chr(10), start) :]}", encoding="utf-8")
    return folder


@pytest.fixture
def under(tmp_path: Path, shop: Shop) -> Callable[..., Shop]:
    """The shop with the policy in force under which the log is kept so many months; `publishes`: Wednesday is published under it."""

    def made(months: int | None, *, publishes: bool = False) -> Shop:
        settings = replace(shop.settings, policy_dir=of_months(tmp_path, months))
        if not publishes:
            return Shop(settings)
        decided = Shop(settings, policy_version=policy.snapshot(settings))
        decided.stage(WEDNESDAY)
        publishing.run(WEDNESDAY, settings)
        return decided

    return made


WEDNESDAY = TUESDAY + timedelta(days=1)
YEAR = datetime(2027, 11, 23, 15, tzinfo=UTC)


def test_a_shorter_period_counts_from_the_first_run_that_is_published_under_it(under: Callable[..., Shop]) -> None:
    published = under(36, publishes=True)
    assert drop(under(12), YEAR, of_log(12)) == (0, 0), "no published run's policy let anything go after a year"
    three = datetime(2029, 11, 23, 15, tzinfo=UTC)
    assert drop(published, three - timedelta(seconds=1), of_log(36)) == (0, 0)
    past, dropped = drop(published, three, of_log(36))
    assert (past, dropped) == (dropped, len(chain.entries(published.settings)[0].files))


def test_what_was_dropped_in_time_stays_so_when_the_period_is_made_longer(under: Callable[..., Shop]) -> None:
    three = datetime(2029, 11, 23, 15, tzinfo=UTC)
    drop(under(36, publishes=True), three, of_log(36))
    longer = under(84)
    assert (chain.verify(longer.settings, at=three).difference, chain.verify(longer.settings).files_dropped > 0) == (None, True)


def test_the_snapshot_of_a_policy_that_somebody_shortened_lets_nothing_go(under: Callable[..., Shop]) -> None:
    published = under(36, publishes=True)
    three = datetime(2029, 11, 23, 15, tzinfo=UTC)
    drop(published, three, of_log(36))
    kept = published.settings.state_dir / "policy" / published.policy_version / "retention.yml"
    kept.write_text(kept.read_text(encoding="utf-8").replace("months: 36", "months: 12"), encoding="utf-8")
    assert "(entry 1) is gone" in str(chain.verify(under(84).settings).difference)


def test_a_log_that_is_kept_for_good_is_never_dropped_and_no_tombstone_says_so(under: Callable[..., Shop]) -> None:
    always = under(None)
    assert retain._log(always.settings, of_log(None), chain.entries(always.settings), DUE, False) == []
    drop(under(84))
    assert "(entry 1) is gone" in str(chain.verify(always.settings).difference)


def of_log(months: int | None) -> RecordClass:
    return replace(LOG, months=months)
