"""How likely it is that all wallets around one centre, a common funder or a common collector, are one owner's.

A star is evaluated the way a jury would: what do its wallets do that wallets of strangers around the same centre would not? Each trait
is a log-likelihood ratio in nats between "one owner" and "strangers", and what strangers do is measured in the graph at hand, wallets of
like activity compared (no constant depends on how large the graph is). The traits:

- alone: outside the star the wallet knows only hubs. Strangers have friends.
- second centre: the wallets share another rare counterparty, above all one collector (Victor 2020, multi-participation and aggregation).
- habits: the wallets use the same hubs, more than these hubs' popularity explains (Trusta Labs' similar activities).
- amounts and times: equal amounts, or all within a short time (Arbitrum Foundation's and Hop's reports). Services and airdrops do this
  too, so it only ever strengthens what the structure says already.

Wallets of one star are alike for reasons other than ownership too, so k wallets never count as k witnesses: their number is
deflated by Kish's design effect, k / (1 + (k - 1) rho) (Kish 1965).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np  # noqa: TID253 - arrays throughout; the façade imports this module only when it runs

from candor.identity.wallets.graph import Bools, Floats, Ints, TransferGraph, starts_of

# rho, how much strangers around one centre resemble each other. 0.1 is what surveys of natural clusters (villages, schools) find at
# the high end; it lets a star count as at most ten independent witnesses.
RESEMBLANCE = 0.1
# An owner's wallets have acquaintances outside five times more seldom than strangers' wallets of like activity. Published clusters have
# a few wallets that also lived a life of their own; how many depends on what the graph shows at all, hence a ratio and not a share.
QUIETER = 5.0
# Structure speaks from a tenth of a nat per wallet; less is what sampling leaves of nothing.
SPEAKING = 0.1
# Two thirds of a group must fit it, below that it is a mixture.
MAJORITY = 2 / 3
# Before looking at its wallets: one centre in twenty with a given number of wallets owns them, and the larger, the less likely.
PRIOR = -3.0
# A link needs 20 : 1 after looking. Joining strangers is worse than missing a pair.
NEEDED = 3.0
# No single trait may decide by itself: e^4, about 55 : 1.
MOST = 4.0
# An acquaintance of a fifth of the group is the group's, not a wallet's own.
COMMON = 0.2
# Four fifths of a group, and of whoever has that counterparty at all.
SHARED = 0.8
NOBODY = -1


@dataclass(frozen=True)
class Groups:
    """Wallets put together for one reason, each in at most one group: `label` per wallet (NOBODY if none), `node` per label the
    wallet in the middle (NOBODY if none), `close` per label whether its wallets may know each other without that being a life outside,
    `also` another node in the middle (NOBODY if none)."""

    label: Ints
    node: Ints
    close: Bools
    also: Ints


@dataclass(frozen=True)
class Verdict:
    """Per wallet how well it fits its group (nats) and whether it shows anything; per group its size, witnesses, the mean fit and
    the share of those that fit, the mean of what structure alone says, and its log-odds.

    `alone` is what a wallet's acquaintances say by themselves; `second` is the rare counterparty that most of a group share.
    """

    groups: Groups
    fit: Floats
    alone: Floats
    informative: Bools
    members: Ints
    witnesses: Ints
    mean_fit: Floats
    fitting: Floats
    mean_structure: Floats
    log_odds: Floats
    second: Ints


@dataclass(frozen=True)
class Side:
    """The pairs seen from one side: `own` is the wallet judged, `other` its candidate centre; sorted by own."""

    own: Ints
    other: Ints
    pair: Ints


def sides(graph: TransferGraph) -> dict[str, Side]:
    """Both views: who funded a wallet, and whom it sent to."""
    incoming = graph.by_target
    return {
        "funded": Side(graph.target[incoming], graph.source[incoming], incoming),
        "swept": Side(graph.source, graph.target, np.arange(len(graph.source))),
    }


def centres(graph: TransferGraph, side: Side, is_hub: Bools, doubt: Ints, *, first_only: bool) -> Ints:
    """For each wallet the one centre it can be judged around: who funded it first, or else the most promising candidate.

    A centre that is no hub comes first; of those, one that was not doubted in an earlier look; of those, the one with the largest fan of
    wallets that never dealt with it the other way round (a contract pays back what was swapped), and then the largest fan. Among hubs
    the smallest comes first. Hubs themselves have no centre.
    """
    plain = ~is_hub[side.own]
    fan = np.bincount(side.other[plain], minlength=graph.count)
    one_way = np.bincount(side.other[plain & ~graph.reciprocal[side.pair]], minlength=graph.count)
    order = np.lexsort((-fan, -one_way, np.where(is_hub, graph.degree, 0), is_hub))
    rank = np.empty(graph.count, dtype=np.int64)
    rank[order] = np.arange(graph.count)
    # hub (bit 62), doubt (60 and 61), rank, node: the smallest wins, and the node is read back from the low 32 bits
    first_bits = (is_hub.astype(np.int64) << 62) | (np.minimum(doubt, 3).astype(np.int64) << 60) | (rank << 32)
    key = first_bits[side.other] | side.other
    begin = starts_of(side.own)
    lengths = np.diff(np.append(begin, len(side.own)))
    if first_only and graph.has_times and len(begin):
        when = graph.first[side.pair]
        earliest = np.fmin.reduceat(when, begin)
        key[when > np.repeat(earliest, lengths)] = np.iinfo(np.int64).max
    centre = np.full(graph.count, NOBODY, dtype=np.int64)
    if len(begin):
        centre[side.own[begin]] = np.minimum.reduceat(key, begin) & 0xFFFFFFFF
    centre[is_hub] = NOBODY
    return centre


def around(centre: Ints, is_hub: Bools) -> Groups:
    """The groups of wallets around one centre; those around a hub do not become siblings by it."""
    node = np.arange(len(centre))
    return Groups(centre, node, ~is_hub, np.full(len(centre), NOBODY))


def judge(
    graph: TransferGraph,
    side: Side,
    is_hub: Bools,
    groups: Groups,
    opposite: Ints,
    *,
    witness: Floats | float = 0.0,
    sought: bool = False,
) -> Verdict:
    """Every group, judged. `opposite` is each wallet's centre on the other side, `witness` what else speaks for each wallet (nats).

    `sought`: the groups were looked for by who knows whom, so knowing nobody else proves less, and one hub in common nothing.
    """
    label, size = groups.label, len(groups.node)
    member = np.flatnonzero(label != NOBODY)
    members = np.bincount(label[member], minlength=size)
    at = np.maximum(label, 0)
    second, shared = _second_centres(graph, groups, opposite, is_hub, member, members)
    alone, informative = _alone(graph, groups, second, is_hub, member, members)
    elsewhere = _elsewhere(graph, side, is_hub, groups, members)
    others = _habits(graph, groups, is_hub, members, without_best=sought) + _alike(graph, side, groups) + witness
    alone = np.minimum(alone, 0.5) if sought else alone
    structure = np.where(informative, alone + shared + elsewhere, 0.0)
    # Habits, amounts and times count only where the structure speaks for one owner. Where everybody lives alone it says nothing.
    showing = np.bincount(label[member], weights=informative[member], minlength=size)
    mean_structure = np.bincount(label[member], weights=structure[member], minlength=size) / np.maximum(showing, 1)
    fit = structure + np.where(mean_structure[at] > SPEAKING, others, np.minimum(others, 0.0))
    informative = informative & (label >= 0)
    fit = np.where(informative, fit, 0.0)
    witnesses = np.bincount(label[member], weights=informative[member], minlength=size).astype(np.int64)
    mean_fit = np.bincount(label[member], weights=fit[member], minlength=size) / np.maximum(witnesses, 1)
    fitting = np.bincount(label[member], weights=(informative & (fit > 0))[member], minlength=size) / np.maximum(witnesses, 1)
    effective = witnesses / (1.0 + np.maximum(witnesses - 1, 0) * RESEMBLANCE)
    before = PRIOR - np.log(np.maximum(members, 1)) - _service(graph, side, is_hub, groups)
    log_odds = np.where(witnesses >= 2, before + effective * mean_fit, before)
    # Averages hide a farm among strangers; where a third does not fit the group is no owner's, however well the others do.
    log_odds = np.where(fitting >= MAJORITY, log_odds, np.minimum(log_odds, before))
    alone = np.where(informative, alone, 0.0)
    return Verdict(groups, fit, alone, informative, members, witnesses, mean_fit, fitting, mean_structure, log_odds, second)


def _second_centres(
    graph: TransferGraph, groups: Groups, opposite: Ints, is_hub: Bools, member: Ints, members: Ints
) -> tuple[Ints, Floats]:
    """Per group the rare centre that most of its wallets share on the other side, and what sharing it says about each wallet."""
    label = groups.label
    second = np.full(len(groups.node), NOBODY, dtype=np.int64)
    says = np.zeros(graph.count)
    others = opposite[member]
    # A hub may be it when nearly all of the group share it and hardly anybody else has it: a farm's collector is as large as its funder.
    everywhere = np.bincount(opposite[opposite != NOBODY], minlength=graph.count)
    fan = np.maximum(others, 0)
    rare = ~is_hub[fan] | (
        (everywhere[fan] >= SHARED * members[label[member]]) & (everywhere[fan] * SHARED <= members[label[member]])
    )
    usable = (others != NOBODY) & (rare | (others == groups.node[label[member]]))
    who = member[usable]
    if len(who) == 0:
        return second, says
    key = label[who] * np.int64(graph.count) + opposite[who]
    key = np.sort(key)
    begin = starts_of(key)
    values, number = key[begin], np.diff(np.append(begin, len(key)))
    group = values // graph.count
    order = np.lexsort((values, -number, group))
    best = order[np.append(True, group[order][1:] != group[order][:-1])]
    is_rare = ~is_hub[values[best] % graph.count] | (number[best] >= SHARED * members[group[best]])
    best = best[(number[best] >= 2) & (is_rare | (values[best] % graph.count == groups.node[group[best]]))]
    second[group[best]] = values[best] % graph.count
    count = np.zeros(len(second))
    count[group[best]] = number[best]
    at = label[member]
    has = second[at] != NOBODY
    does = has & (opposite[member] == second[at])
    wallets = max(1, int((opposite != NOBODY).sum()))
    share = (count[at] - 0.5) / members[at]
    by_chance = (everywhere[np.maximum(second[at], 0)] - count[at] + 1.0) / wallets
    ratio = np.where(does, share / by_chance, (1 - share) / np.maximum(1 - by_chance, 1e-9))
    says[member] = np.where(has, np.clip(np.log(np.maximum(ratio, 1e-9)), -1.0, MOST), 0.0)
    return second, says


def _alone(
    graph: TransferGraph, groups: Groups, second: Ints, is_hub: Bools, member: Ints, members: Ints
) -> tuple[Floats, Bools]:
    """What having, or not having, acquaintances outside the group says about each wallet, and which wallets show anything."""
    own, other = acquaintances(graph, is_hub)
    outside = _outside(own, other, groups, second) & (graph.degree[other] <= graph.sociable)
    own, other = own[outside], other[outside]
    private = np.bincount(own[~_common(graph, groups, members, own, other)], minlength=graph.count)
    label = groups.label
    informative = (graph.degree >= 2) & (label >= 0)
    is_alone = private == 0
    level = np.minimum(np.log2(np.maximum(graph.degree, 1)).astype(int), 7)
    # One vote per group, not per wallet: one farm of thousands must not become what strangers look like.
    judged = member[informative[member]]
    weight = 1.0 / np.maximum(members[label[judged]], 1)
    overall = (weight * is_alone[judged]).sum() / max(weight.sum(), 1e-9)
    voters = np.bincount(level[judged], weights=weight, minlength=8)
    alone_votes = np.bincount(level[judged], weights=weight * is_alone[judged], minlength=8)
    rate = np.clip((alone_votes + 5 * overall) / (voters + 5), 0.05, 0.95)[level]
    says = np.where(is_alone, np.log((1 - (1 - rate) / QUIETER) / rate), -np.log(QUIETER))
    return np.where(informative, np.clip(says, -MOST, MOST), 0.0), informative


def acquaintances(graph: TransferGraph, is_hub: Bools) -> tuple[Ints, Ints]:
    """Each two nodes that are no hubs and dealt with each other, once each way, sorted."""
    one, other = graph.source, graph.target
    plain = ~is_hub[one] & ~is_hub[other]
    single = plain & ~graph.reciprocal
    key = np.concatenate(
        [one[plain] * np.int64(graph.count) + other[plain], other[single] * np.int64(graph.count) + one[single]]
    )
    key.sort()
    return key // graph.count, key % graph.count


def _common(graph: TransferGraph, groups: Groups, members: Ints, own: Ints, other: Ints) -> Bools:
    """Which acquaintances outside are those of at least two, and a fifth, of the group: a small contract or shop, nobody's friend."""
    label = groups.label[own]
    at = np.maximum(label, 0)
    common = np.zeros(len(own), dtype=bool)
    possible = np.flatnonzero((label >= 0) & (members[at] >= 2) & (graph.degree[other] >= 2))
    key = label[possible] * np.int64(graph.count) + other[possible]
    order = np.argsort(key, kind="stable")
    begin = starts_of(key[order])
    lengths = np.diff(np.append(begin, len(order)))
    number = np.repeat(lengths, lengths)
    place = possible[order]
    common[place] = (number >= 2) & (number >= COMMON * members[label[place]])
    return common


