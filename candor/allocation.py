"""Who gets what is scarce: total caps of offers and the run's budget for incentives, solved over all people at once.

A choice is a person and a product line; its options are the offers of the line that are worth showing, and it takes at most one of them.
Without caps it takes its best one. Of an offer with more takers than places, the places go to those to whom it is worth most beyond their
best alternative, and the first who finds none sets its shadow price. Where several offers of a line are scarce, the assignment is the
optimum of the transportation problem (a linear program whose vertices are whole: Hoffman and Kruskal, 1956), and its dual prices are the
shadow prices. A budget adds one price for each dollar of incentive, found by bisection (Everett, Operations Research 11, 1963); the bound of
that dual says how much the best conceivable assignment could be worth.

Held-out people choose at the same prices, so that both arms can be compared, and take no places.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np  # noqa: TID253 - arrays throughout; the stage imports this module only when it runs

from candor.errors import CandorError

if TYPE_CHECKING:
    import duckdb

    from candor.runs import Run

MICRO = 1_000_000  # values are exact millionths of a dollar
NO_LIMIT = -1
SOLVED_WHOLE = 5_000  # choices of one line that go into one program as they are
BUDGET_LEFT = 1e-5  # of the budget: near enough to stop
SLACK = 1e-6  # millionths of a dollar

OPTIONS = """
with options as (
    select options.*,
        holders.person_id is not null as is_holder,
        exists (
            select 1 from places_missed as missed where missed.person_id = options.person_id and missed.offer_id = options.offer_id
        ) as is_missed,
        count(*) filter (where options.total_cap is not null) over (partition by options.person_id, options.product_line) > 0 as concerns_cap
    from valuation.line_options as options
    left join holders on options.person_id = holders.person_id and options.offer_id = holders.offer_id
)
select
    dense_rank() over (order by person_id, product_line) - 1 as choice,
    person_id, product_line, offer_id, arm = 'treated' as is_treated,
    -- A place taken in vain is worth nothing to its holder; the choice stays, so that it is not made without a place instead.
    case when is_missed then 0 else round(value_usd * 1000000)::bigint end as value, round(cost_usd * 1000000)::bigint as cost,
    coalesce(total_cap, -1) as total_cap, is_holder, is_explored, is_first_drawn
from options
where concerns_cap or $budget
order by person_id, product_line, offer_id
"""

# Who was given the offer by an earlier run holds their place; a survivor holds those of whoever was merged into them.
HOLDERS = """
create or replace temp table holders as
select distinct coalesce(aliases.surviving_person_id, past.person_id) as person_id, past.offer_id
from {decisions} as past
left join identity.person_aliases as aliases on past.person_id = aliases.person_id
where past.batch_seq < $batch_seq and past.is_chosen and past.arm = 'treated'
    and past.offer_id in (select offer_id from staging.stg_catalogue__offers where total_cap is not null)
