"""What the exchange and CRM hold about people: versions of accounts and contacts, consents, preferences, wallet links."""

from __future__ import annotations

import numpy as np
import polars as pl

from simulation import addresses, rates
from simulation import geography as geo
from simulation.tools import DAY, HOUR, MINUTE, generator, hexes, ids, maybe, pick, times, weighted


def holders(people: pl.DataFrame) -> pl.DataFrame:
    """One row per account: the person's row with `account` and `account_created`; second accounts come last."""
    first = people.filter(pl.col("has_account")).with_columns(
        account=pl.col("account_id"), mail=pl.col("account_email"), opened=pl.col("created_at"), is_second=pl.lit(False)
    )
    second = people.filter(pl.col("second_account_id").is_not_null()).with_columns(
        account=pl.col("second_account_id"),
        mail=pl.concat_str(pl.lit("x"), pl.col("account_email")),
        opened=pl.col("created_at") + 2 * DAY,
        is_second=pl.lit(True),
    )
    return pl.concat([first, second])


def moves(people: pl.DataFrame, starts_at: int, days: int, seed: int) -> pl.DataFrame:
    """For each person where they move to and when (-1 = they stay): announced as pending first, changed weeks later."""
    rng = generator(seed, "moves", int(people["number"][0]))
    count = len(people)
    goes = rng.random(count) < rates.MOVES_SHARE
    to = np.where(goes, weighted(rng, [row[1] for row in geo.MARKETS], count), -1)
    at = starts_at - 20 * DAY + (rng.random(count) * (days + 10) * DAY).astype(np.int64)
    return pl.DataFrame({"to": to, "announced": at, "moved": at + 14 * DAY})


def messy_email(rng: np.random.Generator, column: pl.Series, malformed: float) -> pl.Series:
    """E-mails as people type them: some in mixed case or with blanks, a few that are no address."""
    count = len(column)
    how = np.select([rng.random(count) < malformed, rng.random(count) < rates.MIXED_CASE_SHARE], [2, 1], 0)
    flavour = rng.integers(0, 3, count)
    frame = pl.DataFrame({"e": column, "how": how, "flavour": flavour})
    return frame.select(
        pl.when((pl.col("how") == 2) & (pl.col("flavour") == 0))
        .then(pl.col("e").str.replace("@", "(at)", literal=True))
        .when((pl.col("how") == 2) & (pl.col("flavour") == 1))
        .then(pl.col("e").str.split("@").list.first())
        .when(pl.col("how") == 2)
        .then(pl.lit("n/a"))
        .when((pl.col("how") == 1) & (pl.col("flavour") == 0))
        .then(pl.col("e").str.to_uppercase())
        .when((pl.col("how") == 1) & (pl.col("flavour") == 1))
        .then(pl.concat_str(pl.lit(" "), pl.col("e"), pl.lit(" ")))
        .when(pl.col("how") == 1)
        .then(pl.concat_str(pl.col("e").str.slice(0, 1).str.to_uppercase(), pl.col("e").str.slice(1)))
        .otherwise(pl.col("e"))
        .alias("email")
    ).to_series()


