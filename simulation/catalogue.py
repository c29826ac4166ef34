"""What the made-up shop offers: offers, creatives, approvals and market prices, a few of them planted to be refused."""

from __future__ import annotations

import numpy as np
import polars as pl

from simulation import rates
from simulation.geography import ASSETS
from simulation.tools import DAY, HOUR, generator, times

LINES = ("education", "fiat_wallet", "stablecoin", "spot", "staking", "nft", "earn_yield", "borrow", "defi", "derivatives")
LEDGER_KINDS = {
    "education": "lesson_completed",
    "fiat_wallet": "deposit",
    "staking": "stake",
    "earn_yield": "lend",
    "borrow": "borrow",
}

_BASE = {"version": 1, "incentive": "none", "asset": None, "asset_kind": "none", "pays_interest": False, "leverage": 1.0, "is_credit": False,
         "requires_transfer": False, "is_direct_offer": False, "has_personal_price": False,
         "strength": 1.0, "weight": 1.0, "fault": None, "is_promotion": True}  # fmt: skip

# True of everybody an offer reaches, whatever they did: the market permits it and the matrix admits the account. A sentence about
# what somebody looked at would be false for most.
WHY_THIS_OFFER = {
    "en": "You see this because it is open to accounts like yours where you live",
    "de": "Sie sehen dies, weil es Konten wie Ihrem an Ihrem Wohnort offensteht",
}


def _offer(offer_id: str, line: str, value: float, cost: float, words: str, **more: object) -> dict:
    return {
        **_BASE,
        "offer_id": offer_id,
        "product_line": line,
        "unit_value_usd": value,
        "cost_usd": cost,
        "words": words,
        **more,
    }


