"""The day of a marked copy, decided again with what the copy leaves out."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from candor import decisions, explanations, identity, scoring
from candor.cleaning import told
from candor.errors import UsageError
from candor.settings import Settings
from candor.transform import build_models
from candor.warehouse import connect

# Whole rows say for which stage somebody is; whether they are a test account is a finding of hygiene, so the reduced rows say that.
TEST_PEOPLE = """
update core.people set is_test = reduced.is_test
from reduced_core.people as reduced
where people.person_id = reduced.person_id
"""


def decide(as_of: datetime, settings: Settings) -> dict[str, Any]:
    """The day of a copy decided again, up to `decisions.staged_offers`: names and counts.

    The original must stand for `as_of` up to its decisions; its champion and arms are used. Raises UsageError when `settings` are not
    those of a copy.
    """
    with connect(settings) as connection:
        if told(connection) is None:
            raise UsageError(f"{settings.state_dir} is no reduced copy", hint="candor.cleaning.copy makes one")
    models = build_models(("path:models/staging", "path:models/identity"), as_of, settings, target="reduced")
    with connect(settings, restricted=True) as connection:
        people = identity.of_standing_pairs(connection, settings, as_of, staging="reduced_staging")
    seen = tuple(
        f"+{name},path:models/{layer}" for name in ("person_features", "person_line_features") for layer in ("core", "features")
    )
    models += build_models(seen, as_of, settings, target="reduced")
    models += build_models(("+people,path:models/core",), as_of, settings, target="open")
    with connect(settings) as connection:
        connection.execute(TEST_PEOPLE)
    models += build_models(("+candidates,path:models/eligibility",), as_of, settings, target="restricted", with_rules=True)
    scored = scoring.run(as_of, settings)
    decisions.run(as_of, settings)
    explanations.run(as_of, settings)
    decided = decisions.stage(as_of, settings)
    return {
        "models_built": models,
        "people": people["people"],
        "candidates": scored["candidates_scored"],
        "offers_staged": decided["offers_staged"],
        "people_with_offers": decided["people_with_offers"],
    }