def accounts(people: pl.DataFrame, where: pl.DataFrame, starts_at: int, ends_at: int, seed: int) -> pl.DataFrame:
    """Every version of every account, with `_known`."""
    rng = generator(seed, "accounts", int(people["number"][0]))
    base = holders(people.hstack(where))
    count = len(base)
    market = base["market"].to_numpy()
    columns = _places(market)
    trouble = rng.random(count)
    missing = trouble < rates.COUNTRY_MISSING_SHARE
    malformed = ~missing & (trouble < rates.COUNTRY_MISSING_SHARE + rates.COUNTRY_MALFORMED_SHARE)
    country = maybe(columns["country_code"], ~missing)
    country = country.scatter(np.flatnonzero(malformed), [("UK", "Germany", "XX1")[i % 3] for i in range(int(malformed.sum()))])
    zone = rng.random(count)
    time_zone = maybe(columns["time_zone"], zone > rates.TIME_ZONE_BAD_SHARE / 2)
    wrong = np.flatnonzero((zone > rates.TIME_ZONE_BAD_SHARE / 2) & (zone < rates.TIME_ZONE_BAD_SHARE))
    time_zone = time_zone.scatter(wrong, ["Mars/Olympus"] * len(wrong))
    is_test = base["is_test"].to_numpy()
    mail = messy_email(rng, base["mail"], rates.MALFORMED_EMAIL_SHARE / 3)
    tester = pl.select(
        pl.concat_str(pl.lit("qa+"), pl.lit(base["number"]).cast(pl.String), pl.lit("@" + geo.TEST_DOMAIN))
    ).to_series()
    mail = pl.select(pl.when(pl.lit(base["is_test"])).then(pl.lit(tester)).otherwise(pl.lit(mail))).to_series()
    phone = _recycled(rng, base, starts_at)
    phone = maybe(phone, rng.random(count) > 0.08)
    opened = base["opened"].to_numpy()
    closed_at = np.maximum(opened + DAY, starts_at + ((rng.random(count) - 0.4) * 60 * DAY).astype(np.int64))
    is_closed = base["is_closed"].to_numpy() & (closed_at < ends_at - DAY)
    birth, _ = birth_dates(base, seed)
    flagged = np.where(rng.random(count) < 0.5, is_test, False)
    full_name = base.select(pl.concat_str("first_name", pl.lit(" "), "last_name")).to_series()
    home = postal_codes(base, market, seed)
    elsewhere = pl.Series(rng.integers(10_000, 99_999, count)).cast(pl.String)
    current = pl.DataFrame(
        {
            "account_id": base["account"],
            "email": mail,
            "phone": phone,
            "full_name": full_name,
            "birth_date": birth,
            "postal_code": home,
            "country_code": country,
            "region_code": maybe(columns["region_code"], ~missing),
            "pending_country": pl.repeat(None, count, dtype=pl.String, eager=True),
            "pending_region": pl.repeat(None, count, dtype=pl.String, eager=True),
            "time_zone": time_zone,
            "language": columns["language"],
            "contracting_entity": columns["entity"],
            "created_at": times(opened),
            "closed_at": pl.repeat(None, count, dtype=pl.Datetime("us", "UTC"), eager=True),
            "is_test": pl.Series(flagged),
            "updated": opened,
        }
    )
    versions = [current]
    # An older phone or postal code, replaced at some time: the first version is the outdated one.
    stays = base["to"].to_numpy() < 0  # movers have versions of their own
    replaced = np.flatnonzero((rng.random(count) < rates.ACCOUNT_VERSIONS_EXTRA) & stays)
    later = opened[replaced] + (rng.random(len(replaced)) * (ends_at - opened[replaced])).astype(np.int64)
    versions[0] = current.with_columns(postal_code=home.clone().scatter(replaced, elsewhere.gather(replaced)))
    versions.append(current[replaced].with_columns(updated=pl.Series(later)))
    to = base["to"].to_numpy()
    going = np.flatnonzero((to >= 0) & (base["announced"].to_numpy() > opened) & ~missing & ~malformed)
    there = _places(to[going])
    pending = current[going].with_columns(
        pending_country=there["country_code"], pending_region=there["region_code"], updated=base["announced"].gather(going)
    )
    moved = current[going].with_columns(
        country_code=there["country_code"], region_code=there["region_code"], time_zone=there["time_zone"],
        postal_code=postal_codes(base[going], to[going], seed), updated=base["moved"].gather(going),
    )  # fmt: skip
    versions += [pending, moved]
    closing = np.flatnonzero(is_closed & stays)
    versions.append(current[closing].with_columns(closed_at=times(closed_at[closing]), updated=pl.Series(closed_at[closing])))
    whole = pl.concat(versions).unique(subset=["account_id", "updated"], keep="last", maintain_order=True)
    whole = whole.sort("account_id", "updated", maintain_order=True)
    # A version after the closing one is still closed.
    whole = whole.with_columns(pl.col("closed_at").forward_fill().over("account_id"))
    return _finish(whole)


