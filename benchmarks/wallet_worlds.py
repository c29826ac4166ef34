"""Made-up transfer graphs with known owners, for measuring the wallet graph: exchanges, contracts, airdrops, farms, ordinary people.

The recipes follow what is published about each pattern (deposit addresses: Victor 2020; star, tree and chain farms: Trusta Labs and
the Arbitrum Foundation's reports); the numbers are drawn wide on purpose, because a method that needs them narrow would fail on real wallets.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

DAY = 86_400.0
YEAR = 365 * DAY
ORDINARY, HUB, DEPOSIT, FARM, SERVICE = range(5)


@dataclass(frozen=True)
class World:
    """Transfers, and per wallet its id, owner (equal numbers are one owner), role (ORDINARY … SERVICE) and farm pattern."""

    transfers: pa.Table
    ids: np.ndarray
    owner: np.ndarray
    role: np.ndarray
    pattern: np.ndarray

    def columns(self, *names: str) -> pa.Table:
        """The transfers with only some columns."""
        return self.transfers.select(["from_id", "to_id", *names])

    def seen_from(self, share: float, seed: int) -> World:
        """What a list of airdrop candidates shows: only transfers of the farms and of a share of the ordinary wallets."""
        chosen = (self.role == FARM) | ((self.role == ORDINARY) & (np.random.default_rng(seed).random(len(self.ids)) < share))
        names = pa.array(self.ids[chosen].tolist())
        import pyarrow.compute as pc

        table = self.transfers
        kept = pc.or_(pc.is_in(table["from_id"], names), pc.is_in(table["to_id"], names))
        return World(
            table.filter(kept), self.ids, self.owner, np.where(chosen | (self.role == HUB), self.role, SERVICE), self.pattern
        )


@dataclass
class Maker:
    rng: np.random.Generator
    role: list[int] = field(default_factory=list)
    owner: list[int] = field(default_factory=list)
    pattern: list[str] = field(default_factory=list)
    rows: list[tuple] = field(default_factory=list)
    owners: int = 0

    def add(self, count: int, role: int, pattern: str = "", *, together: bool = False) -> np.ndarray:
        first = len(self.role)
        self.role += [role] * count
        self.pattern += [pattern] * count
        self.owner += [self.owners] * count if together else list(range(self.owners, self.owners + count))
        self.owners += 1 if together else count
        return np.arange(first, first + count)

    def own(self, wallets: np.ndarray, like: int) -> None:
        for wallet in wallets.tolist():
            self.owner[wallet] = self.owner[like]

    def send(self, source, target, when, amount, kind="ethereum:ETH") -> None:
        source, target, when, amount = np.broadcast_arrays(source, target, when, amount)
        if len(source.ravel()):
            self.rows.append((source.ravel(), target.ravel(), when.ravel(), amount.ravel(), np.full(source.size, kind)))


def zipf(rng: np.random.Generator, size: int, power: float) -> np.ndarray:
    weight = 1.0 / np.arange(1, size + 1) ** power
    return rng.permutation(weight / weight.sum())


def make(seed: int, *, people: int = 3000, farms: int = 30, kinds: bool = True) -> World:
    """A world of about `people` persons and `farms` farms, the same for the same arguments."""
    rng = np.random.default_rng(seed)
    maker = Maker(rng)
    place = _services(maker, people, kinds)
    _ordinary(maker, place, people)
    recipes = list(FARMS)
    for number in range(farms):
        size = int(np.clip(rng.lognormal(2.9, 0.8), 5, 300))
        FARMS[recipes[number % len(recipes)]](maker, place, size)
    _airdrop(maker, place)
    return _finish(maker, seed)


@dataclass
class Place:
    hot: np.ndarray
    hot_share: np.ndarray
    contracts: np.ndarray
    contract_share: np.ndarray
    contract_kind: np.ndarray
    bridges: np.ndarray
    merchants: np.ndarray
    people: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=int))


def _services(maker: Maker, people: int, kinds: bool) -> Place:
    rng = maker.rng
    contracts = maker.add(max(40, people // 25), SERVICE, "contract")
    names = np.array(["ethereum:ETH", "arbitrum:ETH", "ethereum:USDC", "optimism:ETH"] if kinds else ["ethereum:ETH"])
    return Place(
        hot=maker.add(5, HUB, "exchange"),
        hot_share=zipf(rng, 5, 1.0),
        contracts=contracts,
        contract_share=zipf(rng, len(contracts), 1.1),
        contract_kind=names[rng.integers(0, len(names), len(contracts))],
        bridges=maker.add(2, HUB, "bridge"),
        merchants=maker.add(max(5, people // 100), SERVICE, "merchant"),
    )


def use_contracts(maker: Maker, place: Place, wallets: np.ndarray, times: np.ndarray, choice: np.ndarray) -> None:
    rng = maker.rng
    for kind in np.unique(place.contract_kind):
        here = place.contract_kind[choice] == kind
        amount = rng.lognormal(-1, 1.2, int(here.sum()))
        maker.send(wallets[here], place.contracts[choice[here]], times[here], amount, kind)
        back = rng.random(int(here.sum())) < 0.4
        maker.send(place.contracts[choice[here]][back], wallets[here][back], times[here][back] + 12, amount[back] * 0.99, kind)


def deposit(maker: Maker, hot: int, senders: np.ndarray, like: int, times: np.ndarray, amount: np.ndarray) -> int:
    address = int(maker.add(1, DEPOSIT)[0])
    maker.own(np.array([address]), like)
    maker.send(senders, address, times, amount)
    maker.send(address, hot, times + maker.rng.uniform(600, 6 * 3600, len(times)), amount * 0.999)
    return address


def _ordinary(maker: Maker, place: Place, people: int) -> None:
    rng = maker.rng
    owners = maker.add(people, ORDINARY)
    extra = rng.choice(owners, people // 6)  # some people have more wallets than one
    more = maker.add(len(extra), ORDINARY)
    for wallet, owner in zip(more.tolist(), extra.tolist(), strict=True):
        maker.own(np.array([wallet]), owner)
    wallets = np.concatenate([owners, more])
    place.people = wallets
    born = rng.uniform(0, 0.8 * YEAR, len(wallets))
    home = rng.choice(len(place.hot), len(wallets), p=place.hot_share)
    home[len(owners) :] = home[extra - owners[0]]  # a person keeps to one exchange
    how = rng.random(len(wallets))
    how[len(owners) :] = 0.9  # later wallets of a person come in every way, mostly from the first
    from_exchange, from_bridge = how < 0.6, (how >= 0.6) & (how < 0.7)
    amount = rng.lognormal(-0.5, 1.5, len(wallets))
    maker.send(place.hot[home[from_exchange]], wallets[from_exchange], born[from_exchange], amount[from_exchange])
    maker.send(rng.choice(place.bridges, int(from_bridge.sum())), wallets[from_bridge], born[from_bridge], amount[from_bridge])
    circle = rng.integers(0, max(1, people // 30), len(wallets))  # circles of friends
    by_circle = np.argsort(circle, kind="stable")
    rank = np.empty(len(wallets), dtype=int)
    rank[by_circle] = np.arange(len(wallets))

    def friend(of: np.ndarray) -> np.ndarray:
        near = by_circle[np.clip(rank[of] + rng.integers(-12, 13, len(of)), 0, len(wallets) - 1)]
        far = np.floor(len(wallets) * rng.random(len(of)) ** 2).astype(int)  # some are known by many
        return np.where(rng.random(len(of)) < 0.75, near, far)

    rest = np.flatnonzero(how[: len(owners)] >= 0.7)
    givers = friend(rest)
    maker.send(wallets[givers], wallets[rest], born[rest], amount[rest])
    second = np.arange(len(owners), len(wallets))
    own = rng.random(len(second)) < 0.6
    maker.send(extra[own], wallets[second[own]], born[second[own]], amount[second[own]])
    maker.send(place.hot[home[second[~own]]], wallets[second[~own]], born[second[~own]], amount[second[~own]])

    number = np.clip(rng.lognormal(1.0, 1.0, len(wallets)).astype(int), 0, 120)
    who = np.repeat(np.arange(len(wallets)), number)
    when = born[who] + rng.random(len(who)) * (YEAR - born[who])
    what = rng.random(len(who))
    pay = what < 0.25
    to = friend(who[pay])
    maker.send(wallets[who[pay]], wallets[to], when[pay], rng.lognormal(-2, 1.3, int(pay.sum())))
    shop = (what >= 0.25) & (what < 0.32)
    maker.send(
        wallets[who[shop]], rng.choice(place.merchants, int(shop.sum())), when[shop], rng.lognormal(-3, 0.7, int(shop.sum()))
    )
    defi = what >= 0.4
    use_contracts(
        maker, place, wallets[who[defi]], when[defi], rng.choice(len(place.contracts), int(defi.sum()), p=place.contract_share)
    )
    # Deposits: one address per owner and exchange, shared by the owner's wallets.
    sells = (what >= 0.32) & (what < 0.4)
    owner = np.array(maker.owner)[wallets]
    key = owner[who[sells]].astype(np.int64) * 10 + home[who[sells]]
    order = np.argsort(key, kind="stable")
    index = np.flatnonzero(sells)[order]
    for part in np.split(index, np.flatnonzero(np.diff(key[order])) + 1) if len(index) else []:
        hot = int(place.hot[home[who[part[0]]]])
        senders = wallets[who[part]]
        stranger = rng.random(len(part)) < 0.03  # somebody pays straight into another person's deposit address
        senders = np.where(stranger, rng.choice(wallets, len(part)), senders)
        deposit(maker, hot, senders, int(wallets[who[part[0]]]), when[part], rng.lognormal(-1, 1, len(part)))


def _airdrop(maker: Maker, place: Place) -> None:
    rng = maker.rng
    for _ in range(2):
        distributor = maker.add(1, HUB, "airdrop")[0]
        farmed = np.flatnonzero(np.array(maker.role) == FARM)
        chosen = np.concatenate(
            [rng.choice(place.people, len(place.people) // 6, replace=False), farmed[rng.random(len(farmed)) < 0.3]]
        )
        maker.send(distributor, chosen, 0.9 * YEAR + rng.uniform(0, DAY, len(chosen)), 100.0, "ethereum:DROP")


def _life(maker: Maker, place: Place, wallets: np.ndarray, start: np.ndarray) -> np.ndarray:
    """A script runs over every wallet: the same few contracts, a bit of noise. When each wallet's script ended."""
    rng = maker.rng
    routine = rng.choice(len(place.contracts), int(rng.integers(2, 7)), replace=False, p=place.contract_share)
    for step, contract in enumerate(routine.tolist()):
        does = rng.random(len(wallets)) < 0.85
        times = start[does] + (step + 1) * DAY * rng.uniform(0.5, 4) + rng.exponential(DAY, int(does.sum()))
        use_contracts(maker, place, wallets[does], times, np.full(int(does.sum()), contract))
    stray = rng.random(len(wallets)) < 0.05
    maker.send(wallets[stray], rng.choice(place.people, int(stray.sum())), start[stray] + 9 * DAY, 0.05)
    return start + 40 * DAY