def _outside(own: Ints, other: Ints, groups: Groups, second: Ints) -> Bools:
    """Whether `other` is somebody outside own's group: not in its middle, nor its second centre, nor a sibling, nor its child."""
    mine, theirs = groups.label[own], groups.label[other]
    at, there = np.maximum(mine, 0), np.maximum(theirs, 0)
    in_group = mine >= 0
    middle = in_group & ((groups.node[at] == other) | (groups.also[at] == other))
    sibling = in_group & (theirs == mine) & groups.close[at]
    child = (theirs >= 0) & (groups.node[there] == own)
    return ~(middle | sibling | child | (in_group & (second[at] == other)))


def _elsewhere(graph: TransferGraph, side: Side, is_hub: Bools, groups: Groups, members: Ints) -> Floats:
    """What it says that a wallet also got funds straight from a hub that it never sent to, as from an exchange.

    Only where nobody knows who came first: with times the first funder is the centre anyway. Nothing is said about collectors.
    """
    says = np.zeros(graph.count)
    if graph.has_times or len(side.own) == 0 or side.own is graph.source:
        return says
    from_hub = is_hub[side.other] & ~is_hub[side.own] & ~graph.reciprocal[side.pair]
    label = groups.label
    at = np.maximum(label[side.own], 0)
    from_hub &= side.other != groups.node[at]
    has = np.bincount(side.own[from_hub], minlength=graph.count) > 0
    member = np.flatnonzero(label != NOBODY)
    weight = 1.0 / np.maximum(members[label[member]], 1)
    base = np.clip((weight * ~has[member]).sum() / max(weight.sum(), 1e-9), 0.05, 0.95)
    # 0.7, not FITTING: airdrops reach the wallets of farms too, that is what these are for.
    says[member] = np.where(has[member], np.log(0.3 / (1 - base)), np.log(0.7 / base))
    return np.clip(says, -1.0, 1.0)