def contacts(people: pl.DataFrame, ends_at: int, seed: int) -> pl.DataFrame:
    """Every version of every CRM contact, with `_known`."""
    rng = generator(seed, "contacts", int(people["number"][0]))
    base = people.filter(pl.col("has_contact"))
    count = len(base)
    columns = _places(base["market"].to_numpy())
    mail = messy_email(rng, base["contact_email"], rates.MALFORMED_EMAIL_SHARE)
    split = base["split_crm"].to_numpy()
    mail = maybe(mail, (rng.random(count) > 0.04) | split)
    has_phone = (rng.random(count) > 0.25) & ~split
    prefix = pick([row[6] for row in geo.MARKETS], base["market"].to_numpy())
    how = rng.random(count)
    phone = pl.DataFrame({"p": base["phone"], "x": prefix, "how": how}).select(
        pl.when(pl.col("how") < rates.MALFORMED_PHONE_SHARE)
        .then(pl.col("p").str.slice(0, 7))
        .when(pl.col("how") < rates.MALFORMED_PHONE_SHARE + rates.NATIONAL_PHONE_SHARE)
        .then(_national(pl.col("p")))
        .when(pl.col("how") < 0.35)
        .then(pl.concat_str(pl.col("p").str.slice(0, 3), pl.lit(" "), pl.col("p").str.slice(3)))
        .otherwise(pl.col("p"))
    )
    created = base["created_at"].to_numpy() + (rng.random(count) * 6 * HOUR).astype(np.int64)
    elsewhere = pl.Series(rng.integers(10_000, 99_999, count)).cast(pl.String)
    home, full_name = _as_crm_has_it(base, elsewhere, seed)
    current = pl.DataFrame(
        {
            "contact_id": base["contact_id"],
            "email": mail,
            "phone": maybe(phone.to_series(), has_phone),
            "full_name": full_name,
            "postal_code": home,
            "country_code": maybe(columns["country_code"], rng.random(count) > 0.05),
            "region_code": columns["region_code"],
            "language": columns["language"],
            "created_at": times(created),
            "updated": created,
        }
    )
    replaced = np.flatnonzero(rng.random(count) < rates.CONTACT_VERSIONS_EXTRA)
    later = created[replaced] + (rng.random(len(replaced)) * (ends_at - created[replaced])).astype(np.int64)
    newer = current[replaced].with_columns(updated=pl.Series(later))
    older = current.with_columns(postal_code=home.clone().scatter(replaced, elsewhere.gather(replaced)))
    return _finish(pl.concat([older, newer]))


def postal_codes(people: pl.DataFrame, market: np.ndarray, seed: int) -> pl.Series:
    """Where each person lives in their market, the same in every silo that knows it; who shares a device or mailbox shares it too."""
    number = people["number"].to_numpy().astype(np.uint64)
    household = np.where(people["shares"].to_numpy() > 0, number - number % np.uint64(2), number)
    mixed = household * np.uint64(2_654_435_761) + np.uint64(seed) * np.uint64(40_503)
    mixed = (mixed ^ (mixed >> np.uint64(17))) * np.uint64(0x9E3779B1)
    per_market = 90_000 // len(geo.MARKETS)
    place = (mixed >> np.uint64(11)) % np.uint64(per_market)
    return pl.Series(10_000 + market.astype(np.int64) * per_market + place.astype(np.int64)).cast(pl.String)


