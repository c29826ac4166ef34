"""Kill switches: an offer, product line, channel, market or segment that nobody may be shown, from an instant on.

Two places say so. `policy/kill_switches.yml` is reviewed like all policy. `candor kill` cannot wait for a review: it appends to
`<state>/kill_switches.jsonl`, and writes the suppression into the serving store at once. The file is in the state folder and not in the
warehouse, which a daily run keeps locked, and not in the serving store alone, because the run and its audit must know of a switch without it
and a new store must get it again. What is appended is never changed: a lift is a line of its own.

A switch holds for a run when it holds at the run's `as_of`, so a rerun of an earlier day decides as it did.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from candor.errors import CandorError, UsageError
from candor.policy.kill_switches import SCOPE, KillSwitch, read_file
from candor.publishing import store
from candor.warehouse import instant_text

if TYPE_CHECKING:
    from candor.settings import Settings

FILE = "kill_switches.jsonl"
REASON_KIND = "kill_switch"


def appended(state_dir: Path) -> list[KillSwitch]:
    """The switches that `candor kill` recorded, with what was lifted ended. Raises CandorError naming a line that nobody can read."""
    file = state_dir / FILE
    if not file.is_file():
        return []
    switches: dict[str, KillSwitch] = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        try:
            said = json.loads(line)
            if "lift" in said:
                lifted = switches[said["lift"]]
                switches[said["lift"]] = replace(lifted, until=_instant(said["until"]))
            else:
                scope = {name: said.get(name) for name in SCOPE}
                made = KillSwitch(**scope, owner=said["owner"], reason=said["reason"], since=_instant(said["since"]),
                                  until=_instant(said["until"]) if said.get("until") else None)  # fmt: skip
                switches[made.switch_id] = made
        except (ValueError, KeyError, TypeError) as error:
            raise CandorError(
                f"{file}, line {number} is no kill switch: {line!r} ({error})",
                hint="restore the line from a backup; without it an offer that was killed could be shown again",
            ) from error
    return list(switches.values())


def all_of(settings: Settings, of_policy: Iterable[KillSwitch]) -> list[KillSwitch]:
    """Those of the policy and those of `candor kill`, by id. One that is in both places holds as long as either says."""
    found = {switch.switch_id: switch for switch in of_policy}
    for switch in appended(settings.state_dir):
        other = found.get(switch.switch_id, switch)
        ends = [each.until for each in (switch, other) if each.until is not None]
        found[switch.switch_id] = replace(switch, until=max(ends) if len(ends) == 2 else None)
    return [found[name] for name in sorted(found)]


def kill(switch: KillSwitch, settings: Settings) -> dict[str, int]:
    """Record the switch, then hide what it is about from readers; gives the suppressions that say so, and the live offers that went.

    No suppression: the store knows no offer of the product line yet, so only runs to come leave it out.
    """
    if not any(getattr(switch, name) is not None for name in SCOPE):
        raise UsageError(
            "a kill switch is about something", hint="give --offer, --product-line, --channel, --market or --segment"
        )
    if not switch.reason.strip():
        raise UsageError("a kill switch needs a reason", hint='--reason "what happened, who decided"')
    scope = {name: getattr(switch, name) for name in SCOPE if getattr(switch, name) is not None}
    told = {**scope, "owner": switch.owner, "reason": switch.reason, "since": instant_text(switch.since)}
    if switch.until:
        told["until"] = instant_text(switch.until)
    _append(settings, told)
    store.prepare(settings)
    with store.transaction(settings) as serving:
        before = serving.rows("select count(*) from live_offers")[0][0]
        written = suppress(serving, [switch])
        after = serving.rows("select count(*) from live_offers")[0][0]
    return {"suppressions": written, "offers_hidden": int(before - after)}


def lift(switch_id: str, at: datetime, settings: Settings) -> KillSwitch:
    """End a switch that `candor kill` recorded. Raises UsageError when there is none of that id, or it has ended."""
    known = {switch.switch_id: switch for switch in appended(settings.state_dir)}
    standing = ", ".join(
        f"{name} ({switch.about})" for name, switch in known.items() if switch.until is None or switch.until > at
    )
    if switch_id not in known or (known[switch_id].until or at) < at:
        raise UsageError(
            f"no kill switch {switch_id!r} stands",
            hint=f"standing: {standing or 'none'}; those of policy/kill_switches.yml are ended there, by their until",
        )
    _append(settings, {"lift": switch_id, "until": instant_text(at)})
    lifted = replace(known[switch_id], until=at)
    store.prepare(settings)
    with store.transaction(settings) as serving:
        suppress(serving, [lifted])
    return lifted


def _append(settings: Settings, content: dict[str, str]) -> None:
    """One line more, on the disk before anything else happens; two at once do not mix."""
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    with (settings.state_dir / FILE).open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        is_torn = not (file.read() or "\n").endswith("\n")  # by a kill in the middle of a line
        file.write(("\n" if is_torn else "") + json.dumps(content, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())


def suppress(serving: store.Store, switches: Iterable[KillSwitch]) -> int:
    """Make the store's suppressions say what the switches say; gives how many rows were added or changed."""
    changed = 0
    for switch in switches:
        offers = [switch.offer_id]
        if switch.product_line is not None:
            of_line = serving.rows("select offer_id from offer_lines where product_line = ? order by 1", (switch.product_line,))
            offers = [offer for (offer,) in of_line if switch.offer_id in (None, offer)]
        for offer in offers:
            changed += _say(serving, switch, offer)
    return changed


