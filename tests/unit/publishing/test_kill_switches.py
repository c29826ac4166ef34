"""Kill switches: at once in the store, for good in the state, and never again in a run until they are lifted."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from candor import kill_switches, policy, publishing, revocations, runs, settings, warehouse
from candor.audit import killed
from candor.errors import CandorError, PolicyError, UsageError
from candor.kill_switches import KillSwitch
from candor.policy import store as policy_store
from candor.policy.loading import load
from candor.settings import PROJECT_ROOT

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
LATER = datetime(2098, 1, 1, tzinfo=UTC)


def switch(since=LONG_AGO, until=None, **scope):
    named = {name: scope.get(name) for name in kill_switches.SCOPE}
    return KillSwitch(**named, owner="compliance", reason="wrong risk text", since=since, until=until)


@pytest.fixture
def live_shop(shop, monday):
    shop.stage(monday)
    publishing.run(monday, shop.settings)
    return shop


@pytest.mark.parametrize(
    ("scope", "hidden"),
    [
        pytest.param({"offer_id": "offer1"}, 4, id="an_offer"),
        pytest.param({"offer_id": "offer1", "channel": "web"}, 4, id="an_offer_in_its_channel"),
        pytest.param({"offer_id": "offer1", "channel": "email"}, 0, id="an_offer_in_another_channel"),
        pytest.param({"market": "GB"}, 8, id="a_market"),
        pytest.param({"segment": "other"}, 0, id="another_segment"),
        pytest.param({"channel": "web", "segment": "s"}, 8, id="a_segment_in_a_channel"),
        pytest.param({"product_line": "spot"}, 8, id="a_product_line"),
        pytest.param({"product_line": "spot", "offer_id": "offer2"}, 4, id="an_offer_of_its_line"),
        pytest.param({"product_line": "staking"}, 0, id="another_line"),
    ],
)
def test_a_kill_is_effective_at_once_and_a_lift_undoes_it(live_shop, scope, hidden):
    made = switch(**scope)
    assert kill_switches.kill(made, live_shop.settings)["offers_hidden"] == hidden
    assert sum(live_shop.live().values()) == 8 - hidden
    lifted = kill_switches.lift(made.switch_id, datetime.now(UTC) - timedelta(seconds=1), live_shop.settings)
    assert lifted.about == made.about
    assert sum(live_shop.live().values()) == 8
    with pytest.raises(UsageError, match="no kill switch"):
        kill_switches.lift(made.switch_id, datetime.now(UTC), live_shop.settings)


def test_a_switch_outlives_the_next_run_and_a_new_store(live_shop, tuesday, tmp_path, make_store):
    kill_switches.kill(switch(offer_id="offer1"), live_shop.settings)
    live_shop.stage(tuesday)
    assert publishing.run(tuesday, live_shop.settings)["suppressions_ended"] == 0
    assert set(live_shop.live().values()) == {1}
    (tmp_path / "new").mkdir()
    live_shop.settings = dataclasses.replace(live_shop.settings, serving_url=make_store(tmp_path / "new"))
    publishing.run(tuesday, live_shop.settings)
    assert set(live_shop.live().values()) == {2}
    assert revocations.run(tuesday, live_shop.settings)["kill_switches_changed"] == 1
    assert set(live_shop.live().values()) == {1}
    assert revocations.run(tuesday, live_shop.settings)["kill_switches_changed"] == 0


def policy_folder(tmp_path, *lines):
    folder = tmp_path / "policy"
    shutil.copytree(PROJECT_ROOT / "policy", folder, dirs_exist_ok=True)
    listed = "".join(f"\n- {line}" for line in lines) or " []"
    (folder / "kill_switches.yml").write_text(f"schema: kill-switches/1\nkill_switches:{listed}\n", encoding="utf-8")
    return folder


GOOD = '{offer_id: offer1, channel: web, owner: compliance, reason: "wrong text", since: 2020-01-01T00:00:00Z, until: 2098-01-01T00:00:00Z}'


def test_the_policys_switches_are_applied_by_revoke_and_end_when_they_are_taken_out(live_shop, tmp_path, monday):
    live_shop.settings = dataclasses.replace(live_shop.settings, policy_dir=policy_folder(tmp_path / "p", GOOD))
    assert revocations.run(monday, live_shop.settings)["kill_switches"] == 1
    assert set(live_shop.live().values()) == {1}
    policy_folder(tmp_path / "p")
    assert revocations.run(monday, live_shop.settings)["kill_switches_ended"] == 0  # its own end is told already
    policy_folder(tmp_path / "p", GOOD.replace(", until: 2098-01-01T00:00:00Z", ""))
    revocations.run(monday, live_shop.settings)
    policy_folder(tmp_path / "p")
    assert revocations.run(datetime.now(UTC) - timedelta(seconds=1), live_shop.settings)["kill_switches_ended"] == 1
    assert set(live_shop.live().values()) == {2}


def test_a_policy_file_that_does_not_read_keeps_no_recorded_switch_and_no_withdrawal_back(live_shop, tmp_path, monday):
    kill_switches._append(
        live_shop.settings, {"offer_id": "offer1", "owner": "o", "reason": "r", "since": "2020-01-01T00:00:00Z"}
    )
    folder = policy_folder(tmp_path / "p", "{offer_id: 7}")
    live_shop.settings = dataclasses.replace(live_shop.settings, policy_dir=folder)
    with pytest.raises(PolicyError, match=r"kill_switches\.yml:3"):
        revocations.run(monday, live_shop.settings)
    assert set(live_shop.live().values()) == {1}


@pytest.mark.parametrize(
    ("since", "until", "holds"),
    [
        pytest.param(-1, None, True, id="since_an_hour"),
        pytest.param(0, None, True, id="from_this_instant"),
        pytest.param(1, None, False, id="from_the_next_hour_on"),
        pytest.param(-2, 0, False, id="until_this_instant"),
        pytest.param(-2, 1, True, id="until_the_next_hour"),
    ],
)
def test_a_run_and_its_audit_know_the_switches_that_hold_at_its_instant(any_shop, tmp_path, monday, since, until, holds):
    """By two readings of both places."""
    hour = timedelta(hours=1)
    ended = f", until: {monday + until * hour:%Y-%m-%dT%H:%M:%SZ}" if until is not None else ""
    line = f'{{market: GB, owner: compliance, reason: "r", since: {monday + since * hour:%Y-%m-%dT%H:%M:%SZ}{ended}}}'
    folder = policy_folder(tmp_path, line)
    given = dataclasses.replace(any_shop.settings, policy_dir=folder)
    made = switch(monday + since * hour, until=None if until is None else monday + until * hour, channel="web", offer_id="o")
    kill_switches.kill(made, given)
    version = policy.snapshot(given)
    with warehouse.connect(given) as connection:
        runs.prepare(connection)
        run = runs.Run(monday, "r1", 1, version, None)
        policy_store.install(connection, given, run)
        found = connection.execute("select market, channel, offer_id from policy.kill_switches order by market").fetchall()
    assert found == ([("GB", None, None), (None, "web", "o")] if holds else [])
    audited = killed.switches(
        given.state_dir / "policy" / version, given.state_dir / kill_switches.FILE, monday.replace(tzinfo=None)
    )
    assert audited == ([{"market": "GB"}, {"offer_id": "o", "channel": "web"}] if holds else [])


def test_a_lift_is_known_to_the_audit(any_shop, monday):
    made = switch(monday - timedelta(hours=2), offer_id="o")
    kill_switches.kill(made, any_shop.settings)
    kill_switches.lift(made.switch_id, monday, any_shop.settings)
    file = any_shop.settings.state_dir / kill_switches.FILE
    before, after = (
        killed.switches(PROJECT_ROOT / "policy", file, (monday + d).replace(tzinfo=None))
        for d in (-timedelta(1) / 24, timedelta(0))
    )
    assert (before, after) == ([{"offer_id": "o"}], [])


WRONG = [
    pytest.param("offer_id: offer1, channel: web, ", "", "must name at least one of offer_id", id="about_nothing"),
    pytest.param("channel: web", "channel: fax", "channel 'fax' is none of", id="unknown_channel"),
    pytest.param("channel: web", "product_line: dogs", "product_line 'dogs' is none of", id="unknown_product_line"),
    pytest.param("owner: compliance", "owner: somebody", "owner 'somebody' is none of", id="unknown_owner"),
    pytest.param("until: 2098", "until: 2019", "until must be after since", id="ends_before_it_begins"),
    pytest.param('reason: "wrong text", ', "", "reason", id="no_reason"),
    pytest.param("since: 2020-01-01T00:00:00Z", "since: monday", "since", id="no_instant"),
]


@pytest.mark.parametrize(("before", "after", "complaint"), WRONG)
def test_a_wrong_switch_is_an_error_with_its_line(tmp_path, before, after, complaint):
    assert before in GOOD
    with pytest.raises(PolicyError, match=rf"kill_switches\.yml:3: .*{complaint}"):
        load(policy_folder(tmp_path, GOOD.replace(before, after)), "crypto")


def test_the_same_switch_twice_is_an_error(tmp_path):
    with pytest.raises(PolicyError, match=r"kill_switches\.yml:4: .*is there twice"):
        load(policy_folder(tmp_path, GOOD, GOOD), "crypto")


def test_a_line_that_nobody_can_read_stops_whoever_needs_it(any_shop):
    kill_switches.kill(switch(offer_id="o"), any_shop.settings)
    file = any_shop.settings.state_dir / kill_switches.FILE
    file.write_text(file.read_text() + json.dumps({"offer_id": "p"}) + "\n")
    with pytest.raises(CandorError, match="line 2 is no kill switch"):
        kill_switches.appended(any_shop.settings.state_dir)


@pytest.mark.parametrize("scope", [{}, {"offer_id": "o", "reason": " "}], ids=["about_nothing", "without_a_reason"])
def test_a_switch_without_scope_or_reason_is_refused_and_not_recorded(any_shop, scope):
    made = switch(**scope)
    if "reason" in scope:
        made = dataclasses.replace(made, reason=scope["reason"])
    with pytest.raises(UsageError):
        kill_switches.kill(made, any_shop.settings)
    assert not (any_shop.settings.state_dir / kill_switches.FILE).exists()


KILLER = """
import os, signal, sys
from datetime import UTC, datetime
from candor import kill_switches, settings
real = kill_switches.suppress
def dying(*arguments):
    real(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
kill_switches.suppress = dying
kill_switches.kill(
    kill_switches.KillSwitch("offer1", None, None, None, None, "o", "r", datetime(2020, 1, 1, tzinfo=UTC)), settings.load()
)
"""


def test_a_kill_command_that_is_killed_itself_is_made_good_by_the_next_revoke(live_shop, monday):
    variables = {**os.environ, **settings.as_variables(live_shop.settings)}
    process = subprocess.run([sys.executable, "-c", KILLER], env=variables, check=False)
    assert process.returncode == -signal.SIGKILL
    assert set(live_shop.live().values()) == {2}
    revocations.run(monday, live_shop.settings)
    assert set(live_shop.live().values()) == {1}
