"""What a user agent says about who sent it: a person's browser, an app, a declared robot. Each distinct agent is judged once, the answer kept.

Measured on public lists by `python -m benchmarks.bot_agents`: which rule finds how many robots, and how many of 10,000 real people it takes for one.
"""

from __future__ import annotations

import functools
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from candor import runs
from candor import settings as settings_module
from candor.standardise import answers
from candor.warehouse import connect, one_row

if TYPE_CHECKING:
    import duckdb

    from candor.settings import Settings

TABLE = "state.user_agents"
COLUMNS = {
    "user_agent": "varchar not null", "is_declared": "boolean not null", "is_headless": "boolean not null",
    "is_no_browser": "boolean not null", "rule": "varchar", "said_by": "varchar not null",
}  # fmt: skip
# Raised when a rule below changes: answers given under other rules, or by another version of the list, are asked for again.
RULES = "1"
# Longer agents are cut: browsers stay under 400 characters, and what fills kilobytes is an attack on whoever parses it.
LONGEST = 1_000

# Robots, tools and monitors by the words they put into their own agent. Cubot makes telephones.
WORDS = re.compile(
    r"(?<!cu)bot(?:\b|/)|[^a-z]bot|crawl|spider|slurp|scrap|fetch|archiv|monitor|uptime|pingdom|lighthouse|scan|check|preview|prober|"
    r"validator|feed|rss\b|synthetic|observatory|inspect|page ?speed|page ?analy|python-|python/|aiohttp|httpx|curl/|wget/|"
    r"libwww|lwp|java/|go-http-client|node-fetch|axios/|postman|mediapartners|whatsapp/|dataprovider|nutch|http-?client|"
    r"[ (;+]google-|facebookexternal"
)
# Browsers without anybody in front of them, by what the tools that drive them leave in the agent.
HEADLESS = re.compile(
    r"headless|phantomjs|slimerjs|puppeteer|playwright|selenium|webdriver|electron/.*nightmare|cypress|htmlunit|splash "
)
# The manners of robots: an address under which their owner can be reached. No browser gives one.
CONTACT = re.compile(
    r"https?:|www\.|[\w.+-]+(?:@|\[at\]|\(at\)| at )[\w-]+\.[a-z]{2,}|(?<!\bcom)\.(?:com|net|org|io|html|php)\b"
)
# "Mozilla/5.0 (compatible; Name/1.0)" is how robots introduce themselves; of people only those with an old Internet Explorer or Konqueror.
COMPATIBLE = re.compile(r"compatible(?!; (?:msie \d|konqueror))")
# How browsers begin, phones from before smartphones and text browsers included.
BROWSER = re.compile(
    r"mozilla/[45]\.0 \(|opera/\d|ucweb/\d|blackberry\d|nokia|sonyericsson|samsung-|lg[-/]|mot-|lynx/|links |w3m/|elinks"
)
# What apps are built from speaks for the shop's own app until it turns up on the website.
APP_LIBRARIES = re.compile(r"(?:okhttp/[1-9]|dalvik/|alamofire|dart/|ktor|volley|reactnative|expo/)|[^ ]+ cfnetwork/")


class Verdict(NamedTuple):
    """What an agent says; `rule` names what said so, and is null for a person's browser."""

    is_declared: bool
    is_headless: bool
    is_no_browser: bool
    rule: str | None


def run(as_of: datetime, settings: Settings | None = None) -> dict[str, Any]:
    """Counts of user agents asked anew and known, for the run of `as_of`. To be called before the core layer is built."""
    settings = settings or settings_module.load()
    with connect(settings) as connection:
        runs.current(connection, as_of)
        asked = refresh(connection)
        known = one_row(connection, f"select count(*), count(*) filter (where is_declared or is_headless) from {TABLE}")
    return {"user_agents_asked": asked, "user_agents_known": known[0], "user_agents_of_robots": known[1]}


def refresh(connection: duckdb.DuckDBPyConnection) -> int:
    """How many distinct user agents of the events were new; each now has its row in state.user_agents. A rerun asks nothing."""
    connection.execute(table_ddl())
    said_by = version()
    connection.execute(f"delete from {TABLE} where said_by <> ?", [said_by])
    return answers.keep(
        connection,
        TABLE,
        COLUMNS,
        "select user_agent from (select distinct user_agent from staging.stg_events__events where user_agent is not null) as agents"
        f" anti join {TABLE} using (user_agent)",
        lambda asked: [(*judge(agent), said_by) for (agent,) in asked],
    )


def table_ddl() -> str:
    """Statements that make the table of answers when it is missing."""
    return answers.table_ddl(TABLE, COLUMNS)


def version() -> str:
    """Which rules and which list of crawlers judge."""
    from importlib.metadata import version as installed

    return f"rules {RULES}, crawler-user-agents {installed('crawler-user-agents')}"


def judge(agent: str) -> Verdict:
    """What a user agent says about who sent it, from its text alone.

    A robot that pretends to be a browser is not found here but by what it does (dbt_project/models/core). `is_no_browser` says nothing
    about an app; on the website nobody's browser looks like that.
    """
    text = agent[:LONGEST].lower()
    is_headless = HEADLESS.search(text) is not None
    is_no_browser = BROWSER.match(text.lstrip()) is None
    rule = "headless" if is_headless else None
    is_declared = False
    if not APP_LIBRARIES.match(text):
        for name, said in (("words", WORDS), ("contact", CONTACT), ("compatible", COMPATIBLE)):
            if said.search(text) is not None:
                is_declared, rule = True, rule or name
                break
        else:
            if is_listed(agent[:LONGEST]):
                is_declared, rule = True, rule or "listed"
    return Verdict(is_declared, is_headless, is_no_browser, rule or ("no_browser" if is_no_browser else None))


def is_listed(agent: str) -> bool:
    """Whether the public list of crawlers has a pattern for it."""
    return _patterns().search(agent) is not None


@functools.cache
def _patterns() -> re.Pattern[str]:
    """The patterns of the public list (MIT, monperrus/crawler-user-agents) as one."""
    import crawleruseragents

    return re.compile("|".join(f"(?:{entry['pattern']})" for entry in crawleruseragents.CRAWLER_USER_AGENTS_DATA))