def _say(serving: store.Store, switch: KillSwitch, offer: str | None) -> int:
    name = f"{REASON_KIND}|{switch.switch_id}|{offer or ''}"
    since, until = instant_text(switch.since), instant_text(switch.until) if switch.until else None
    if serving.rows("select 1 from suppressions where suppression_id = ? and coalesce(until, '') = ?", (name, until or "")):
        return 0
    serving.execute("delete from suppressions where suppression_id = ?", (name,))
    columns = {"suppression_id": name, "offer_id": offer, "channel": switch.channel, "market": switch.market,
               "segment": switch.segment, "reason_kind": REASON_KIND, "since": since, "until": until,
               "cause": f"{REASON_KIND} {switch.switch_id}"}  # fmt: skip
    given = {column: value for column, value in columns.items() if value is not None}
    serving.execute(
        f"insert into suppressions ({', '.join(given)}) values ({', '.join('?' for _ in given)})", tuple(given.values())
    )
    return 1


def apply(settings: Settings, as_of: datetime) -> dict[str, int]:
    """Bring the store to what both places say now; gives how many suppressions were added or changed, and how many ended.

    A switch that is in neither place any more ends at `as_of`. Raises PolicyError, after the appended ones were applied, when the policy's
    file does not read.
    """
    mine = appended(settings.state_dir)
    store.prepare(settings)
    with store.transaction(settings) as serving:
        changed = suppress(serving, mine)
    switches = all_of(settings, read_file(settings.policy_dir))
    causes = {f"{REASON_KIND} {switch.switch_id}" for switch in switches}
    with store.transaction(settings) as serving:
        changed += suppress(serving, switches)
        standing = serving.rows(
            "select distinct cause from suppressions where reason_kind = ? and until is null", (REASON_KIND,)
        )
        gone = sorted(cause for (cause,) in standing if cause not in causes)
        for cause in gone:
            serving.execute(
                "update suppressions set until = case when since > ? then since else ? end where cause = ? and until is null",
                (instant_text(as_of), instant_text(as_of), cause),
            )
    return {"kill_switches": len(switches), "kill_switches_changed": changed, "kill_switches_ended": len(gone)}


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text.replace("Z", "+00:00"))
    if instant.tzinfo is None:
        raise ValueError(f"an instant without a zone: {text}")
    return instant.astimezone(UTC)
