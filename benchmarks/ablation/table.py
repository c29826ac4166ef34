"""The measures of all days as one table, and a sentence per silo and per step: what it is worth."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.ablation.configurations import GROUPS, LEFT_OUT, ORDER, STEPS, WHOLE, WITHHELD, Configuration, available
from benchmarks.ablation.days import Day
from benchmarks.ablation.intervals import (
    Draws,
    Interval,
    bootstrap,
    people_needed,
    shapley_weights,
    share_of_offers,
    wilson,
)
from benchmarks.ablation.judging import HARD, WRONG

# A step is worth what is lost when it alone is left out.
SAID_STEPS = {
    "removes_duplicates": "Without removing duplicates",
    "removes_noise": "Without removing noise",
    "standardises": "Without standardising",
}


@dataclass(frozen=True)
class Line:
    """One day in the table."""

    configuration: Configuration
    repeated: Interval  # duplicated or outdated, of rows used
    noise: Interval  # planted noise, of rows used
    hard: Interval  # of offers
    wrong: Interval  # of offers
    outcome: Interval  # planted probability of the outcome, mean over offers
    gain: Interval  # the same less that without the offer
    extra: Interval  # outcomes that would not be there without the permitted offers, per 1,000 people
    extra_of_all: Interval  # the same, with offers that are not permitted when everything is known
    not_permitted: Interval  # of offers
    offers: int
    humans: int
    humans_twice: int
    refused: int
    seconds: float
    parts: dict[str, int]
    rows: int
    differences: dict[str, Interval]  # to the whole day


def lines(days: Sequence[Day], people: int) -> tuple[list[Line], Draws]:
    """The table's lines in the order of the days, of which the first is the whole one, and the draws behind their intervals."""
    draws = bootstrap([day.judged.humans for day in days], people)
    return [_line(days, place, draws) for place in range(len(days))], draws


def _line(days: Sequence[Day], place: int, draws: Draws) -> Line:
    day = days[place]
    humans, rows = day.judged.humans, day.judged.rows
    total, repeated, noise = (int(rows[name].sum()) for name in ("rows", "repeated", "noise"))
    wholes = humans["offers"].to_numpy().astype(float)
    return Line(
        configuration=day.configuration,
        repeated=wilson(repeated, total),
        noise=wilson(noise, total),
        hard=share_of_offers(humans["hard"].to_numpy().astype(float), wholes),
        wrong=share_of_offers(humans["wrong"].to_numpy().astype(float), wholes),
        outcome=draws.of(place, "shown", "offers"),
        gain=draws.of(place, "gain", "offers"),
        extra=per_thousand(draws.of(place, "distinct_gain")),
        extra_of_all=per_thousand(draws.of(place, "any_gain")),
        not_permitted=share_of_offers(humans["not_permitted"].to_numpy().astype(float), wholes),
        offers=int(humans["offers"].sum()),
        humans=len(humans),
        humans_twice=int((humans["persons"] > 1).sum()),
        refused=day.refused,
        seconds=day.seconds,
        parts={part: int(humans[part].sum()) for part in (*HARD, *WRONG)},
        rows=total,
        differences={
            "hard": draws.difference(place, 0, "hard", "offers"),
            "wrong": draws.difference(place, 0, "wrong", "offers"),
            "not_permitted": draws.difference(place, 0, "not_permitted", "offers"),
            "outcome": draws.difference(place, 0, "shown", "offers"),
            "gain": draws.difference(place, 0, "gain", "offers"),
            "extra": per_thousand(draws.difference(place, 0, "distinct_gain")),
            "extra_of_all": per_thousand(draws.difference(place, 0, "any_gain")),
        },
    )


def per_thousand(interval: Interval) -> Interval:
    """The same for a thousand people."""
    return Interval(interval.value * 1000, interval.low * 1000, interval.high * 1000)


# Withheld from identity, hygiene and features; these two are worth more than that, and the sentence must not sound otherwise.
SAID_SILOS = {
    "compliance": "Without compliance (in identity; eligibility and the audit never do without it)",
    "crm": "Without crm (in identity and features; eligibility reads it, but a record that joins nobody speaks for nobody)",
}
DIFFERENCES = {
    "hard": "hard false targets",
    "not_permitted": "offers not permitted when everything is known",
    "wrong": "wrong-person offers",
    "outcome": "true outcomes per offer",
}


def worth(lines: Sequence[Line], people: int) -> list[str]:
    """A sentence per silo, then one per step: what the day loses without it, and where this many people cannot tell."""
    said = []
    by_cleaning = {line.configuration.cleaning: line for line in lines}
    for line in lines:
        if line.configuration.group == WITHHELD:
            silo = next(iter(line.configuration.cleaning.withheld))
            said.append(f"{SAID_SILOS.get(silo, f'Without {silo}')}: {_lost(line, lines[0], people)}")
    for step, words in SAID_STEPS.items():
        line = by_cleaning.get(available(ORDER, **{step: False}))
        if line is not None and line.configuration.group == LEFT_OUT:
            said.append(f"{words}: {_lost(line, lines[0], people)}")
    return said


