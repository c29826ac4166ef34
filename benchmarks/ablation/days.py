"""The shop, its whole day, and the reduced days decided in a copy of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks import planted
from benchmarks.ablation import deciding
from benchmarks.ablation.configurations import Configuration
from benchmarks.ablation.judging import Judged, judge
from candor import audit, cleaning, pipeline
from candor.errors import AuditFailed, CandorError
from candor.publishing import staged_hash
from candor.settings import Settings, load
from candor.warehouse import connect, reading

DAY = datetime(2026, 11, 23, 15, tzinfo=UTC)
LAST_STAGE = "audit"
Told = Callable[[str], None]


@dataclass(frozen=True)
class Shop:
    """A made-up shop whose day stands, decided and audited, with everything cleaned."""

    folder: Path
    settings: Settings
    people: int

    @property
    def truth(self) -> Path:
        return self.folder / "truth"

    def champion(self) -> dict[str, Any]:
        """What training measured of the model that decides every day."""
        (found,) = self.settings.reports_dir.glob("*/training.json")
        return json.loads(found.read_text(encoding="utf-8"))["metrics"]


@dataclass(frozen=True)
class Day:
    """A reduced day: what was judged, how many of its offers the audit refuses, and how long deciding it took."""

    configuration: Configuration
    judged: Judged
    refused: int
    seconds: float


def make_shop(base: Path, people: int, days: int, seed: int, told: Told) -> Shop:
    """The shop of these numbers below `base`; one that stands there is kept. Raises CandorError when no model could be promoted."""
    folder = base / f"{people}-people-{days}-days-seed-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    shop = Shop(folder, _settings(folder / "state"), people)
    if (folder / "shop.json").is_file():
        told(f"the shop of {people:,} people stands in {folder.name}")
        return shop
    with _log(folder / "shop.log"):
        if not (shop.truth / "planted.json").is_file():
            from simulation import generate

            told(f"making {people:,} people, {days} days, seed {seed}")
            generate(people=people, days=days, seed=seed, landing=shop.settings.landing_dir, truth=shop.truth, ends_at=DAY)
        before = DAY - timedelta(days=1)
        told("the day before, up to the features gate")
        pipeline.prepare_training(before, shop.settings)
        told("one training, with everything cleaned: its champion decides every day below")
        pipeline.train(before, shop.settings)
        promoted = pipeline.promote(before, shop.settings)
        if not promoted["promoted"]:
            raise CandorError(
                f"no model was promoted: {promoted['message']}", hint="give --people 2500 or more, or another --seed"
            )
        told("the day itself, with everything cleaned, up to its audit")
        pipeline.run(DAY, shop.settings, until=LAST_STAGE)
    (folder / "shop.json").write_text(json.dumps({"people": people, "days": days, "seed": seed}) + "\n", encoding="utf-8")
    return shop


def decide(shop: Shop, configuration: Configuration) -> Day:
    """The day decided again under a configuration, audited and judged. Raises CandorError when a whole day is not the one that stands."""
    started = time.monotonic()
    copied = cleaning.copy(shop.settings, shop.folder / "copy", configuration.cleaning)
    with _log(shop.folder / "logs" / f"{configuration.slug}.log"):
        deciding.decide(DAY, copied)
        refused = _refused(copied)
    if configuration.cleaning.is_whole:
        require_same(shop.settings, copied)
    judged = judge(copied.state_dir, shop.truth, shop.folder / "permitted.parquet", is_whole=configuration.cleaning.is_whole)
    return Day(configuration, judged, refused, time.monotonic() - started)


def require_same(original: Settings, copied: Settings) -> None:
    """Raises CandorError unless a copy that leaves nothing out decided, to the byte, what the pipeline itself did."""
    hashes = []
    for settings in (original, copied):
        with reading(settings) as connection:
            hashes.append(staged_hash(connection))
    if hashes[0] != hashes[1]:
        raise CandorError(
            f"the whole day decided in a copy ({hashes[1][:12]}) is not that of the pipeline ({hashes[0][:12]})",
            hint="the models of target reduced do something else even with everything on; no comparison would mean anything",
        )


def _refused(copied: Settings) -> int:
    """How many staged offers the audit, which always sees everything, refuses."""
    try:
        return int(audit.run(DAY, copied)["violations"])
    except AuditFailed:
        with connect(copied) as connection:
            run_id = connection.execute("select run_id from decisions.ledger limit 1").fetchall()[0][0]
        return int(json.loads((copied.reports_dir / run_id / "audit.json").read_text(encoding="utf-8"))["violations"])


def keep(folder: Path, day: Day) -> None:
    """Write a judged day, so that a later call can go on where this one stopped; its last file says that it is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    slug = day.configuration.slug
    day.judged.rows.write_parquet(folder / f"{slug}.rows.parquet")
    day.judged.humans.write_parquet(folder / f"{slug}.humans.parquet")
    (folder / f"{slug}.json").write_text(
        json.dumps({"refused": day.refused, "seconds": round(day.seconds, 1)}) + "\n", encoding="utf-8"
    )


def kept(folder: Path, configuration: Configuration) -> Day | None:
    """A day that `keep` wrote, or None."""
    said = folder / f"{configuration.slug}.json"
    if not said.is_file():
        return None
    content = json.loads(said.read_text(encoding="utf-8"))
    frames = (pl.read_parquet(folder / f"{configuration.slug}.{name}.parquet") for name in ("rows", "humans"))
    return Day(configuration, Judged(*frames), content["refused"], content["seconds"])


def _settings(state: Path) -> Settings:
    return load({"CANDOR_STATE_DIR": str(state), "CANDOR_HASH_KEY": "0" * 64, "CANDOR_MEMORY_LIMIT": planted.MEMORY})


@contextmanager
def _log(path: Path) -> Iterator[None]:
    """What dbt and the stages print goes to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file, redirect_stdout(file):
        yield
