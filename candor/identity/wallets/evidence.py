"""Which groups of wallets are one owner's, each with its reason: deposit address, common funder, common collector, chain, burst."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np  # noqa: TID253 - arrays throughout; the façade imports this module only when it runs

from candor.identity.wallets import communities, twins
from candor.identity.wallets.graph import Bools, Floats, Ints, TransferGraph
from candor.identity.wallets.hubs import LARGEST_OWNER, Look
from candor.identity.wallets.stars import (
    MOST,
    NEEDED,
    NOBODY,
    SHARED,
    Groups,
    Verdict,
    acquaintances,
    around,
    centres,
    hub_uses,
    judge,
)

FUNDER, COLLECTOR, DEPOSIT, CHAIN, BURST, TWINS, SERVICE, CIRCLE = range(8)
NAMES = (
    "common_funder",
    "common_collector",
    "deposit_address",
    "funding_chain",
    "exchange_burst",
    "same_rare_counterparties",
    "rare_service",
    "closed_circle",
)


# Something that sends back to a tenth of those who sent to it is a service of somebody else's (a swap, a bridge), no collector.
PAYS_BACK = 0.1
# Nine of ten, because an owner's collector that is also the funder gets back from most, too, but from nobody else.
SWAPS = 0.9
# What says the least: it holds what nothing else claims, and joins only groups that it mostly consists of.
WEAK = (SERVICE, CIRCLE)
# Behaving like one's funder by e^2, seven times as much as by chance, outweighs one acquaintance outside a chain.
CLOSE = 2.0


@dataclass(frozen=True)
class Memberships:
    """One row per wallet and group that holds it: group, wallet, whether it is the group's middle, and per group its reason,
    its node in the middle or beyond (NOBODY if none) and its log-odds."""

    group: Ints
    wallet: Ints
    is_middle: Bools
    reason: Ints
    via: Ints
    log_odds: Floats


def collect(graph: TransferGraph, look: Look) -> tuple[Memberships, dict[str, Verdict]]:
    """All groups that reach the needed odds, and every verdict that was reached, for the score."""
    verdicts: dict[str, Verdict] = dict(look.stars)
    found: list[tuple[Ints, Ints, Bools, int, Ints, Floats]] = []

    funded = verdicts["funded"]
    # Paid by all whom it paid, and by more: a contract that swaps, where no times tell who came first.
    returned = np.bincount(graph.source[graph.reciprocal], minlength=graph.count)
    swaps = (returned >= SWAPS * graph.out_degree) & (graph.in_degree > graph.out_degree)
    found.append(_accepted(graph, look, funded, FUNDER, where=~swaps))
    claimed = np.zeros(graph.count, dtype=bool)
    claimed[found[-1][1]] = True

    # A contract that a farm uses is surrounded by the farm's wallets; it is judged by the others, and is nobody's collector by that.
    rest = np.where(claimed, NOBODY, look.centre["swept"])
    swept = judge(graph, look.views["swept"], look.is_hub, around(rest, look.is_hub), look.centre["funded"])
    verdicts["swept_rest"] = swept
    pays_back = np.bincount(graph.target[graph.reciprocal & ~look.is_hub[graph.source]], minlength=graph.count)
    serves = pays_back >= PAYS_BACK * graph.in_degree
    found.append(_accepted(graph, look, swept, COLLECTOR, where=~serves))
    claimed[found[-1][1]] = True
    found.append(_accepted(graph, look, swept, SERVICE, where=serves))

    found.append(_deposits(graph, look, swept))
    alike = like_funder(graph, look)
    chains = chain_groups(graph, look, alike)
    verdicts["chain"] = judge(graph, look.views["funded"], look.is_hub, chains, look.centre["swept"], witness=alike)
    found.append(_accepted(graph, look, verdicts["chain"], CHAIN))

    bursts = burst_groups(graph, look)
    if bursts is not None:
        groups, surprise = bursts
        verdicts["burst"] = judge(graph, look.views["funded"], look.is_hub, groups, look.centre["swept"], witness=surprise)
        found.append(_accepted(graph, look, verdicts["burst"], BURST))

    groups, surprise = twins.groups(graph, look)
    verdicts["twins"] = judge(graph, look.views["funded"], look.is_hub, groups, look.centre["swept"], witness=surprise)
    found.append(_accepted(graph, look, verdicts["twins"], TWINS))
    for number, circles in enumerate(communities.levels(graph, look)):
        verdict = judge(graph, look.views["funded"], look.is_hub, circles, look.centre["swept"], sought=True)
        verdicts[f"circle {number}"] = verdict
        found.append(_accepted(graph, look, verdict, CIRCLE))
    if graph.has_times:
        # Who funded first decides about links; for the score the later ones count too.
        nobody = np.zeros(graph.count, dtype=np.int64)
        later = centres(graph, look.views["funded"], look.is_hub, nobody, first_only=False)
        verdicts["funded_later"] = judge(
            graph, look.views["funded"], look.is_hub, around(later, look.is_hub), look.centre["swept"]
        )
    return _joined(found), verdicts


def _accepted(
    graph: TransferGraph, look: Look, verdict: Verdict, reason: int, where: Bools | bool = True
) -> tuple[Ints, Ints, Bools, int, Ints, Floats]:
    """Group, wallet, is middle; reason; and per group its node and log-odds, for the groups with enough odds."""
    groups, size = verdict.groups, len(verdict.groups.node)
    label = groups.label
    hub_in_middle = (groups.node >= 0) & look.is_hub[np.maximum(groups.node, 0)]
    # Four friends can look like anything; what was looked for must show in five.
    enough = verdict.members >= (twins.FEWEST if reason in (TWINS, *WEAK) else 2)
    enough &= verdict.members <= LARGEST_OWNER * look.heads
    enough &= (verdict.log_odds >= NEEDED) & (~hub_in_middle | (reason in (BURST, TWINS))) & where
    member = np.flatnonzero((label >= 0) & enough[np.maximum(label, 0)] & ~look.is_hub)
    at = label[member]
    informative = verdict.informative[member]
    # A wallet that shows nothing follows the others when nearly all of them fit.
    fitting = np.bincount(at, weights=informative & (verdict.fit[member] > 0), minlength=size)
    clear = fitting >= 0.8 * np.maximum(verdict.witnesses, 1)
    fits = np.where(informative, verdict.fit[member] > 0, clear[at] & (reason not in (BURST, TWINS)))
    # One that lacks the group's second centre and has a life of its own may be a stranger who was merely paid.
    fits &= ~(informative & (verdict.alone[member] < 0) & (verdict.fit[member] < verdict.mean_fit[at] / 2))
    member, at = member[fits], at[fits]
    middles = np.unique(at)
    middle = groups.node[middles]
    is_wallet = (middle >= 0) & ~look.is_hub[np.maximum(middle, 0)] & (reason not in (TWINS, SERVICE))
    held_by, wallet = [at, middles[is_wallet]], [member, middle[is_wallet]]
    if reason in (FUNDER, COLLECTOR):
        # The rare counterparty that the group shares, and hardly anybody else has, is the owner's too.
        second = verdict.second[middles]
        opposite = look.centre["swept" if reason == FUNDER else "funded"]
        sharing = np.bincount(at, weights=opposite[member] == verdict.second[at], minlength=size)[middles]
        own = (second >= 0) & ~look.is_hub[np.maximum(second, 0)] & (second != middle) & (sharing >= 2)
        own &= sharing >= SHARED * graph.degree[np.maximum(second, 0)]
        held_by.append(middles[own])
        wallet.append(second[own])
    sizes = [len(part) for part in held_by]
    is_middle = np.repeat(np.arange(len(sizes)) > 0, sizes)
    return np.concatenate(held_by), np.concatenate(wallet), is_middle, reason, groups.node, verdict.log_odds


def _joined(found: list[tuple[Ints, Ints, Bools, int, Ints, Floats]]) -> Memberships:
    group, wallet, middle, reason, via, odds = [], [], [], [], [], []
    offset = 0
    for label, member, is_middle, why, node, log_odds in found:
        used, place = np.unique(label, return_inverse=True)
        group.append(place + offset)
        wallet.append(member)
        middle.append(is_middle)
        reason.append(np.full(len(used), why))
        via.append(node[used])
        odds.append(log_odds[used])
        offset += len(used)
    return Memberships(*(np.concatenate(parts) for parts in (group, wallet, middle, reason, via, odds)))


def _deposits(graph: TransferGraph, look: Look, swept: Verdict) -> tuple[Ints, Ints, Bools, int, Ints, Floats]:
    """Wallets that send to one deposit address: a node whose only recipient is an exchange, that is, a hub nearly all of whose
    senders do nothing else (Victor 2020, section 4.1; the amounts' and times' limits there are replaced by what the graph shows).

    Somebody else's payment straight into the address is told by the payer's own address at the same exchange.
    """
    is_hub = look.is_hub
    last = np.full(graph.count, NOBODY, dtype=np.int64)
    single = graph.out_degree[graph.source] == 1
    last[graph.source[single]] = graph.target[single]
    forwards = (last >= 0) & ~is_hub & is_hub[np.maximum(last, 0)]
    exchange = np.maximum(last, 0)
    # senders: everybody but the exchange itself, which tops up gas
    pays = forwards[graph.target] & ~is_hub[graph.source] & (graph.source != exchange[graph.target])
    sender, address, times = graph.source[pays], graph.target[pays], graph.transfers[pays]
    senders = np.bincount(address, minlength=graph.count)
    forwarders = np.bincount(exchange[forwards & (senders > 0)], minlength=graph.count)
    share = np.clip((forwarders + 0.5) / (graph.in_degree + 1.0), 0.02, 0.98)
    says = np.log(share / (1 - share))[exchange]
    known = np.isfinite(graph.passed_on)
    says = says + np.where(known, np.where(graph.passed_on >= 0.5, 1.0, -2.0), 0.0)
    # Each sender belongs to the address it uses most at that exchange, of two equal ones to the more private.
    order = np.lexsort((address, senders[address], -times, exchange[address], sender))
    own_first = np.append(
        True, (sender[order][1:] != sender[order][:-1]) | (exchange[address[order]][1:] != exchange[address[order]][:-1])
    )
    chosen = order[own_first] if len(order) else order
    sender, address = sender[chosen], address[chosen]
    number = np.bincount(address, minlength=graph.count)
    others = np.maximum(swept.log_odds, -3.0) + 3.0
    log_odds = says - np.log(np.maximum(number, 2) / 2) + others
    enough = (number >= 2) & (log_odds >= NEEDED)
    keep = enough[address]
    middles = np.flatnonzero(enough)
    return (
        np.concatenate([address[keep], middles]).astype(np.int64),
        np.concatenate([sender[keep], middles]).astype(np.int64),
        np.concatenate([np.zeros(int(keep.sum()), dtype=bool), np.ones(len(middles), dtype=bool)]),
        DEPOSIT,
        np.arange(graph.count),
        log_odds,
    )


def chain_groups(graph: TransferGraph, look: Look, alike: Floats) -> Groups:
    """Runs of wallets each funded by the one before, where no wallet of the run knows anybody outside it, or where it behaves like its
    funder (peel chains, funding trees)."""
    from candor.identity.clusters import components

    funded = look.stars["funded"]
    parent = look.centre["funded"]
    thin = (funded.informative & (funded.alone > 0)) | _shares_all(graph, look)
    child = np.flatnonzero((parent >= 0) & ~look.is_hub & ~look.is_hub[np.maximum(parent, 0)])
    # the first of a run was funded by a hub, or by nobody seen
    begins = graph.in_degree[parent[child]] == 0
    child = child[(thin[child] & (thin[parent[child]] | begins)) | (alike[child] >= CLOSE)]
    label = components(graph.count, parent[child].astype(np.int32), child.astype(np.int32)).astype(np.int64)
    inside = np.zeros(graph.count, dtype=bool)
    inside[child] = True
    inside[parent[child]] = True
    nobody = np.full(graph.count, NOBODY)
    return Groups(np.where(inside, label, NOBODY), nobody, np.ones(graph.count, dtype=bool), nobody)


def _shares_all(graph: TransferGraph, look: Look) -> Bools:
    """Wallets that have no acquaintance but those that they share with their funder, or with a wallet that they funded."""
    own, other = acquaintances(graph, look.is_hub)
    parent = look.centre["funded"]
    key = own * graph.count + other
    mine = parent[own]
    has = np.flatnonzero((mine >= 0) & ~look.is_hub[np.maximum(mine, 0)])
    wanted = mine[has] * graph.count + other[has]
    place = np.minimum(np.searchsorted(key, wanted), max(len(key) - 1, 0))
    hit = key[place] == wanted if len(key) else np.zeros(0, dtype=bool)
    inside = (other == mine) | (parent[other] == own)
    inside[has[hit]] = True
    inside[place[hit]] = True
    outside = np.bincount(own[~inside], minlength=graph.count)
    return (outside == 0) & (graph.degree >= 2) & ~look.is_hub & (parent >= 0)


def like_funder(graph: TransferGraph, look: Look) -> Floats:
    """Nats by which a wallet's hubs are its funder's hubs, more than by chance; 0 when there is no funder or no hub."""
    from scipy.sparse import csr_matrix

    wallet, hub = hub_uses(graph, look.is_hub)
    says = np.zeros(graph.count)
    parent = look.centre["funded"]
    who = np.flatnonzero((parent >= 0) & ~look.is_hub[np.maximum(parent, 0)])
    if len(who) == 0 or len(wallet) == 0:
        return says
    share = np.bincount(hub, minlength=graph.count) / max(1, int(np.count_nonzero(np.bincount(wallet))))
    # One owner's next wallet repeats a step with probability 0.8: scripts skip some.
    repeats = np.log(0.8 / np.clip(share, 1e-6, 0.8))
    leaves_out = np.log(0.2 / np.maximum(1 - share, 0.2))
    shape = (graph.count, graph.count)
    uses = csr_matrix((np.ones(len(wallet)), (wallet, hub)), shape=shape)
    gain = csr_matrix((np.minimum(repeats, MOST)[hub] - leaves_out[hub], (wallet, hub)), shape=shape)
    both = np.asarray(gain[who].multiply(uses[parent[who]]).sum(axis=1)).ravel()
    without = np.bincount(wallet, weights=leaves_out[hub], minlength=graph.count)[who]
    used = np.bincount(wallet, minlength=graph.count)[who]
    says[who] = np.clip(0.5 * (both + without) / np.maximum(used, 1) * np.minimum(used, 3), -1.0, MOST)
    return says


def burst_groups(graph: TransferGraph, look: Look) -> tuple[Groups, Floats] | None:
    """Wallets that a hub funded first, with the same amount, in quick succession; and what the quickness says. None without both columns.

    Quick is a gap that would be shorter in one case of ten if this amount left the hub evenly over the hub's active time.
    """
    if not (graph.has_times and graph.has_amounts):
        return None
    side, parent = look.views["funded"], look.centre["funded"]
    mine = parent[side.own]
    ours = (mine >= 0) & (side.other == mine) & look.is_hub[np.maximum(mine, 0)] & ~look.is_hub[side.own]
    wallet, pair = side.own[ours], side.pair[ours]
    known = np.isfinite(graph.first[pair]) & (graph.token[pair] >= 0)
    wallet, pair = wallet[known], pair[known]
    if len(wallet) == 0:
        return None
    hub, token, when = graph.source[pair].astype(np.int64), graph.token[pair], graph.first[pair]
    span = np.zeros(graph.count)
    low, high = np.full(graph.count, np.inf), np.full(graph.count, -np.inf)
    np.minimum.at(low, hub, when)
    np.maximum.at(high, hub, when)
    seen = np.isfinite(low)
    span[seen] = high[seen] - low[seen]
    order = np.lexsort((wallet, when, token, hub))
    wallet, hub, token, when = wallet[order], hub[order], token[order], when[order]
    new = np.append(True, (hub[1:] != hub[:-1]) | (token[1:] != token[:-1]))
    stream = np.cumsum(new) - 1
    number = np.bincount(stream)[stream]
    quick = -np.log(0.9) * span[hub] / np.maximum(number, 1)  # P(gap < quick) = 0.1 for a Poisson stream
    gap = np.append(np.inf, when[1:] - when[:-1])
    run = np.cumsum(new | (gap > quick)) - 1
    length = np.bincount(run)
    label = np.full(graph.count, NOBODY, dtype=np.int64)
    label[wallet] = np.where(length[run] >= 3, run, NOBODY)
    surprise = np.zeros(graph.count)
    surprise[wallet] = 1.0  # less than the ln 10 of one gap, because exchanges pay out in batches
    node = np.full(len(length), NOBODY, dtype=np.int64)
    node[run] = hub
    return Groups(label, node, np.ones(len(length), dtype=bool), np.full(len(node), NOBODY)), surprise
