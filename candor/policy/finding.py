"""The policy that somebody means by a folder, by a pack alone, or by the version that the state folder remembers."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from candor.errors import PolicyError, UsageError
from candor.policy.reading import Problems, read

if TYPE_CHECKING:
    from candor.settings import Settings


def folder_of(what: str, settings: Settings, *, base: Path, work: Path) -> Path:
    """The whole policy folder that `what` names: a folder, a pack's file, or a version (or its first four hex digits or more).

    A pack's file alone is put in place of the pack of `base`, in a copy made under `work`. Raises UsageError for anything else.
    """
    path = Path(what)
    if path.is_dir():
        return path
    if path.is_file():
        return _with_pack(path, settings.shop, base=base, into=work)
    if re.fullmatch(r"[0-9a-f]{4,16}", what):
        kept = sorted(one for one in (settings.state_dir / "policy").glob(f"{what}*") if one.is_dir())
        if len(kept) == 1:
            return kept[0]
        if kept:
            raise UsageError(
                f"{what} begins several remembered versions: {', '.join(one.name for one in kept)}", hint="give more of it"
            )
    raise UsageError(
        f"{what!r} is no policy folder, no pack and no version that the state folder remembers",
        hint=f"remembered: {', '.join(remembered(settings)) or 'none'}; a folder is one like {settings.policy_dir}",
    )


def remembered(settings: Settings) -> list[str]:
    """The versions of which the state folder keeps a snapshot."""
    return sorted(one.name for one in (settings.state_dir / "policy").glob("[0-9a-f]*") if one.is_dir())


def folder_of_latest_run(settings: Settings) -> Path | None:
    """The snapshot of the policy of the latest run; None when nothing has run. Raises PolicyError when the snapshot is gone."""
    if not settings.warehouse_path.is_file():
        return None
    import duckdb

    try:
        with duckdb.connect() as connection:
            connection.execute(f"attach '{settings.warehouse_path}' as candor (read_only)")
            row = connection.execute(
                "select policy_version, run_id from candor.state.batches order by batch_seq desc limit 1"
            ).fetchone()
    except duckdb.IOException as error:
        raise UsageError(
            f"the warehouse cannot be read while another process writes it: {str(error).splitlines()[0]}",
            hint="wait until the run is through, or name the OLD policy",
        ) from error
    except duckdb.CatalogException:
        return None  # a warehouse in which nothing was pinned yet
    if row is None:
        return None
    kept = settings.state_dir / "policy" / str(row[0])
    if not kept.is_dir():
        raise PolicyError(f"the latest run {row[1]} uses policy {row[0]}, of which there is no snapshot at {kept}",
                          hint="restore the folder from a backup of the state folder, or name the OLD policy")  # fmt: skip
    return kept


def _with_pack(pack: Path, shop: str, *, base: Path, into: Path) -> Path:
    """A copy of `base` in which `pack` stands where the shop's own pack stood."""
    problems = Problems()
    own = read(base / "shops" / f"{shop}.yml", problems)
    if own is None:
        raise PolicyError("\n".join(problems.found), hint=f"a pack alone is read with the other files of {base}")
    made = into / f"with-{pack.stem}"
    for file in sorted(base.rglob("*")):
        if file.suffix in (".yml", ".yaml") and file.is_file():
            target = made / file.relative_to(base)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
    shutil.copyfile(pack, made / str(own.get("pack", "pack.yaml")))
    return made
