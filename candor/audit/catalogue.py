"""What an offer is, what its creative says, and who approved it, from the raw catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from candor.audit.raw import newest

if TYPE_CHECKING:
    import polars as pl

    from candor.audit.raw import Raw


def offers(raw: Raw) -> pl.LazyFrame:
    """One row per offer in its highest version: o_version, product_line and what rules read. Ties take the more restrictive value."""
    import polars as pl

    columns = ["product_line", "is_promotion", "incentive", "starts_at", "ends_at", "ends_local"]
    rows = raw.current("catalogue.offers", ["offer_id", "version"], columns)
    return (
        newest(rows, ["offer_id"], ["version"])
        .group_by("offer_id")
        .agg(
            pl.col("version").first().alias("o_version"),
            pl.col("product_line").sort().first(),
            pl.col("is_promotion").fill_null(True).any().alias("o_is_promotion"),
            pl.when((pl.col("incentive") == "none").all())
            .then(pl.lit("none"))
            .otherwise(pl.col("incentive").max())
            .alias("o_incentive"),
            pl.col("starts_at").max().alias("o_starts_at"),
            pl.col("ends_at").min().alias("o_ends_at"),
            pl.col("ends_local").drop_nulls().min().alias("o_ends_local"),
        )
    )


def creatives(raw: Raw) -> pl.LazyFrame:
    """One row per current content of a creative: what the catalogue says is shown where."""
    import polars as pl

    columns = [
        "offer_id",
        "offer_version",
        "channel",
        "locale",
        "title",
        "body",
        "disclosures",
        "pressure_flags",
        "why_template",
    ]
    rows = raw.current("catalogue.creatives", ["creative_id"], columns)
    return rows.select(
        "creative_id",
        pl.col("offer_id").alias("c_offer_id"),
        pl.col("offer_version").alias("c_offer_version"),
        pl.col("channel").alias("c_channel"),
        pl.col("locale").alias("c_locale"),
        pl.col("title").alias("c_title"),
        pl.col("body").alias("c_body"),
        pl.col("disclosures").fill_null(pl.lit([], pl.List(pl.String))).alias("o_disclosures"),
        pl.col("pressure_flags").fill_null(pl.lit([], pl.List(pl.String))).alias("o_pressure"),
        pl.col("why_template").alias("c_why"),
    ).unique("creative_id", keep="none")


def approvals(raw: Raw, shown: pl.LazyFrame) -> pl.LazyFrame:
    """One row per shown (offer, version, creative) approved by both compliance and brand at as_of: o_creative_expires.

    `shown` has offer_id, offer_version, creative_id. An approval without creative_id covers every creative of its version.
    """
    import polars as pl

    given = (
        raw.rows("catalogue.approvals", ["offer_id", "offer_version", "creative_id", "kind", "valid_from", "valid_to"])
        .filter(pl.col("kind").is_in(["compliance", "brand"]))
        .filter(pl.col("valid_from") <= raw.as_of, pl.col("valid_to") > raw.as_of)
        .rename({"creative_id": "approved_creative"})
    )
    return (
        shown.unique()
        .join(given, on=["offer_id", "offer_version"], how="inner")
        .filter(pl.col("approved_creative").is_null() | (pl.col("approved_creative") == pl.col("creative_id")))
        .group_by("offer_id", "offer_version", "creative_id", "kind")
        .agg(pl.col("valid_to").max())
        .group_by("offer_id", "offer_version", "creative_id")
        .agg(pl.col("kind").n_unique().alias("kinds"), pl.col("valid_to").min().alias("o_creative_expires"))
        .filter(pl.col("kinds") == 2)
        .drop("kinds")
    )
