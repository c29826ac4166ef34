"""The same inputs give the same bytes, whatever happened to the state folder or to the shape of the files."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import fingerprint
from benchmarks.reshape import rewrite
from tests.integration.conftest import SEED, Shop, differing, run_to_the_day, settings_at


def test_deliveries_shuffled_split_and_in_other_formats_give_the_same_bytes(
    shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = rewrite(shop.settings.landing_dir, tmp_path / "landing", seed=SEED)
    assert min(written.values()) > 100
    settings = settings_at(tmp_path / "state", tmp_path / "landing")
    run_id, _, model_version = run_to_the_day(settings)
    assert model_version == shop.model_version
    assert run_id == shop.run_id
    found = fingerprint.of_state(settings.state_dir)
    assert differing(shop.expected, found) == []
    assert len(found) > 25
    with capsys.disabled():
        print(
            f"\n  {sum(written.values()):,} files instead of {_files(shop.settings.landing_dir):,}; {len(found)} hashes, all the same"
        )


def _files(landing: Path) -> int:
    return sum(1 for path in landing.glob("*/*/*/*") if path.name != "_manifest.json")
