"""Which nodes touch too many strangers to say who anybody is: exchanges, bridges, routers, airdrops, mixers, burn addresses.

Nothing is listed. A node is suspected by its degree, against the graph's own degrees, and judged by whether the wallets around it know each
other otherwise: a farm's funder has as many counterparties as a small exchange, but its wallets have no life of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np  # noqa: TID253 - arrays throughout; the façade imports this module only when it runs

from candor.identity.wallets.graph import Bools, Ints, TransferGraph
from candor.identity.wallets.stars import NEEDED, Side, Verdict, around, centres, judge, sides

# Below this nobody is called a hub, whatever the graph: an ordinary wallet has dealings with ten others.
SMALLEST = 10
# Releasing a funder changes what its wallets look like, once, and a doubted centre sends its wallets to their next
# candidate; after the third round nothing much moved on any graph tried.
ROUNDS = 3
# An owner's wallets are most of what the centre deals with, and four of five fit; an exchange may have a farm among its customers.
CLEAR = 0.8
# Half a nat per wallet must come from structure: equal amounts at one time are what an airdrop or a payout looks like, too.
LONELY = 0.5
# No owner is sixteen times a head. One exchange and one contract in a small graph look exactly like one farm; better to miss the farm.
LARGEST_OWNER = 16


def h_index(degree: Ints) -> int:
    """The largest h such that h nodes have a degree of at least h (Hirsch 2005): where a graph's heads begin, whatever its size."""
    ordered = np.sort(degree)[::-1]
    return int((ordered >= np.arange(1, len(ordered) + 1)).sum())


def heads_of(graph: TransferGraph) -> int:
    """The degree from which a node is suspected whatever surrounds it: the h-index, but at most four times what a sociable wallet has.

    The h-index grows with the graph, and with every separate chain or year in it; what an ordinary wallet can have does not.
    """
    return max(min(h_index(graph.degree), 4 * graph.sociable), SMALLEST)


@dataclass(frozen=True)
class Look:
    """The graph with its hubs: both views of the pairs, each wallet's centre on both sides, and the stars around them judged."""

    is_hub: Bools
    heads: int
    views: dict[str, Side]
    centre: dict[str, Ints]
    stars: dict[str, Verdict]


def find(graph: TransferGraph) -> Look:
    """Which nodes are hubs, and every star judged with these hubs."""
    heads = heads_of(graph)
    views = sides(graph)
    doubt = {side: np.zeros(graph.count, dtype=np.int64) for side in views}
    look = _look(graph, views, graph.degree >= heads, heads, doubt)
    for _ in range(ROUNDS):
        for side, other in (("funded", views["funded"].other), ("swept", views["swept"].other)):
            # Half of those who could have chosen it did, and nothing held them together: let them try their next candidate.
            fan = np.bincount(other[~look.is_hub[views[side].own]], minlength=graph.count)
            star = look.stars[side]
            doubt[side] += (star.members >= 2) & (2 * star.members >= fan) & (star.log_odds < 0)
        look = _look(graph, views, _revised(graph, look), heads, doubt)
    # A release must hold after it has happened; what was released wrongly is a hub again.
    again = (graph.degree >= heads) & ~_owners(graph, look) & ~look.is_hub
    return _look(graph, views, look.is_hub | again, heads, doubt) if again.any() else look


def _look(graph: TransferGraph, views: dict[str, Side], is_hub: Bools, heads: int, doubt: dict[str, Ints]) -> Look:
    centre = {
        "funded": centres(graph, views["funded"], is_hub, doubt["funded"], first_only=True),
        "swept": centres(graph, views["swept"], is_hub, doubt["swept"], first_only=False),
    }
    stars = {
        "funded": judge(graph, views["funded"], is_hub, around(centre["funded"], is_hub), centre["swept"]),
        "swept": judge(graph, views["swept"], is_hub, around(centre["swept"], is_hub), centre["funded"]),
    }
    return Look(is_hub, heads, views, centre, stars)


def _owners(graph: TransferGraph, look: Look) -> Bools:
    """Which centres are owners of the wallets around them, beyond what any hub could look like."""
    owns = np.zeros(graph.count, dtype=bool)
    # Taking an exchange for an owner is the worst mistake there is: each doubling beyond a head costs another two nats.
    needed = NEEDED + 2.0 * np.log2(np.maximum(graph.degree / look.heads, 1.0))
    for star in look.stars.values():
        # An owner's wallets are most of what the centre deals with; an exchange may have one farm among its customers.
        owns |= (
            (graph.degree <= LARGEST_OWNER * look.heads)
            & (star.mean_structure >= LONELY)
            & (star.log_odds >= needed)
            & (star.members >= 0.5 * graph.degree)
            & (star.fitting >= CLEAR)
        )
    return owns


def _revised(graph: TransferGraph, look: Look) -> Bools:
    """Owners among the suspected are released, and middling nodes that are surrounded by strangers become hubs."""
    strangers = np.zeros(graph.count, dtype=bool)
    for side, degree in (("funded", graph.out_degree), ("swept", graph.in_degree)):
        star = look.stars[side]
        # Half of what makes a head, and eight witnesses, so that somebody with many friends is no hub.
        strangers |= (degree >= look.heads / 2) & (star.witnesses >= 8) & (star.mean_fit < 0)
    return ((graph.degree >= look.heads) | strangers) & ~_owners(graph, look)