# cost is about value x the median true uplift, so that contacting pays for about half of the people.
# strength multiplies the true uplift; weight is how often the random policy draws the offer.
OFFERS: list[dict] = [
    _offer("edu_basics", "education", 6, 0.18, "A first lesson on how a blockchain works", version=2, strength=1.3, weight=1.4, is_promotion=False),
    _offer("edu_risk", "education", 6, 0.12, "A short lesson on price swings and how to plan for them", strength=0.9, is_promotion=False),
    _offer("wallet_deposit", "fiat_wallet", 12, 0.35, "Set up a standing order into your wallet", strength=1.0, weight=1.2),
    _offer("card_everyday", "fiat_wallet", 10, 0.25, "Use the card for everyday purchases", has_personal_price=True, strength=0.8),
    _offer("usdc_swap", "stablecoin", 14, 0.35, "Move between dollars and USDC without a spread", asset="USDC", asset_kind="emt",
           requires_transfer=True),
    _offer("spot_btc", "spot", 20, 0.50, "Buy bitcoin in the amount you choose", asset="BTC", asset_kind="other", weight=1.5, strength=1.1),
    _offer("spot_eth", "spot", 18, 0.45, "Buy ether in the amount you choose", asset="ETH", asset_kind="other", is_direct_offer=True, strength=1.0),
    _offer("spot_fee_off", "spot", 18, 0.60, "Lower trading fees this month", incentive="fee_discount", asset_kind="other", has_personal_price=True,
           strength=1.4),
    _offer("stake_eth", "staking", 25, 0.45, "Stake ether and see the queue before you do", asset="ETH", asset_kind="other", strength=1.0, version=2),
    _offer("stake_sol", "staking", 22, 0.30, "Stake SOL from your balance", asset="SOL", asset_kind="other", strength=0.8),
    _offer("nft_gallery", "nft", 10, 0.08, "Browse this month's gallery", asset_kind="nft", strength=0.7),
    _offer("earn_usdc", "earn_yield", 28, 0.40, "Lend USDC and see who borrows it", asset="USDC", asset_kind="emt", pays_interest=True, strength=1.0),
    _offer("borrow_btc", "borrow", 30, 0.30, "Borrow against bitcoin that you keep", asset="BTC", is_credit=True, strength=0.8),
    _offer("defi_pool", "defi", 24, 0.25, "Provide liquidity, with the risks shown first", asset="ETH", asset_kind="other", strength=0.8),
    _offer("perp_2x", "derivatives", 40, 0.40, "Hedge a position with up to 2x", asset="BTC", leverage=2.0, strength=0.9),
    # planted to be refused, each for one reason
    _offer("spot_refer", "spot", 15, 0.50, "Invite a friend", incentive="referral", asset_kind="other", fault="unapproved", weight=0),
    _offer("edu_autumn", "education", 6, 0.10, "The autumn course", fault="expired", weight=0, is_promotion=False),
    _offer("usdc_new_year", "stablecoin", 14, 0.30, "New year, no spread", asset="USDC", asset_kind="emt", fault="not_started", weight=0),
    _offer("perp_20x", "derivatives", 60, 0.80, "Perpetuals with up to 20x", asset="BTC", leverage=20.0, fault="approval_expired", weight=0),
    _offer("nft_mint", "nft", 12, 0.10, "Mint a picture of your own", asset_kind="nft", fault="unreviewed", weight=0),
]  # fmt: skip
# How long after the last simulated day the offer begins that had not started on it.
NOT_STARTED_DAYS = 30
DRAWABLE = [offer for offer in OFFERS if offer["weight"] > 0]
HIGH_RISK = ("nft", "earn_yield", "borrow", "defi", "derivatives")
BRAND_VALUES = ("security", "transparency", "user empowerment")
# What an offer of each line says it is chosen by. Lessons are for everybody.
FEATURES: dict[str, list[str]] = {
    "education": [], "fiat_wallet": ["deposit_count_90d"], "stablecoin": ["deposit_count_90d", "days_since_last_use"],
    "spot": ["asset_views_30d", "product_views_30d"], "staking": ["days_since_last_use", "product_views_30d"],
    "nft": ["wallets_linked", "asset_views_30d"], "earn_yield": ["days_since_last_use"], "borrow": ["deposit_count_90d"],
    "defi": ["wallets_linked", "days_since_last_use"], "derivatives": ["days_since_last_use", "satisfaction_90d"],
}  # fmt: skip
DISCLOSURES_ALWAYS = ["AD_LABEL", "OPT_OUT", "WHY_THIS_OFFER"]
DISCLOSURES_PROMOTION = [
    "UK_RISK_WARNING", "UK_RISK_SUMMARY", "MICA_AD_LABEL", "MICA_ART7_STATEMENT", "MICA_ART53_REDEMPTION", "MICA_ART29_REDEMPTION",
    "MICA_UNREGULATED_NOTICE", "CFD_RISK_WARNING", "NY_LICENCE_LEGEND", "NY_ALGO_PRICE", "SG_RISK_WARNING", "ASCI_DISCLAIMER",
    "VARA_DISCLAIMER", "VARA_AD_LABEL",
]  # fmt: skip
GERMAN = {
    "edu_basics": "Eine erste Lektion: wie eine Blockchain funktioniert",
    "spot_btc": "Bitcoin in dem Betrag, den Sie wählen",
}


def tables(starts_at: int, ends_at: int) -> dict[str, pl.DataFrame]:
    """Offers, creatives and approvals as they were known at `starts_at`, with `_known` in microseconds."""
    opened = starts_at - 200 * DAY
    offers, creatives, approvals = [], [], []
    for place, offer in enumerate(OFFERS):
        for version in range(1, offer["version"] + 1):
            offers.append(_offer_row(offer, place, version, opened, starts_at, ends_at))
            creatives += _creative_rows(offer, version)
            approvals += _approval_rows(offer, version, opened, starts_at, ends_at)
    known = starts_at - 3 * DAY
    made = {"offers": offers, "creatives": creatives, "approvals": approvals}
    frames = {}
    for name, rows in made.items():
        frame = pl.DataFrame(rows, infer_schema_length=None)
        instants = [
            column
            for column in frame.columns
            if column in ("starts_at", "ends_at", "source_updated_at", "valid_from", "valid_to")
        ]
        frames[name] = frame.with_columns(
            *[times(frame[column].to_numpy()).alias(column) for column in instants], _known=pl.lit(known)
        )
    return frames


