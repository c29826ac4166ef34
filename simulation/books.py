"""What one call of the simulation writes: deliveries on one side, the truth on the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from simulation import mess
from simulation.landing import Landing
from simulation.tools import DAY


@dataclass
class Books:
    """The landing desk and the truth folder of one call; `tag` names this call's truth files."""

    desk: Landing
    truth: Path
    seed: int
    tag: str = ""
    planted: dict[str, int] = field(default_factory=dict)

    def tally(self, name: str, number: Any) -> None:
        """Add to the count of something planted."""
        self.planted[name] = self.planted.get(name, 0) + int(number)

    def keep(self, name: str, frame: pl.DataFrame, part: int) -> None:
        """Keep a table of the truth."""
        path = self.truth / name / f"part-{self.tag}{part}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.write_parquet(path, compression="zstd", compression_level=1)

    def land_activity(
        self,
        table: str,
        frame: pl.DataFrame,
        key: str,
        part: int,
        rng: np.random.Generator,
        waiting: pl.DataFrame | None = None,
    ) -> None:
        """Plant copies, land the rows and those that were still waiting, and keep the truth about each new one."""
        frame = mess.with_copies(frame, rng, near=table == "events.events")
        names = pl.Series(mess.KIND_NAMES, dtype=pl.Enum(list(mess.KIND_NAMES)))
        kinds = {key: frame[key], "kind": names.gather(frame["_kind"].cast(pl.UInt32)), "known_at": frame["_known"]}
        self.keep(f"{table.split('.')[1]}_rows", pl.DataFrame(kinds), part)
        for kind, number in sorted(frame["_kind"].value_counts().iter_rows()):
            self.tally(f"{table}.{mess.KIND_NAMES[kind]}", number)
        self.tally(f"{table}.rows", len(frame))
        self.desk.add(table, frame if waiting is None else pl.concat([frame, waiting], how="diagonal_relaxed"))

    def keep_effects(
        self, crowd: pl.DataFrame, made: pl.DataFrame, won: pl.DataFrame, lost: pl.DataFrame, end: int, window: int, part: int
    ) -> None:
        """Keep what offers did: each assignment's truth, and the effects that last beyond `end`."""
        number = crowd["number"]
        detail = made.with_columns(
            true_person=crowd["true_person"].gather(made["person"]),
            is_won_by_offer=pl.Series(np.isin(np.arange(len(made)), won["row"].to_numpy())),
        )
        self.keep("assignments", detail.drop("person"), part)
        pending = self.desk.pending
        pending.mkdir(parents=True, exist_ok=True)
        later = lost.filter(pl.col("until") > end).with_columns(
            number=number.gather(lost.filter(pl.col("until") > end)["person"])
        )
        later.select("number", "line", "at", "until").write_parquet(pending / f"lost-{part}.parquet")
        seen = made.filter(pl.col("is_shown") & (pl.col("at") + window * DAY > end))
        seen = seen.select(
            number=number.gather(seen["person"]), offer=pl.col("offer").cast(pl.Int64), until=pl.col("at") + window * DAY
        )
        seen.write_parquet(pending / f"seen-{part}.parquet")
