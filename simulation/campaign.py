"""Past offers of a random policy, and what people did about offers: events, messages, surveys, outcomes."""

from __future__ import annotations

import numpy as np
import polars as pl

from simulation import rates
from simulation.activity import CHANNELS, NAME, event_rows
from simulation.catalogue import DRAWABLE, LINES, OFFERS
from simulation.people import probabilities
from simulation.tools import DAY, HOUR, MINUTE, generator, ids, maybe, pick, times, weighted

OUTBOUND = ("email", "sms", "push")
KINDS = ("csat", "relevance", "intrusiveness", "nps")


def random_policy(people: pl.DataFrame, as_ofs: list[int], seed: int) -> pl.DataFrame:
    """One row per past assignment: person, offer, channel, is_shown, propensity, at. At most one a day and person."""
    rng = generator(seed, "assignments", int(people["number"][0]))
    offers = np.array([offer["weight"] for offer in DRAWABLE], dtype=float)
    offers /= offers.sum()
    every = np.array([rates.CHANNELS[channel] for channel in CHANNELS])
    inbound = np.where(np.isin(CHANNELS, OUTBOUND), 0.0, every)
    reachable = (people["has_account"] | people["has_contact"]).to_numpy()
    created, contact = people["created_at"].to_numpy(), people["has_contact"].to_numpy()
    share = rates.OFFERS_PER_PERSON / 60
    frames = []
    for as_of in as_ofs:
        person = np.flatnonzero((rng.random(len(people)) < share) & reachable & (created < as_of))
        count = len(person)
        offer = weighted(rng, offers, count)
        channel = np.where(contact[person], weighted(rng, every, count), weighted(rng, inbound, count))
        shown = rng.random(count) >= rates.HELD_OUT_SHARE
        chance = np.where(contact[person], (every / every.sum())[channel], (inbound / inbound.sum())[channel])
        frames.append(
            pl.DataFrame(
                {
                    "person": person,
                    "offer": np.array([OFFERS.index(item) for item in DRAWABLE])[offer],
                    "channel": channel,
                    "is_shown": shown,
                    "propensity": np.round(
                        offers[offer] * chance * np.where(shown, 1 - rates.HELD_OUT_SHARE, rates.HELD_OUT_SHARE), 8
                    ),
                    "at": as_of + 2 * MINUTE + (rng.random(count) * 7 * MINUTE).astype(np.int64),
                }
            )
        )
    made = pl.concat(frames)
    first = int(people["number"][0])
    return made.with_columns(assignment_id=ids("pa", first * 256 + np.arange(len(made)), "assignment"))


def assignment_rows(people: pl.DataFrame, made: pl.DataFrame) -> pl.DataFrame:
    """The assignments as the landing contract has them, with `_known`."""
    person = made["person"]
    account = people["account_id"].gather(person)
    has_account = people["has_account"].to_numpy()[person.to_numpy()]
    offer = made["offer"].to_numpy()
    return pl.DataFrame(
        {
            "assignment_id": made["assignment_id"],
            "account_id": maybe(account, has_account),
            "contact_id": maybe(people["contact_id"].gather(person), ~has_account),
            "offer_id": pick([item["offer_id"] for item in OFFERS], offer),
            "offer_version": pick([item["version"] for item in OFFERS], offer, pl.Int64),
            "channel": pick(CHANNELS, made["channel"].to_numpy()),
            "arm": pick(("held_out", "shown"), made["is_shown"].to_numpy().astype(int)),
            "propensity": made["propensity"],
            "assigned_at": times(made["at"].to_numpy()),
            "_known": made["at"].to_numpy() + MINUTE,
        }
    )


