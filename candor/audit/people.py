"""Facts about persons from accounts, KYC records, assessments and phone numbers: who they are, where, how old, how verified."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from candor.audit.clocks import is_zone
from candor.audit.raw import newest

if TYPE_CHECKING:
    import polars as pl

    from candor.audit.raw import Raw
    from candor.audit.rulebook import Rulebook

# Before every instant: a record without verified_at is older than one with it.
NEVER = "1900-01-01T00:00:00"
RISK_PROFILES = ("unknown", "conservative", "moderate", "aggressive")
JURISDICTION_MAX_AGE_HOURS = 720
AML_MAX_AGE_HOURS = 720
EXPOSURE_MAX_AGE_HOURS = 24
# The last is the worst.
AML_BANDS = ("low", "medium", "high", "prohibited")
EXPOSURES = ("none", "domestic", "international", "rca", "foreign")
# The longest life documented lasted 122 years.
OLDEST_AGE_YEARS = 123


def of_kind(identifiers: pl.DataFrame, kind: str, name: str | None = None, *more: str) -> pl.LazyFrame:
    """(person_id, identifier, `more` columns) of one kind, the identifier under the name `name`."""
    import polars as pl

    found = identifiers.lazy().filter(pl.col("identifier_kind") == kind)
    return found.select("person_id", pl.col("identifier").alias(name or kind), *more)


def accounts(raw: Raw, identifiers: pl.DataFrame) -> pl.DataFrame:
    """One row per person and account row: what the exchange says, and whether the account is open at as_of."""
    import polars as pl

    given = [
        "email",
        "phone",
        "country_code",
        "region_code",
        "pending_country",
        "pending_region",
        "time_zone",
        "birth_date",
        "created_at",
        "closed_at",
        "is_test",
    ]
    owned = of_kind(identifiers, "account_id", None, "is_weak")
    rows = raw.current("exchange.accounts", ["account_id"], given, only=owned.select("account_id"))
    is_open = pl.col("closed_at").is_null() | (pl.col("closed_at") > raw.as_of)
    return owned.join(rows, on="account_id", how="inner").with_columns(is_open.alias("is_open")).collect()


def own_words(raw: Raw, identifiers: pl.DataFrame, accounts: pl.DataFrame) -> pl.LazyFrame:
    """(person_id, email, phone, country_code, is_weak) that the person's accounts and contacts state themselves.

    Identity may have given such an address to somebody else (a recycled number, a family's mailbox). What restricts still counts.
    """
    import polars as pl

    owned = of_kind(identifiers, "contact_id", None, "is_weak")
    given = ["email", "phone", "country_code"]
    contacts = raw.current("crm.contacts", ["contact_id"], given, only=owned.select("contact_id"))
    return pl.concat(
        [
            accounts.lazy().select("person_id", *given, "is_weak"),
            owned.join(contacts, on="contact_id").select("person_id", *given, "is_weak"),
        ]
    ).unique()


# How people who test software call themselves.
TEST_EMAIL = r"^(?:test|testing|tester|qa|e2e|loadtest|smoketest)[0-9._+-]*(?:user|account|customer)?[0-9._+-]*@|[+](?:test|qa|e2e)[0-9._-]*@"


def made_for_testing(raw: Raw, accounts: pl.DataFrame, stated: pl.LazyFrame) -> pl.LazyFrame:
    """(person_id, is_made_for_testing = true) of everybody with an account marked so, or with an address that only testers have.

    `stated` is what `own_words` gives.
    """
    import polars as pl

    suffixes = pl.read_csv(raw.settings.dbt_project_dir / "seeds" / "test_email_domains.csv")["domain_suffix"].to_list()
    email = pl.col("email").str.strip_chars().str.to_lowercase()
    domain = email.str.extract(r"@([^@]+)$", 1)
    by_address = email.str.contains(TEST_EMAIL) | pl.any_horizontal(*(domain.str.ends_with(suffix) for suffix in suffixes))
    found = [accounts.lazy().filter("is_test").select("person_id"), stated.filter(by_address).select("person_id")]
    return pl.concat(found).unique().with_columns(pl.lit(True).alias("is_made_for_testing"))


def claimed_wallets(raw: Raw, identifiers: pl.DataFrame) -> pl.LazyFrame:
    """(person_id, wallet_address) that the person's accounts and devices claim and have not unlinked, whether or not identity believed it.

    Identity believes no claim with a typing error in the address, nor one that too many make. What restricts still counts.
    """
    import polars as pl

    given = ["wallet_address", "account_id", "device_id", "unlinked_at"]
    rows = raw.current("wallets.wallet_links", ["link_id"], given).filter(
        pl.col("unlinked_at").is_null() | (pl.col("unlinked_at") > raw.as_of)
    )
    owned = [of_kind(identifiers, kind).join(rows, on=kind, how="inner") for kind in ("account_id", "device_id")]
    return pl.concat([claims.select("person_id", "wallet_address") for claims in owned]).unique()


def kyc_records(raw: Raw, accounts: pl.DataFrame) -> pl.DataFrame:
    """Of each open account the record that counts: the latest by (source_updated_at, verified_at, kyc_id); ties are all kept."""
    import polars as pl

    given = ["account_id", "tier", "status", "verified_at", "expires_at", "birth_date", "residence_country", "residence_region"]
    given += ["client_class", "nationality", "risk_band", "risk_scored_at", "pep"]
    rows = raw.current("compliance.kyc_records", ["kyc_id"], given)
    owned = accounts.lazy().filter("is_open").select("person_id", "account_id", "is_weak").unique()
    records = rows.join(owned.select("account_id").unique(), on="account_id", how="semi").with_columns(
        pl.col("verified_at").fill_null(pl.lit(NEVER).str.to_datetime(time_unit="us")).alias("verified_or_never")
    )
    latest = newest(records, ["account_id"], ["source_updated_at", "verified_or_never", "kyc_id"])
    return owned.join(latest, on="account_id", how="left").collect()


def kyc_facts(raw: Raw, records: pl.DataFrame, accounts: pl.DataFrame) -> pl.LazyFrame:
    """One row per person with an open account: u_kyc_tier, u_kyc_expires_at, u_kyc_conflict, u_client_class; and u_dob of everybody.

    A date that stands for nothing, or on which nobody alive was born, makes nobody of age.
    """
    import polars as pl

    verified = (pl.col("status") == "verified").fill_null(False)
    classes = pl.col("client_class").fill_null("retail")
    has_record = pl.col("kyc_id").is_not_null()
    expires = pl.col("expires_at").filter(has_record)
    facts = (
        records.lazy()
        .group_by("person_id")
        .agg(
            pl.when(verified).then(pl.col("tier")).otherwise(0).min().alias("u_kyc_tier"),
            pl.when((expires.len() > 0) & (expires.null_count() == 0)).then(expires.min()).alias("u_kyc_expires_at"),
            (
                (pl.col("birth_date").filter(verified).drop_nulls().n_unique() > 1)
                | (pl.col("residence_country").filter(verified).drop_nulls().n_unique() > 1)
            ).alias("u_kyc_conflict"),
            pl.when((classes.n_unique() == 1) & classes.first().is_in(["professional", "institutional"]))
            .then(classes.first())
            .otherwise(pl.lit("retail"))
            .alias("u_client_class"),
        )
    )
    births = pl.concat([accounts.lazy().select("person_id", "birth_date"), records.lazy().select("person_id", "birth_date")])
    listed = pl.read_csv(raw.settings.dbt_project_dir / "seeds" / "attribute_placeholders.csv", infer_schema=False)
    placeholders = listed.filter(pl.col("attribute") == "birth_date")["value"].to_list()
    oldest = pl.lit(raw.as_of.date()).dt.offset_by(f"-{OLDEST_AGE_YEARS}y")
    births = births.filter(~pl.col("birth_date").dt.to_string("%Y-%m-%d").is_in(placeholders), pl.col("birth_date") >= oldest)
    youngest = births.group_by("person_id").agg(pl.col("birth_date").max().alias("u_dob"))
    return youngest.join(facts, on="person_id", how="full", coalesce=True)


def exposure(raw: Raw, records: pl.DataFrame) -> pl.LazyFrame:
    """One row per person with an open account: u_aml_band and u_pep, the worst of all their records; null where one does not say."""
    import polars as pl

    scored = pl.col("risk_scored_at")
    in_time = (scored <= raw.as_of) & (raw.as_of - scored <= timedelta(hours=AML_MAX_AGE_HOURS))
    found = {
        "u_aml_band": (pl.when(in_time).then("risk_band"), AML_BANDS, AML_MAX_AGE_HOURS),
        "u_pep": (pl.col("pep"), EXPOSURES, EXPOSURE_MAX_AGE_HOURS),
    }
    aggregated = []
    for name, (said, order, hours) in found.items():
        rank = said.replace_strict({value: place for place, value in enumerate(order)}, default=None, return_dtype=pl.Int8)
        is_fresh = raw.fresh(["compliance.kyc_records"], hours)
        worst = pl.when(pl.lit(is_fresh) & (rank.null_count() == 0)).then(rank.max())
        aggregated.append(worst.replace_strict(dict(enumerate(order)), default=None, return_dtype=pl.String).alias(name))
    return records.lazy().group_by("person_id").agg(aggregated)


def countries(
    raw: Raw,
    rulebook: Rulebook,
    accounts: pl.DataFrame,
    records: pl.DataFrame,
    stated: pl.LazyFrame,
    phone_numbers: pl.DataFrame,
) -> pl.LazyFrame:
    """One row per person with an open account: u_country_conflict and u_fatf, null where unknown."""
    import polars as pl

    opened, known = accounts.lazy().filter("is_open"), records.lazy()
    valid = phone_numbers.lazy().filter("is_valid").select("raw", "country", "phone_country").unique()
    phones = (
        stated.filter(~pl.col("is_weak"))
        .select("person_id", pl.col("phone").alias("raw"), pl.col("country_code").fill_null("").alias("country"))
        .join(valid, on=["raw", "country"], how="inner")
        .select("person_id", pl.col("phone_country").alias("country"), pl.lit(None, pl.String).alias("region"))
    )
    sure = ~pl.col("is_weak")
    named = pl.concat(
        [
            opened.filter(sure).select(
                "person_id", pl.col("country_code").alias("country"), pl.col("region_code").alias("region")
            ),
            known.filter(sure).select(
                "person_id", pl.col("residence_country").alias("country"), pl.col("residence_region").alias("region")
            ),
            phones,
        ]
    )
    differ = named.group_by("person_id").agg(
        pl.any_horizontal(*(pl.col(name).drop_nulls().n_unique() > 1 for name in ("country", "region"))).alias("differs")
    )
    said = opened.group_by("person_id").agg(
        pl.col("country_code").is_null().any().alias("is_homeless"),
        (sure & (pl.col("pending_country").is_not_null() | pl.col("pending_region").is_not_null())).any().alias("moves"),
        pl.col("country_code", "pending_country"),
    )
    recorded = known.group_by("person_id").agg(
        pl.col("nationality").is_null().any().alias("is_stateless"), pl.col("residence_country", "nationality")
    )
    lists = rulebook.fatf_at(raw.as_of)
    everywhere = pl.concat_list("country_code", "pending_country", "residence_country", "nationality")
    tables = ["exchange.accounts", "compliance.kyc_records"]
    is_listed = len(lists) == 2 and raw.fresh(tables, EXPOSURE_MAX_AGE_HOURS)
    is_told = raw.fresh(tables, JURISDICTION_MAX_AGE_HOURS)
    worst = (
        pl.when(everywhere.list.set_intersection(lists.get("CFA", [])).list.len() > 0)
        .then(pl.lit("CFA"))
        .when(everywhere.list.set_intersection(lists.get("IM", [])).list.len() > 0)
        .then(pl.lit("IM"))
        .otherwise(pl.lit("none"))
    )
    return (
        said.join(recorded, on="person_id", how="left")
        .join(differ, on="person_id", how="left")
        .select(
            "person_id",
            pl.when(pl.lit(is_told) & ~pl.col("is_homeless"))
            .then(pl.col("moves") | pl.col("differs").fill_null(False))
            .alias("u_country_conflict"),
            pl.when(pl.lit(is_listed) & ~pl.col("is_homeless") & ~pl.col("is_stateless").fill_null(True))
            .then(worst)
            .alias("u_fatf"),
        )
    )


def zones(accounts: pl.DataFrame) -> pl.DataFrame:
    """One row per person and IANA zone of an open account. Somebody without a row has no known zone."""
    import polars as pl

    named = accounts.filter("is_open").select("person_id", "time_zone").drop_nulls().unique()
    valid = [name for name in named["time_zone"].unique().to_list() if is_zone(name)]
    return named.filter(pl.col("time_zone").is_in(valid)).rename({"time_zone": "zone"})


def regimes(
    raw: Raw,
    rulebook: Rulebook,
    accounts: pl.DataFrame,
    records: pl.DataFrame,
    identifiers: pl.DataFrame,
    phone_numbers: pl.DataFrame,
) -> pl.LazyFrame:
    """One row per person whose jurisdiction is known: u_regimes, u_perm_regimes. Everybody else's is unknown."""
    import polars as pl

    if not raw.fresh(["exchange.accounts", "compliance.kyc_records"], JURISDICTION_MAX_AGE_HOURS):
        return pl.LazyFrame(
            schema={"person_id": pl.String, "u_regimes": pl.List(pl.String), "u_perm_regimes": pl.List(pl.String)}
        )
    opened = accounts.lazy().filter("is_open")
    residences = _places(opened, "country_code", "region_code")
    valid = phone_numbers.lazy().filter("is_valid")
    phones = pl.concat(
        [
            of_kind(identifiers, "phone")
            .join(valid.select(pl.col("phone_std").alias("phone"), "phone_country").unique(), on="phone")
            .select("person_id", "phone_country"),
            # A number that identity left out (recycled, shared) is still one that this account is reached by.
            accounts.lazy()
            .filter(pl.col("phone").is_not_null())
            .select("person_id", pl.col("phone").alias("raw"), pl.col("country_code").fill_null("").alias("country"))
            .join(valid.select("raw", "country", "phone_country"), on=["raw", "country"])
            .select("person_id", "phone_country"),
        ]
    )
    signals = pl.concat(
        [
            residences,
            _places(opened, "pending_country", "pending_region"),
            _places(records.lazy(), "residence_country", "residence_region"),
            phones.select("person_id", pl.col("phone_country").alias("country"), pl.lit(None, pl.String).alias("region")),
        ]
    ).filter(pl.col("country").is_not_null() | pl.col("region").is_not_null())
    # A bare country that is an account's residence means that residence, with its region.
    whole = residences.filter(pl.col("region").is_not_null()).rename({"region": "residence_region"}).unique()
    keyed = (
        signals.unique()
        .join(whole, on=["person_id", "country"], how="left")
        .with_columns(pl.col("region").fill_null(pl.col("residence_region")))
        .with_columns((pl.col("country") + "-" + pl.col("region")).alias("country_region"))
        .select("person_id", "country", "country_region")
        .unique()
    )
    known = pl.LazyFrame(
        {
            "market": list(rulebook.regime_map),
            "regimes": [row["regimes"] for row in rulebook.regime_map.values()],
            "permission": [row["permission"] for row in rulebook.regime_map.values()],
        },
        schema={"market": pl.String, "regimes": pl.List(pl.String), "permission": pl.String},
    )
    mapped = (
        keyed.join(known, left_on="country_region", right_on="market", how="left")
        .join(known, left_on="country", right_on="market", how="left", suffix="_of_country")
        .with_columns(
            pl.col("regimes").fill_null(pl.col("regimes_of_country")),
            pl.col("permission").fill_null(pl.col("permission_of_country")),
        )
    )
    per_person = mapped.group_by("person_id").agg(
        pl.col("permission").is_null().any().alias("has_unmapped"),
        pl.col("regimes").explode().unique().sort().alias("u_regimes"),
        pl.col("permission").unique().sort().alias("u_perm_regimes"),
    )
    homeless = opened.filter(pl.col("country_code").is_null()).select("person_id").unique()
    return (
        per_person.filter(~pl.col("has_unmapped"))
        .join(opened.select("person_id").unique(), on="person_id", how="semi")
        .join(homeless, on="person_id", how="anti")
        .drop("has_unmapped")
    )


def risk_profile(raw: Raw, identifiers: pl.DataFrame) -> pl.LazyFrame:
    """One row per person with a valid assessment: u_risk_profile, the most conservative over their accounts."""
    import polars as pl

    rank = {name: position for position, name in enumerate(RISK_PROFILES)}
    return (
        latest_assessments(raw, identifiers, "risk_profile", [])
        .with_columns(pl.col("result").replace_strict(rank, default=0, return_dtype=pl.Int8).alias("boldness"))
        .group_by("person_id")
        .agg(pl.col("boldness").min())
        .select(
            "person_id",
            pl.col("boldness").replace_strict(dict(enumerate(RISK_PROFILES)), return_dtype=pl.String).alias("u_risk_profile"),
        )
    )


def appropriateness(raw: Raw, identifiers: pl.DataFrame, validity_days: int) -> pl.LazyFrame:
    """One row per person and product line tested: u_approp, passed or failed. No row: not taken."""
    import polars as pl

    return (
        latest_assessments(raw, identifiers, "appropriateness", ["product_line"], validity_days=validity_days)
        .group_by("person_id", "product_line")
        .agg(pl.when((pl.col("result") == "passed").all()).then(pl.lit("passed")).otherwise(pl.lit("failed")).alias("u_approp"))
    )


def latest_assessments(
    raw: Raw, identifiers: pl.DataFrame, kind: str, by: list[str], *, validity_days: int | None = None
) -> pl.LazyFrame:
    """Of each account (and `by`) the latest assessment taken up to as_of and not expired then; ties by id.

    `is_weak`: only likeness makes the account the person's.
    """
    import polars as pl

    columns = ["assessment_id", "account_id", "kind", "product_line", "result", "taken_at", "expires_at"]
    expires = pl.col("expires_at")
    if validity_days is not None:
        expires = expires.fill_null(pl.col("taken_at") + pl.duration(days=validity_days))
    rows = (
        raw.rows("compliance.assessments", columns)
        .filter(pl.col("kind") == kind)
        .join(of_kind(identifiers, "account_id", None, "is_weak"), on="account_id", how="inner")
        .filter(pl.col("taken_at") <= raw.as_of)
        .filter(expires.is_null() | (expires > raw.as_of))
    )
    return newest(rows, ["person_id", "account_id", *by], ["taken_at", "assessment_id"])


def _places(rows: pl.LazyFrame, country: str, region: str) -> pl.LazyFrame:
    """(person_id, country, region part) of two columns; a region alone still names its country."""
    import polars as pl

    parts = pl.col(region).str.split_exact("-", 1)
    return rows.select(
        "person_id",
        pl.col(country).fill_null(parts.struct.field("field_0")).alias("country"),
        parts.struct.field("field_1").alias("region"),
    )