def _funding(maker: Maker, size: int) -> tuple[np.ndarray, np.ndarray]:
    rng = maker.rng
    begin = rng.uniform(0, 0.7 * YEAR)
    start = begin + np.sort(rng.uniform(0, rng.choice([0.05, 1, 10]) * DAY, size))
    alike = rng.random() < 0.6
    amount = np.full(size, float(f"{rng.lognormal(-3, 0.7):.1g}")) if alike else rng.uniform(0.03, 0.3, size)
    return start, amount


def _funder(maker: Maker, place: Place, pattern: str, when: float) -> int:
    owner = maker.add(1, FARM, pattern)[0]
    maker.send(maker.rng.choice(place.hot, p=place.hot_share), owner, when - DAY, 30.0)
    return int(owner)


def _star(maker: Maker, place: Place, size: int, collect: bool) -> None:
    pattern = "star+collect" if collect else "star"
    start, amount = _funding(maker, size)
    funder = _funder(maker, place, pattern, float(start[0]))
    wallets = maker.add(size, FARM, pattern)
    maker.own(wallets, funder)
    maker.send(funder, wallets, start, amount)
    ends = _life(maker, place, wallets, start)
    if collect:
        target = funder if maker.rng.random() < 0.5 else int(maker.add(1, FARM, pattern)[0])
        maker.own(np.array([target]), funder)
        does = maker.rng.random(size) < 0.8
        maker.send(wallets[does], target, ends[does], amount[does] * 0.8)


