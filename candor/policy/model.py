"""What a loaded policy is. Frozen: nothing changes it after it has passed its checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from candor.policy.texts import CONSTANT

if TYPE_CHECKING:
    from candor.identity.overrides import Override
    from candor.policy.brand import Brand
    from candor.policy.fatf import FatfList
    from candor.policy.kill_switches import KillSwitch
    from candor.policy.retention import RecordClass
from candor.policy.drivers import Explanations


@dataclass(frozen=True)
class Check:
    """One requirement of a rule, with the code it gives when it is not met."""

    code: str
    require: str
    penalty_bp: int = 0
    grain: str | None = None  # where it is decided, if not at its rule's grain


@dataclass(frozen=True)
class Obligation:
    """A disclosure that the creative must already carry where `condition` is true or unknown; None is always."""

    name: str
    condition: str | None = None


@dataclass(frozen=True)
class Scope:
    """To whom and what a rule applies; None is everything."""

    regimes: tuple[str, ...] | None = None
    client_class: tuple[str, ...] | None = None
    products: tuple[str, ...] | None = None
    channels: tuple[str, ...] | None = None
    promotion_only: bool = True


@dataclass(frozen=True)
class Rule:
    """One version of one rule."""

    rule_id: str
    version: int
    title: str
    effect: str
    visibility: str
    grain: str
    starts_at: datetime | None  # UTC, naive
    ends_at: datetime | None
    scope: Scope
    when: str | None
    checks: tuple[Check, ...]
    obligations: tuple[Obligation, ...]
    statement: str
    cite: str
    waits_for: tuple[str, ...] = ()  # facts that the daily run does not know yet; such a part judges cases only
    is_releasable: bool = True  # whether a reviewer may lift it, if it is a hold


@dataclass(frozen=True)
class Fact:
    """One fact of policy/facts.yml."""

    name: str
    type: str
    max_age_hours: int | None
    max_age_stressed_hours: int | None = field(default=None, kw_only=True)  # while markets are stressed; None: the same
    visibility: str
    domain: tuple[Any, ...] | None
    sources: tuple[str, ...] = ()
    awaits: str | None = None  # who would have to deliver it; until then the daily run does not know it
    meaning: str = ""
    is_of_cases: bool = (
        False  # only tables of cases give it: the daily run derives from other columns what cases derive from it
    )


@dataclass(frozen=True)
class Staleness:
    """How many hours after its run's instant an offer of a class may still be live."""

    is_promotion: bool
    from_rank: int  # of lines of this rank and higher, up to the next row of the same kind
    hours: int
    hours_stressed: int


@dataclass(frozen=True)
class ProductLine:
    product_line: str
    rank: int
    min_kyc: int
    approp: bool
    vol_max: int
    profiles: tuple[str, ...]
    stages: tuple[str, ...]
    outcomes: tuple[str, ...]
    outcome_needs_offer: bool = False  # the outcome cannot happen without the offer: its probability is then 0 by definition


@dataclass(frozen=True)
class Silo:
    """What a run does when one table of a source is late or missing, and which offers need it."""

    table: str  # source.table
    when_late: str  # degrade | stop
    late_after_hours: int
    needed_for: tuple[str, ...]
    features: tuple[str, ...]  # beginnings of names in an offer's uses_features
    owner: str
    why: str


@dataclass(frozen=True)
class ReviewKind:
    """One kind of thing that a person looks at: until when, and who decides it."""

    kind: str
    sla_hours: int
    roles: tuple[str, ...]
    priority: int  # 1 comes first
    why: str


@dataclass(frozen=True)
class NearMiss:
    """A served promotion whose fact is at least `at_least`, as it must be, by less than `within`."""

    fact: str
    at_least: float
    within: float
    rule: str
    why: str


@dataclass(frozen=True)
class Reviewing:
    """What policy/review.yml says."""

    kinds: tuple[ReviewKind, ...]
    near_misses: tuple[NearMiss, ...]
    numbers: Mapping[str, float]
    reviewers: Mapping[str, tuple[str, ...]] | None = (
        None  # logins of Airflow, each with the roles it may answer for; None: not said
    )

    @property
    def rank(self) -> int:
        """From this rank on a product line is of high risk."""
        return int(self.numbers["high_risk_rank"])


# A policy from before the file existed: its runs, done again, decide as they did.
NO_REVIEWING = Reviewing((), (), MappingProxyType({"high_risk_rank": 1_000_000}))


@dataclass(frozen=True)
class Policy:
    """Everything the run obeys, of one shop. `version` names the content, whatever the files' comments and layout."""

    version: str
    shop: str
    pack_id: str
    pack_version: str
    valid_from: datetime
    valid_to: datetime
    judges_from: datetime  # the days that cases may be about, where the pack in force is dated more narrowly
    judges_to: datetime
    rules: tuple[Rule, ...]  # what judges the daily run
    waiting: tuple[
        Rule, ...
    ]  # rules, and parts of rules, that read facts which the daily run does not know yet: they judge cases only
    facts: Mapping[str, Fact]
    product_lines: tuple[ProductLine, ...]
    regime_map: Mapping[str, tuple[tuple[str, ...], str]]
    permissions: tuple[tuple[str, str, tuple[str, ...], datetime, datetime], ...]
    quiet_hours: tuple[tuple[str, tuple[int, ...], str, str], ...]
    latency_margin_min: int
    email_optout_regimes: tuple[str, ...]
    sensitive_features: tuple[str, ...]
    channels: tuple[tuple[str, str, int, bool, bool], ...]
    channels_not_served: tuple[str, ...]  # rules know them, the shop has no offers there
    limits: Mapping[str, tuple[float, str]]
    objectives: Mapping[str, tuple[float, str]]
    promotions_per_education: tuple[tuple[str, float | None], ...]  # by lifecycle stage; None: no limit
    incentive_budget_usd: float | None  # of a run; None: no limit
    holdout_share: float
    salt: str
    withhold_share: float
    withhold_salt: str
    roles: tuple[tuple[str, str, tuple[str, ...]], ...]
    leaves_out: Mapping[str, str]  # rules of the pack that do not concern the shop, with the reason; they are not among `rules`
    brand: Brand
    explanations: Explanations
    market_basket: tuple[tuple[str, float, str], ...] = ()  # asset, weight, interval of its bars
    silos: tuple[Silo, ...] = ()
    fatf: tuple[FatfList, ...] = ()
    retention: tuple[RecordClass, ...] = ()
    reviewing: Reviewing = NO_REVIEWING
    kill_switches: tuple[KillSwitch, ...] = ()  # of all time, of the policy's file alone
    staleness: tuple[Staleness, ...] = ()
    identity_overrides: tuple[Override, ...] = ()  # of all time; which hold depends on the run's as_of
    texts: Mapping[str, str] = field(default_factory=dict)  # what a customer is told, by code
    constant_text: str = CONSTANT  # and for everything else
