"""Facts about what people agreed to, objected to, and have been sent."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from candor.audit.people import of_kind
from candor.audit.raw import newest

if TYPE_CHECKING:
    import polars as pl

    from candor.audit.raw import Raw

# The more restrictive of two statuses is the greater.
STATUS = {"none": 0, "granted": 1, "denied": 2, "withdrawn": 3}
STATUS_NAMES = {rank: name for name, rank in STATUS.items()}
PUSHED = ("email", "sms", "push")
PURPOSES = ("marketing", "soft_opt_in", "telemarketing", "profiling", "third_party", "glba", "gpc", "sale_or_share")

RESTRICTION_FACTS = {
    "embargo": ("u_embargo", 24),
    "fincrime_hold": ("u_fincrime_hold", 24),
    "adverse_media": ("u_adverse_media", 24),
    "minor_signal": ("u_minor_signal", 24),
    "vulnerable": ("u_vuln_flag", 24),
    "harm_signal": ("u_harm_signal", 24),
    "self_exclusion": ("u_self_excluded", 1),
    "erasure": ("u_erasure", 1),
    "objection": ("u_dm_objection", 1),
    "do_not_contact": ("u_dm_objection", 1),
    "profiling_objection": ("u_restricted_profiling", 1),
}
# A kind that gives a second fact beside that of RESTRICTION_FACTS.
ALSO = {"u_dnc": ("do_not_contact", 1)}
# What may be less old while markets are stressed.
STRESSED_HOURS = {"u_vuln_flag": 12, "u_harm_signal": 12}
CONSENT_MAX_AGE_HOURS = 1
HIGH_RISK_RANK = 4
HARMLESS = ("low", "medium")  # risk classes of a message about an offer that nobody knows
# An unknown kind of restriction is the gravest: somebody meant to stop this person.
UNKNOWN_KIND = "fincrime_hold"


def normal_email(column: str, providers: pl.DataFrame) -> pl.Expr:
    """The address as identity compares it: trimmed, lower case; dots and plus tags gone where the provider ignores them."""
    import polars as pl

    whole = pl.col(column).str.strip_chars().str.to_lowercase()
    domain = whole.str.extract(r"@([^@]+)$", 1)
    canonical = dict(zip(providers["domain"].to_list(), providers["canonical_domain"].to_list(), strict=True))
    dotless = providers.filter(pl.col("ignores_dots"))["domain"].to_list()
    # An address that is nothing but a tag keeps it.
    local = whole.str.extract(r"^([^@+]+)", 1).fill_null(whole.str.extract(r"^([^@]+)", 1))
    local = pl.when(domain.is_in(dotless)).then(local.str.replace_all(".", "", literal=True)).otherwise(local)
    return (
        pl.when(domain.is_in(list(canonical)))
        .then(local + "@" + domain.replace_strict(canonical, default=None, return_dtype=pl.String))
        .otherwise(whole)
    )


# Bech32 and CashAddr use these; both are written in one case throughout, and which one means nothing.
_BECH32_CHARACTERS = "02-9ac-hj-np-z"
_ONE_CASE = rf"^[a-z_]{{1,20}}1[{_BECH32_CHARACTERS}]{{6,}}$"
_CASHADDR = rf"^(?:bitcoincash:)?([qpzr][{_BECH32_CHARACTERS}]{{41}})$"


def normal_wallet(column: str) -> pl.Expr:
    """The address as identity compares it: 0x, Bech32 and CashAddr in lower case, the last without its prefix; others as they are."""
    import polars as pl

    address = pl.col(column).str.strip_chars(" ")
    lower = address.str.to_lowercase()
    is_one_case = (address == lower) | (address == address.str.to_uppercase())
    return (
        pl.when(lower.str.starts_with("0x"))
        .then(lower)
        .when(is_one_case & lower.str.contains(_CASHADDR))
        .then(lower.str.extract(_CASHADDR, 1))
        .when(is_one_case & lower.str.contains(_ONE_CASE))
        .then(lower)
        .otherwise(address)
    )


def restrictions(
    raw: Raw,
    identifiers: pl.DataFrame,
    providers: pl.DataFrame,
    people: pl.LazyFrame,
    stated: pl.LazyFrame,
    claimed: pl.LazyFrame,
    stressed: bool,
) -> pl.LazyFrame:
    """One row per person: a true, false or (feed too old) unknown fact per kind of restriction.

    `stated`: the e-mails that the person's accounts and contacts state, whoever identity gave them to; `claimed`: the wallets likewise.
    """
    import polars as pl

    columns = ["account_id", "wallet_address", "email", "kind", "status", "starts_at", "ends_at"]
    rows = (
        raw.current("compliance.restrictions", ["restriction_id"], columns)
        .filter(pl.col("status") == "open", pl.col("starts_at") <= raw.as_of)
        .filter(pl.col("ends_at").is_null() | (pl.col("ends_at") > raw.as_of))
        .with_columns(
            pl.when(pl.col("kind").is_in(list(RESTRICTION_FACTS)))
            .then(pl.col("kind"))
            .otherwise(pl.lit(UNKNOWN_KIND))
            .alias("kind"),
            pl.col("email").str.strip_chars().str.to_lowercase().alias("plain_email"),
            normal_email("email", providers).alias("email"),
            normal_wallet("wallet_address").alias("wallet"),
        )
    )
    matches = [("account_id", "account_id"), ("email", "email"), ("plain_email", "email"), ("wallet", "wallet")]
    own_emails = stated.select("person_id", normal_email("email", providers).alias("identifier")).drop_nulls().unique()
    by_own_email = rows.select("kind", pl.col("email").alias("identifier")).drop_nulls().join(own_emails, on="identifier")
    hits = pl.concat(
        [
            *(
                rows.select("kind", pl.col(column).alias("identifier"))
                .drop_nulls()
                .join(of_kind(identifiers, kind, "identifier"), on="identifier", how="inner")
                .select("person_id", "kind")
                for column, kind in matches
            ),
            by_own_email.select("person_id", "kind"),
            rows.select("kind", "wallet")
            .drop_nulls()
            .join(claimed.select("person_id", normal_wallet("wallet_address").alias("wallet")), on="wallet", how="inner")
            .select("person_id", "kind"),
        ]
    )
    facts: dict[str, list[str]] = {}
    for kind, (fact, _) in RESTRICTION_FACTS.items():
        facts.setdefault(fact, []).append(kind)
    facts |= {fact: [kind] for fact, (kind, _) in ALSO.items()}
    held = hits.group_by("person_id").agg(*(pl.col("kind").is_in(kinds).any().alias(fact) for fact, kinds in facts.items()))
    known = {
        fact: raw.fresh(["compliance.restrictions"], STRESSED_HOURS.get(fact, hours) if stressed else hours)
        for fact, hours in RESTRICTION_FACTS.values()
    }
    known |= {fact: raw.fresh(["compliance.restrictions"], hours) for fact, (_, hours) in ALSO.items()}
    return people.join(held, on="person_id", how="left").select(
        "person_id",
        *((pl.col(fact).fill_null(False) if known[fact] else pl.lit(None, pl.Boolean)).alias(fact) for fact in facts),
    )


def consents(raw: Raw, identifiers: pl.DataFrame, providers: pl.DataFrame, stated: pl.LazyFrame) -> pl.LazyFrame:
    """Every consent row known at as_of that concerns a person: person_id, subject, purpose, channel, rank of the status, recorded_at.

    `is_only_stated` marks rows that concern somebody through an address they gave but identity did not make theirs, or over a weak link: a no
    counts, a yes does not (policy 5.2).
    """
    import polars as pl

    columns = ["contact_id", "account_id", "email", "channel", "purpose", "status", "recorded_at"]
    rows = (
        raw.rows("crm.consents", columns)
        .filter(pl.col("recorded_at") <= raw.as_of)
        .filter(pl.col("purpose").is_in(PURPOSES))
        .with_columns(
            pl.col("channel").replace("", None),
            pl.col("status").replace_strict(STATUS, default=STATUS["withdrawn"], return_dtype=pl.Int8).alias("status_rank"),
        )
    )
    by_email = rows.filter(pl.col("contact_id").is_null() & pl.col("account_id").is_null() & pl.col("email").is_not_null())
    kept = ["purpose", "channel", "status_rank", "recorded_at"]
    subjects = [
        (rows.filter(pl.col("contact_id").is_not_null()), pl.col("contact_id"), "contact_id"),
        (rows.filter(pl.col("contact_id").is_null() & pl.col("account_id").is_not_null()), pl.col("account_id"), "account_id"),
        (by_email, normal_email("email", providers), "email"),
        (by_email, pl.col("email").str.strip_chars().str.to_lowercase(), "email"),
    ]
    found = [
        part.select(subject.alias("identifier"), *kept)
        .join(of_kind(identifiers, kind, "identifier", "is_weak"), on="identifier", how="inner")
        .select(
            "person_id",
            (pl.lit(f"{kind}:") + pl.col("identifier")).alias("subject"),
            *kept,
            pl.col("is_weak").alias("is_only_stated"),
        )
        for part, subject, kind in subjects
    ]
    addresses = stated.select("person_id", normal_email("email", providers).alias("identifier")).drop_nulls().unique()
    by_stated = (
        by_email.select(normal_email("email", providers).alias("identifier"), *kept)
        .join(addresses, on="identifier", how="inner")
        .select(
            "person_id",
            (pl.lit("stated:") + pl.col("identifier")).alias("subject"),
            *kept,
            pl.lit(True).alias("is_only_stated"),
        )
    )
    return pl.concat([*found, by_stated]).unique()


def consent_status(rows: pl.LazyFrame, purpose: str, channel: str | None, into: str) -> pl.LazyFrame:
    """One row per person with such a row: the most restrictive over the subjects of each subject's latest; `channel` None is all."""
    import polars as pl

    meant = rows.filter(pl.col("purpose") == purpose)
    if channel is not None:
        meant = meant.filter(pl.col("channel").is_null() | (pl.col("channel") == channel))
    latest = newest(meant, ["person_id", "subject"], ["recorded_at"])
    latest = latest.filter(~pl.col("is_only_stated") | (pl.col("status_rank") > STATUS["granted"]))
    return latest.group_by("person_id").agg(pl.col("status_rank").max().alias(into))