def _as_crm_has_it(people: pl.DataFrame, elsewhere: pl.Series, seed: int) -> tuple[pl.Series, pl.Series]:
    """(postal code, full name) as people once told the CRM: some codes are of an older address, some names short, turned or mistyped."""
    rng = generator(seed, "crm_words", int(people["number"][0]) if len(people) else 0)
    count = len(people)
    home = postal_codes(people, people["market"].to_numpy(), seed)
    stale = np.flatnonzero(rng.random(count) < rates.CRM_POSTAL_STALE_SHARE)
    home = home.scatter(stale, elsewhere.gather(stale)) if len(stale) else home
    home = maybe(home, rng.random(count) > rates.CRM_POSTAL_MISSING_SHARE)
    how = weighted(rng, list(rates.CRM_NAMES.values()), count)
    spelled = {name: how == at for at, name in enumerate(rates.CRM_NAMES)}
    first, last = pl.col("first_name"), pl.col("last_name")
    name = people.select("first_name", "last_name").with_columns(**{name: pl.Series(yes) for name, yes in spelled.items()})
    return home, name.select(
        pl.when("initial").then(pl.concat_str(first.str.slice(0, 1), pl.lit(". "), last))
        .when("turned").then(pl.concat_str(last, pl.lit(", "), first))
        .when("mistyped").then(pl.concat_str(first, pl.lit(" "), last.str.slice(0, 1), last.str.slice(2)))
        .otherwise(pl.concat_str(first, pl.lit(" "), last))
    ).to_series()  # fmt: skip


def consents(people: pl.DataFrame, ends_at: int, seed: int) -> pl.DataFrame:
    """Every recorded decision about a purpose, with `_known`: granted, denied, or granted and later withdrawn."""
    rng = generator(seed, "consents", int(people["number"][0]))
    base = people.filter(pl.col("has_contact") | pl.col("has_account"))
    count = len(base)
    us = np.array([row[2] == "US" for row in geo.MARKETS])[base["market"].to_numpy()]
    gb = base["market"].to_numpy() == 0
    asked: list[tuple[str | None, str, np.ndarray, np.ndarray, np.ndarray]] = []
    for channel, (granted, denied, withdrawn) in rates.CONSENT.items():
        draw = rng.random(count)
        yes = draw < granted + withdrawn
        asked.append((channel, "marketing", yes, (draw >= granted) & yes, (draw >= 1 - denied)))
    draw = rng.random(count)
    nobody = np.zeros(count, dtype=bool)
    asked.append((None, "profiling", draw < rates.PROFILING_GRANTED, nobody, draw >= 1 - rates.PROFILING_DENIED))
    asked.append(("sms", "telemarketing", us & (rng.random(count) < rates.TELEMARKETING_SHARE), nobody, nobody))
    asked.append(("email", "soft_opt_in", gb & (rng.random(count) < rates.SOFT_OPT_IN_SHARE), nobody, nobody))
    subject = np.where(
        ~base["has_account"].to_numpy(), 0, np.where(~base["has_contact"].to_numpy(), 1, weighted(rng, (0.6, 0.3, 0.1), count))
    )
    created = base["created_at"].to_numpy() + 10 * MINUTE
    rows = []
    for place, (only_channel, purpose, yes, later_no, no) in enumerate(asked):
        gone = created + ((0.5 + 0.5 * rng.random(count)) * (ends_at - created)).astype(np.int64)
        gone = np.where(
            rng.random(count) < 0.5, gone, np.maximum(created + HOUR, ends_at - (rng.random(count) * 60 * DAY).astype(np.int64))
        )
        for turn, (status, who, when) in enumerate(
            (("granted", yes, created), ("denied", no & ~yes, created), ("withdrawn", later_no, gone))
        ):
            index = np.flatnonzero(who)
            rows.append(
                pl.DataFrame(
                    {
                        "consent_id": ids("cn", base["number"].to_numpy()[index] * 32 + place * 3 + turn, "consent"),
                        "contact_id": maybe(base["contact_id"].gather(index), subject[index] == 0),
                        "account_id": maybe(base["account_id"].gather(index), subject[index] == 1),
                        "email": maybe(base["account_email"].gather(index), subject[index] == 2),
                        "channel": pl.repeat(only_channel, len(index), dtype=pl.String, eager=True),
                        "purpose": pl.repeat(purpose, len(index), dtype=pl.String, eager=True),
                        "status": pl.repeat(status, len(index), dtype=pl.String, eager=True),
                        "recorded_at": times(when[index]),
                        "_known": when[index] + MINUTE,
                    }
                )
            )
    return pl.concat(rows)


