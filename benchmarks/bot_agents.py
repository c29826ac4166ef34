"""How many robots the rules for user agents find, and how many real people they take for one: `python -m benchmarks.bot_agents`.

Humans: 10,000 device rows with traffic weights. Robots: three public lists and the examples of crawler-user-agents. Judged are the word
list that SQL used before, the public list of patterns alone, and candor.agents on the website and in an app. *Unseen* are the agents
of all lists that no pattern of the public list knows; those of one half (by hash) that were missed were read while the words were
chosen, and some of the other half were glimpsed, so that half is shown by itself. Skips loudly when the data is not there.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

from candor import agents
from candor.settings import PROJECT_ROOT

DATA = PROJECT_ROOT.parent / "shared" / "data" / "bot_user_agents"
# The bar of the issue this was made for: share of real people lost, over people and over their traffic.
MOST_HUMANS = 0.005
# What declared a robot before the list of crawlers was used; kept to be compared with.
OLD_WORDS = re.compile(
    r"bot\b|bot/|[^a-z]bot|crawl|spider|slurp|scrap|fetcher|archiver|monitor|uptime|pingdom|lighthouse|"
    r"python-|python/|aiohttp|httpx|curl/|wget/|libwww|okhttp/0|java/|go-http-client|node-fetch|axios/|postman|"
    r"facebookexternalhit|feedfetcher|mediapartners|bingpreview|whatsapp/|dataprovider|nutch|scrapy|http-?client|"
    r"headless|phantomjs|slimerjs|puppeteer|playwright|selenium|webdriver|electron/.*nightmare|cypress"
)
Judge = Callable[[str], bool]


def in_an_app(agent: str) -> bool:
    """Whether an event with this agent is removed whatever its channel."""
    verdict = agents.judge(agent)
    return verdict.is_declared or verdict.is_headless


def on_the_website(agent: str) -> bool:
    """Whether an event of channel `web` with this agent is removed."""
    return in_an_app(agent) or agents.judge(agent).is_no_browser


def judges() -> dict[str, Judge]:
    """What is compared, by name."""
    return {
        "words alone (before)": lambda agent: OLD_WORDS.search(agent.lower()) is not None,
        "crawler-user-agents alone": agents.is_listed,
        "candor.agents, any channel": in_an_app,
        "candor.agents, website": on_the_website,
    }


def humans(folder: Path) -> tuple[list[str], list[float]]:
    """The agent and the traffic weight of each real device."""
    with gzip.open(folder / "human_user_agents_weighted.csv.gz", "rt", encoding="utf-8", newline="") as file:
        rows = [(row["userAgent"], float(row["weight"])) for row in csv.DictReader(file)]
    return [agent for agent, _ in rows], [weight for _, weight in rows]


def robots(folder: Path) -> dict[str, list[str]]:
    """The distinct agents of each public list, and those of all lists that the crawler list does not know."""
    lists = {
        name: sorted(set(json.loads((folder / f"downloaded_{name}.json").read_text(encoding="utf-8"))))
        for name in ("matomo-org", "monperrus", "ua-parser-js")
    }
    entries = json.loads((folder / "crawler-user-agents.json").read_text(encoding="utf-8"))
    lists["crawler examples"] = sorted({agent for entry in entries for agent in entry.get("instances", [])})
    every = sorted({agent for found in lists.values() for agent in found})
    unseen = [agent for agent in every if not agents.is_listed(agent)]
    lists["all"] = every
    lists["unseen"] = unseen
    lists["unseen, other half"] = [agent for agent in unseen if int(hashlib.md5(agent.encode()).hexdigest(), 16) % 2]
    return lists


def main(arguments: list[str] | None = None) -> int:
    """0 when real people are spared, 1 when more than one in 200 of them (by device or traffic) would be removed; 0 without the data."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bot_agents", description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the agent lists")
    parser.add_argument(
        "--missed", type=int, default=0, metavar="N", help="also print N robots that are not found on the website"
    )
    chosen = parser.parse_args(arguments)
    if not (chosen.data / "human_user_agents_weighted.csv.gz").is_file():
        print(f"SKIPPED: there are no user agents in {chosen.data}; nothing was measured", file=sys.stderr)
        return 0
    people, weights = humans(chosen.data)
    lists = robots(chosen.data)
    print(f"{'':<28}{'humans':>10}{'traffic':>10}" + "".join(f"{name:>24}" for name in lists))
    print(f"{'agents':<28}{len(people):>10,}{'':>10}" + "".join(f"{len(found):>24,}" for found in lists.values()))
    lost = 0.0
    for name, judge in judges().items():
        taken = {agent: judge(agent) for agent in set(people)}
        share = sum(taken[agent] for agent in people) / len(people)
        traffic = sum(weight for agent, weight in zip(people, weights, strict=True) if taken[agent]) / sum(weights)
        recalls = [sum(map(judge, found)) / len(found) for found in lists.values()]
        print(f"{name:<28}{share:>10.4%}{traffic:>10.4%}" + "".join(f"{recall:>24.4f}" for recall in recalls))
        if judge is on_the_website:
            lost = max(share, traffic)
    for agent in [agent for agent in lists["all"] if not on_the_website(agent)][: chosen.missed]:
        print(f"  missed  {agent[:160]}")
    print(f"real people taken for robots on the website: {lost:.4%} (at most {MOST_HUMANS:.2%})")
    return 1 if lost > MOST_HUMANS else 0


if __name__ == "__main__":
    sys.exit(main())
