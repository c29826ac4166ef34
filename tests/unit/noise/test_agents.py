"""What a user agent says: people are never taken for robots, robots are found by name, by manners or by form."""

from __future__ import annotations

import csv
import gzip

import duckdb
import pytest

from benchmarks import bot_agents
from candor import agents

CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0"
PEOPLE = [
    pytest.param(f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME} Safari/537.36", id="chrome"),
    pytest.param(
        f"Mozilla/5.0 (Linux; Android 12; CUBOT NOTE 20 PRO) {CHROME} Mobile Safari/537.36", id="a_phone_made_by_cubot"
    ),
    pytest.param("Mozilla/5.0 (compatible; MSIE 10.0; Windows NT 6.2; Trident/6.0)", id="internet_explorer_says_compatible"),
    pytest.param("Opera/9.80 (Android; Opera Mini/36.2/191.256; U; en) Presto/2.12.423 Version/12.16", id="opera_mini"),
    pytest.param(
        f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_6) {CHROME} [FBAN/FBIOS;FBAV/480.0.0.45.109;FBBV/650]", id="inside_facebook"
    ),
    pytest.param(
        f"Mozilla/5.0 (Linux; Android 10; wv) {CHROME} GSA/12.1 com.google.android", id="a_package_name_is_no_address"
    ),
    pytest.param("NokiaC3-00/5.0 (08.63) Profile/MIDP-2.1 Configuration/CLDC-1.1", id="a_phone_from_before_smartphones"),
]
ROBOTS = [
    pytest.param("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "words", id="by_name"),
    pytest.param("python-requests/2.32.3", "words", id="a_tool"),
    pytest.param("Mozilla/5.0 (X11; Linux x86_64) Chrome/59.0 Safari/537.36; +collection@infegy.example.com", "contact", id="gives_an_address"),
    pytest.param("Mozilla/5.0 (compatible; Optimizer)", "compatible", id="introduces_itself_as_robots_do"),
    pytest.param("Mozilla/5.0 (X11; Linux x86_64) Chrome/117.0.0.0 Safari/537.36 GTmetrix", "listed", id="only_the_list_knows_it"),
]  # fmt: skip


@pytest.mark.parametrize("agent", PEOPLE)
def test_a_persons_browser_is_left_alone(agent: str) -> None:
    assert agents.judge(agent) == agents.Verdict(is_declared=False, is_headless=False, is_no_browser=False, rule=None)


@pytest.mark.parametrize(("agent", "rule"), ROBOTS)
def test_a_robot_is_found_and_the_rule_that_found_it_is_said(agent: str, rule: str) -> None:
    verdict = agents.judge(agent)
    assert verdict.is_declared
    assert verdict.rule == rule


def test_a_browser_that_a_tool_drives_is_headless() -> None:
    verdict = agents.judge(
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/119.0 Safari/537.36"
    )
    assert verdict.is_headless
    assert verdict.rule == "headless"


@pytest.mark.parametrize(
    "agent", ["ShopApp/6.2 (iOS 17.6)", "okhttp/4.12.0", "Dart/3.4 (dart:io)", "Shop/87 CFNetwork/1494.0.7 Darwin/23.4.0"]
)
def test_an_app_is_no_robot_and_no_browser(agent: str) -> None:
    verdict = agents.judge(agent)
    assert (verdict.is_declared, verdict.is_no_browser, verdict.rule) == (False, True, "no_browser")


def test_an_endless_agent_is_judged_by_its_first_thousand_characters() -> None:
    assert agents.judge("Mozilla/5.0 (" + "x" * agents.LONGEST + " crawler").rule is None


def test_of_ten_thousand_real_devices_none_is_taken_for_a_robot() -> None:
    path = bot_agents.DATA / "human_user_agents_weighted.csv.gz"
    if not path.is_file():
        pytest.skip(f"SKIPPED: the public user agents are not at {path}")
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        people = {row["userAgent"] for row in csv.DictReader(file)}
    assert len(people) > 500
    assert [agent for agent in people if agents.judge(agent).rule is not None] == []


def test_each_agent_is_asked_once_and_again_when_the_rules_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = duckdb.connect(":memory:")
    connection.execute("create schema staging; create table staging.stg_events__events (user_agent varchar)")
    connection.execute("insert into staging.stg_events__events values ('curl/8.9.1'), ('curl/8.9.1'), ('ShopApp/6.2'), (null)")
    assert agents.refresh(connection) == 2
    assert agents.refresh(connection) == 0
    connection.execute("insert into staging.stg_events__events values ('Shop 3')")
    assert agents.refresh(connection) == 1
    monkeypatch.setattr(agents, "RULES", "another")
    assert agents.refresh(connection) == 3
    kept = connection.execute("select user_agent, is_declared, is_no_browser from state.user_agents order by 1").fetchall()
    assert kept == [("Shop 3", False, True), ("ShopApp/6.2", False, True), ("curl/8.9.1", True, True)]
