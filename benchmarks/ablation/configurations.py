"""Which reduced days are decided."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, product

from candor.cleaning import SILOS, Cleaning

# The order in which silos are added one after another, fixed before anything was measured: that of a shop that grows. Its books first, whom it
# writes to, what they do on its site, then their wallets, what compliance checked, and what they answer.
ORDER = ("exchange", "crm", "events", "wallets", "compliance", "surveys")
STEPS = (("removes_duplicates", "duplicates"), ("removes_noise", "noise"), ("standardises", "raw values"))
NOTHING_CLEANED = {"removes_duplicates": False, "removes_noise": False, "standardises": False}

WHOLE = "everything"
WITHHELD, ADDED, LEFT_OUT, UNCLEANED, SUBSETS = (
    "one silo withheld",
    "silos added one after another",
    "steps left out, all six silos",
    "silos added, nothing cleaned",
    "other subsets of silos",
)
GROUPS = (WHOLE, WITHHELD, ADDED, LEFT_OUT, UNCLEANED, SUBSETS)


@dataclass(frozen=True)
class Configuration:
    """One reduced day: its name in tables, where it stands there, and what is reduced."""

    name: str
    group: str
    cleaning: Cleaning

    @property
    def slug(self) -> str:
        """A name for files, the same for the same cleaning."""
        withheld = "-".join(silo for silo in SILOS if silo in self.cleaning.withheld) or "nothing"
        steps = "".join(str(int(getattr(self.cleaning, step))) for step, _ in STEPS)
        return f"without-{withheld}-steps-{steps}"


def available(silos: tuple[str, ...], **steps: bool) -> Cleaning:
    """The cleaning of a shop that has these silos and no others."""
    return Cleaning(withheld=frozenset(SILOS) - frozenset(silos), **steps)


def configurations(*, all_subsets: bool = False) -> list[Configuration]:
    """The days to decide, the whole one first; no two have the same cleaning. With `all_subsets` all 64 subsets of silos are among them."""
    found = [Configuration(WHOLE, WHOLE, Cleaning())]
    found += [Configuration(f"without {silo}", WITHHELD, Cleaning(withheld=frozenset([silo]))) for silo in ORDER]
    found += [Configuration(_added(count), ADDED, available(ORDER[:count])) for count in range(1, len(ORDER))]
    found += [
        Configuration(
            _kept(taken), LEFT_OUT, Cleaning(**{step: is_taken for (step, _), is_taken in zip(STEPS, taken, strict=True)})
        )
        for taken in product((True, False), repeat=len(STEPS))
    ]
    found += [
        Configuration(f"{_added(count)}, nothing cleaned", UNCLEANED, available(ORDER[:count], **NOTHING_CLEANED))
        for count in range(1, len(ORDER))
    ]
    if all_subsets:
        found += [
            Configuration(f"only {', '.join(silos) or 'the catalogue'}", SUBSETS, available(silos))
            for count in range(len(ORDER) + 1)
            for silos in combinations(ORDER, count)
        ]
    first: dict[Cleaning, Configuration] = {}
    for one in found:
        first.setdefault(one.cleaning, one)
    return list(first.values())


def _added(count: int) -> str:
    names = ORDER[:count]
    return f"{count}: {names[0]} only" if count == 1 else f"{count}: + {names[-1]}"


def _kept(taken: tuple[bool, ...]) -> str:
    """What stays in the rows when these steps are taken and the others are not."""
    stays = [name for (_, name), is_taken in zip(STEPS, taken, strict=True) if not is_taken]
    return f"{' + '.join(stays)} {'stays' if stays == ['noise'] else 'stay'}" if stays else WHOLE
