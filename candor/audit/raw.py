"""What was delivered, read again by other code: raw Parquet rows of the deliveries pinned to the run, and how whole each feed is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

import candor
from candor.errors import AuditFailed

if TYPE_CHECKING:
    import polars as pl

    from candor.settings import Settings


@dataclass(frozen=True)
class Raw:
    """The pinned deliveries of one run and where their rows are."""

    settings: Settings
    as_of: datetime  # naive, UTC
    deliveries: pl.DataFrame  # state.deliveries of the pinned ones
    all_deliveries: pl.DataFrame  # and of every one, to know what else is in a segment
    kept: dict[str, pl.DataFrame] = field(default_factory=dict)  # what `once` made

    def once(self, name: str, make: Callable[[], pl.LazyFrame]) -> pl.LazyFrame:
        """What `make` gives, read for the first part of the people and kept under `name` for the others: nothing in it may depend on them."""
        if name not in self.kept:
            self.kept[name] = make().collect()
        return self.kept[name].lazy()

    def rows(self, table: str, columns: list[str]) -> pl.LazyFrame:
        """`columns` of every pinned row of `table` ("crm.consents"), with `extracted_at` and `superseded`.

        Superseded: delivered before the table's last whole extract, so the source may have deleted it since.
        """
        import polars as pl

        source, name = table.split(".")
        given = _contract()[source]
        folder = (self.settings.restricted_raw_dir if given.get("restricted") else self.settings.raw_dir) / source / name
        schema = {column: _polars_type(given["tables"][name]["columns"][column]) for column in columns}
        parts = [self._segment(folder, segment, rows, schema) for segment, rows in self._segments(table)]
        last_whole = self._last_whole(table)
        superseded = pl.lit(False) if last_whole is None else pl.col("extracted_at") < last_whole
        if not parts:
            return pl.LazyFrame(schema={**schema, "extracted_at": pl.Datetime("us"), "superseded": pl.Boolean})
        return pl.concat(parts).with_columns(superseded.alias("superseded"))

    def _segments(self, table: str) -> list[tuple[str, pl.DataFrame]]:
        """The segments that hold pinned rows of the table, each with all deliveries in it."""
        import polars as pl

        source, name = table.split(".")
        here = self.all_deliveries.filter((pl.col("source") == source) & (pl.col("table_name") == name)).join(
            self.deliveries.select("delivery_id", pl.lit(True).alias("is_pinned")), on="delivery_id", how="left"
        )
        loaded = here.filter(pl.col("rows_loaded") > 0).sort("segment", "delivery")
        return [
            (segment, rows)
            for (segment,), rows in loaded.partition_by("segment", as_dict=True, maintain_order=True).items()
            if rows["is_pinned"].any()
        ]

    @staticmethod
    def _segment(folder: Path, segment: str, deliveries: pl.DataFrame, schema: dict[str, Any]) -> pl.LazyFrame:
        """The pinned rows of one segment file. `_file` is source/table/delivery/file: its third part names the delivery."""
        import polars as pl

        path = folder / f"{segment}.parquet"
        if not path.is_file():
            raise AuditFailed(f"the raw segment {path.name} of {folder.parent.name}.{folder.name} is gone", hint="ingest again")
        scanned = pl.scan_parquet(path)
        pinned = deliveries.filter(pl.col("is_pinned").fill_null(False))["delivery"].to_list()
        if len(pinned) < deliveries.height:
            scanned = scanned.filter(pl.col("_file").str.extract(r"^[^/]+/[^/]+/([^/]+)/", 1).is_in(pinned))
        return scanned.select(
            *(pl.col(column).cast(kind) for column, kind in schema.items()), pl.col("_extracted_at").alias("extracted_at")
        )

    def current(self, table: str, key: list[str], columns: list[str], *, only: pl.LazyFrame | None = None) -> pl.LazyFrame:
        """The newest content of each key of an entity table known at as_of: by (source_updated_at, extraction time).

        Rows that tie are all kept, so that the facts built from them can be the more restrictive. `only` keeps the keys of a
        frame with some of the columns (a semi-join, done before anything else).
        """
        import polars as pl

        declared = _contract()[table.split(".")[0]]["tables"][table.split(".")[1]]["columns"]
        updated = ["source_updated_at"] if "source_updated_at" in declared else []
        wanted = list(dict.fromkeys([*key, *columns, *updated]))
        rows = self.rows(table, wanted).filter(~pl.col("superseded"))
        if only is not None:
            rows = rows.join(only, on=only.collect_schema().names(), how="semi")
        for column in updated:
            rows = rows.filter(pl.col(column) <= self.as_of)
        return newest(rows, key, [*updated, "extracted_at"]).select(wanted).unique()

    def known_whole_at(self, table: str) -> datetime | None:
        """Up to when the table is known without gaps: its whole extracts, each followed by gapless complete increments."""
        import polars as pl

        complete = self._of(table).filter(pl.col("is_complete"))
        wholes = complete.filter(pl.col("covers_from").is_null())
        increments = complete.filter(pl.col("covers_from").is_not_null() & pl.col("covers_to").is_not_null())
        steps = increments.sort("covers_from", "covers_to").select("covers_from", "covers_to").rows()
        best: datetime | None = None
        for covers_to, extracted_at in wholes.select("covers_to", "extracted_at").rows():
            until = covers_to or extracted_at
            for start, end in steps:
                if start <= until:
                    until = max(until, end)
            best = until if best is None else max(best, until)
        return best

    def hours_since_whole(self, table: str) -> float | None:
        """The age of the facts built from the table; None when it was never whole, or is said to be whole later than as_of."""
        at = self.known_whole_at(table)
        if at is None or at > self.as_of:
            return None
        return (self.as_of - at).total_seconds() / 3600

    def fresh(self, tables: list[str], max_age_hours: int) -> bool:
        """Whether facts built from these tables may still be believed."""
        ages = [self.hours_since_whole(table) for table in tables]
        return all(age is not None and age <= max_age_hours for age in ages)

    def check_complete(self, tables: list[str]) -> None:
        """Raises AuditFailed when a pinned delivery's rows are not all there: what is missing could have spoken against somebody."""
        import polars as pl

        for table in tables:
            found = self.rows(table, [_contract()[table.split(".")[0]]["tables"][table.split(".")[1]]["key"][0]])
            loaded = found.select(pl.len()).collect().item()
            expected = int(self._of(table)["rows_loaded"].sum())
            if loaded != expected:
                raise AuditFailed(
                    f"raw {table} holds {loaded:,} rows of this run's deliveries, {expected:,} were loaded",
                    hint="a raw segment is missing or was changed; ingest again, nothing was published",
                )

    def _of(self, table: str) -> pl.DataFrame:
        import polars as pl

        source, name = table.split(".")
        return self.deliveries.filter((pl.col("source") == source) & (pl.col("table_name") == name))

    def _last_whole(self, table: str) -> datetime | None:
        import polars as pl

        wholes = self._of(table).filter(pl.col("is_complete") & pl.col("covers_from").is_null())
        return wholes["extracted_at"].max()  # type: ignore[return-value]


def newest(rows: pl.LazyFrame, key: list[str], order: list[str]) -> pl.LazyFrame:
    """Per key the rows that are last by `order`, column after column; those that tie all stay."""
    import polars as pl

    for column in order:
        rows = rows.filter(pl.col(column) == pl.col(column).max().over(key))
    return rows


_CONTRACT: dict[str, Any] = {}


def _contract() -> dict[str, Any]:
    if not _CONTRACT:
        path = Path(candor.__file__).parent / "contract.yml"
        _CONTRACT.update(yaml.safe_load(path.read_text(encoding="utf-8"))["sources"])
    return _CONTRACT


def _polars_type(declared: Any) -> Any:
    import polars as pl

    kind = (declared if isinstance(declared, str) else declared["type"]).removesuffix("?")
    kinds = {
        "instant": pl.Datetime("us"),
        "date": pl.Date,
        "int": pl.Int64,
        "bool": pl.Boolean,
        "strings": pl.List(pl.String),
        "decimal": pl.Decimal(38, 12),
    }
    return kinds.get(kind, pl.String)