def _service(graph: TransferGraph, side: Side, is_hub: Bools, groups: Groups) -> Floats:
    """Nats against each centre for the wallets that deal with it the other way round.

    A funder is paid by few whom it did not fund; contracts and exchanges are paid by many. A collector sends to few at all, while a contract
    pays back what was swapped; who both funds and collects is judged as a funder.
    """
    collects = side.own is graph.source
    own, other = (graph.target, graph.source) if collects else (graph.source, graph.target)
    strange = ~is_hub[own] & (collects | ~graph.reciprocal)
    number = np.bincount(other[strange], minlength=graph.count)
    against = np.minimum(0.5 * number, 6.0)  # half a nat each: friends pay too
    return np.where(groups.node >= 0, against[np.maximum(groups.node, 0)], 0.0)


def _habits(graph: TransferGraph, groups: Groups, is_hub: Bools, members: Ints, *, without_best: bool) -> Floats:
    """What the hubs a wallet uses say: as popular as anywhere (0), or the same few as its siblings use.

    `without_best` leaves out each wallet's most telling hub: colleagues share an employer, neighbours a shop.
    """
    wallet, hub = hub_uses(graph, is_hub)
    label = groups.label
    at = label[wallet]
    keep = (at >= 0) & (hub != groups.node[np.maximum(at, 0)]) & (hub != groups.also[np.maximum(at, 0)])
    wallet, hub, at = wallet[keep], hub[keep], at[keep]
    if len(wallet) == 0:
        return np.zeros(graph.count)
    # Popularity is that among the users of the wallet's own largest hub: on another chain, or in another country, others are popular.
    context = np.full(graph.count, NOBODY, dtype=np.int64)
    rank = np.bincount(hub, minlength=graph.count) * np.int64(graph.count) + np.arange(graph.count)
    largest = np.full(graph.count, NOBODY, dtype=np.int64)
    np.maximum.at(largest, wallet, rank[hub])
    used_any = largest >= 0
    context[used_any] = largest[used_any] % graph.count
    number_in = np.bincount(context[used_any], minlength=graph.count)
    here = _counts_of(at * np.int64(graph.count) + hub)
    around_it = _counts_of(context[wallet] * np.int64(graph.count) + hub)
    share = (here - 1 + 0.5) / members[at]  # without the wallet itself
    by_chance = (np.maximum(around_it - here, 0) + 1.0) / (number_in[context[wallet]] + 1.0)
    ratio = np.where(hub == context[wallet], 0.0, np.clip(np.log(share / by_chance), -1.0, MOST))
    total = np.bincount(wallet, weights=ratio, minlength=graph.count)
    used = np.bincount(wallet, minlength=graph.count)
    if without_best:
        best = np.full(graph.count, -np.inf)
        np.maximum.at(best, wallet, ratio)
        total, used = total - np.where(used > 0, best, 0.0), used - (used > 0)
    # Half of what independence would give, for at most three hubs: strangers of one market use the same contracts too.
    says = np.clip(0.5 * total / np.maximum(used, 1) * np.minimum(used, 3), -1.0, MOST)
    return np.where((label >= 0) & (members[np.maximum(label, 0)] >= 2), says, 0.0)


