"""How long each class of record is kept: periods by the calendar, and a file that says something impossible is refused."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from candor.errors import PolicyError
from candor.policy import load
from candor.policy.retention import months_from
from candor.settings import PROJECT_ROOT


@pytest.mark.parametrize(
    ("since", "months", "until"),
    [
        ((2026, 11, 23), 60, (2031, 11, 23)),
        ((2024, 2, 29), 12, (2025, 2, 28)),
        ((2026, 1, 31), 1, (2026, 2, 28)),
        ((2026, 12, 31), 13, (2028, 1, 31)),
        ((2026, 3, 31), -13, (2025, 2, 28)),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, tuple) else str(value),
)
def test_a_period_ends_on_the_same_day_of_the_month_or_its_last(
    since: tuple[int, int, int], months: int, until: tuple[int, int, int]
) -> None:
    assert months_from(datetime(*since, tzinfo=UTC), months) == datetime(*until, tzinfo=UTC)


def test_the_policy_keeps_what_the_law_requires_apart_and_suppression_for_ever() -> None:
    classes = {one.name: one for one in load(PROJECT_ROOT / "policy", "crypto").retention}
    assert {name for name, one in classes.items() if one.legal_hold} == {
        "customer_due_diligence", "suspicion", "sanctions", "suitability", "consent_proof", "service_records",
    }  # fmt: skip
    now = datetime(2026, 11, 23, tzinfo=UTC)
    assert classes["sanctions"].until(now) == datetime(2036, 11, 23, tzinfo=UTC)
    assert classes["features_and_scores"].until(now) == datetime(2027, 12, 23, tzinfo=UTC)
    assert classes["suppression"].until(now) is None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("months: 120", "months: 0", "months must be at least 1"),
        ("[compliance.screening_hits]", "[compliance.screenings]", "is no table of the landing contract"),
        ("tables: [compliance.kyc_records]", "tables: []", "must name landed tables"),
        ("owner: data", "owner: nobody", "is none of"),
        ("begins: known", "begins: sometime", "begins"),
        ("record_class: sanctions", "record_class: suspicion", "stands twice"),
    ],
    ids=["no period", "no table", "nothing landed", "no owner", "no beginning", "twice"],
)
def test_a_file_that_says_something_impossible_is_refused_with_its_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    folder = tmp_path / "policy"
    shutil.copytree(PROJECT_ROOT / "policy", folder)
    file = folder / "retention.yml"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(PolicyError, match=said) as caught:
        load(folder, "crypto")
    assert "retention.yml" in str(caught.value)