def consent_facts(
    raw: Raw, identifiers: pl.DataFrame, providers: pl.DataFrame, people: pl.LazyFrame, stated: pl.LazyFrame
) -> pl.LazyFrame:
    """One row per person: u_consent_*, u_soft_opt_in, u_tcpa_pewc, u_unsub_email, u_profiling_objection's parts; unknown when stale."""
    import polars as pl

    rows = consents(raw, identifiers, providers, stated).collect().lazy()
    fresh = raw.fresh(["crm.consents"], CONSENT_MAX_AGE_HOURS)
    statuses = {
        "u_consent_email": ("marketing", "email"),
        "u_consent_sms": ("marketing", "sms"),
        "u_consent_push": ("marketing", "push"),
        "u_consent_chat": ("marketing", "chat"),
        "u_consent_thirdparty": ("third_party", None),
        "glba": ("glba", None),
        "soft_opt_in": ("soft_opt_in", "email"),
        "tcpa": ("telemarketing", "sms"),
        "profiling": ("profiling", None),
    }
    facts = people
    for name, (purpose, channel) in statuses.items():
        facts = facts.join(consent_status(rows, purpose, channel, name), on="person_id", how="left")
    facts = facts.with_columns(pl.col(name).fill_null(STATUS["none"]) for name in statuses)
    granted = (
        rows.filter(pl.col("purpose") == "marketing", pl.col("status_rank") == STATUS["granted"], ~pl.col("is_only_stated"))
        .filter(pl.col("channel").is_null() | (pl.col("channel") == "email"))
        .group_by("person_id")
        .agg(pl.col("recorded_at").max().alias("granted_at"))
    )
    unsubscribed = (
        raw.current(
            "crm.messages",
            ["message_id"],
            ["contact_id", "channel", "unsubscribed_at"],
            only=of_kind(identifiers, "contact_id").select("contact_id"),
        )
        .filter(pl.col("channel") == "email", pl.col("unsubscribed_at") <= raw.as_of)
        .join(of_kind(identifiers, "contact_id"), on="contact_id", how="inner")
        .group_by("person_id")
        .agg(pl.col("unsubscribed_at").max())
    )
    facts = facts.join(granted, on="person_id", how="left").join(unsubscribed, on="person_id", how="left")
    facts = facts.join(_ever_opted_out_of_sale(rows), on="person_id", how="left")
    facts = facts.join(_personalisation_off(raw, identifiers), on="person_id", how="left")
    unsub = pl.col("unsubscribed_at").is_not_null() & ~(pl.col("granted_at") > pl.col("unsubscribed_at")).fill_null(False)
    unsub = unsub | (pl.col("u_consent_email") >= STATUS["denied"])  # a recorded no is one also where none was needed to begin

    def known(value: pl.Expr, *, when: bool) -> pl.Expr:
        return value if when else pl.lit(None, pl.Boolean)

    def name_of(column: str) -> pl.Expr:
        named = pl.col(column).replace_strict(STATUS_NAMES, return_dtype=pl.String)
        return (named if fresh else pl.lit(None, pl.String)).alias(column)

    return facts.select(
        "person_id",
        *(name_of(column) for column in statuses if column.startswith("u_consent_")),
        known(pl.col("is_opted_out_of_sale").fill_null(False), when=fresh).alias("u_gpc"),
        known(pl.col("glba") >= STATUS["denied"], when=fresh).alias("u_glba_optout"),
        known(pl.col("soft_opt_in") == STATUS["granted"], when=fresh).alias("u_soft_opt_in"),
        known(pl.col("tcpa") == STATUS["granted"], when=fresh).alias("u_tcpa_pewc"),
        known(unsub, when=fresh and raw.fresh(["crm.messages"], CONSENT_MAX_AGE_HOURS)).alias("u_unsub_email"),
        (pl.col("profiling") >= STATUS["denied"]).alias("profiling_refused"),
        pl.col("is_off").fill_null(False).alias("personalisation_off"),
    )


