"""Items as reviewers meet them: listed for a role, opened, decided; every refusal says why."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from candor.errors import UsageError
from candor.policy.loading import load
from candor.review import readings
from candor.review import verdicts as said
from candor.review.verdicts import RELEASE, UPHOLD, Creative, Verdict
from candor.warehouse import connect, utc

if TYPE_CHECKING:
    import duckdb

    from candor.policy.model import Reviewing
    from candor.settings import Settings

FACTS_SHOWN = """
select name, value, observed.observed_at
from (select split_part(pair, '=', 1) as name, split_part(pair, '=', 2) as value from (select unnest(string_split(?, ';')) as pair)) as facts
left join vault.eligibility.fact_observations as observed on facts.name = observed.fact
order by name
"""
OFFERS_SHOWN = """
select distinct offers.offer_id, offers.version, offers.product_line, creatives.channel, creatives.locale, creatives.title, creatives.body
from staging.stg_catalogue__creatives as creatives
inner join staging.stg_catalogue__offers as offers
    on creatives.offer_id = offers.offer_id and creatives.offer_version = offers.version
where creatives.creative_id in (select unnest(?::varchar[]))
order by all
"""


# What a reviewer is asked; anything else is decided.
WAITING = ("waits", "second reviewer", readings.SECOND, readings.AGAIN, "disputed")


@dataclass(frozen=True)
class Reviewer:
    """Who reviews, and in which role: `jane/compliance`."""

    name: str
    role: str

    @classmethod
    def of(cls, text: str) -> Reviewer:
        """Raises UsageError unless both are there."""
        name, _, role = text.partition("/")
        if not name or not role:
            raise UsageError(f"--as must name a reviewer and a role, is {text!r}", hint="--as jane/compliance")
        return cls(name, role)


@contextmanager
def _queue(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(settings, restricted=True) as connection:
        found = connection.execute(
            "select 1 from duckdb_tables() where database_name = 'vault' and schema_name = 'review' and table_name = 'queue'"
        ).fetchall()
        if not found:
            raise UsageError("nothing was queued yet", hint="a run that decides fills the queue: candor run --as-of …")
        yield connection


def reviewing_of(settings: Settings) -> Reviewing:
    """What policy/review.yml says now."""
    return load(settings.policy_dir, settings.shop).reviewing


def listed(
    settings: Settings, role: str, at: datetime, *, name: str | None = None, everything: bool = False
) -> list[dict[str, Any]]:
    """The items that the role may decide and that wait for the reviewer at the instant, most urgent first; with `everything` all others too.

    Of a reading that was drawn `status` is the kind and `due_at` its own. `name` is the reviewer's; None: for whoever of the role comes.
    """
    verdicts, _ = said.read(settings)
    with _queue(settings) as connection:
        items = rows_of(
            connection,
            "select * exclude (creatives, facts, statement, cite) from vault.review.queue where list_contains(roles, ?)",
            [role],
        )
    mark(items, verdicts, reviewing_of(settings), settings, at, name)
    items.sort(key=lambda item: (item["priority"], item["due_at"], item["item_id"]))
    return [item for item in items if everything or item["status"] in WAITING]


def mark(
    items: list[dict[str, Any]],
    verdicts: list[Verdict],
    reviewing: Reviewing,
    settings: Settings,
    at: datetime,
    name: str | None = None,
) -> None:
    """Give each item its `status` at the instant, for the reviewer called `name`, and the `due_at` of a reading that waits for them."""
    known = readings.by_item(verdicts, at)
    for item in items:
        words = known.get(item["item_id"], [])
        waits = readings.open_for(name, readings.drawn(words, reviewing, settings), at)
        if waits is not None:  # whatever was said: who reads it a second time is not told
            item["status"], item["due_at"] = waits.kind, waits.due_at
        else:
            item["status"] = status(item, words, reviewing)
            if item["status"] == "second reviewer" and name in {one.reviewer for one in words}:
                item["status"] = "another reviewer"


def status(item: dict[str, Any], words: list[Verdict], reviewing: Reviewing) -> str:
    """`waits`, `second reviewer`, `released`, `upheld`, `disputed` or `reviewed`, by the last word of each reviewer.

    Until those who disagree agree, or a second person upholds, the stricter word counts.
    """
    last = {one.reviewer: one.verdict for one in words}
    upholding = sum(verdict == UPHOLD for verdict in last.values())
    if not last:
        return "waits"
    if upholding:
        return "disputed" if upholding == 1 and len(last) > 1 else "upheld"
    two_from = reviewing.numbers.get("two_reviewers_from_rank", 0)
    if item["highest_rank"] is not None and len(last) < said.needed_for(item["highest_rank"], two_from):
        return "second reviewer"
    return "released" if item["rule_id"] is not None else "reviewed"


def show(settings: Settings, item_id: str, reviewer: Reviewer, at: datetime) -> dict[str, Any]:
    """Everything the reviewer needs, after it was put on record that they were shown it. Raises UsageError for a role that may not."""
    with _queue(settings) as connection:
        item = _item(connection, item_id, reviewer)
        item["facts_shown"] = rows_of(connection, FACTS_SHOWN, [item["facts"]])
        item["offers"] = rows_of(connection, OFFERS_SHOWN, [[creative["creative_id"] for creative in item["creatives"] or []]])
    said.append_opened(settings, item_id, reviewer.name, at)
    return item


def decide(
    settings: Settings,
    item_id: str,
    reviewer: Reviewer,
    verdict: str,
    reason: str,
    at: datetime,
    *,
    expires: datetime | None = None,
    saw_score: bool = False,
) -> Verdict:
    """The verdict, on record. Raises UsageError saying why it cannot be given."""
    if verdict not in (RELEASE, UPHOLD):
        raise UsageError(f"a verdict is {RELEASE} or {UPHOLD}, not {verdict!r}", hint=f"--verdict {RELEASE}")
    if not reason.strip():
        raise UsageError("a verdict needs a reason", hint='--reason "what was looked at, and what it showed"')
    longest = reviewing_of(settings).numbers.get("longest_release_days", 0)
    with _queue(settings) as connection:
        item = _item(connection, item_id, reviewer)
        if item["rule_id"] is not None and item["kind"] in ("hold", "hold_fincrime", "new_offer"):
            _refuse_blocks(connection, item)
            last = at + timedelta(days=longest)
            expires = expires or last
            if verdict == RELEASE and not at < expires <= last:
                raise UsageError(
                    f"a release ends after it begins and after at most {longest:g} days, not at {expires:%Y-%m-%dT%H:%M:%SZ}",
                    hint=f"--expires {last:%Y-%m-%dT%H:%M:%SZ} or earlier (longest_release_days of policy/review.yml)",
                )
            rule_id, v = item["rule_id"], item["v"]
        else:  # served already: there is no hold to lift, an uphold says that it was right
            rule_id = v = expires = None
    _, opened = said.read(settings)
    opened_at = opened.get((item_id, reviewer.name))
    if opened_at is None or opened_at > at:
        raise UsageError(
            f"{reviewer.name} has not been shown {item_id}",
            hint=f"candor review show {item_id} --as {reviewer.name}/{reviewer.role}",
        )
    given = Verdict(
        item_id, item["kind"], verdict, reviewer.name, reviewer.role, reason.strip(), at, opened_at, saw_score,
        expires if verdict == RELEASE else None, rule_id, v, item["person_id"], item["facts"],
        hashlib.md5(item["facts"].encode(), usedforsecurity=False).hexdigest() if item["facts"] else None,
        tuple(Creative(**creative) for creative in item["creatives"] or []), item["segment"],
    )  # fmt: skip
    said.append(settings, given)
    return given


def _refuse_blocks(connection: duckdb.DuckDBPyConnection, item: dict[str, Any]) -> None:
    effects = connection.execute(
        "select distinct effect from policy.rulebook where code = ? and rule_id = ?", [item["code"], item["rule_id"]]
    ).fetchall()
    if effects != [("HOLD",)]:
        raise UsageError(
            f"{item['rule_id']} ({item['code']}) is no hold: {', '.join(effect for (effect,) in effects) or 'not in the policy'}",
            hint="a block ends when what it is about ends; nobody releases it",
        )


def _item(connection: duckdb.DuckDBPyConnection, item_id: str, reviewer: Reviewer) -> dict[str, Any]:
    found = rows_of(connection, "select * from vault.review.queue where item_id = ?", [item_id])
    # Whoever may not decide it is told no more than that it is not theirs.
    if not found or reviewer.role not in found[0]["roles"]:
        seen = connection.execute("select queued_at from vault.state.review_items where item_id = ?", [item_id]).fetchall()
        if not found and seen:
            raise UsageError(
                f"{item_id} no longer waits: a fact, a creative or the rule changed since it was queued, or nothing is held any more",
                hint=f"candor review list --as {reviewer.role} has what waits now",
            )
        raise UsageError(
            f"{reviewer.role} has no item {item_id!r} to decide",
            hint=f"candor review list --as {reviewer.role} lists those it has",
        )
    return found[0]


def rows_of(connection: duckdb.DuckDBPyConnection, query: str, given: list[Any] | None = None) -> list[dict[str, Any]]:
    """The rows of a query, their instants aware."""
    cursor = connection.execute(query, given or [])
    names = [str(column[0]) for column in cursor.description or []]
    return [
        {
            name: value.replace(tzinfo=UTC) if isinstance(value, datetime) else value
            for name, value in zip(names, row, strict=True)
        }
        for row in cursor.fetchall()
    ]


def overdue(items: list[dict[str, Any]], at: datetime) -> int:
    """How many of the items waited longer than they may."""
    return sum(utc(item["due_at"]) < utc(at) for item in items)


def questions(at: datetime, role: str, most: int, settings: Settings | None = None) -> list[dict[str, Any]]:
    """The most urgent items of the role as {item_id, shown_at, subject, body}, for a page that others read: none with a restricted code."""
    from candor.settings import load as load_settings

    settings = settings or load_settings()
    waiting = [item for item in listed(settings, role, at) if item["visibility"] != "restricted"][:most]
    made = []
    with _queue(settings) as connection:
        for waits in waiting:
            item = _item(connection, waits["item_id"], Reviewer("", role))
            facts = rows_of(connection, FACTS_SHOWN, [item["facts"]])
            offers = rows_of(connection, OFFERS_SHOWN, [[one["creative_id"] for one in item["creatives"] or []]])
            lines = [f"**{item['rule_id'] or item['kind']}** {item['statement'] or ''}", f"*{item['cite'] or ''}*", ""]
            lines += [f"- {fact['name']} = {fact['value']} ({fact['observed_at'] or 'no feed of its own'})" for fact in facts]
            lines += [
                f"- {one['offer_id']} v{one['version']} {one['channel']} {one['locale']}: {one['title']}" for one in offers
            ]
            about = item["person_id"] or f"{item['offer_id']} v{item['offer_version']}"
            subject = f"{item['kind']}: {about}, due {waits['due_at']:%Y-%m-%d %H:%M} UTC"
            if waits["status"] != "waits":
                subject = f"{waits['status']} of {subject}"
            made.append(
                {
                    "item_id": item["item_id"],
                    "is_drawn": waits["status"] in (readings.SECOND, readings.AGAIN),
                    "shown_at": f"{at:%Y-%m-%dT%H:%M:%SZ}",
                    "subject": subject,
                    "body": "\n".join(lines),
                }
            )
    return made


def record(
    asked: list[dict[str, Any]], answers: list[dict[str, Any]], role: str, settings: Settings | None = None
) -> dict[str, Any]:
    """What became of answers to `questions`, in the same order: {recorded, later, refused: [why]}. A refusal stops no other answer."""
    from candor.runs import parse_as_of
    from candor.settings import load as load_settings

    settings = settings or load_settings()
    recorded, later, refused = 0, 0, []
    reviewers = reviewing_of(settings).reviewers
    known: dict[str, list[Verdict]] = {}
    for one in said.read(settings)[0]:
        known.setdefault(one.item_id, []).append(one)
    for question, answer in zip(asked, answers, strict=True):
        (verdict,) = answer["chosen_options"]
        by = answer.get("responded_by_user")
        if verdict == "later" or by is None:
            later += 1
            continue
        at = answer["responded_at"]
        at = parse_as_of(at) if isinstance(at, str) else at.astimezone(UTC)
        reviewer = Reviewer(str(by["name"]), role)
        try:
            if reviewers is not None and role not in reviewers.get(reviewer.name, ()):
                raise UsageError(
                    f"{reviewer.name} may not answer for {role}",
                    hint="reviewers of policy/review.yml says which login answers for which role",
                )
            if question.get("is_drawn") and reviewer.name in {one.reviewer for one in known.get(question["item_id"], [])}:
                raise UsageError(
                    "whoever decided an item does not read it a second time", hint="somebody else of the role answers"
                )
            said.append_opened(settings, question["item_id"], reviewer.name, parse_as_of(question["shown_at"]))
            decide(settings, question["item_id"], reviewer, verdict, _reason(answer), at)
            recorded += 1
        except UsageError as error:
            refused.append(f"{question['item_id']} by {reviewer.name}: {error}")
    return {"recorded": recorded, "later": later, "refused": refused}


def _reason(answer: dict[str, Any]) -> str:
    given = (answer.get("params_input") or {}).get("reason", "")
    return str(given.get("value", "") if isinstance(given, dict) else given)