def sharing(people: pl.DataFrame, ends_at: int, seed: int) -> pl.DataFrame:
    """What people said about passing their data on, with `_known`: advertising with others, sale, browser signals, GLBA."""
    rng = generator(seed, "sharing", int(people["number"][0]))
    base = people.filter(pl.col("has_contact") | pl.col("has_account"))
    count = len(base)
    us = np.array([row[2] == "US" for row in geo.MARKETS])[base["market"].to_numpy()]
    created = base["created_at"].to_numpy() + 10 * MINUTE
    draw = rng.random(count)
    agreed, refused = rates.THIRD_PARTY
    no_sale, no_glba = us & (rng.random(count) < rates.SALE_DENIED_SHARE), us & (rng.random(count) < rates.GLBA_SHARE)
    back = rng.random(count) < rates.SHARING_TAKEN_BACK_SHARE
    said = (
        ("third_party", "granted", draw < agreed),
        ("third_party", "denied", draw >= 1 - refused),
        ("third_party", "withdrawn", (draw < agreed) & (rng.random(count) < rates.SHARING_TAKEN_BACK_SHARE)),
        ("gpc", "denied", us & (rng.random(count) < rates.GPC_SHARE)),
        ("sale_or_share", "denied", no_sale),
        ("sale_or_share", "granted", no_sale & back),
        ("glba", "denied", no_glba),
        ("glba", "granted", no_glba & back),
    )
    by_contact = base["has_contact"].to_numpy() & (~base["has_account"].to_numpy() | (rng.random(count) < 0.5))
    rows = []
    later = np.zeros(count, dtype=np.int64)
    for place, (purpose, status, who) in enumerate(said):
        # Each word of one purpose comes after the one before it.
        later = np.maximum(later, created) + (rng.random(count) * 0.3 * (ends_at - np.maximum(later, created))).astype(np.int64)
        index = np.flatnonzero(who)
        rows.append(
            pl.DataFrame(
                {
                    "consent_id": ids("cn", base["number"].to_numpy()[index] * 32 + 21 + place, "consent"),
                    "contact_id": maybe(base["contact_id"].gather(index), by_contact[index]),
                    "account_id": maybe(base["account_id"].gather(index), ~by_contact[index]),
                    "email": pl.repeat(None, len(index), dtype=pl.String, eager=True),
                    "channel": pl.repeat("web" if purpose == "gpc" else None, len(index), dtype=pl.String, eager=True),
                    "purpose": pl.repeat(purpose, len(index), dtype=pl.String, eager=True),
                    "status": pl.repeat(status, len(index), dtype=pl.String, eager=True),
                    "recorded_at": times(later[index]),
                    "_known": later[index] + MINUTE,
                }
            )
        )
    return pl.concat(rows)