"""

NOBODY = "select null::varchar as person_id, null::varchar as offer_id where false"
NO_DECISIONS = "(select 0 as batch_seq, '' as person_id, '' as offer_id, '' as arm, false as is_chosen where false)"


@dataclass(frozen=True)
class Options:
    """One row per option, in the order of choices and then of offers; all arrays of one length."""

    choice: np.ndarray  # int64, 0 to the number of choices less 1, ascending
    line: np.ndarray  # int64, codes of product lines: one per choice
    offer: np.ndarray  # int64, codes of offers
    value: np.ndarray  # int64, millionths of a dollar; what is worth nothing is never taken
    cost: np.ndarray  # int64, millionths of a dollar, at least nought
    takes_place: np.ndarray  # bool: the offer has a cap and the person does not hold a place yet
    is_counted: np.ndarray  # bool: treated; others choose at the prices and take nothing

    def only(self, rows: np.ndarray) -> Options:
        """The options that `rows` names, as a problem of its own."""
        _, choices = np.unique(self.choice[rows], return_inverse=True)
        return Options(
            choices.astype(np.int64),
            *(values[rows] for values in (self.line, self.offer, self.value, self.cost, self.takes_place, self.is_counted)),
        )


@dataclass(frozen=True)
class Assignment:
    """What each choice takes, and the prices that made it so."""

    taken: np.ndarray  # bool per option
    prices: np.ndarray  # float64 per offer, millionths of a dollar; 0 where there is a place for everybody who wants one
    budget_price: float  # what one more dollar of budget would be worth
    value: int  # of what counted choices take, millionths
    bound: float  # no assignment within the limits can be worth more


def assign(options: Options, places: np.ndarray, budget: int | None) -> Assignment:
    """The assignment of greatest value within `places` (per offer, -1: no limit) and `budget` (millionths of a dollar, None: no limit).

    Without a budget that binds it is optimal. With one it is within the budget, and at most `bound` - `value` from optimal.
    Raises CandorError when the solver of linear programs gives up.
    """
    best = _priced(options, places, 0.0)
    if budget is None or _spent(options, best.taken) <= budget:
        return best
    bound = best.bound
    low, high = 0.0, float(np.max(options.value / np.maximum(options.cost, 1))) + 1.0
    best = _priced(options, places, high)  # above it no option that costs something is worth its part of the budget
    for _ in range(60):
        middle = (low + high) / 2
        tried = _priced(options, places, middle)
        bound = min(bound, tried.bound + middle * budget)
        if _spent(options, tried.taken) <= budget:
            best, high = tried, middle
        else:
            low = middle
        if 0 <= budget - _spent(options, tried.taken) <= budget * BUDGET_LEFT or high - low < 1e-9 * max(1.0, high):
            break
    return Assignment(best.taken, best.prices, best.budget_price, best.value, bound)


def _spent(options: Options, taken: np.ndarray) -> int:
    return int(options.cost[taken & options.is_counted].sum())


def _priced(options: Options, places: np.ndarray, budget_price: float) -> Assignment:
    """The assignment of greatest worth beyond the budget's price; its `bound` is that worth, without the budget itself."""
    # Rounded down, so that what follows from it stays a bound; whole, so that equal ones are ties.
    worth = options.value - np.floor(options.cost * budget_price).astype(np.int64)
    limits = places[options.offer]
    worth = np.where(options.takes_place & (limits == 0), 0, np.maximum(worth, 0))
    taken = np.zeros(worth.size, dtype=bool)
    prices = np.zeros(places.size, dtype=np.float64)
    for line in np.unique(options.line):
        rows = np.flatnonzero(options.line == line)
        part = options.only(rows)
        scarce = [offer for offer in np.unique(part.offer[part.takes_place]) if places[offer] > 0]
        if len(scarce) > 1:
            taken[rows] = _solved(part, worth[rows], scarce, places, prices)
        else:
            taken[rows] = _cleared(part, worth[rows], scarce, places, prices)
    bound = float(worth[taken & options.is_counted].sum())
    value = int(options.value[taken & options.is_counted].sum())
    return Assignment(taken, prices, budget_price, value, bound)


def _cleared(options: Options, worth: np.ndarray, scarce: list[int], places: np.ndarray, prices: np.ndarray) -> np.ndarray:
    """What is taken in a line with at most one scarce offer, whose price is set."""
    if not scarce:
        return _best(worth, options.choice)
    offer = scarce[0]
    rows = np.flatnonzero(options.takes_place & (options.offer == offer) & (worth > 0))
    others = worth.copy()
    others[rows] = 0
    advantage = worth[rows] - _greatest(others, options.choice)[rows]
    # By advantage, and of equals the first; the order of everybody, so that held-out people stand where they would have stood.
    order = np.lexsort((options.choice[rows], -advantage))
    order = order[advantage[order] > 0]
    queue = np.flatnonzero(options.is_counted[rows[order]])
    if queue.size > places[offer]:
        first_without = queue[places[offer]]
        prices[offer] = float(advantage[order[first_without]])
        order = order[:first_without]
    others[rows[order]] = np.iinfo(np.int64).max
    return _best(others, options.choice)


def _solved(options: Options, worth: np.ndarray, scarce: list[int], places: np.ndarray, prices: np.ndarray) -> np.ndarray:
    """What is taken in a line with several scarce offers, whose prices are set."""
    counted = np.flatnonzero(options.is_counted & (worth > 0))
    if not counted.size:
        return _best(worth, options.choice)
    part = options.only(counted)
    limited = part.takes_place & np.isin(part.offer, scarce)
    slot = np.where(limited, np.searchsorted(scarce, part.offer), 0)
    chosen, at = _transported(part.choice, worth[counted].astype(np.float64), slot, limited, places[scarce].astype(np.float64))
    prices[scarce] = at
    net = worth - np.where(options.takes_place & np.isin(options.offer, scarce), prices[options.offer], 0.0)
    taken = _best(np.where(options.is_counted, 0.0, net), options.choice)  # those who take no place
    taken[counted] = chosen
    return taken


