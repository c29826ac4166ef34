"""Who the made-up customers are: their latent type, interests, identifiers and the truth about how they respond."""

from __future__ import annotations

import numpy as np
import polars as pl

from simulation import geography as geo
from simulation import rates
from simulation.catalogue import LINES, OFFERS
from simulation.tools import DAY, generator, hexes, ids, pick, weighted

# Each type of person: weight, activity, relative organic rate of use per product line (order of LINES), persuadability, risk profile weights
TYPES = {
    "saver": (0.22, 0.8, (1.2, 2.2, 1.5, 0.5, 0.6, 0.05, 0.9, 0.2, 0.05, 0.02), 1.0, (0.7, 0.28, 0.02)),
    "holder": (0.22, 0.7, (0.6, 1.0, 0.6, 1.6, 1.3, 0.10, 0.6, 0.4, 0.15, 0.05), 0.9, (0.15, 0.65, 0.20)),
    "trader": (0.16, 2.4, (0.3, 1.6, 2.2, 3.2, 0.8, 0.50, 0.6, 0.8, 0.80, 1.60), 0.8, (0.02, 0.38, 0.60)),
    "novice": (0.22, 0.9, (2.2, 0.8, 0.4, 0.7, 0.2, 0.20, 0.2, 0.1, 0.05, 0.05), 1.5, (0.45, 0.45, 0.10)),
    "yield": (0.10, 1.2, (0.5, 1.0, 1.8, 0.8, 2.6, 0.10, 3.0, 1.2, 1.40, 0.20), 1.2, (0.05, 0.60, 0.35)),
    "thrill": (0.08, 2.0, (0.2, 1.2, 1.0, 2.2, 0.5, 2.60, 0.3, 1.0, 1.60, 3.00), 1.1, (0.0, 0.15, 0.85)),
}
LINE_LEVEL = np.array([1.3, 1.3, 1.0, 1.4, 0.9, 0.6, 0.7, 0.6, 0.6, 0.6])  # how common a line is at all
STAGES = ("prospect", "new", "developing", "experienced", "dormant")
PROFILES = ("conservative", "moderate", "aggressive")
RISK = np.array([0.0, 0.05, 0.1, 0.35, 0.4, 0.6, 0.55, 0.7, 0.8, 1.0])  # how much harm a line can do


def make(count: int, first: int, seed: int, ends_at: int, days: int) -> pl.DataFrame:
    """One row per true person of a chunk, `first` being the number of its first person."""
    rng = generator(seed, "people", first)
    number = np.arange(first, first + count)
    names = list(TYPES)
    kind = weighted(rng, [TYPES[name][0] for name in names], count)
    has_account = rng.random(count) >= rates.NO_ACCOUNT_SHARE
    stage = weighted(rng, (0.10, 0.16, 0.28, 0.34, 0.12), count)
    stage = np.where(has_account, stage, 0)
    created = _created(rng, stage, ends_at, days, count)
    activity = np.array([TYPES[name][1] for name in names])[kind]
    tail = rng.lognormal(-(rates.SESSION_TAIL_SIGMA**2) / 2, rates.SESSION_TAIL_SIGMA, count)
    interest, rate = _rates(rng, kind, stage, has_account, tail, count)
    lure = np.array([TYPES[name][3] for name in names])[kind] * rng.beta(1.3, 2.2, count) * 2
    annoyed = rng.random(count) < rates.ANNOYED_SHARE
    profile = np.zeros(count, dtype=np.int64)
    for index, name in enumerate(names):
        rows = kind == index
        profile[rows] = weighted(rng, TYPES[name][4], int(rows.sum()))
    columns = {
        "number": number,
        "true_person": ids("tp", number, "person"),
        "type": pick(names, kind),
        "stage": pick(STAGES, stage),
        "profile": pick(PROFILES, profile),
        "has_account": has_account,
        "created_at": created,
        "session_rate": rates.SESSIONS_PER_DAY
        * np.array([0.35, 1.2, 1.0, 1.2, rates.DORMANT_SHARE_OF_RATE])[stage]
        * activity
        * tail
        / 1.06,
        "lure": lure,
        "annoyed": annoyed,
        "strain": rng.beta(1.2, 5.0, count),
        "favourite_asset": weighted(rng, (0.34, 0.26, 0.14, 0.12, 0.08, 0.06), count),
    }
    frame = pl.DataFrame(columns)
    frame = frame.with_columns(
        *[pl.Series(f"interest_{line}", interest[:, index]) for index, line in enumerate(LINES)],
        *[pl.Series(f"rate_{line}", rate[:, index]) for index, line in enumerate(LINES)],
    )
    return frame.hstack(_identity(rng, number, has_account, stage, seed))


