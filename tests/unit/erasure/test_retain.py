"""What the product keeps over the days goes when the period of its class is over, and not a moment before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from candor.erasure import inventory, retain
from candor.ledger import chain
from candor.ledger.tombstones import RECORD_CLASS
from candor.review import queueing
from candor.settings import Settings
from candor.warehouse import connect

DRAWN = datetime(2026, 11, 23, 15, tzinfo=UTC)
DUE = datetime(2027, 12, 23, 15, tzinfo=UTC)  # thirteen months later
TABLE, _ = queueing.DRAWS.split("delete from")


@pytest.fixture
def kept(settings: Settings) -> Settings:
    """Somebody was drawn for review and decided about on two days."""
    settings.warehouse_path.parent.mkdir(parents=True, exist_ok=True)
    with connect(settings, restricted=True) as connection:
        connection.execute("create schema if not exists state; create schema if not exists vault.state;")
        connection.execute(TABLE)
        connection.execute("create table state.decisions (person_id varchar, as_of timestamp)")
        for day in range(2):
            instant = DRAWN.replace(tzinfo=None) + timedelta(days=day)
            connection.execute(
                "insert into vault.state.review_draws (batch_seq, drawn_at, item_id, person_id, facts) values (?, ?, ?, 'p1', '{}')",
                [day, instant, f"i{day}"],
            )
            connection.execute("insert into state.decisions values ('p1', ?)", [instant])
    return settings


def counted(settings: Settings, as_of: datetime, *, dry_run: bool = False) -> tuple[int, int]:
    (told,) = (one for one in retain.retain(as_of, settings, dry_run=dry_run) if one["record_class"] == "features_and_scores")
    return told["past"], told["dropped"]


def standing(settings: Settings) -> tuple[list[str], int]:
    with connect(settings, restricted=True) as connection:
        draws = connection.execute("select item_id from vault.state.review_draws order by 1").fetchall()
        return [item for (item,) in draws], connection.execute("select count(*) from state.decisions").fetchall()[0][0]


def test_what_was_drawn_for_review_goes_after_thirteen_months_as_past_decisions_do(kept: Settings) -> None:
    assert counted(kept, DUE - timedelta(seconds=1)) == (0, 0)
    assert standing(kept) == (["i0", "i1"], 2)
    assert counted(kept, DUE, dry_run=True) == (2, 0)
    assert standing(kept) == (["i0", "i1"], 2)
    assert counted(kept, DUE) == (2, 2)
    assert standing(kept) == (["i1"], 1)
    assert counted(kept, DUE) == (0, 0)


def test_a_state_folder_that_has_no_such_table_yet_is_no_error(settings: Settings) -> None:
    settings.warehouse_path.parent.mkdir(parents=True, exist_ok=True)
    assert counted(settings, DUE) == (0, 0)


@pytest.mark.parametrize(("store", "table", "instant"), retain.DATED)
def test_the_inventory_has_each_dated_table_in_the_class_whose_period_it_is_dropped_by(
    store: str, table: str, instant: str
) -> None:
    assert {line.record_class for line in inventory.of(store, table)} == {"features_and_scores"}


@pytest.mark.parametrize(
    ("face", "name"), [pytest.param(face, name, id=f"{face}/{name}") for face, name in chain.chained_names()]
)
def test_a_chained_file_is_of_the_decision_log_and_no_erasure_takes_a_row_out_of_it(face: str, name: str) -> None:
    """Its bytes are vouched for: a file of another class would go without a tombstone, and the chain would break."""
    lines = inventory.of(face, name)
    assert lines
    assert {(line.record_class, line.does) for line in lines} == {(RECORD_CLASS, "keep")}
    assert retain._is_log(f"{face}/{name}.parquet")