def _offer_row(offer: dict, place: int, version: int, opened: int, starts_at: int, ends_at: int) -> dict:
    start, end = opened, ends_at + 220 * DAY
    if offer["fault"] == "expired":
        end = starts_at + 5 * DAY
    if offer["fault"] == "not_started":
        start = ends_at + NOT_STARTED_DAYS * DAY
    if version < offer["version"]:
        end = opened + 100 * DAY
    row = {name: offer[name] for name in ("offer_id", "product_line", "is_promotion", "incentive", "asset", "asset_kind", "pays_interest",
                                          "leverage", "is_credit", "requires_transfer", "is_direct_offer", "has_personal_price",
                                          "unit_value_usd", "cost_usd")}  # fmt: skip
    return row | {
        "version": version,
        "interest_payer": "third_party" if offer["pays_interest"] else None,
        "is_personal_recommendation": False,
        "is_significant": False,
        "is_gambling_style": False,
        "is_third_party_share": False,
        "is_au_financial_product": offer["product_line"] not in ("education", "fiat_wallet"),
        "uses_features": FEATURES[offer["product_line"]],
        "brand_values": [BRAND_VALUES[place % 3], BRAND_VALUES[(place + 1) % 3]],
        "target_market": "adults who asked for it" if offer["product_line"] == "derivatives" else "adults with an account",
        "negative_target_market": "people in financial difficulty" if offer["is_credit"] or offer["leverage"] > 1 else "minors",
        "min_evidence": None,
        # A validator has so many places and no more.
        "total_cap": 60 if offer["offer_id"] == "stake_sol" else None,
        "outcome_window_days": rates.OUTCOME_DAYS,
        "starts_at": start,
        "ends_at": end,
        "ends_local": None,
        "source_updated_at": starts_at - 30 * DAY,
    }


def _creative_rows(offer: dict, version: int) -> list[dict]:
    rows = []
    disclosures = DISCLOSURES_ALWAYS + (DISCLOSURES_PROMOTION if offer["is_promotion"] else [])
    for channel in rates.CHANNELS:
        for locale in ("en-GB", "de-DE") if offer["offer_id"] in GERMAN else ("en-GB",):
            words = offer["words"] if locale == "en-GB" else GERMAN[offer["offer_id"]]
            # planted: one text message without a way out, one push with a countdown that says so, and one whose words nobody flagged
            without = {"OPT_OUT"} if (offer["offer_id"], channel) == ("card_everyday", "sms") else set()
            pressure = ["countdown"] if (offer["offer_id"], channel) == ("spot_fee_off", "push") else None
            if (offer["offer_id"], channel) == ("borrow_btc", "push"):
                words = f"{words}, before the price goes up"
            rows.append(
                {
                    "creative_id": f"cr-{offer['offer_id']}-{version}-{channel}-{locale}",
                    "offer_id": offer["offer_id"],
                    "offer_version": version,
                    "channel": channel,
                    "locale": locale,
                    "title": words,
                    "body": f"{words}. You decide if and when."
                    if locale == "en-GB"
                    else f"{words}. Sie entscheiden, ob und wann.",
                    "disclosures": [code for code in disclosures if code not in without],
                    "pressure_flags": pressure,
                    "why_template": WHY_THIS_OFFER["en"] if locale == "en-GB" else WHY_THIS_OFFER["de"],
                }
            )
    return rows


