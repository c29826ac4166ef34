"""Whether what the shop says of its offers may be said: the catalogue lint.

The words of creatives are held against policy/brand.yml, and offers must say what they stand for and whom they are (not) for. What is found
becomes facts of rules BRD-003 and BRD-004, so no offer is served with it; `candor catalogue lint` quotes the words and their place.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from candor import runs
from candor import settings as settings_module
from candor.catalogue.linting import FINDINGS, findings
from candor.warehouse import connect

if TYPE_CHECKING:
    from candor.settings import Settings

__all__ = ["FINDINGS", "findings", "run"]


def run(as_of: datetime, settings: Settings | None = None) -> dict[str, Any]:
    """What the lint found in the catalogue of the run, kept in policy.creative_findings: {creatives_linted, catalogue_findings, by_finding}.

    To be called before eligibility is built.
    """
    from candor import policy

    settings = settings or settings_module.load()
    with connect(settings) as connection:
        current = runs.current(connection, as_of)
        brand = policy.for_run(settings, current).brand
        query = findings(brand, creatives="staging.stg_catalogue__creatives", offers="staging.stg_catalogue__offers")
        connection.execute(f"create or replace table policy.creative_findings as {query}")
        (linted,) = connection.execute("select count(*) from staging.stg_catalogue__creatives").fetchall()[0]
        by_kind = dict(
            connection.execute(
                "select finding, count(*) from policy.creative_findings group by finding order by finding"
            ).fetchall()
        )
    return {"creatives_linted": linted, "catalogue_findings": sum(by_kind.values()), "by_finding": by_kind}
