"""Rules asked once per combination of facts, and offers worked out once per audience, find what asking every person about every offer finds.

The models are those of the daily run, rendered as the simulation renders them, over people of few and odd facts.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from candor.policy import compiling, load
from candor.policy.grains import CLASS_FACTS, MATRIX_FACTS
from candor.policy.rebuilding import _MODELS, _Templates
from candor.settings import PROJECT_ROOT

POLICY = load(PROJECT_ROOT / "policy", "crypto")
AS_OF = datetime(2026, 11, 23, 15, tzinfo=UTC)
INSTANTS = [None, *(AS_OF.replace(tzinfo=None) + timedelta(hours=hours) for hours in (-9000, -24, -1, 0, 2, 20, 9000))]
REGIMES = [None, [], ["GB"], ["GB", "US-NY"], ["AU"], ["HK"], ["SG", "DE"], ["DE"], ["AE"]]
STRINGS = {
    "u_stage": ["new", "activated", "engaged", "lapsing", "dormant"],
    "m_product": sorted({line.product_line for line in POLICY.product_lines}),
}
PEOPLE = 300
SEEDS = [31, 32, 33]
seeded = pytest.mark.parametrize("seed", SEEDS)


def _values(fact: str) -> list[Any]:
    """What a fact may be here, null among it."""
    if fact in ("u_regimes", "u_perm_regimes"):
        return REGIMES
    known = POLICY.facts.get(fact)
    if known is not None and known.domain is not None:
        return [None, *known.domain]
    kind = known.type if known is not None else "int"
    made: dict[str, list[Any]] = {
        "bool": [None, False, True],
        "int": [None, 0, 1, 2, 3, 5, 40],
        "number": [None, 0.0, 30.0, 100.0],
        "instant": INSTANTS,
        "string": [None, *STRINGS.get(fact, ["other"])],
        "strings": [None, []],
    }
    return made[kind]


def _type(fact: str) -> str:
    known = POLICY.facts.get(fact)
    kinds = {
        "bool": "boolean",
        "int": "integer",
        "number": "double",
        "instant": "timestamp",
        "string": "varchar",
        "strings": "varchar[]",
    }
    return kinds[known.type] if known is not None else "integer"


def _pick(of: np.random.Generator, values: list[Any]) -> Any:
    # Nulls are rare, or hardly any requirement would ever be met.
    weights = np.array([0.08 if value is None else 1.0 for value in values])
    return values[of.choice(len(values), p=weights / weights.sum())]


class World:
    """Tables that stand for the models before, in schema `main`; `build` makes a model from them and from those already built."""

    def __init__(self, seed: int) -> None:
        self.connection = duckdb.connect()
        self.connection.execute("set threads = 1; create schema policy; create schema vault_review")
        self.of = np.random.default_rng(seed)
        self.templates = _Templates(
            AS_OF,
            1,
            self.ref,
            lambda schema, name: f"{schema}.{name}",
            lambda grain: compiling.daily_sql(POLICY, grain),
            lambda grain: compiling.rule_facts(POLICY, grain),
            lambda relation: True,
        )
        self.people()
        self.classes()
        self.connection.execute(
            f"create table market_state as select {_pick(self.of, [0, 1, 2])} as c_vol_rank;"
            "create table vault_review.releases (release_id varchar, person_id varchar, rule_id varchar, v integer, fact_hash varchar)"
        )

    def ref(self, model: str) -> str:
        if not self.rows(f"select 1 from duckdb_tables() where table_name = '{model}'"):
            text = self.templates.render((_MODELS / f"{model}.sql").read_text(encoding="utf-8"))
            self.connection.execute(f"create table {model} as {text}")
        return model

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(query).fetchall()

    def fill(self, table: str, columns: dict[str, str], rows: list[list[Any]]) -> None:
        self.connection.execute(f"create table {table} ({', '.join(f'{name} {kind}' for name, kind in columns.items())})")
        if rows:
            self.connection.executemany(f"insert into {table} values ({', '.join('?' for _ in columns)})", rows)

    def people(self) -> None:
        facts = sorted(
            set().union(*(rule["facts"] for rule in compiling.rule_facts(POLICY, "user_x_product"))) | {"u_kyc_expires_at"}
        )
        columns = {"person_id": "varchar", "place_id": "varchar", "language": "varchar", "market": "varchar"} | {
            fact: _type(fact) for fact in facts
        }
        people = [
            [f"p{n:04}", f"place{self.of.integers(3)}", _pick(self.of, [None, "en", "de"]), _pick(self.of, [None, "GB", "DE"])]
            + [_pick(self.of, _values(fact)) for fact in facts]
            for n in range(PEOPLE)
        ]
        self.fill("person_facts", columns, people)
        tests = [
            [person[0], line, str(self.of.choice(["passed", "failed"]))]
            for person in people
            for line in STRINGS["m_product"]
            if self.of.random() < 0.4
        ]
        self.fill("person_product_facts", {"person_id": "varchar", "product_line": "varchar", "u_approp": "varchar"}, tests)

    def classes(self) -> None:
        facts = sorted(CLASS_FACTS) + sorted(MATRIX_FACTS - {"m_product"})
        kinds = {
            "o_incentive": "varchar", "m_approp": "boolean", "m_profiles": "varchar[]", "m_stages": "varchar[]",
            **dict.fromkeys(CLASS_FACTS - {"o_incentive"}, "boolean"),
        }  # fmt: skip
        values: dict[str, list[Any]] = {
            "m_profiles": [["conservative", "moderate", "aggressive"], ["aggressive"], None],
            "m_stages": [STRINGS["u_stage"], ["engaged"], []],
            "boolean": [False, True],
            "o_incentive": ["none", "monetary"],
        }
        rows = []
        for n in range(9):
            line = _pick(self.of, STRINGS["m_product"])
            made = [_pick(self.of, values.get(fact, values.get(kinds.get(fact, ""), [None, 0, 1, 2, 3, 4]))) for fact in facts]
            rows.append([f"class{n}", line, _pick(self.of, [line, None]), int(self.of.integers(1, 5)), *made])
        self.fill(
            "offer_classes",
            {"offer_class": "varchar", "product_line": "varchar", "m_product": "varchar", "offer_channels": "bigint"}
            | {fact: kinds.get(fact, "integer") for fact in facts},
            rows,
        )

    def asked_one_by_one(self) -> None:
        """Table `reference`: the rules asked of every person and class of offers, and what reviewers lifted, as hits of people are."""
        sql = f"""
        create or replace table reference as
        with eval_user_x_product as (
            select person_facts.*, offer_classes.* exclude (product_line, offer_channels),
                coalesce(tests.u_approp, 'not_taken') as u_approp, market_state.c_vol_rank, timestamp '{AS_OF:%Y-%m-%d %H:%M:%S}' as c_as_of
            from person_facts cross join offer_classes cross join market_state
            left join person_product_facts as tests
                on person_facts.person_id = tests.person_id and offer_classes.product_line = tests.product_line
        ),
        hits as ({compiling.grain_sql(POLICY, "user_x_product")})
        """ + self.templates.render("{{ released_of_people('hits') }}")
        self.connection.execute(sql)

    def lift_some(self) -> int:
        """Releases of every third hold that can be released; gives how many."""
        self.connection.execute(
            "insert into vault_review.releases select 'r' || n, person_id, rule_id, v, fact_hash from ("
            "select *, row_number() over (order by person_id, rule_id, v, fact_hash) as n from ("
            "select distinct person_id, rule_id, v, md5(facts) as fact_hash from reference where effect = 'HOLD' and facts is not null"
            ")) where n % 3 = 0"
        )
        return int(self.rows("select count(*) from vault_review.releases")[0][0])


def _differing(world: World, one: str, other: str, columns: str = "*") -> int:
    both = [f"(select {columns} from {a} except all select {columns} from {b})" for a, b in ((one, other), (other, one))]
    return sum(world.rows(f"select count(*) from {each}")[0][0] for each in both)


@seeded
def test_a_rule_asked_once_per_combination_of_facts_speaks_against_whom_it_would_asked_of_everybody(seed: int) -> None:
    world = World(seed)
    world.asked_one_by_one()
    assert world.lift_some() > 5
    world.asked_one_by_one()
    assert _differing(world, "reference", world.ref("user_product_hits")) == 0
    speaking, released = world.rows(
        "select count(distinct rule_id), count(*) filter (where effect = 'RELEASED') from reference"
    )[0]
    assert speaking > 12, "too few rules speak for the comparison to say anything"
    assert released > 5


@seeded
def test_a_rule_that_asks_for_no_tests_has_one_row_for_each_combination_of_its_facts_that_people_have(seed: int) -> None:
    world = World(seed)
    world.ref("int_product_patterns")
    for rule in compiling.rule_facts(POLICY, "user_x_product"):
        ((patterns, combinations),) = world.rows(
            f"select (select count(*) from int_product_patterns where rule_no = {rule['rule_no']}), "
            f"(select count(*) from (select distinct {', '.join(rule['facts']) or '1'} from person_facts))"
        )
        if not rule["reads_tests"]:
            assert patterns == combinations, rule["rule_id"]


def test_the_sql_of_a_rule_and_the_facts_its_combinations_are_made_of_go_by_the_same_number() -> None:
    sql = compiling.daily_sql(POLICY, "user_x_product")
    for rule in compiling.rule_facts(POLICY, "user_x_product"):
        branches = [each for each in sql.split("\n\nunion all\n\n") if f"where rule_no = {rule['rule_no']})" in each]
        assert branches
        assert all(f"'{rule['rule_id']}' as rule_id, {rule['v']} as v" in each for each in branches)


def _with_offers(world: World, *, demoting: bool) -> None:
    """Creatives, places, languages, and what speaks against people, channels, creatives and places, at random."""
    of, channels = world.of, {"email": "email", "sms": "sms", "web": "inapp", "app": "inapp"}
    classes = world.rows("select offer_class, product_line, coalesce(o_is_promotion, false) from offer_classes order by all")
    world.connection.execute("update offer_classes set o_is_promotion = coalesce(o_is_promotion, false)")
    world.fill("policy.channels", {"channel": "varchar", "rule_channel": "varchar"}, [list(pair) for pair in channels.items()])
    offers: list[list[Any]] = []
    choices: list[list[Any]] = []
    deliveries: list[list[Any]] = []
    for n in range(12):
        offer_class, line, is_promotion = classes[of.integers(len(classes))]
        for channel, rule_channel in channels.items():
            for language in ("", "de"):
                creative = f"c{n}{channel}{language}"
                offers.append(
                    [f"o{n}", 1, line, channel, rule_channel, creative, "en-GB", offer_class, is_promotion, int(of.integers(3))]
                )
                for place in range(3):
                    deliveries.append([creative, f"place{place}", *INSTANTS[4:7], bool(of.random() < 0.9)])
            choices += [
                ["", f"o{n}", channel, f"c{n}{channel}"],
                ["en", f"o{n}", channel, None],
                ["de", f"o{n}", channel, f"c{n}{channel}de"],
            ]
    world.fill(
        "offer_facts",
        {"offer_id": "varchar", "offer_version": "bigint", "product_line": "varchar", "channel": "varchar", "c_channel": "varchar",
         "creative_id": "varchar", "locale": "varchar", "offer_class": "varchar", "o_is_promotion": "boolean", "m_min_kyc": "integer"},
        offers,
    )  # fmt: skip
    world.fill("creative_choices", dict.fromkeys(("language", "offer_id", "channel", "creative_id"), "varchar"), choices)
    world.fill(
        "offer_deliveries",
        {"creative_id": "varchar", "place_id": "varchar", "send_after": "timestamp", "send_before": "timestamp", "valid_until": "timestamp",
         "is_deliverable": "boolean"},
        deliveries,
    )  # fmt: skip
    world.connection.execute("create table person_segments as select person_id, 'a:b' as segment from person_facts")
    effects = ["BLOCK", "HOLD", "RELEASED", *(["DEMOTE"] * 5 if demoting else [])]

    def hits(share: float, keys: list[list[Any]]) -> list[list[Any]]:
        made = []
        for key in keys:
            while of.random() < share:
                effect = str(of.choice(effects))
                made.append([*key, effect, int(of.integers(1, 3000)) if effect == "DEMOTE" else 0])
        return made

    ids = [row[0] for row in world.rows("select person_id from person_facts")]
    kinds = [None, False, True]
    told = {"effect": "varchar", "penalty_bp": "integer"}
    pick = lambda values: values[of.integers(len(values))]  # noqa: E731
    world.fill(
        "user_hits", {"person_id": "varchar", "is_promotion": "boolean"} | told, hits(0.3, [[one, pick(kinds)] for one in ids])
    )
    channel_keys = [[one, channel, pick(kinds)] for one in ids for channel in ("email", "sms", "inapp")]
    world.fill(
        "user_channel_hits",
        {"person_id": "varchar", "rule_channel": "varchar", "is_promotion": "boolean"} | told,
        hits(0.2, channel_keys),
    )
    world.fill("offer_hits", {"creative_id": "varchar"} | told, hits(0.1, [[row[5]] for row in offers]))
    world.fill(
        "offer_regime_hits",
        {"creative_id": "varchar", "place_id": "varchar"} | told,
        hits(0.1, [row[:2] for row in deliveries]),
    )
    # What speaks against classes of offers: few combinations of facts, so that somebody is left.
    patterns: list[Any] = [[n, of.choice(len(classes), 2, replace=False)] for n in range(20)]
    world.fill(
        "int_product_pattern_hits",
        {"pattern_id": "bigint", "offer_class": "varchar"} | told,
        hits(0.6, [[n, classes[place][0]] for n, places in patterns for place in places]),
    )
    world.fill(
        "int_person_product_patterns",
        {"person_id": "varchar", "pattern_id": "bigint"},
        [[one, n] for one in ids for n, _ in patterns if of.random() < 0.1],
    )


_ONE_BY_ONE = """
create table one_by_one as
with
pairs as (
    select people.person_id, offers.*, deliveries.place_id
    from person_facts as people
    inner join creative_choices as choices on coalesce(people.language, '') = choices.language
    inner join offer_facts as offers on choices.creative_id = offers.creative_id
    inner join offer_deliveries as deliveries
        on offers.creative_id = deliveries.creative_id and people.place_id = deliveries.place_id and deliveries.is_deliverable
),
met as (
    select person_id, creative_id, effect, penalty_bp from pairs inner join user_hits as hits using (person_id)
    where coalesce(hits.is_promotion, o_is_promotion) = o_is_promotion
    union all
    select person_id, creative_id, effect, penalty_bp from pairs inner join user_product_hits using (person_id, offer_class)
    union all
    select person_id, creative_id, effect, penalty_bp from pairs inner join user_channel_hits as hits using (person_id)
    where hits.rule_channel = c_channel and coalesce(hits.is_promotion, o_is_promotion) = o_is_promotion
    union all
    select person_id, creative_id, effect, penalty_bp from pairs inner join offer_hits using (creative_id)
    union all
    select person_id, creative_id, effect, penalty_bp from pairs inner join offer_regime_hits using (creative_id, place_id)
)
select pairs.person_id, pairs.offer_id, pairs.channel, pairs.creative_id,
    coalesce(sum(met.penalty_bp) filter (where met.effect = 'DEMOTE'), 0)::integer as penalty_bp