def outcomes(people: pl.DataFrame, made: pl.DataFrame, rng: np.random.Generator) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What showing changes: uses that would not have happened (person, line, at, row), and windows without any (person, line, at, until).

    With p0 organic, adding an independent use with (p1 - p0) / (1 - p0) gives exactly p1; so does removing all
    organic uses of a window with probability 1 - p1 / p0 where the offer puts people off.
    """
    shown = made.with_row_index("row").filter(pl.col("is_shown"))
    added, removed = [], []
    for place, offer in enumerate(OFFERS):
        rows = shown.filter(pl.col("offer") == place)
        if len(rows) == 0:
            continue
        p_held_out, p_shown = probabilities(people[rows["person"].to_numpy()], offer["offer_id"])
        gain = np.clip((p_shown - p_held_out) / (1 - p_held_out), 0, 1)
        loss = np.where(p_held_out > 0, np.clip(1 - p_shown / np.maximum(p_held_out, 1e-12), 0, 1), 0)
        draw = rng.random(len(rows))
        line = LINES.index(offer["product_line"])
        at = rows["at"].to_numpy()
        delay = HOUR // 2 + (rng.beta(0.9, 1.8, len(rows)) * (rates.OUTCOME_DAYS * DAY - HOUR)).astype(np.int64)
        won = np.flatnonzero(draw < gain)
        lost = np.flatnonzero(draw < loss)
        added.append(
            rows[won].select("person", "row").with_columns(line=pl.lit(line, dtype=pl.Int64), at=pl.Series((at + delay)[won]))
        )
        removed.append(
            rows[lost]
            .select("person")
            .with_columns(
                line=pl.lit(line, dtype=pl.Int64), at=pl.Series(at[lost]), until=pl.Series(at[lost] + rates.OUTCOME_DAYS * DAY)
            )
        )
    empty = {"person": pl.Int64, "row": pl.UInt32, "line": pl.Int64, "at": pl.Int64}
    gained = pl.concat(added) if added else pl.DataFrame(schema=empty)
    missed = (
        pl.concat(removed)
        if removed
        else pl.DataFrame(schema={"person": pl.Int64, "line": pl.Int64, "at": pl.Int64, "until": pl.Int64})
    )
    return gained, missed


def without(organic: pl.DataFrame, lost: pl.DataFrame) -> pl.DataFrame:
    """The organic uses that still happen: those in a lost window of their person and line do not."""
    if len(lost) == 0 or len(organic) == 0:
        return organic
    numbered = organic.with_row_index("use")
    gone = numbered.join(lost.rename({"at": "since"}), on=["person", "line"], how="inner").filter(
        (pl.col("at") > pl.col("since")) & (pl.col("at") <= pl.col("until"))
    )
    return numbered.join(gone.select("use").unique(), on="use", how="anti", maintain_order="left").drop("use")


def exposures(
    people: pl.DataFrame, made: pl.DataFrame, won: pl.DataFrame, rng: np.random.Generator, salt: str
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Events, messages and survey answers about the offers that were shown, each with `_known`.

    `made` needs person, offer, channel, is_shown, at (when they could first see it) and assignment_id.
    """
    took = np.zeros(len(made), dtype=bool)
    took[won["row"].to_numpy()] = True
    won_at = np.zeros(len(made), dtype=np.int64)
    won_at[won["row"].to_numpy()] = won["at"].to_numpy()
    shown = np.flatnonzero(made["is_shown"].to_numpy())
    person, offer = made["person"].to_numpy()[shown], made["offer"].to_numpy()[shown]
    channel = made["channel"].to_numpy()[shown]
    decision = made["assignment_id"].gather(pl.Series(shown))
    count = len(shown)
    took, won_at = took[shown], won_at[shown]
    at = made["at"].to_numpy()[shown] + 5 * MINUTE + (rng.random(count) ** 2 * 10 * HOUR).astype(np.int64)
    at = np.where(took, np.minimum(at, made["at"].to_numpy()[shown] + (won_at - made["at"].to_numpy()[shown]) // 2), at)
    annoyed = people["annoyed"].to_numpy()[person]
    line_of = np.array([LINES.index(item["product_line"]) for item in OFFERS])[offer]
    interest = people.select([f"interest_{line}" for line in LINES]).to_numpy()[person, line_of]
    click = rates.CLICK_BASE + 0.10 * interest / (interest + 1.5) + 0.45 * took
    clicked = rng.random(count) < np.where(annoyed, 0.02, click)
    dismissed = ~clicked & (rng.random(count) < np.where(annoyed, 0.35, 0.07))
    irrelevant = ~clicked & ~dismissed & (rng.random(count) < np.where(annoyed, 0.20, 0.02))
    outbound = np.isin(channel, [CHANNELS.index(name) for name in OUTBOUND])
    asleep = (people["stage"] == "dormant").to_numpy()[person]  # they do not come by, and rarely open what is sent
    clicked, dismissed, irrelevant = clicked & ~asleep, dismissed & ~asleep, irrelevant & ~asleep
    opened = np.where(asleep, outbound & (rng.random(count) < 0.02), ~outbound | clicked | (rng.random(count) < 0.38))
    soon = at + 20 * 1_000_000 + (rng.exponential(90.0, count) * 1_000_000).astype(np.int64)
    parts = [
        (NAME["offer_shown"], at, opened), (NAME["offer_clicked"], soon, clicked), (NAME["offer_dismissed"], soon, dismissed),
        (NAME["offer_not_relevant"], soon, irrelevant), (NAME["offer_accepted"], np.maximum(won_at - MINUTE, soon + MINUTE), took & clicked),
    ]  # fmt: skip
    index = np.concatenate([np.flatnonzero(which) for _, _, which in parts])
    name = np.concatenate([np.full(int(which.sum()), code) for code, _, which in parts])
    when = np.concatenate([moment[which] for _, moment, which in parts])
    offer_ids = pick([item["offer_id"] for item in OFFERS], offer)
    total = len(index)
    nobody = np.zeros(total, dtype=bool)
    known = people["has_account"].to_numpy()[person[index]] & ~people["split_web"].to_numpy()[person[index]]
    events = event_rows(
        people, rng, person[index], when, name, channel[index], salt=f"{salt}offers",
        session=pl.repeat(None, total, dtype=pl.String, eager=True), logged_in=known, second=nobody, shared=nobody,
        kind=np.where(people["is_test"].to_numpy()[person[index]], 2, 0), line=line_of[index],
        offer=offer_ids.gather(pl.Series(index)), decision=decision.gather(pl.Series(index)),
    )  # fmt: skip
    messages = _messages(people, rng, person, channel, at, soon, opened, clicked, annoyed, offer, offer_ids, decision, outbound)
    surveys = _surveys(people, rng, person, offer, offer_ids, decision, at)
    return events, messages, surveys


def _messages(
    people, rng, person, channel, at, soon, opened, clicked, annoyed, offer, offer_ids, decision, outbound
) -> pl.DataFrame:
    """Each message as first sent, and again when it was opened or clicked."""
    index = np.flatnonzero(outbound & people["has_contact"].to_numpy()[person])
    promotion = np.array([item["is_promotion"] for item in OFFERS])[offer[index]]
    leaves = rng.random(len(index)) < np.where(annoyed[index], 0.05, 0.006)
    complains = leaves & (rng.random(len(index)) < 0.1)
    nothing = times(at[index], np.zeros(len(index), dtype=bool))
    sent = pl.DataFrame(
        {
            "message_id": decision.gather(pl.Series(index)).str.replace("^[a-z]+-", "ms-"),
            "contact_id": people["contact_id"].gather(pl.Series(person[index])),
            "channel": pick(CHANNELS, channel[index]),
            "is_promotion": pl.Series(promotion),
            "risk_class": pl.repeat(None, len(index), dtype=pl.String, eager=True),
            "decision_id": decision.gather(pl.Series(index)),
            "offer_id": offer_ids.gather(pl.Series(index)),
            "sent_at": times(at[index] - 10 * 1_000_000),
            "opened_at": nothing,
            "clicked_at": nothing,
            "unsubscribed_at": nothing,
            "complained_at": nothing,
            "_known": at[index],
        }
    )
    seen = opened[index] | leaves
    later = sent.with_columns(
        opened_at=times(at[index], seen), clicked_at=times(soon[index], clicked[index]),
        unsubscribed_at=times(soon[index] + MINUTE, leaves), complained_at=times(soon[index] + 2 * MINUTE, complains),
        _known=pl.Series(soon[index] + 5 * MINUTE),
    )  # fmt: skip
    return pl.concat([sent, later[np.flatnonzero(seen)]])


def _surveys(people, rng, person, offer, offer_ids, decision, at) -> pl.DataFrame:
    index = np.flatnonzero(rng.random(len(person)) < rates.SURVEY_SHARE)
    count = len(index)
    level = np.empty(count)
    for place in np.unique(offer[index]):
        rows = offer[index] == place
        line = OFFERS[place]["product_line"]
        taste = np.log1p(people[f"interest_{line}"].to_numpy()[person[index][rows]]) / 2
        level[rows] = 0.45 + 0.35 * taste - 0.3 * people["annoyed"].to_numpy()[person[index][rows]]
    kind = weighted(rng, (0.45, 0.25, 0.15, 0.15), count)
    level = np.where(kind == 2, 1 - level, level)
    score = np.clip(np.round(1 + 4 * level + rng.normal(0, 0.8, count)), 1, 5)
    score = np.where(kind == KINDS.index("nps"), np.clip(np.round(10 * level + rng.normal(0, 1.5, count)), 0, 10), score)
    when = at[index] + 2 * HOUR + (rng.random(count) * 20 * HOUR).astype(np.int64)
    has_account = people["has_account"].to_numpy()[person[index]]
    return pl.DataFrame(
        {
            "response_id": decision.gather(pl.Series(index)).str.replace("^[a-z]+-", "sv-"),
            "survey_id": pick([f"after-offer-{name}" for name in KINDS], kind),
            "account_id": maybe(people["account_id"].gather(pl.Series(person[index])), has_account),
            "email": maybe(people["contact_email"].gather(pl.Series(person[index])), ~has_account),
            "decision_id": decision.gather(pl.Series(index)),
            "offer_id": offer_ids.gather(pl.Series(index)),
            "kind": pick(KINDS, kind),
            "score": score,
            "scale_max": np.where(kind == KINDS.index("nps"), 10.0, 5.0),
            "submitted_at": times(when),
            "_known": when + MINUTE,
        }
    )


def standing_surveys(people: pl.DataFrame, begin: int, end: int, rng: np.random.Generator, salt: str) -> pl.DataFrame:
    """Answers to the survey that goes to everybody, offered anything or not, so that arms can be compared; with `_known`."""
    share = rates.STANDING_SURVEY_SHARE * (end - begin) / (60 * DAY)
    chosen = np.flatnonzero(people["has_account"].to_numpy() & (rng.random(len(people)) < share))
    count = len(chosen)
    own = people[chosen]
    level = 0.55 + 0.1 * np.minimum(own["lure"].to_numpy(), 1.5) - 0.15 * own["strain"].to_numpy()
    kind = np.where(rng.random(count) < 0.6, KINDS.index("csat"), KINDS.index("nps"))
    csat = np.clip(np.round(1 + 4 * level + rng.normal(0, 0.8, count)), 1, 5)
    nps = np.clip(np.round(10 * level + rng.normal(0, 1.5, count)), 0, 10)
    since = np.clip(own["created_at"].to_numpy(), begin, end - 1)
    when = since + (rng.random(count) * (end - since)).astype(np.int64)
    return pl.DataFrame(
        {
            "response_id": ids("sq", own["number"].to_numpy(), f"{salt}standing"),
            "survey_id": pl.repeat("quarterly", count, dtype=pl.String, eager=True),
            "account_id": own["account_id"],
            "kind": pick(KINDS, kind),
            "score": np.where(kind == KINDS.index("nps"), nps, csat),
            "scale_max": np.where(kind == KINDS.index("nps"), 10.0, 5.0),
            "submitted_at": times(when),
            "_known": when + MINUTE,
        }
    )