def preferences(people: pl.DataFrame, ends_at: int, seed: int) -> pl.DataFrame:
    """Recorded preferences, with `_known`: topics, a weekly limit, personalisation switched off."""
    rng = generator(seed, "preferences", int(people["number"][0]))
    base = people.filter(pl.col("has_contact"))
    base = base[np.flatnonzero(rng.random(len(base)) < 0.12)]
    count = len(base)
    created = base["created_at"].to_numpy()
    at = created + (rng.random(count) * (ends_at - created)).astype(np.int64)
    off = rng.random(count) < rates.PERSONALISATION_OFF_SHARE / 0.12
    limit = np.where(rng.random(count) < 0.4, rng.integers(0, 4, count), -1)
    return pl.DataFrame(
        {
            "preference_id": ids("pf", base["number"].to_numpy(), "preference"),
            "contact_id": base["contact_id"],
            "account_id": pl.repeat(None, count, dtype=pl.String, eager=True),
            "topic": pick(("education", "markets", "product_news"), rng.integers(-1, 3, count)),
            "channel": pick(("email", "sms", "push"), rng.integers(-1, 3, count)),
            "max_per_week": pick((0, 1, 2, 3), limit, pl.Int64),
            "personalisation_off": maybe(pl.Series(np.ones(count, dtype=bool)), off),
            "recorded_at": times(at),
            "_known": at + MINUTE,
        }
    )


def wallet_links(people: pl.DataFrame, hub_accounts: pl.DataFrame, hot_wallet: str, ends_at: int, seed: int) -> pl.DataFrame:
    """Claims that a wallet belongs to an account or device, the hot wallet's false ones among them, with `_known`."""
    rng = generator(seed, "wallet_links", int(people["number"][0]))
    own = people.filter(pl.col("wallet").is_not_null())
    count = len(own)
    chain = weighted(rng, (0.42, 0.2, 0.2, 0.1, 0.08), count)
    at = own["created_at"].to_numpy() + (rng.random(count) * (ends_at - own["created_at"].to_numpy()) * 0.6).astype(np.int64)
    account = own["has_account"].to_numpy()
    testnet = rng.random(count) < rates.TESTNET_SHARE
    upper = rng.random(count) < 0.3
    address = pl.DataFrame({"w": own["wallet"], "u": upper}).select(
        pl.when(pl.col("u"))
        .then(pl.concat_str(pl.lit("0x"), pl.col("w").str.slice(2).str.to_uppercase()))
        .otherwise(pl.col("w"))
    )
    typed = addresses.typed(address.to_series(), own["wallet"], int(people["number"][0]), seed)
    gone = at + 30 * DAY
    unlinked = (rng.random(count) < 0.05) & (gone < ends_at)
    kept = {
        "link_id": ids("wl", own["number"].to_numpy(), "link"),
        "wallet_address": typed,
        "chain": pl.select(
            pl.when(pl.lit(pl.Series(testnet)))
            .then(pl.lit("sepolia"))
            .otherwise(pl.lit(pick(("ethereum", "polygon", "base", "arbitrum", "bsc"), chain)))
        ).to_series(),
        "account_id": maybe(own["account_id"], account),
        "device_id": maybe(own["device_id"], ~account),
        "proof": pick(("signed_nonce", "deposit", "declared"), weighted(rng, (0.6, 0.25, 0.15), count)),
        "linked_at": times(at),
        "unlinked_at": times(gone, np.zeros(count, dtype=bool)),
        "_known": at + 5 * MINUTE,
    }
    links = pl.DataFrame(kept)
    ended = links[np.flatnonzero(unlinked)].with_columns(
        unlinked_at=times(gone[unlinked]), _known=pl.Series(gone[unlinked] + MINUTE)
    )
    hubs = len(hub_accounts)
    at = hub_accounts["opened"].to_numpy() + (rng.random(hubs) * (ends_at - hub_accounts["opened"].to_numpy())).astype(np.int64)
    hot = pl.DataFrame(
        {
            "link_id": ids("wh", hub_accounts["number"].to_numpy(), "hub"),
            "wallet_address": pl.repeat(hot_wallet, hubs, eager=True),
            "chain": pl.repeat("ethereum", hubs, eager=True),
            "account_id": hub_accounts["account"],
            "device_id": pl.repeat(None, hubs, dtype=pl.String, eager=True),
            "proof": pick(("deposit", "declared"), rng.integers(0, 2, hubs)),
            "linked_at": times(at),
            "unlinked_at": times(at, np.zeros(hubs, dtype=bool)),
            "_known": at + 5 * MINUTE,
        }
    )
    return pl.concat([links, ended, hot, *addresses.other_wallets(links, int(people["number"][0]), seed)])


