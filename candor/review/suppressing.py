"""What reviewers said must not be shown, gone from the serving store at once: until the next run they would only be believed, not obeyed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from candor.hashing import keyed_hash
from candor.publishing import store
from candor.review import verdicts as said
from candor.warehouse import instant_text

if TYPE_CHECKING:
    from candor.settings import Settings

# As neutral as any other reason in the store.
REASON_KIND = "eligibility"

# What a refusal may name, and the column of an offer that it is compared with.
NAMED = ("offer_id", "offer_version", "person_id", "segment", "creative_id")
SUPPRESS = """
insert into suppressions (suppression_id, person_id, offer_id, channel, reason_kind, since, cause)
select distinct cast(? as text) || '|' || person_id || '|' || offer_id || '|' || channel, person_id, offer_id, channel,
    cast(? as text), cast(? as text), cast(? as text)
from offers
where run_id = ? and {about}
on conflict (suppression_id) do update set until = null, ended_by_run = null where suppressions.until is not null
"""


def apply(settings: Settings, as_of: datetime) -> dict[str, Any]:
    """Bring the store to what reviewers say at the instant; gives the refusals that the current run did not know, and the suppressions changed.

    A run that was told of a refusal leaves out what it is about, so the suppressions of it end; so they do when a reviewer changed their mind.
    """
    given, _ = said.read(settings)
    refused = list(said.refusals(given, as_of))
    # Of everything that was ever upheld, so that what no longer is can be found.
    ever = {_cause(settings, one) for word in given for one in said.refusals([word], datetime.max.replace(tzinfo=UTC))}
    with store.transaction(settings) as serving:
        current = serving.rows("select run_id, as_of from runs where is_current = 1")
        if not current:
            return {"reviews_upheld": 0, "review_suppressions_changed": 0}
        ((run_id, run_as_of),) = current
        aliases = _aliases(settings, run_id)
        unknown = [one for one in refused if instant_text(one.since) > run_as_of]
        counted = "select count(*) from suppressions where until is null"
        before = serving.rows(counted)[0][0]
        for one in unknown:
            cause = _cause(settings, one)
            named = {name: value for name in NAMED if (value := getattr(one, name)) is not None}
            if "person_id" in named:
                named["person_id"] = aliases.get(named["person_id"], named["person_id"])
            serving.execute(
                SUPPRESS.format(about=" and ".join(f"{name} = ?" for name in named)),
                (cause, REASON_KIND, instant_text(one.since), cause, run_id, *named.values()),
            )
        added = serving.rows(counted)[0][0] - before
        ending = sorted(ever - {_cause(settings, one) for one in unknown})
        for cause in ending:
            serving.execute(
                "update suppressions set until = case when since > ? then since else ? end where cause = ? and until is null",
                (instant_text(as_of), instant_text(as_of), cause),
            )
        ended = before + added - serving.rows(counted)[0][0]
    return {"reviews_upheld": len(refused), "review_suppressions_changed": int(added + ended)}


def _aliases(settings: Settings, run_id: str) -> dict[str, str]:
    """Who of earlier runs is whom in the run: what is reviewed may have been drawn before somebody was merged away."""
    import duckdb

    file = settings.published_dir / run_id / "aliases.parquet"
    if not file.is_file():
        return {}
    with duckdb.connect() as connection:
        return dict(connection.execute("select person_id, surviving_person_id from read_parquet(?)", [str(file)]).fetchall())


def _cause(settings: Settings, refusal: said.Refusal) -> str:
    """A keyed hash: beside a suppression, what was reviewed would tell why."""
    about = (refusal.item_id, refusal.offer_id, str(refusal.offer_version), refusal.creative_id or "")
    return keyed_hash(settings, "review " + "|".join(about))
