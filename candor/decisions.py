"""Who would be shown what: the arms, what each candidate is worth, who gets what is scarce, the arbitration, the rows to publish.

The rules of arbitration are SQL, in dbt_project/models/valuation and arbitration; the slots, weights and limits are policy.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from candor import allocation, experiments, runs, transform
from candor import settings as settings_module
from candor.warehouse import connect

if TYPE_CHECKING:
    from candor.settings import Settings

# How often places that were given in vain are given again; what is left then stays free.
MOST_ALLOCATIONS = 4

# Whether anything scarce was given in vain can be seen of those who were given it; everybody else is placed once, when that is settled.
SET_ASIDE = """
create or replace table decisions.people_set_aside as
select person_id
from core.people
where $only_those_given_something_scarce
    and not exists (select 1 from decisions.shadow_prices where price_usd > 0 and offer_id is null)
    and person_id not in (
        select allocations.person_id
        from decisions.allocations as allocations
        inner join decisions.shadow_prices as scarce on allocations.offer_id = scarce.offer_id
        where scarce.price_usd > 0
    )
order by person_id
"""

# A place, or a part of the budget, given to somebody whose slots all went to better offers.
IN_VAIN = """
select placements.person_id, placements.offer_id
from decisions.int_placements as placements
inner join decisions.allocations as allocations
    on placements.person_id = allocations.person_id and placements.offer_id = allocations.offer_id
inner join decisions.shadow_prices as scarce
    on scarce.price_usd > 0 and (placements.offer_id = scarce.offer_id or scarce.offer_id is null)
where placements.arm = 'treated'
group by placements.person_id, placements.offer_id
having not bool_or(placements.slot is not null)
"""


def run(as_of: datetime, settings: Settings | None = None) -> dict[str, Any]:
    """Counts per arm, of ranked candidates by what became of them, and of what was scarce. `decisions.ledger` stands; nothing is staged."""
    settings = settings or settings_module.load()
    with connect(settings) as connection:
        current = runs.current(connection, as_of)
        arms = experiments.assign(connection, settings, current)
    tests = [transform.build("valuation", as_of, settings)["tests"]]
    with connect(settings) as connection:
        connection.execute("create schema if not exists decisions")
        connection.execute("create or replace table decisions.places_in_vain (person_id varchar, offer_id varchar)")
        allocated = allocation.run(connection, current)
    placed, set_aside = None, 0
    for _ in range(MOST_ALLOCATIONS - 1):
        if not allocated["scarce_offers_priced"]:
            break
        set_aside = _set_aside(settings, only_those_given_something_scarce=True)
        placed = transform.build("arbitration", as_of, settings)["tests"]
        with connect(settings) as connection:
            if not connection.execute(f"insert into decisions.places_in_vain {IN_VAIN}").fetchall()[0][0]:
                break
            allocated = allocation.run(connection, current, missed="select person_id, offer_id from decisions.places_in_vain")
        placed = None  # by what was given before
    to_build: tuple[str, ...] = ("decisions",)
    if placed is None or set_aside:
        _set_aside(settings, only_those_given_something_scarce=False)
        to_build, placed = ("arbitration", "decisions"), None
    tests += [*([placed] if placed else []), transform.build(to_build, as_of, settings)["tests"]]
    with connect(settings) as connection:
        outcomes = connection.execute(
            "select coalesce(not_chosen_reason, 'chosen'), count(*) from decisions.ledger group by all order by all"
        ).fetchall()
        explored = connection.execute(
            "select count(distinct (person_id, product_line)) from decisions.ledger where is_explored and is_chosen"
        ).fetchall()[0][0]
    return {
        "run_id": current.run_id,
        **arms,
        "candidates": dict(outcomes),
        "scarce": allocated,
        "choices_explored": explored,
        "tests": {name: sum(each[name] for each in tests) for name in tests[0]},
    }


def _set_aside(settings: Settings, *, only_those_given_something_scarce: bool) -> int:
    """How many people the next build of `arbitration` leaves out; decisions.people_set_aside names them."""
    with connect(settings) as connection:
        connection.execute(SET_ASIDE, {"only_those_given_something_scarce": only_those_given_something_scarce})
        return int(connection.execute("select count(*) from decisions.people_set_aside").fetchall()[0][0])


def stage(as_of: datetime, settings: Settings | None = None) -> dict[str, Any]:
    """Offers and people in `decisions.staged_offers`: what goes out once the audit has passed, each row with its reason."""
    settings = settings or settings_module.load()
    built = transform.build("offers", as_of, settings)
    with connect(settings) as connection:
        rows, people = connection.execute("select count(*), count(distinct person_id) from decisions.staged_offers").fetchall()[
            0
        ]
    return {"offers_staged": rows, "people_with_offers": people, "staged_tests": built["tests"]}