def hot_wallet(seed: int) -> str:
    """The exchange's own address, that everybody's withdrawals touch."""
    return hexes(generator(seed, "hot"), 1, 40, "0x")[0]


def birth_dates(base: pl.DataFrame, seed: int) -> tuple[pl.Series, pl.Series]:
    """What accounts and KYC records say about the date of birth: the same true date, missing in places of their own.

    Accounts say a few times what a form or an export writes when nobody answered.
    """
    numbers = base["number"].to_numpy().astype(np.uint64)
    hashed = (numbers * np.uint64(2_654_435_761) + np.uint64(seed)) % np.uint64(10_000)
    age_days = np.where(
        base["is_minor"].to_numpy(), 5_600, 6_700 + (hashed % np.uint64(10_000)) * np.uint64(17_000) // np.uint64(10_000)
    )
    day = 20_780 - age_days.astype(np.int64)  # 20,780 = 2026-11-23
    dates = pl.Series(day.astype(np.int32)).cast(pl.Date)
    rng = generator(seed, "births", int(numbers[0]) if len(numbers) else 0)
    known = rng.random((2, len(base))) > rates.BIRTH_DATE_MISSING_SHARE
    rng = generator(seed, "births_nobody_gave", int(numbers[0]) if len(numbers) else 0)
    default = np.flatnonzero(rng.random(len(base)) < rates.PLACEHOLDER_BIRTH_SHARE)
    days = rng.choice(np.array([0, -25_567], dtype=np.int32), len(default))  # 1970-01-01, 1900-01-01
    told = dates.clone()  # scatter writes in place, and documents say the true date
    if len(default):
        told.scatter(default, pl.Series(days, dtype=pl.Int32).cast(pl.Date))
    return maybe(told, known[0]), maybe(dates, known[1])


def _places(market: np.ndarray) -> dict[str, pl.Series]:
    rows = geo.MARKETS
    return {
        "country_code": pick([row[2] for row in rows], market),
        "region_code": pick([row[3] for row in rows], market),
        "time_zone": pick([row[4] for row in rows], market),
        "language": pick([row[5] for row in rows], market),
        "entity": pick([geo.ENTITIES.get(row[2]) for row in rows], market),
    }


def _national(phone: pl.Expr) -> pl.Expr:
    # The ways people write their own country's numbers: +44… as 0…, +1… without it.
    return (
        pl.when(phone.str.starts_with("+44")).then(pl.concat_str(pl.lit("0"), phone.str.slice(3)))
        .when(phone.str.starts_with("+1")).then(phone.str.slice(2))
        .when(phone.str.starts_with("+49") | phone.str.starts_with("+33")).then(pl.concat_str(pl.lit("0"), phone.str.slice(3)))
        .otherwise(phone)
    )  # fmt: skip


def _recycled(rng: np.random.Generator, base: pl.DataFrame, starts_at: int) -> pl.Series:
    """Phones, some of them a number that belonged to somebody whose account is closed."""
    closed = np.flatnonzero(base["is_closed"].to_numpy())
    taken = np.flatnonzero((rng.random(len(base)) < rates.RECYCLED_PHONE_SHARE) & ~base["is_closed"].to_numpy())
    if len(closed) == 0 or len(taken) == 0:
        return base["phone"]
    return base["phone"].scatter(taken, base["phone"].gather(closed[np.arange(len(taken)) % len(closed)]))


def _finish(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(
        source_updated_at=pl.col("updated").cast(pl.Datetime("us", "UTC")), _known=pl.col("updated") + MINUTE
    ).drop("updated")