def _counts_of(key: Ints) -> Ints:
    """How often each value occurs, for each place."""
    order = np.argsort(key, kind="stable")
    begin = starts_of(key[order])
    lengths = np.diff(np.append(begin, len(key)))
    counts = np.empty(len(key), dtype=np.int64)
    counts[order] = np.repeat(lengths, lengths)
    return counts


def hub_uses(graph: TransferGraph, is_hub: Bools) -> tuple[Ints, Ints]:
    """Each (wallet, hub) that have anything to do with each other, once."""
    one, other = graph.source, graph.target
    to_hub, from_hub = is_hub[other] & ~is_hub[one], is_hub[one] & ~is_hub[other] & ~graph.reciprocal
    return np.concatenate([one[to_hub], other[from_hub]]), np.concatenate([other[to_hub], one[from_hub]]).astype(np.int64)


def _alike(graph: TransferGraph, side: Side, groups: Groups) -> Floats:
    """What the spread of amounts and times within the group says, against their spread everywhere."""
    says = np.zeros(graph.count)
    size = len(groups.node)
    mine = groups.label[side.own]
    is_own = (mine >= 0) & (side.other == groups.node[np.maximum(mine, 0)])
    wallet, pair = side.own[is_own], side.pair[is_own]
    for values in (graph.size, graph.first):
        finite = np.isfinite(values)
        if not finite.any():
            continue
        known = finite[pair]
        who, seen = wallet[known], values[pair][known]
        everywhere = max(float(np.std(values[finite])), 1e-9)
        group = groups.label[who]
        number = np.bincount(group, minlength=size)
        mean = np.bincount(group, weights=seen, minlength=size) / np.maximum(number, 1)
        apart = np.bincount(group, weights=(seen - mean[group]) ** 2, minlength=size)
        spread = np.sqrt(apart / np.maximum(number - 1, 1))
        # The gain of knowing the group, in nats per wallet, of two normal distributions with these spreads.
        gain = np.clip(np.log(everywhere / np.maximum(spread, everywhere * 1e-3)), -1.0, 2.0)
        says[who] += 0.5 * np.where(number >= 3, gain, 0.0)[group]
    return says