from pairs
left join met on pairs.person_id = met.person_id and pairs.creative_id = met.creative_id
group by all
having not coalesce(bool_or(met.effect in ('BLOCK', 'HOLD')), false)
"""


@pytest.mark.parametrize("demoting", [False, True])
@seeded
def test_what_an_audience_is_left_with_is_what_each_of_its_people_is_asked_one_by_one(seed: int, demoting: bool) -> None:
    world = World(seed)
    _with_offers(world, demoting=demoting)
    world.ref("user_product_hits")
    world.connection.execute(_ONE_BY_ONE)
    columns = "person_id, offer_id, channel, creative_id, penalty_bp"
    assert _differing(world, "one_by_one", world.ref("int_candidates_surviving"), columns) == 0
    ((left, demoted),) = world.rows("select count(*), count(*) filter (where penalty_bp > 0) from one_by_one")
    assert left > 200
    assert (demoted > 50) == demoting
    ((audiences, people),) = world.rows("select count(distinct audience_id), count(*) from int_person_audiences")
    assert demoting or audiences < people


def test_without_rules_offers_or_people_nothing_breaks_and_nobody_is_hit(tmp_path: Path) -> None:
    for emptied in ("person_facts", "offer_classes", "market_state"):
        world = World(SEEDS[0])
        world.connection.execute(f"delete from {emptied}")
        assert world.rows(f"select count(*) from {world.ref('user_product_hits')}") == [(0,)]
