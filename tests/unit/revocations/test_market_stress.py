"""Markets that turn stressed after a run take away what may not be live in such a market, and nothing else does."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from candor import revocations
from candor.contract import load as load_contract
from candor.policy import load as load_policy
from candor.publishing import store
from candor.settings import PROJECT_ROOT, Settings

PUBLISHED, AS_OF = "2025-11-23T15:00:00Z", datetime(2025, 11, 23, 16, tzinfo=UTC)
HOURS = 24 * 100
OF_MATRIX = {line.product_line: line for line in load_policy(PROJECT_ROOT / "policy", "crypto").product_lines}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A store with an offer of each line of the matrix and a lesson, published at 15:00, and a hundred calm days in the raw segments."""
    made = Settings(
        state_dir=tmp_path, landing_dir=tmp_path / "landing", policy_dir=PROJECT_ROOT / "policy",
        serving_url=f"sqlite:///{tmp_path / 'serving' / 'offers.sqlite'}", mlflow_tracking_uri="", hash_key="k" * 64, threads=1,
        memory_limit="1GB", shop="crypto",
    )  # fmt: skip
    store.prepare(made)
    with store.transaction(made) as serving:
        serving.execute(f"insert into runs values ('r1', '{PUBLISHED}', '', 1, 0, 0, '', '', '', 1, '', '', null)")
        for line in OF_MATRIX:
            serving.execute("insert into offer_lines values (?, ?)", (f"o_{line}", line))
        serving.execute("insert into offer_lines values ('lesson', 'nft')")
        serving.execute("insert into lessons values ('lesson')")
    rows = [row for hour in range(1, HOURS + 1) for row in bars(hour, 100.0, 100.0 + 0.1 * (hour % 2))]
    table = pa.Table.from_pylist([{**row, "_extracted_at": AS_OF.replace(tzinfo=None) - timedelta(hours=1)} for row in rows])
    path = made.raw_dir / "market" / "prices" / "s.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(table, path)
    return made


def bars(hours_ago: int, opened: float, closed: float) -> list[dict]:
    start = AS_OF.replace(tzinfo=None) - timedelta(hours=hours_ago + 1)
    prices = {"open_usd": opened, "high_usd": max(opened, closed), "low_usd": min(opened, closed), "close_usd": closed}
    return [{"asset": asset, "bar_start": start, "interval": "1h", **prices} for asset in ("BTC", "ETH")]


def land(settings: Settings, closed: float, name: str = "2025-11-23T160000Z") -> None:
    """The hour after the run, as the market source delivers it."""
    folder = settings.landing_dir / "market" / "prices" / name
    folder.mkdir(parents=True)
    columns = [column.name for column in load_contract().table("market.prices").columns]
    with open(folder / "rows.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(
            {**row, "bar_start": f"{row['bar_start']:%Y-%m-%dT%H:%M:%SZ}", "volume_usd": 1} for row in bars(0, 100.0, closed)
        )


def hidden(settings: Settings, at: datetime) -> set[str]:
    """The offers that no reader sees at the instant."""
    with store.reading(settings) as reader:
        text = f"{at:%Y-%m-%dT%H:%M:%SZ}"
        rows = reader.rows("select offer_id from suppressions where since <= ? and (until is null or until > ?)", (text, text))
    return {offer for (offer,) in rows}


def not_for_stress() -> set[str]:
    return {f"o_{name}" for name, line in OF_MATRIX.items() if line.vol_max < 2}


def test_a_crash_after_the_run_takes_away_at_once_what_the_matrix_does_not_bear_in_it(settings: Settings) -> None:
    land(settings, 50.0)
    told = revocations.run(AS_OF, settings)
    assert told["market_vol_rank"] == 2
    assert not_for_stress()
    assert hidden(settings, AS_OF) == not_for_stress()
    assert revocations.run(AS_OF, settings)["market_suppressions_changed"] == 0


@pytest.mark.parametrize(("hours", "rank"), [(3, 5), (6, 3), (12, 2), (24, 0)])
def test_what_the_matrix_bears_goes_when_it_is_older_than_it_may_be_in_stress(
    settings: Settings, hours: int, rank: int
) -> None:
    land(settings, 50.0)
    revocations.run(AS_OF, settings)
    over = datetime(2025, 11, 23, 15, tzinfo=UTC) + timedelta(hours=hours)
    gone = hidden(settings, over) - hidden(settings, over - timedelta(seconds=1))
    following = min((above for above in (2, 3, 5) if above > rank), default=99)
    assert gone == {f"o_{name}" for name, line in OF_MATRIX.items() if line.vol_max >= 2 and rank <= line.rank < following}
    assert "lesson" not in hidden(settings, over + timedelta(days=9))


def test_a_calm_hour_takes_nothing(settings: Settings) -> None:
    land(settings, 100.0)
    told = revocations.run(AS_OF, settings)
    assert (told["market_vol_rank"], told["market_suppressions_changed"]) == (0, 0)


def test_what_the_run_could_know_is_left_to_the_run(settings: Settings) -> None:
    """The same crash, extracted when the run was made."""
    land(settings, 50.0, "2025-11-23T150000Z")
    assert revocations.run(AS_OF, settings)["market_suppressions_changed"] == 0


def test_of_markets_that_nobody_knows_anything_nothing_is_taken(settings: Settings) -> None:
    (settings.raw_dir / "market" / "prices" / "s.parquet").unlink()
    land(settings, 50.0)
    told = revocations.run(AS_OF, settings)
    assert (told["market_vol_rank"], told["market_suppressions_changed"]) == (None, 0)


def test_the_next_run_ends_what_was_taken_from_the_one_before(settings: Settings) -> None:
    land(settings, 50.0)
    revocations.run(AS_OF, settings)
    with store.transaction(settings) as serving:
        serving.execute("update runs set is_current = 0")
        serving.execute("insert into runs values ('r2', '2025-11-23T16:00:00Z', '', 1, 0, 0, '', '', '', 1, '', '', null)")
    later = AS_OF + timedelta(minutes=15)
    revocations.run(later, settings)
    assert hidden(settings, later) == set()