def _approval_rows(offer: dict, version: int, opened: int, starts_at: int, ends_at: int) -> list[dict]:
    kinds: list[tuple[str, str | None]] = [("compliance", None), ("brand", None)]
    if offer["is_promotion"]:
        kinds += [("uk_route", "GB"), ("white_paper", "EEA")]
    if offer["asset_kind"] == "emt":
        kinds.append(("emt_issuer", "EEA"))
    if offer["product_line"] == "derivatives":
        kinds.append(("us_venue", "US"))
    if offer["product_line"] in ("staking", "earn_yield"):
        kinds.append(("us_counsel", "US"))
    if offer["is_credit"]:
        kinds.append(("fair_lending", "US"))
    if offer["has_personal_price"] and offer["product_line"] == "fiat_wallet":
        kinds.append(("glba_exempt", "US-NY"))
    # planted: one offer of high risk that nobody has looked at yet
    if offer["product_line"] in HIGH_RISK and offer["fault"] != "unreviewed":
        kinds.append(("human_review", None))
    if offer["fault"] == "unapproved":
        kinds = [("brand", None)]
    end = starts_at + 10 * DAY if offer["fault"] == "approval_expired" else ends_at + 400 * DAY
    return [
        {
            "approval_id": f"ap-{offer['offer_id']}-{version}-{kind}",
            "offer_id": offer["offer_id"],
            "offer_version": version,
            "creative_id": None,
            "kind": kind,
            "regime": regime,
            "entity": None,
            "account_id": None,
            "evidence": ("authorised:" if kind == "uk_route" else "")
            + f"file-{abs(hash_text(offer['offer_id'] + kind)) % 10_000:04d}",
            "approved_by": "brand-owner" if kind == "brand" else "compliance-owner",
            "valid_from": opened,
            "valid_to": end,
        }
        for kind, regime in kinds
    ]


def hash_text(text: str) -> int:
    """A number that stays the same between processes (unlike `hash`)."""
    return sum((place + 1) * byte for place, byte in enumerate(text.encode()))


def prices(seed: int, first_bar: int, ends_at: int) -> pl.DataFrame:
    """Hourly bars of every asset from `first_bar` to `ends_at`: a GARCH path with calm, elevated and stressed stretches."""
    hours = int((ends_at - first_bar) // HOUR)
    rng = generator(seed, "prices")
    # One shop-wide state per day; calm days stay calm (0.985), stress lasts about ten days.
    state = np.zeros(hours // 24 + 2, dtype=np.int64)
    draws = rng.random(len(state))
    for day in range(1, len(state)):
        stay = (0.985, 0.94, 0.90)[state[day - 1]]
        state[day] = state[day - 1] if draws[day] < stay else (1, 2 if draws[day] > (1 + stay) / 2 else 0, 1)[state[day - 1]]
    # Whatever the seed, all three states occur, two of them among the event-rich days; the calendar ends calm, so that every
    # product line can be offered on its last days.
    state[100:112], state[220:245], state[-50:-38], state[-44:-40], state[-14:] = 2, 1, 1, 2, 0
    hourly = np.array([0.004, 0.008, 0.018])[state[np.arange(hours) // 24]]
    common = rng.standard_normal(hours)
    frames = []
    for place, asset in enumerate(ASSETS):
        own = 0.8 * common + 0.6 * rng.standard_normal(hours)
        scale = 0.02 if asset == "USDC" else (1.0, 1.15, 1.6, 1.0, 1.5, 1.7)[place]
        sigma = np.empty(hours)
        variance = 1.0
        for hour in range(hours):  # 9,600 steps: GARCH(1,1) needs its own past
            sigma[hour] = variance**0.5
            variance = 0.06 + 0.10 * variance * own[hour] ** 2 * 0.99 + 0.84 * variance
        moves = (own * sigma * hourly * scale).clip(-0.15, 0.15)
        start = (61_000.0, 2_600.0, 150.0, 1.0, 12.0, 0.55)[place]
        level = np.cumsum(moves - 0.5 * moves**2)
        close = start * np.exp(level - level.mean() if asset != "USDC" else (level - level.mean()) * 0.05)
        opened = np.concatenate([[start], close[:-1]])
        spread = np.abs(rng.standard_normal((2, hours))) * hourly * scale * 0.4
        bar = first_bar + np.arange(hours) * HOUR
        frames.append(
            pl.DataFrame(
                {
                    "asset": pl.repeat(asset, hours, eager=True),
                    "bar_start": times(bar),
                    "interval": pl.repeat("1h", hours, eager=True),
                    "open_usd": opened,
                    "high_usd": np.maximum(opened, close) * (1 + spread[0]),
                    "low_usd": np.minimum(opened, close) * (1 - spread[1]),
                    "close_usd": close,
                    "volume_usd": rng.lognormal(14 - place * 0.4, 0.6, hours),
                    "_known": bar + HOUR,
                }
            )
        )
    return pl.concat(frames)
