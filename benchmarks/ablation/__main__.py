"""What cleaning bought: `make ablation`, or `python -m benchmarks.ablation --people 5000 --days 40`.

Makes up one shop, takes its day through the pipeline, and decides the same day again with less:

  withheld       one silo at a time kept from identity, hygiene and features
  added          silos one after another, 1 to 6
  left out       the 8 combinations of removing duplicates, removing noise and standardising values
  nothing clean  silos one after another with all three left out

Eligibility and the audit see everything on every day; the audit of each is in the table (ablation.csv, `audit_refuses`). One champion, trained with
everything cleaned, decides all days: what differs is the data at the moment of deciding, not what was learnt.

Prints the table and a sentence per silo. Leaves ablation.csv (every number), ablation.md, ablation.html and ablation.svg in --out.
At 5,000 people a day takes 20 to 80 seconds, by what else two cores do; there are 23. The shop takes some minutes more and is kept.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.ablation import days, drawing, table
from benchmarks.ablation.configurations import ORDER, configurations
from benchmarks.ablation.intervals import DRAWS, SEED
from benchmarks.ablation.judging import HARD, WRONG
from candor.errors import CandorError
from candor.ingest.progress import progress


def main(arguments: list[str] | None = None) -> int:
    """0 when all days are decided and written up; the exit code of what went wrong otherwise."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ablation", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--people", type=int, default=5000, help="how many people the shop has (default 5000; a model needs about 2,500)"
    )
    parser.add_argument("--days", type=int, default=40, help="event-rich days before the day (default 40)")
    parser.add_argument("--seed", type=int, default=7, help="the same seed gives the same numbers (default 7)")
    parser.add_argument(
        "--all-subsets", action="store_true", help="also every subset of silos, 64 in all, and each silo's Shapley value"
    )
    parser.add_argument(
        "--resume", action="store_true", help="keep days that an earlier call judged; not after the code has changed"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("var/ablation"), help="folder of results and of the shop (default var/ablation)"
    )
    chosen = parser.parse_args(arguments)
    started = time.monotonic()
    try:
        out = chosen.out.resolve()
        shop = days.make_shop(out, chosen.people, chosen.days, chosen.seed, _told)
        decided = _decide(shop, all_subsets=chosen.all_subsets, resume=chosen.resume)
    except CandorError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    lines, draws = table.lines(decided, shop.people)
    said, values = table.worth(lines, shop.people), table.shapley(lines, draws)
    title = f"What cleaning bought: {chosen.people:,} people, {chosen.days} days, seed {chosen.seed}"
    notes = read_it(lines, shop.champion())
    table.write_csv(out / "ablation.csv", lines)
    text = table.markdown(lines, said, values, title, notes)
    (out / "ablation.md").write_text(text, encoding="utf-8")
    (out / "ablation.html").write_text(drawing.page(lines, said, values, title, notes), encoding="utf-8")
    (out / "ablation.svg").write_text(drawing.chart(lines, title) + "\n", encoding="utf-8")
    print(text)
    _told(
        f"{len(lines)} days in {time.monotonic() - started:.0f} s; {out}: ablation.csv, ablation.md, ablation.html, ablation.svg"
    )
    return 0


def _told(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _decide(shop: days.Shop, *, all_subsets: bool, resume: bool) -> list[days.Day]:
    folder = shop.folder / "days"
    decided = []
    for configuration in progress(configurations(all_subsets=all_subsets), "deciding", lambda one: one.name):
        day = days.kept(folder, configuration) if resume else None
        if day is None:
            day = days.decide(shop, configuration)
            days.keep(folder, day)
        humans = day.judged.humans
        _told(
            f"  {configuration.name:<44} {day.seconds:>6.1f} s  {humans['offers'].sum():>8,} offers to {len(humans):,} people"
        )
        decided.append(day)
    return decided


def read_it(lines: list[table.Line], champion: dict[str, Any]) -> list[str]:
    """Definitions and intervals, in words, and what the audit said."""
    qini = champion["qini"]
    tells = (
        "it ranks people by what an offer changes better than chance."
        if qini["lower"] > 0
        else "that it ranks people by what an offer changes is not told from chance, so a silo that only helps ranking cannot show its worth."
    )
    refused, offers = sum(line.refused for line in lines), sum(line.offers for line in lines)
    return [
        "Rows repeated or outdated, noise rows: of the rows that identity (accounts, contacts, wallet links, KYC records) and features "
        "(messages, events, trades, ledger entries) read that day, those beyond the first of their planted key, and those planted as "
        "machines, tests, dead sessions or wash trades. Interval: Wilson.",
        f"Hard false target: an offer {'; or '.join(HARD.values())}. One that is several counts once. Interval: "
        "Wilson over the effective number of offers, since offers of one human are not independent.",
        "Wrong-person offer: an offer of a person with, of another human than the one most of their identifiers belong to, "
        f"{'; or '.join(WRONG.values())}. What several humans share is nobody's and does not count. Interval: as before.",
        "True outcomes per offer: the planted probability of the outcome with the offer, mean over offers. Extra outcomes: that probability "
        "less the one without the offer, once per human and offer, of permitted offers only, per 1,000 people of the shop (ablation.csv has "
        "those of all offers too). The day with everything cleaned permits what it offers by definition. Intervals: Poisson bootstrap over humans, "
        f"{DRAWS:,} draws, seed {SEED}; differences between days are of the same humans. Chance in the outcomes themselves is not in "
        "them, nor other shops, nor that many intervals are looked at: of twenty without a difference one leaves zero out by chance.",
        "One champion, trained with everything cleaned, decides every day: a model trained on the reduced data would fit it better. "
        f"Its AUC is {champion['auc']:.3f}, its qini {qini['value']:.4f} ({qini['lower']:.4f} to {qini['upper']:.4f}): {tells}",
        f"Silos are added in the order {', '.join(ORDER)}, fixed beforehand.",
        f"Eligibility and the audit see everything on every day: of {offers:,} offers on {len(lines)} days the audit refuses {refused:,}. "
        "Who is who they take from the day's identity, so a no, a cap or a restriction whose record identity did not join reaches nobody: "
        "such offers are not permitted when everything is known, and are counted as hard false targets.",
    ]


if __name__ == "__main__":
    sys.exit(main())
