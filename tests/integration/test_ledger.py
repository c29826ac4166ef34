"""The ledger of a whole day: pairs put together again are the naive pairs, and a past decision is explained as it was on its day."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest

from candor import pipeline, policy, runs, warehouse
from candor.ledger import chain, explaining, published, reassembly, telling
from candor.ledger.files import HIT_KEYS, PATTERN_FILES
from candor.ledger.roles import ROLES, role
from candor.policy import compiling
from candor.policy.grains import PAIR
from candor.settings import Settings
from tests.integration.conftest import DAY, NEXT, copy_of

if TYPE_CHECKING:
    from tests.integration.conftest import Shop

CODE = "person_id, offer_id, channel, grain, rule_id, v, effect, visibility, code"


@pytest.fixture(scope="module")
def day(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """The day's warehouse and vault, with `pairs`, and the reasons put together from the published files of each face.

    Copies of both, so that no other process's tests wait for these.
    """
    folder = tmp_path_factory.mktemp("day")
    for path in (shop.settings.warehouse_path, shop.settings.vault_path):
        shutil.copyfile(path, folder / path.name)
    folders = chain.folders(shop.settings, shop.run_id)
    with duckdb.connect(str(folder / shop.settings.warehouse_path.name), read_only=True) as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute(f"attach '{folder / shop.settings.vault_path.name}' as vault (read_only)")
        pairs = reassembly.pairs_sql(folders["published"], one_person=False)
        connection.execute(f"create temp table pairs as {pairs}")
        for face, files in folders.items():
            reasons = reassembly.reasons_sql(folders["published"], files, one_person=False)
            connection.execute(f"create temp table reasons_{face} as {reasons}")
        yield connection
    shutil.rmtree(folder)


def apart(connection: duckdb.DuckDBPyConnection, one: str, other: str) -> list[tuple[str, int]]:
    """(code, rows) that one query gives and the other does not, copies counted."""
    return connection.execute(
        f"select code, count(*) from ((({one}) except all ({other})) union all (({other}) except all ({one}))) group by code"
    ).fetchall()


def test_pairs_put_together_are_the_exclusions_of_the_run_pair_by_pair(
    shop: Shop, day: duckdb.DuckDBPyConnection, capsys: pytest.CaptureFixture[str]
) -> None:
    # A key that an exclusion leaves open speaks of every value.
    naive = f"""
        select pairs.person_id, pairs.offer_id, pairs.channel, {CODE.partition("channel, ")[2]}
        from pairs
        inner join vault.eligibility.exclusions as found
            on pairs.person_id = found.person_id
            and coalesce(found.is_promotion, pairs.is_promotion) = pairs.is_promotion
            and coalesce(found.product_line, pairs.product_line) = pairs.product_line
            and coalesce(found.incentive, pairs.incentive) = pairs.incentive
            and coalesce(found.offer_class, pairs.offer_class) = pairs.offer_class
            and coalesce(found.rule_channel, pairs.rule_channel) = pairs.rule_channel
            and coalesce(found.offer_id, pairs.offer_id) = pairs.offer_id
            and coalesce(found.channel, pairs.channel) = pairs.channel
    """
    day.execute(f"create or replace temp table naive as {naive}")
    (count,) = warehouse.one_row(day, "select count(*) from naive")
    assert count > 100_000
    assert apart(day, f"select {CODE} from reasons_restricted", f"select {CODE} from naive") == []
    restricted = chain.folders(shop.settings, shop.run_id)["restricted"]
    hits = sum(
        warehouse.one_row(day, f"select count(*) from '{restricted / name}.parquet'")[0] for name in (*HIT_KEYS, *PATTERN_FILES)
    )
    people, pairs = warehouse.one_row(day, "select count(distinct person_id), count(*) from pairs")
    with capsys.disabled():
        print(f"\n  {people:,} people, {pairs:,} pairs with {count:,} reasons, from {hits:,} hits")


def test_pairs_put_together_are_what_every_rule_says_of_every_pair_asked_one_by_one(
    shop: Shop, day: duckdb.DuckDBPyConnection
) -> None:
    """The compiled rules at the grain of the pair: each over all facts of a person, a creative, a channel and a place at once."""
    run = runs.Run(*read_run(day))
    day.execute(
        f"""
        create or replace temp table eval_pair as
        select
            people.*, offers.* exclude (channel, c_channel), channels.* exclude (person_id), channels.rule_channel as c_channel,
            places.d_perm_missing, places.o_ends_at, market_state.c_vol_rank, coalesce(products.u_approp, 'not_taken') as u_approp,
            timestamp '{run.as_of:%Y-%m-%d %H:%M:%S}' as c_as_of
        from pairs
        inner join vault.eligibility.person_facts as people on pairs.person_id = people.person_id
        inner join eligibility.offer_facts as offers on pairs.creative_id = offers.creative_id
        cross join eligibility.market_state as market_state
        inner join vault.eligibility.person_channel_facts as channels
            on pairs.person_id = channels.person_id and pairs.rule_channel = channels.rule_channel
        left join vault.eligibility.person_product_facts as products
            on pairs.person_id = products.person_id and pairs.product_line = products.product_line
        inner join vault.eligibility.offer_place_facts as places
            on pairs.creative_id = places.creative_id and pairs.place_id = places.place_id
        """
    )
    pinned = policy.for_run(shop.settings, run)
    # Rules of the pair are asked last, of the survivors alone; all others of everybody.
    rules = [replace(rule, grain=PAIR) for rule in (*compiling.engine_rules(pinned), *pinned.rules) if rule.grain != PAIR]
    every_rule = "\nunion all\n".join(select for rule in rules for select in compiling.selects(rule))
    columns = "person_id, creative_id, rule_id, v, effect, visibility, code, penalty_bp"
    day.execute(f"create or replace temp table naive as select {columns} from ({every_rule})")
    (count,) = warehouse.one_row(day, "select count(*) from naive")
    assert count > 100_000
    # What the models find themselves is no rule of the pack: send windows, creatives, and what is seen among the survivors alone.
    ours = f"""
        select {columns} from reasons_restricted inner join pairs using (person_id, offer_id, channel)
        where grain <> 'pair' and rule_id <> 'ENG-WINDOW'
    """
    assert apart(day, ours, f"select {columns} from naive") == []


def read_run(connection: duckdb.DuckDBPyConnection) -> tuple:
    return warehouse.one_row(
        connection,
        "select batches.as_of, run_id, batch_seq, policy_version, champion_version "
        "from state.batches inner join state.current_run using (as_of)",
    )


def test_every_pair_is_either_excluded_for_a_reason_or_was_ranked(shop: Shop, day: duckdb.DuckDBPyConnection) -> None:
    pairs, excluded, ranked, both = warehouse.one_row(
        day,
        f"""
        with stopped as (
            select distinct person_id, offer_id, channel from reasons_restricted where effect in ('BLOCK', 'HOLD')
        ),
        ranked as (select person_id, offer_id, channel from read_parquet('{shop.published / "ledger.parquet"}'))
        select
            (select count(*) from pairs),
            (select count(*) from stopped),
            (select count(*) from ranked),
            (select count(*) from stopped inner join ranked using (person_id, offer_id, channel))
        """,
    )
    assert both == 0
    assert excluded + ranked == pairs
    assert excluded > 0
    assert ranked > 0


def test_the_ordinary_face_stops_the_same_pairs_and_names_no_restricted_reason(day: duckdb.DuckDBPyConnection) -> None:
    names = "person_id, offer_id, channel, code, rule_id"
    folded = """
        select distinct person_id, offer_id, channel,
            if(visibility = 'restricted', 'ELIG_NA', code) as code, if(visibility = 'restricted', 'ELIG_NA', rule_id) as rule_id
        from reasons_restricted
    """
    assert apart(day, f"select distinct {names} from reasons_published", folded) == []
    assert warehouse.one_row(
        day, "select count(*) from reasons_published where visibility = 'restricted' and code <> 'ELIG_NA'"
    ) == (0,)


def explanations(settings: Settings, on: str, people: list[str]) -> dict[tuple[str, str], str]:
    """What every role reads of some people, as text and as JSON."""
    entry = published.find(settings, on)
    found = {}
    with warehouse.scratch(settings) as connection:
        for name in ROLES:
            decisions = published.Decisions(connection, settings, entry, role(name))
            for person in people:
                explained = explaining.explain(decisions, person)
                found[person, name] = telling.as_json(explained) + telling.as_text(explained)
    return found


def chosen_people(shop: Shop) -> list[str]:
    """Somebody for each reason and each outcome there is."""
    folders = chain.folders(shop.settings, shop.run_id)
    query = " union all ".join(
        [
            f"select min(person_id) from '{folders['restricted'] / 'user_hits'}.parquet' group by code",
            f"select min(person_id) from '{folders['restricted'] / 'user_product_patterns'}.parquet' "
            f"inner join '{folders['restricted'] / 'product_pattern_hits'}.parquet' using (pattern_id) group by code",
            f"select min(person_id) from '{folders['published'] / 'ledger'}.parquet' group by not_chosen_reason",
        ]
    )  # fmt: skip
    return [row[0] for row in duckdb.sql(f"select distinct * from ({query}) order by 1").fetchall()]


@pytest.mark.slow
def test_a_past_decision_is_explained_to_the_byte_after_later_runs_and_a_rerun(shop: Shop, later: Shop, tmp_path: Path) -> None:
    on, people = f"{DAY:%Y-%m-%dT%H:%M:%SZ}", chosen_people(shop)
    assert len(people) > 5
    before = explanations(shop.settings, on, people)
    assert any("held out" in text or "left alone" in text for text in before.values())
    copied = copy_of(later, tmp_path / "state")
    with warehouse.connect(copied.settings) as connection:
        run_id = runs.get(connection, NEXT).run_id
    assert [entry.run_id for entry in chain.entries(copied.settings)] == [copied.run_id, run_id]
    assert explanations(copied.settings, on, people) == before
    latest = explanations(copied.settings, f"{NEXT:%Y-%m-%dT%H:%M:%SZ}", people)
    assert all(run_id in text for text in latest.values())
    head = chain.verify(copied.settings).head
    pipeline.run(DAY, copied.settings)
    assert chain.verify(copied.settings).head == head
    assert explanations(copied.settings, on, people) == before
    ledger = copied.published / "ledger.parquet"
    ledger.write_bytes(ledger.read_bytes()[:-1] + b"?")
    difference = chain.verify(copied.settings).difference
    assert difference is not None
    assert difference.startswith(f"published/ledger.parquet of run {copied.run_id} (entry 1)")
