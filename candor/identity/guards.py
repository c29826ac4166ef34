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

    proper = np.flatnonzero(graph.proper & (cut == 0))
    one, other = graph.one[proper], graph.other[proper]
    cluster = components(graph.count, one, other)
    found = torn(cluster)
    if len(found) == 0:
        return cluster
    degree = np.bincount(one, minlength=graph.count) + np.bincount(other, minlength=graph.count)
    is_torn = np.zeros(graph.count, dtype=bool)
    is_torn[found] = True
    places = proper[is_torn[cluster[one]]]  # only the edges of these clusters are looked at again
    apart = np.flatnonzero(is_torn[cluster])
    one, other, rank = graph.one[places], graph.other[places], graph.rank[places]
    joins = (degree[other] >= 2) | graph.is_account[other]
    for weakest in np.unique(rank)[::-1]:
        kept = cut[places] == 0
        _part(cluster, apart, one[kept], other[kept])
        found = torn(cluster)
        if len(found) == 0:
            break
        is_torn[apart] = False
        is_torn[found] = True
        cut[places[kept & joins & (rank == weakest) & is_torn[cluster[one]]]] = reason
    kept = cut[places] == 0
    _part(cluster, apart, one[kept], other[kept])
    return cluster


def _part(cluster: np.ndarray, nodes: np.ndarray, one: np.ndarray, other: np.ndarray) -> None:
    """Cluster `nodes` (whole clusters, ascending) anew by the edges between them; the others stay."""
    import numpy as np

    cluster[nodes] = nodes[components(len(nodes), np.searchsorted(nodes, one), np.searchsorted(nodes, other))]


def cut_bridges(graph: Graph, cut: np.ndarray, person: np.ndarray) -> None:
    """Cut what would join two people through machines that each of them used: first the edges between two machines that
    belong to different people, then, where a chain of nobody's machines still joins people, every edge of that chain.

    `person` has the clusters without machines, as the cuts before left them.
    """
    import numpy as np

    one, other, passed_on, count = graph.one, graph.other, graph.is_passed_on, graph.count
    attaching = np.flatnonzero((passed_on[one] != passed_on[other]) & (cut == 0))
    at_one = passed_on[one[attaching]]
    machine = np.where(at_one, one[attaching], other[attaching])
    owner = person[np.where(at_one, other[attaching], one[attaching])]
    own = np.full(count, count, dtype=owner.dtype)  # of several owners the first, whatever the order of the edges
    np.minimum.at(own, machine, owner)

    chained = np.flatnonzero(passed_on[one] & passed_on[other] & (cut == 0))
    chain = components(count, one[chained], other[chained])
    crowded = np.zeros(count, dtype=bool)
    crowded[with_several(chain[machine], owner)] = True
    suspects = chained[crowded[chain[one[chained]]]]
    own_one, own_other = own[one[suspects]], own[other[suspects]]
    cut[suspects[(own_one < count) & (own_other < count) & (own_one != own_other)]] = BRIDGES_PEOPLE

    concerned = np.flatnonzero(crowded[chain])
    left = suspects[cut[suspects] == 0]
    _part(chain, concerned, one[left], other[left])
    crowded[concerned] = False
    crowded[with_several(chain[machine], owner)] = True
    cut[left[crowded[chain[one[left]]]]] = BRIDGES_PEOPLE

    # A browser may also be tied to an e-mail address: what logged in stays, what was declared goes.
    shared = np.zeros(count, dtype=bool)
    shared[with_several(machine, owner)] = True
    cut[attaching[shared[machine]]] = BRIDGES_PEOPLE


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