def _ever_opted_out_of_sale(rows: pl.LazyFrame) -> pl.LazyFrame:
    """(person_id, is_opted_out_of_sale = true) of everybody with any signal, or any no to sale or sharing, however long ago."""
    import polars as pl

    is_signal = pl.col("purpose") == "gpc"
    is_no = (pl.col("purpose") == "sale_or_share") & (pl.col("status_rank") >= STATUS["denied"])
    return rows.filter(is_signal | is_no).select("person_id", pl.lit(True).alias("is_opted_out_of_sale")).unique()


def _personalisation_off(raw: Raw, identifiers: pl.DataFrame) -> pl.LazyFrame:
    """Persons one of whose contacts or accounts has, in its latest row about it, personalisation switched off."""
    import polars as pl

    rows = raw.rows("crm.preferences", ["contact_id", "account_id", "personalisation_off", "recorded_at"]).filter(
        pl.col("personalisation_off").is_not_null(), pl.col("recorded_at") <= raw.as_of
    )
    found = [
        newest(rows.drop_nulls(kind), [kind], ["recorded_at"])
        .filter("personalisation_off")
        .join(of_kind(identifiers, kind), on=kind, how="inner")
        .select("person_id")
        for kind in ("contact_id", "account_id")
    ]
    return pl.concat(found).unique().with_columns(pl.lit(True).alias("is_off"))