def _chain(maker: Maker, place: Place, size: int) -> None:
    start, _ = _funding(maker, size)
    wallets = maker.add(size, FARM, "chain")
    maker.own(wallets, int(wallets[0]))
    times = start[0] + np.arange(size) * DAY * 2
    maker.send(maker.rng.choice(place.hot, p=place.hot_share), wallets[0], times[0] - DAY, 5.0)
    maker.send(wallets[:-1], wallets[1:], times[1:], 5.0 * 0.97 ** np.arange(1, size))
    _life(maker, place, wallets, times)


def _tree(maker: Maker, place: Place, size: int) -> None:
    start, amount = _funding(maker, size)
    root = _funder(maker, place, "tree", float(start[0]))
    branches = max(2, int(np.sqrt(size)))
    middle = maker.add(branches, FARM, "tree")
    wallets = maker.add(size, FARM, "tree")
    maker.own(np.concatenate([middle, wallets]), root)
    maker.send(root, middle, start[0] + np.arange(branches) * 3600, 2.0)
    maker.send(middle[np.arange(size) % branches], wallets, start + DAY, amount)
    _life(maker, place, wallets, start + DAY)


def _withdrawn(maker: Maker, place: Place, size: int, pattern: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    start, amount = _funding(maker, size)
    wallets = maker.add(size, FARM, pattern)
    maker.own(wallets, int(wallets[0]))
    maker.send(maker.rng.choice(place.hot, p=place.hot_share), wallets, start, amount)
    return wallets, _life(maker, place, wallets, start), amount


def _exchange_collect(maker: Maker, place: Place, size: int) -> None:
    wallets, ends, amount = _withdrawn(maker, place, size, "exchange+collect")
    target = maker.add(1, FARM, "exchange+collect")
    maker.own(target, int(wallets[0]))
    maker.send(wallets, int(target[0]), ends, amount * 0.8)


def _exchange_deposit(maker: Maker, place: Place, size: int) -> None:
    wallets, ends, amount = _withdrawn(maker, place, size, "exchange+deposit")
    deposit(maker, int(place.hot[0]), wallets, int(wallets[0]), ends, amount * 0.8)


def _exchange_burst(maker: Maker, place: Place, size: int) -> None:
    _withdrawn(maker, place, size, "exchange burst")


def _web(maker: Maker, place: Place, size: int) -> None:
    """Each wallet comes from an exchange at its own time; afterwards money moves between them whichever way it is needed."""
    rng = maker.rng
    size = max(5, size // 2)
    wallets = maker.add(size, FARM, "web")
    maker.own(wallets, int(wallets[0]))
    start = rng.uniform(0, 0.4 * YEAR, size)
    maker.send(rng.choice(place.hot, size, p=place.hot_share), wallets, start, rng.lognormal(-1, 1, size))
    ends = _life(maker, place, wallets, start)
    number = rng.integers(1, 4, size)
    one = np.repeat(np.arange(size), number)
    other = rng.integers(0, size, len(one))
    real = one != other
    when = np.maximum(ends[one], ends[other])[real] + rng.uniform(0, 60 * DAY, int(real.sum()))
    maker.send(wallets[one[real]], wallets[other[real]], when, rng.lognormal(-1, 0.5, int(real.sum())))


FARMS = {
    "star": lambda maker, place, size: _star(maker, place, size, False),
    "star+collect": lambda maker, place, size: _star(maker, place, size, True),
    "chain": _chain,
    "tree": _tree,
    "exchange+collect": _exchange_collect,
    "exchange+deposit": _exchange_deposit,
    "exchange burst": _exchange_burst,
    "web": _web,
}


def _finish(maker: Maker, seed: int) -> World:
    rng = np.random.default_rng([seed, 1])
    source, target, when, amount, kind = (np.concatenate(parts) for parts in zip(*maker.rows, strict=True))
    digits = rng.integers(0, 16, (len(maker.role), 40), dtype=np.uint8)
    text = np.frombuffer(b"0123456789abcdef", dtype="S1")[digits].view("S40").ravel().astype(str)
    ids = np.char.add("0x", text)
    order = rng.permutation(len(source))
    table = pa.table(
        {
            "from_id": ids[source[order]],
            "to_id": ids[target[order]],
            "kind": kind[order],
            "occurred_at": pa.array(np.floor(when[order]).astype(np.int64) + 1_640_995_200, pa.timestamp("s")),
            "amount": amount[order],
        }
    )
    return World(table, ids, np.array(maker.owner), np.array(maker.role), np.array(maker.pattern))