def _created(rng: np.random.Generator, stage: np.ndarray, ends_at: int, days: int, count: int) -> np.ndarray:
    age = np.select(
        [stage == 1, stage == 2, stage == 0],
        [rng.uniform(1, 45, count), rng.uniform(45, 180, count), rng.uniform(5, days + 120, count)],
        rng.uniform(185, 900, count),
    )
    return ends_at - (age * DAY).astype(np.int64)


def _rates(rng, kind, stage, has_account, tail, count):
    """Interest in each product line and its organic uses a week; seen in views and past uses, partly latent."""
    level = np.array([TYPES[name][2] for name in TYPES])[kind]
    interest = level * rng.lognormal(-0.32, 0.8, (count, len(LINES)))
    latent = rng.lognormal(-0.08, 0.4, (count, len(LINES)))
    engaged = np.array([0.10, 0.8, 1.0, 1.3, rates.DORMANT_SHARE_OF_RATE])[stage] * tail**0.5
    rate = LINE_LEVEL * interest * latent * engaged[:, None] * rates.MEAN_P_HELD_OUT * 0.95
    return interest, np.where(has_account[:, None], np.minimum(rate, 4.0), 0.0)


def _identity(
    rng: np.random.Generator, number: np.ndarray, has_account: np.ndarray, stage: np.ndarray, seed: int
) -> pl.DataFrame:
    count = len(number)
    market = weighted(rng, [row[1] for row in geo.MARKETS], count)
    has_contact = np.where(has_account, rng.random(count) < rates.CONTACT_SHARE, rng.random(count) < 0.6)
    has_web = np.where(has_contact | has_account, rng.random(count) < 0.93, True)
    split = (rng.random(count) < rates.SPLIT_SHARE) & has_account
    split_crm = split & has_contact & (rng.random(count) < 0.6)
    split_web = split & ~split_crm
    has_web = has_web | split_web
    first = rng.integers(0, len(geo.FIRST_NAMES), count)
    last = rng.integers(0, len(geo.LAST_NAMES), count)
    local = pl.DataFrame({"f": pick(geo.FIRST_NAMES, first), "l": pick(geo.LAST_NAMES, last), "n": number})
    domain = pick(geo.EMAIL_DOMAINS, weighted(rng, (5, 4, 3, 2, 1, 1), count))
    email = (
        local.with_columns(domain)
        .select(
            pl.concat_str(
                pl.col("f").str.to_lowercase(),
                pl.lit("."),
                pl.col("l").str.to_lowercase(),
                pl.col("n").cast(pl.String),
                pl.lit("@"),
                pl.col(domain.name),
            )
        )
        .to_series()
    )
    email = _unusual_emails(email, number, seed)
    other = local.select(
        pl.concat_str(pl.col("l").str.to_lowercase(), pl.lit("_"), pl.col("n").cast(pl.String), pl.lit("@second.example"))
    ).to_series()
    # Pairs of neighbours who share: 0 nothing, 1 a device, 2 a family e-mail, 3 both.
    pairs = rng.random((count + 1) // 2) < rates.SHARED_SHARE
    how = np.where(pairs, weighted(rng, (0.6, 0.25, 0.15), len(pairs)) + 1, 0)
    shares = np.repeat(how, 2)[:count]
    partner = np.where(np.arange(count) % 2 == 0, np.arange(count) + 1, np.arange(count) - 1)
    alone = partner >= count
    shares = np.where(alone | split, 0, shares)
    shares = np.where(~alone & (shares[partner.clip(0, count - 1)] == 0), 0, shares)
    head = np.where((shares >= 2) & (np.arange(count) % 2 == 1), partner, np.arange(count)).clip(0, count - 1)
    family_email = email.gather(pl.Series(head))
    crm_own = pl.Series(np.where(split_crm, 1, 0))
    contact_email = pl.select(pl.when(pl.lit(crm_own) == 1).then(pl.lit(other)).otherwise(pl.lit(family_email))).to_series()
    account_email = pl.select(
        pl.when(pl.lit(pl.Series(shares == 3))).then(pl.lit(family_email)).otherwise(pl.lit(email))
    ).to_series()
    prefix = pick([row[6] for row in geo.MARKETS], market)
    digits = np.array([row[7] for row in geo.MARKETS])[market]
    tail = (number.astype(np.uint64) * np.uint64(7_368_787) + np.uint64(seed % 977)) % (10**digits).astype(np.uint64)
    text = pl.DataFrame({"p": prefix, "t": pl.Series(tail).cast(pl.String), "d": digits})
    phone = text.select(pl.concat_str("p", pl.col("t").str.zfill(pl.col("d")))).to_series()
    devices2 = rng.random(count) < rates.SECOND_DEVICE_SHARE
    device_owner = np.where(np.isin(shares, (1, 3)) & (np.arange(count) % 2 == 1), partner, np.arange(count)).clip(0, count - 1)
    device = ids("dv", number * 4, "device")
    wallet = rng.random(count) < np.where(has_account, rates.WALLET_SHARE, 0.1)
    return pl.DataFrame(
        {
            "market": market,
            "first_name": local["f"],
            "last_name": local["l"],
            "has_contact": has_contact,
            "has_web": has_web,
            "split_crm": split_crm,
            "split_web": split_web,
            "shares": shares,
            "account_email": account_email,
            "contact_email": contact_email,
            "phone": phone,
            "account_id": ids("ac", number * 2, "account"),
            "contact_id": ids("ct", number, "contact"),
            "device_id": device,
            "shared_device_id": device.gather(pl.Series(device_owner)),
            "second_device_id": pl.select(
                pl.when(pl.lit(pl.Series(devices2))).then(pl.lit(ids("dv", number * 4 + 1, "device")))
            ).to_series(),
            "anonymous_id": ids("an", number * 4, "anonymous"),
            "second_anonymous_id": ids("an", number * 4 + 1, "anonymous"),
            "second_account_id": pl.select(
                pl.when(pl.lit(pl.Series(has_account & (rng.random(count) < rates.SECOND_ACCOUNT_SHARE)))).then(
                    pl.lit(ids("ac", number * 2 + 1, "account"))
                )
            ).to_series(),
            "wallet": pl.select(pl.when(pl.lit(pl.Series(wallet))).then(pl.lit(hexes(rng, count, 40, "0x")))).to_series(),
            "is_test": has_account & (rng.random(count) < rates.TEST_SHARE),
            "is_closed": has_account & (stage != 0) & (rng.random(count) < rates.CLOSED_SHARE),
            "is_minor": rng.random(count) < rates.MINOR_SHARE,
        }
    )


def _unusual_emails(email: pl.Series, number: np.ndarray, seed: int) -> pl.Series:
    """The addresses, some of a throw-away service and some a function's of a firm of one; drawn apart, so that all else stays."""
    rng = generator(seed, "unusual_emails", int(number[0]) if len(number) else 0)
    draw, which = rng.random(len(email)), rng.integers(0, 4, len(email))
    thrown_away = draw < rates.DISPOSABLE_EMAIL_SHARE
    role = ~thrown_away & (draw < rates.DISPOSABLE_EMAIL_SHARE + rates.ROLE_EMAIL_SHARE)
    made = pl.DataFrame(
        {
            "e": email,
            "n": number,
            "d": pick(geo.DISPOSABLE_DOMAINS, which),
            "r": pick(geo.ROLES, which),
            "t": thrown_away,
            "o": role,
        }
    )
    firm = pl.concat_str("r", pl.lit("@firm"), pl.col("n").cast(pl.String), pl.lit(".example"))
    moved = pl.concat_str(pl.col("e").str.split("@").list.first(), pl.lit("@"), "d")
    return made.select(pl.when("t").then(moved).when("o").then(firm).otherwise("e").alias("email")).to_series()


def responses(people: pl.DataFrame) -> pl.DataFrame:
    """One row per true person x offer: the outcome's true probability with and without the offer, satisfaction, harm."""
    count = len(people)
    frames = []
    for offer in OFFERS:
        p_held_out, p_shown = probabilities(people, offer["offer_id"])
        line = LINES.index(offer["product_line"])
        strain = people["strain"].to_numpy()
        cautious = (people["profile"].to_numpy() == "conservative").astype(float)
        danger = RISK[line] * (0.5 * strain + 0.25 * cautious + 0.25 * (people["stage"].to_numpy() == "new"))
        fit = np.log1p(people[f"interest_{offer['product_line']}"].to_numpy()) / 2
        satisfaction = np.clip(0.45 + 0.35 * fit - 0.5 * danger - 0.3 * people["annoyed"].to_numpy(), 0.02, 0.98)
        frames.append(
            pl.DataFrame(
                {
                    "true_person": people["true_person"],
                    "offer_id": pl.repeat(offer["offer_id"], count, eager=True),
                    "p_shown": p_shown.astype(np.float32),
                    "p_held_out": p_held_out.astype(np.float32),
                    "satisfaction": satisfaction.astype(np.float32),
                    "harmed": danger > 0.30,
                }
            )
        )
    return pl.concat(frames)


def probabilities(people: pl.DataFrame, offer_id: str) -> tuple[np.ndarray, np.ndarray]:
    """True probability of the outcome within the window, held out and shown, of each person for one offer.

    Uplift is largest where interest is there but use is rare; nobody who uses a line every day can be won for it.
    """
    offer = next(offer for offer in OFFERS if offer["offer_id"] == offer_id)
    line = offer["product_line"]
    held_out = 1 - np.exp(-people[f"rate_{line}"].to_numpy() * rates.OUTCOME_DAYS / 7)
    interest = people[f"interest_{line}"].to_numpy()
    reachable = people["has_account"].to_numpy() & (people["stage"].to_numpy() != "dormant")
    pull = people["lure"].to_numpy() * offer["strength"] * interest / (interest + 1.0)
    gain = np.where(reachable, np.minimum(rates.MEAN_UPLIFT * 2.4 * pull, 0.5), 0.0)
    gain = np.where(people["lure"].to_numpy() < 0.35, 0.0, gain)  # a third cannot be persuaded at all
    shown = held_out + (1 - held_out) * gain
    return held_out, np.where(people["annoyed"].to_numpy(), held_out * 0.5, shown)


def identifiers(crowd: pl.DataFrame) -> pl.DataFrame:
    """One row per true person and identifier of theirs: true_person, kind, identifier (standardised)."""
    # Who never comes by themselves may still meet an offer on the website.
    crowd = crowd.with_columns(is_seen=pl.col("has_web") | pl.col("has_account") | pl.col("has_contact"))
    have = [
        ("has_account", "account_id", "account_id"), ("has_account", "second_account_id", "account_id"), ("has_contact", "contact_id", "contact_id"),
        ("is_seen", "device_id", "device_id"), ("is_seen", "second_device_id", "device_id"), ("is_seen", "shared_device_id", "device_id"),
        ("is_seen", "anonymous_id", "anonymous_id"), ("is_seen", "second_anonymous_id", "anonymous_id"),
        ("has_account", "account_email", "email"), ("has_contact", "contact_email", "email"), ("has_account", "phone", "phone"),
    ]  # fmt: skip
    frames = [
        crowd.filter(pl.col(flag) & pl.col(column).is_not_null()).select(
            "true_person", kind=pl.lit(kind), identifier=pl.col(column)
        )
        for flag, column, kind in have
    ]
    frames.append(
        crowd.filter(pl.col("wallet").is_not_null()).select("true_person", kind=pl.lit("wallet"), identifier=pl.col("wallet"))
    )
    return pl.concat(frames).unique(maintain_order=True)