def contact_counts(
    raw: Raw, identifiers: pl.DataFrame, decisions: pl.DataFrame, people: pl.LazyFrame, ranks: pl.LazyFrame
) -> pl.LazyFrame:
    """One row per person: u_contacts_24h, u_contacts_7d, u_highrisk_30d. `ranks`: offer_id, rank of the offers that the shop knows.

    `decisions`: what earlier runs published for the pushed channels.
    """
    import polars as pl

    windows = {"u_contacts_24h": 24, "u_contacts_7d": 168, "u_highrisk_30d": 720}
    if not raw.fresh(["crm.messages"], CONSENT_MAX_AGE_HOURS):
        return people.select("person_id", *(pl.lit(None, pl.Int64).alias(name) for name in windows))
    messages = (
        raw.current(
            "crm.messages",
            ["message_id"],
            ["contact_id", "is_promotion", "sent_at", "offer_id", "risk_class"],
            only=of_kind(identifiers, "contact_id").select("contact_id"),
        )
        .filter("is_promotion")
        .join(of_kind(identifiers, "contact_id"), on="contact_id", how="inner")
        .join(ranks, on="offer_id", how="left")
        .select(
            "person_id",
            pl.col("message_id").alias("contact"),
            pl.col("sent_at").alias("at"),
            pl.when(pl.col("rank").is_not_null())
            .then(pl.col("rank") >= HIGH_RISK_RANK)
            .otherwise(~pl.col("risk_class").is_in(HARMLESS).fill_null(False))
            .alias("is_high_risk"),
        )
        # Contents that tie at one instant are one message, of the worse kind.
        .group_by("person_id", "contact", "at")
        .agg(pl.col("is_high_risk").any())
    )
    carried = raw.once("carried", lambda: raw.rows("crm.messages", ["decision_id"]).drop_nulls().unique())
    decided = (
        decisions.lazy()
        .join(carried, on="decision_id", how="anti")
        .join(ranks, on="offer_id", how="left")
        .select(
            "person_id",
            pl.col("decision_id").alias("contact"),
            "at",
            (pl.col("rank") >= HIGH_RISK_RANK).fill_null(True).alias("is_high_risk"),
        )
    )
    contacts = pl.concat([messages, decided]).filter(pl.col("at") <= raw.as_of)

    def within(name: str) -> pl.Expr:
        recent = pl.col("at") > raw.as_of - timedelta(hours=windows[name])
        counted = recent & pl.col("is_high_risk") if name == "u_highrisk_30d" else recent
        return counted.sum().cast(pl.Int64).alias(name)

    counts = contacts.group_by("person_id").agg(*(within(name) for name in windows))
    return people.join(counts, on="person_id", how="left").with_columns(pl.col(name).fill_null(0) for name in windows)
