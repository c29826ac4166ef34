"""Who of the people shown something was erased before and came back, from the hashed contacts that each erasure left.

Nothing that the run derived of them is read: the identifiers of each person are hashed again and looked up in the record itself.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

    from candor.settings import Settings

CAME_BACK = """
select distinct known.person_id
from known
semi join erased
    on erased.identifier_kind = known.identifier_kind
    and erased.identifier_hash = keyed_hash(known.identifier_kind || '|' || known.identifier)
order by 1
"""


def came_back(identifiers: pl.DataFrame, contacts: pl.DataFrame, settings: Settings, as_of: datetime) -> pl.DataFrame:
    """(person_id) of those with a contact on record by `as_of` (naive UTC), over weak links as well: a restriction passes them."""
    import polars as pl

    from candor import hashing, warehouse

    erased = contacts.filter(pl.col("since") <= as_of)
    nobody = pl.DataFrame(schema={"person_id": pl.String})
    if erased.is_empty() or identifiers.is_empty():
        return nobody
    kinds = erased["identifier_kind"].unique()
    with warehouse.scratch(settings) as connection:
        hashing.install(connection, settings)
        connection.register("known", identifiers.filter(pl.col("identifier_kind").is_in(kinds.implode())).to_arrow())
        connection.register("erased", erased.select("identifier_kind", "identifier_hash").to_arrow())
        found = pl.from_arrow(connection.execute(CAME_BACK).to_arrow_table())
    assert isinstance(found, pl.DataFrame)
    return nobody if found.is_empty() else found