def _lost(line: Line, whole: Line, people: int) -> str:
    """What differs from the whole day, and whether this many people can tell; what is exactly the same is left out."""
    extra, parts = line.differences["extra"], []
    if not is_none(extra):
        share = f", {extra.value / whole.extra.value:+.0%}" if whole.extra.value > 0 else ""
        told = f"{extra.value:+.2f} extra outcomes per 1,000 people ({extra.low:+.2f} to {extra.high:+.2f}{share})"
        parts.append(told + _cannot_tell(extra, people))
    for name, words in DIFFERENCES.items():
        found = line.differences[name]
        # Next to nothing that cannot be told from nothing: as many offers of the kind, of another number of offers.
        if not is_none(found) and not (found.spans_zero and abs(found.value) < 0.00005):
            points = f"{_points(found.value)} points of {words} ({_points(found.low)} to {_points(found.high)})"
            parts.append(points + _cannot_tell(found, people))
    if line.repeated.value > whole.repeated.high:
        parts.append(f"{line.repeated.value:.1%} of rows used repeated or outdated")
    if line.noise.value > whole.noise.high:
        parts.append(f"{line.noise.value:.2%} of rows used are noise (whole: {whole.noise.value:.2%})")
    if line.offers != whole.offers:
        parts.append(f"{line.offers - whole.offers:+,} offers")
    return f"{'; '.join(parts)}." if parts else "nothing that is measured here differs."


def is_none(difference: Interval) -> bool:
    """No difference at all, in no draw: the same offers to the same people."""
    return difference.value == difference.low == difference.high == 0


def _cannot_tell(difference: Interval, people: int) -> str:
    """Honest about an interval that spans zero."""
    if not difference.spans_zero:
        return ""
    needed = people_needed(difference, people)
    return ": cannot tell at this size" if needed is None else f": cannot tell at this size, about {needed:,} people would"


def _points(share: float) -> str:
    return f"{share * 100:+.2f}"


def shapley(lines: Sequence[Line], draws: Draws) -> dict[str, Interval]:
    """Each silo's Shapley value in extra outcomes per 1,000 people; empty unless all 64 subsets of silos were decided."""
    places = {line.configuration.cleaning: place for place, line in enumerate(lines)}
    values = {}
    for silo in ORDER:
        weighted = [(places.get(available(tuple(subset))), weight) for subset, weight in shapley_weights(ORDER, silo)]
        if any(place is None for place, _ in weighted):
            return {}
        values[silo] = per_thousand(
            draws.weighted_difference([(place, weight) for place, weight in weighted if place is not None], "distinct_gain")
        )
    return values


INTERVALS = ("repeated", "noise", "hard", "not_permitted", "wrong", "outcome", "gain", "extra", "extra_of_all")


def write_csv(path: Path, lines: Sequence[Line]) -> None:
    """Every number: one row per day, shares as fractions."""
    rows = []
    for line in lines:
        cleaning = line.configuration.cleaning
        row: dict[str, object] = {
            "configuration": line.configuration.name,
            "group": line.configuration.group,
            "withheld": " ".join(silo for silo in ORDER if silo in cleaning.withheld),
            **{step: getattr(cleaning, step) for step, _ in STEPS},
            "rows_used": line.rows,
            "offers": line.offers,
            "humans": line.humans,
            "humans_twice": line.humans_twice,
            "audit_refuses": line.refused,
        }
        for name in INTERVALS:
            row |= {f"{name}_{part}": round(value, 6) for part, value in asdict(getattr(line, name)).items()}
        for name, difference in line.differences.items():
            row |= {f"{name}_difference_{part}": round(value, 6) for part, value in asdict(difference).items()}
        rows.append(row | line.parts)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


HEAD = (
    "day",
    "rows repeated or outdated",
    "noise rows",
    "hard false targets",
    "of them not permitted",
    "wrong-person offers",
    "true outcomes per offer",
    "extra outcomes per 1,000 people",
    "offers",
)


def cells(line: Line) -> tuple[str, ...]:
    """The line as the table for people shows it."""

    def share(interval: Interval, digits: int = 1) -> str:
        return f"{interval.value:.{digits}%} ({interval.low * 100:.{digits}f} to {interval.high * 100:.{digits}f})"

    return (
        line.configuration.name,
        share(line.repeated),
        share(line.noise),
        share(line.hard),
        share(line.not_permitted),
        share(line.wrong, 2),
        share(line.outcome, 2),
        f"{line.extra.value:.1f} ({line.extra.low:.1f} to {line.extra.high:.1f})",
        f"{line.offers:,}",
    )


def grouped(lines: Sequence[Line]) -> list[tuple[str, list[Line]]]:
    """The lines by group, in the order of groups; empty groups are left out."""
    return [(group, found) for group in GROUPS if (found := [line for line in lines if line.configuration.group == group])]


def markdown(lines: Sequence[Line], said: Sequence[str], values: dict[str, Interval], title: str, notes: Sequence[str]) -> str:
    """The table, what each silo is worth, and how to read it."""
    text = [f"# {title}", "", f"| {' | '.join(HEAD)} |", f"|---|{'---:|' * (len(HEAD) - 1)}"]
    for group, found in grouped(lines):
        if group != WHOLE:
            text.append(f"| *{group}* |{' |' * (len(HEAD) - 1)}")
        text += [f"| {' | '.join(cells(line))} |" for line in found]
    text += ["", "## What each is worth", "", *(f"- {sentence}" for sentence in said)]
    if values:
        text += ["", "## Over all orders in which silos could come", ""]
        text += [
            f"- {silo}: {value.value:+.2f} extra outcomes per 1,000 people ({value.low:+.2f} to {value.high:+.2f})"
            for silo, value in values.items()
        ]
    text += ["", "## How to read it", "", *(f"- {note}" for note in notes)]
    return "\n".join(text) + "\n"