def _transported(
    choice: np.ndarray, value: np.ndarray, slot: np.ndarray, limited: np.ndarray, room: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(what is taken, the price per scarce offer) of the transportation problem, whatever its size.

    An eighth of the choices gives the prices nearly; at these most choices are clear, and only the others need the program. What it says is the
    optimum of the whole when at its prices the clear ones would choose the same; those that would not join it, and it is solved again.
    """
    people = int(choice[-1]) + 1
    if people <= SOLVED_WHOLE:
        return _program(choice, value, slot, limited, room)
    eighth = np.flatnonzero(choice % 8 == 0)
    _, near = _transported(choice[eighth] // 8, value[eighth], slot[eighth], limited[eighth], np.floor(room / 8))
    net = value - np.where(limited, near[slot], 0.0)
    first = _best(net, choice)
    other = np.maximum(_greatest(np.where(first, -np.inf, net), choice), 0.0)
    margin = -_greatest(net, choice)[
        np.flatnonzero(np.r_[True, np.diff(choice) > 0])
    ]  # of those who take nothing: how far they are from it
    margin[choice[first]] = (net - other)[first]
    order = np.argsort(margin, kind="stable")
    is_open = np.zeros(people, dtype=bool)
    is_open[order[:SOLVED_WHOLE]] = True
    while True:
        clear = first & ~is_open[choice]
        left = room - np.bincount(slot[clear & limited], minlength=room.size)
        if left.min() < 0:  # too many are clear: the next less clear ones join
            known = np.count_nonzero(is_open)
            is_open[order[: 2 * known]] = True
            continue
        rows = np.flatnonzero(is_open[choice])
        taken = clear.copy()
        taken[rows], at = _program(choice[rows], value[rows], slot[rows], limited[rows], left)
        now = value - np.where(limited, at[slot], 0.0)
        held = np.zeros(people)
        held[choice[taken]] = now[taken]
        best = _greatest(now, choice)[np.flatnonzero(np.r_[True, np.diff(choice) > 0])]
        moved = np.flatnonzero((np.maximum(best, 0.0) > held + SLACK) & ~is_open)
        if not moved.size:
            return taken, at
        is_open[moved] = True


def _program(
    choice: np.ndarray, value: np.ndarray, slot: np.ndarray, limited: np.ndarray, room: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(what is taken, the price per scarce offer) of the transportation problem over these options."""
    from scipy.optimize import linprog
    from scipy.sparse import coo_array

    kept, choices = np.unique(choice, return_inverse=True)
    columns = np.arange(choice.size)
    rows = np.r_[choices, kept.size + slot[limited]]
    matrix = coo_array(
        (np.ones(rows.size), (rows, np.r_[columns, columns[limited]])), shape=(kept.size + room.size, choice.size)
    )
    solved = linprog(-value, A_ub=matrix.tocsr(), b_ub=np.r_[np.ones(kept.size), room], bounds=(0, None), method="highs-ds")
    if solved.status != 0:
        raise CandorError(f"the assignment of scarce offers has no solution: {solved.message}")
    return solved.x > 0.5, np.abs(solved.ineqlin.marginals[kept.size :])


def _greatest(worth: np.ndarray, choice: np.ndarray) -> np.ndarray:
    """Per option the greatest worth among those of its choice."""
    starts = np.flatnonzero(np.r_[True, choice[1:] != choice[:-1]]) if choice.size else np.zeros(0, dtype=np.int64)
    return np.maximum.reduceat(worth, starts)[choice] if choice.size else worth


def _best(worth: np.ndarray, choice: np.ndarray) -> np.ndarray:
    """Per option whether its choice takes it: the greatest worth above nought, the first of equals."""
    candidates = np.flatnonzero((worth == _greatest(worth, choice)) & (worth > 0))
    taken = np.zeros(worth.size, dtype=bool)
    _, first = np.unique(choice[candidates], return_index=True)
    taken[candidates[first]] = True
    return taken


def run(connection: duckdb.DuckDBPyConnection, current: Run, *, missed: str | None = None) -> dict[str, Any]:
    """Counts of choices, and per scarce offer the places, what is given and its price; `decisions.allocations` and `shadow_prices` replaced.

    `missed`: a query of (person_id, offer_id) that took a place in vain, since the person has better offers for all of their slots.
    """
    connection.execute("create schema if not exists decisions")
    connection.execute(f"create or replace temp table places_missed as {missed or NOBODY}")
    decisions = "state.decisions" if _has_decisions(connection) else NO_DECISIONS
    connection.execute(HOLDERS.format(decisions=decisions), {"batch_seq": current.batch_seq})
    budget = connection.execute("select limit_usd from policy.budgets where name = 'incentives'").fetchall()
    limit = None if not budget or budget[0][0] is None else round(budget[0][0] * MICRO)
    table = connection.execute(OPTIONS, {"budget": limit is not None}).to_arrow_table()
    names, codes = np.unique(table["offer_id"].to_numpy(zero_copy_only=False).astype(str), return_inverse=True)
    _, lines = np.unique(table["product_line"].to_numpy(zero_copy_only=False).astype(str), return_inverse=True)
    total = table["total_cap"].to_numpy()
    held = dict(connection.execute("select offer_id, count(*) from holders group by offer_id").fetchall())
    caps = np.full(names.size, NO_LIMIT, dtype=np.int64)
    caps[codes] = total
    places = np.array(
        [NO_LIMIT if cap == NO_LIMIT else max(0, cap - held.get(name, 0)) for name, cap in zip(names, caps, strict=True)],
        dtype=np.int64,
    )
    explored = table["is_explored"].to_numpy(zero_copy_only=False)
    options = Options(
        choice=table["choice"].to_numpy(),
        line=lines.astype(np.int64),
        offer=codes.astype(np.int64),
        value=table["value"].to_numpy(),
        cost=table["cost"].to_numpy(),
        takes_place=(total >= 0) & ~table["is_holder"].to_numpy(zero_copy_only=False),
        is_counted=table["is_treated"].to_numpy(zero_copy_only=False),
    )
    # What exploration draws is drawn whatever it costs, and paid first.
    drawn = explored & table["is_first_drawn"].to_numpy(zero_copy_only=False) & options.is_counted
    left = None if limit is None else max(0, limit - int(options.cost[drawn].sum()))
    kept = np.flatnonzero(~explored)
    solved = assign(options.only(kept), places, left)
    taken = np.zeros(options.choice.size, dtype=bool)
    taken[kept] = solved.taken
    _write(connection, table, taken, ~explored)
    counted = taken & options.is_counted
    given = np.bincount(options.offer[counted & options.takes_place], minlength=names.size)
    scarce = [
        (
            "total_cap",
            str(name),
            int(caps[code]),
            int(held.get(str(name), 0)),
            int(given[code]),
            float(solved.prices[code]) / MICRO,
        )
        for code, name in enumerate(names)
        if caps[code] != NO_LIMIT
    ]
    if limit is not None:
        spent = int(options.cost[counted].sum()) + int(options.cost[drawn].sum())
        scarce.append(("budget", None, limit / MICRO, 0, spent / MICRO, solved.budget_price))  # type: ignore[arg-type]
    connection.execute(
        "create or replace table decisions.shadow_prices (what varchar, offer_id varchar, limit_units decimal(18, 6), "
        "used_before bigint, given decimal(18, 6), price_usd double)"
    )
    if scarce:
        connection.executemany("insert into decisions.shadow_prices values (?, ?, ?, ?, ?, ?)", scarce)
    return {
        "choices_with_limits": int(np.unique(options.choice[kept]).size),
        "scarce_offers": sum(row[0] == "total_cap" for row in scarce),
        "scarce_offers_priced": sum(row[5] > 0 for row in scarce),
        "allocated_value_usd": round(solved.value / MICRO, 2),
        "allocated_value_bound_usd": round(solved.bound / MICRO, 2),
    }


def _write(connection: duckdb.DuckDBPyConnection, table: Any, taken: np.ndarray, concerned: np.ndarray) -> None:
    import pyarrow as pa

    connection.register(
        "solved_options", table.append_column("is_taken", pa.array(taken)).append_column("is_concerned", pa.array(concerned))
    )
    connection.execute(
        """
        create or replace table decisions.allocations as
        select person_id, product_line, max(offer_id) filter (where is_taken) as offer_id
        from solved_options where is_concerned
        group by person_id, product_line
        order by person_id, product_line
        """
    )
    connection.unregister("solved_options")


def _has_decisions(connection: duckdb.DuckDBPyConnection) -> bool:
    found = connection.execute(
        "select 1 from duckdb_tables() where database_name = current_database() and schema_name = 'state' and table_name = 'decisions'"
    )
    return bool(found.fetchall())
