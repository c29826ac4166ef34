"""Which edges a whole cluster speaks against, and why each is cut.

A pair may look sound and still join two people three links away. Of what joins people who cannot be one, the weakest evidence
goes first; every cut edge is recorded with its reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from candor.identity.graph import between, components, with_several

if TYPE_CHECKING:
    import numpy as np

# A machine or an address on a chain: it may be passed on or shared, so it joins a person but never joins two.
PASSED_ON = ("device_id", "anonymous_id", "wallet")

# Why a guard cut an edge; 0 is kept.
BRIDGES_PEOPLE, COMPONENT_CONFLICT, KYC_CONFLICT, OPERATOR_UNLINK = 1, 2, 3, 4
REASONS = {
    BRIDGES_PEOPLE: "bridges_people",
    COMPONENT_CONFLICT: "component_conflict",
    KYC_CONFLICT: "kyc_conflict",
    OPERATOR_UNLINK: "operator_unlink",
}


@dataclass(frozen=True)
class Graph:
    """Nodes by kind and edges by their two ends, with the evidence's rank (1 is the strongest)."""

    kinds: np.ndarray
    one: np.ndarray
    other: np.ndarray
    rank: np.ndarray
    is_passed_on: np.ndarray  # by node
    is_account: np.ndarray  # by node

    @property
    def count(self) -> int:
        return len(self.kinds)

    @property
    def proper(self) -> np.ndarray:
        """Edges with no machine at either end."""
        return ~(self.is_passed_on[self.one] | self.is_passed_on[self.other])


def graph_of(
    kinds: np.ndarray, one: np.ndarray, other: np.ndarray, rank: np.ndarray, *, passed_on: list[int], account: int
) -> Graph:
    """The arrays with what guards ask of each node looked up once."""
    import numpy as np

    # A look-up by the kind's small number: seven values need no search.
    table = np.zeros(int(kinds.max(initial=0)) + 2, dtype=bool)
    table[[kind for kind in passed_on if kind < len(table)]] = True
    return Graph(kinds, one, other, rank, table[kinds], kinds == account)


def cut_conflicts(graph: Graph, cut: np.ndarray, born_nodes: np.ndarray, born: np.ndarray) -> np.ndarray:
    """Cut, weakest evidence first, clusters that hold accounts with different birth dates, until none does.

    Only edges at something that two or more records hang on can join accounts; the others are left alone. Machines are not looked
    at: `cut_bridges` never lets them join people. Gives the clusters that are left, by each node's smallest.
    """

    def torn(cluster: np.ndarray) -> np.ndarray:
        return with_several(cluster[born_nodes], born)

    return _cut_weakest(graph, cut, torn, COMPONENT_CONFLICT)


def cut_disagreeing(graph: Graph, cut: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Cut, weakest evidence first, clusters that hold both accounts of a pair whose checked documents disagree; clusters as above."""

    def torn(cluster: np.ndarray) -> np.ndarray:
        return cluster[one][cluster[one] == cluster[other]]

    return _cut_weakest(graph, cut, torn, KYC_CONFLICT)


def _cut_weakest(graph: Graph, cut: np.ndarray, torn, reason: int) -> np.ndarray:
    import numpy as np

    proper = graph.proper & (cut == 0)
    one, other, rank = graph.one[proper], graph.other[proper], graph.rank[proper]
    cluster = components(graph.count, one, other)
    found = torn(cluster)
    if len(found) == 0:
        return cluster
    places = np.flatnonzero(proper)
    degree = np.bincount(one, minlength=graph.count) + np.bincount(other, minlength=graph.count)
    joins = (degree[other] >= 2) | graph.is_account[other]
    is_torn = np.zeros(graph.count, dtype=bool)
    is_torn[found] = True
    suspects = is_torn[cluster[one]]  # only these clusters are looked at again
    one, other, rank, joins, places = (array[suspects] for array in (one, other, rank, joins, places))
    for weakest in np.unique(rank)[::-1]:
        kept = cut[places] == 0
        within = components(graph.count, one[kept], other[kept])
        found = torn(within)
        if len(found) == 0:
            break
        is_torn = np.zeros(graph.count, dtype=bool)
        is_torn[found] = True
        cut[places[kept & joins & (rank == weakest) & is_torn[within[one]]]] = reason
    kept = proper & (cut == 0)
    return components(graph.count, graph.one[kept], graph.other[kept])


def cut_bridges(graph: Graph, cut: np.ndarray, person: np.ndarray) -> None:
    """Cut what would join two people through machines that each of them used: first the edges between two machines that
    belong to different people, then, where a chain of nobody's machines still joins people, every edge of that chain.

    `person` has the clusters without machines, as the cuts before left them.
    """
    import numpy as np

    one, other, passed_on = graph.one, graph.other, graph.is_passed_on
    between_machines = passed_on[one] & passed_on[other]
    attaching = passed_on[one] != passed_on[other]
    for is_last in (False, True):
        kept = attaching & (cut == 0)
        machine = np.where(passed_on[one], one, other)[kept]
        owner = person[np.where(passed_on[one], other, one)[kept]]
        chained = between_machines & (cut == 0)
        chain = components(graph.count, one[chained], other[chained])
        crowded = np.zeros(graph.count, dtype=bool)
        crowded[with_several(chain[machine], owner)] = True
        suspect = chained & crowded[chain[one]]
        if is_last:
            cut[suspect] = BRIDGES_PEOPLE
            # A browser may also be tied to an e-mail address: what logged in stays, what was declared goes.
            owners = np.zeros(graph.count, dtype=bool)
            owners[with_several(machine, owner)] = True
            cut[kept & owners[np.where(passed_on[one], one, other)]] = BRIDGES_PEOPLE
        else:
            own = np.full(graph.count, -1, dtype=np.int64)
            own[machine] = owner
            cut[suspect & (own[one] >= 0) & (own[other] >= 0) & (own[one] != own[other])] = BRIDGES_PEOPLE


def cut_unlinked(graph: Graph, cut: np.ndarray, one_node: np.ndarray, other_node: np.ndarray) -> None:
    """Cut, weakest evidence first, every way between the two nodes of each pair an operator has put asunder."""
    import numpy as np

    for weakest in np.unique(graph.rank)[::-1] if len(one_node) else ():
        kept = cut == 0
        cluster = components(graph.count, graph.one[kept], graph.other[kept])
        joined = cluster[one_node] == cluster[other_node]
        if not joined.any():
            return
        is_torn, is_terminal = np.zeros(graph.count, dtype=bool), np.zeros(graph.count, dtype=bool)
        is_torn[cluster[one_node[joined]]] = True
        is_terminal[one_node[joined]] = is_terminal[other_node[joined]] = True
        places = np.flatnonzero(kept & is_torn[cluster[graph.one]])
        on_a_way = between(graph.one[places], graph.other[places], is_terminal)
        cut[places[on_a_way & (graph.rank[places] == weakest)]] = OPERATOR_UNLINK
