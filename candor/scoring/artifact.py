"""A model as a folder of text files: boosters, calibration, features and category codes, named by the hash of their bytes.

`model.json` says how the files make two probabilities of the outcome: with the offer shown, and with it held out.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from candor.errors import CandorError

if TYPE_CHECKING:
    import lightgbm
    import numpy as np
    import pyarrow as pa

SCHEMA = "candor-offer-model/1"
LEARNERS = {
    "s": ("both",),  # one booster; is_exposed is its last input
    "t": ("held_out", "shown"),  # one booster per arm
    "shown": ("shown",),  # for outcomes that need the offer: 0 without it, by definition
    "offset": ("held_out", "effect"),  # the held-out arm's booster, and what being shown adds to its margin
}
EXPOSED = "is_exposed"
ARMS = ("held_out", "shown")
ZERO = 1.0000000180025095e-35  # up to which LightGBM takes a number for nought: 1e-35 as a float of 32 bits


class ArtifactError(CandorError):
    """A model's files are not what its version says, or do not fit the data."""


@dataclass(frozen=True)
class Feature:
    """One input of a model: its name, where scoring reads it, and how it becomes a number."""

    name: str
    source: str  # person, line, offer or opportunity
    kind: str  # number or category
    absent: float | None = None
    categories: tuple[str, ...] = ()

    def sql(self, relation: str) -> str:
        """The column of `relation` as DOUBLE: categories by their place in the list, unknown ones as missing."""
        column = f'{relation}."{self.name}"'
        if self.kind == "category":
            listed = ", ".join("'" + value.replace("'", "''") + "'" for value in self.categories)
            return f'(list_position([{listed}]::varchar[], {column}) - 1)::double as "{self.name}"'
        number = f"{column}::double"
        if self.absent is not None:
            number = f"coalesce({number}, {float(self.absent)})"
        return f'{number} as "{self.name}"'


@dataclass(frozen=True)
class Model:
    """A fitted model that can predict."""

    learner: str
    features: tuple[Feature, ...]
    boosters: dict[str, lightgbm.Booster]
    calibration: dict[str, dict[str, float]]
    about: dict[str, Any]
    version: str = ""

    @property
    def names(self) -> list[str]:
        return [feature.name for feature in self.features]

    def margins(self, table: pa.Table) -> dict[str, np.ndarray]:
        """Uncalibrated log-odds per arm. Raises ArtifactError when the columns are not exactly the model's, in its order."""
        import numpy as np

        check_columns(table.schema, self.names)

        def raw(role: str, rows: pa.Table) -> np.ndarray:
            return np.asarray(self.boosters[role].predict(rows, raw_score=True))

        if self.learner == "s":
            return {arm: raw("both", with_exposed(table, float(arm == "shown"))) for arm in ARMS}
        if self.learner == "shown":
            return {"held_out": np.full(table.num_rows, -np.inf), "shown": raw("shown", table)}
        held_out = raw("held_out", table)
        if self.learner == "t":
            return {"held_out": held_out, "shown": raw("shown", table)}
        return {"held_out": held_out, "shown": held_out + raw("effect", table)}

    def predict(self, table: pa.Table) -> dict[str, np.ndarray]:
        """Calibrated probability of the outcome per arm, in the rows' order."""
        return {arm: calibrate(margin, self.calibration[arm]) for arm, margin in self.margins(table).items()}

    @cached_property
    def thresholds(self) -> dict[str, np.ndarray | None]:
        """Of each feature that some split reads, the numbers it is compared with, ascending; None for one that is read as a category."""
        import numpy as np

        found: dict[str, set[float] | None] = {}
        for booster in self.boosters.values():
            names = booster.feature_name()
            nodes = [tree["tree_structure"] for tree in booster.dump_model()["tree_info"]]
            while nodes:
                node = nodes.pop()
                if "split_feature" not in node:
                    continue
                name = names[node["split_feature"]]
                known = found.setdefault(name, set())
                if node["decision_type"] != "<=":
                    found[name] = None
                elif known is not None:
                    known.add(float(node["threshold"]))
                nodes += [node["left_child"], node["right_child"]]
        return {name: None if cuts is None else np.array(sorted(cuts)) for name, cuts in found.items()}

    def tells_apart(self, name: str, values: np.ndarray, other: float) -> np.ndarray:
        """Per value whether a split may send it another way than `other`; where none does, the prediction is the same to the last bit."""
        import numpy as np

        if name not in self.thresholds:
            return np.zeros(values.size, dtype=bool)
        cuts = self.thresholds[name]
        if cuts is None:
            return (values != other) & ~(np.isnan(values) & np.isnan(other))
        # What is missing or nought may have a way of its own at a split.
        is_apart = np.searchsorted(cuts, values) != np.searchsorted(cuts, other)
        is_apart |= (np.abs(values) <= ZERO) != (abs(other) <= ZERO)
        return np.where(np.isnan(values) | np.isnan(other), np.isnan(values) != np.isnan(other), is_apart)


def calibrate(margin: np.ndarray, coefficients: dict[str, float]) -> np.ndarray:
    """Platt scaling: strictly increasing in the margin, because the slope is above 0."""
    import numpy as np

    return 1.0 / (1.0 + np.exp(-(coefficients["intercept"] + coefficients["slope"] * margin)))


def check_columns(schema: pa.Schema, names: list[str]) -> None:
    """Raise ArtifactError unless the columns are `names`, in that order, all double.

    LightGBM itself silently gives other scores for the same columns in another order.
    """
    import pyarrow as pa

    if schema.names != names:
        missing = [name for name in names if name not in schema.names]
        unknown = [name for name in schema.names if name not in names]
        swapped = [f"{want} <> {got}" for want, got in zip(names, schema.names, strict=False) if want != got]
        what = (
            f"missing {', '.join(missing) or 'none'}; unknown {', '.join(unknown) or 'none'}"
            if missing or unknown
            else f"in another order (first: {swapped[0]})"
            if swapped
            else "some appear twice"
        )
        raise ArtifactError(f"the columns are not the model's: {what}", hint="select them by the model's own list of features")
    wrong = [f"{field.name} {field.type}" for field in schema if field.type != pa.float64()]
    if wrong:
        raise ArtifactError(
            f"columns that are not double: {', '.join(wrong)}",
            hint="cast them: LightGBM ends the whole process on Arrow decimals, strings and dates",
        )


def with_exposed(table: pa.Table, exposed: float | np.ndarray) -> pa.Table:
    """The table with is_exposed, one value for all rows or one for each, appended as its last column."""
    import numpy as np
    import pyarrow as pa

    return table.append_column(EXPOSED, pa.array(np.broadcast_to(np.asarray(exposed, dtype=float), table.num_rows)))


def save(model: Model, folder: Path) -> str:
    """Write the model's files into `folder` and give its version, the hash of their bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    for role in LEARNERS[model.learner]:
        (folder / f"booster_{role}.txt").write_text(_portable_text(model.boosters[role]), encoding="utf-8")
    content = {
        "schema": SCHEMA,
        "learner": model.learner,
        "features": [
            {"name": f.name, "source": f.source, "kind": f.kind, "absent": f.absent, "categories": list(f.categories)}
            for f in model.features
        ],
        "calibration": model.calibration,
        "about": model.about,
    }
    (folder / "model.json").write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return version_of(folder)


def _portable_text(booster: lightgbm.Booster) -> str:
    # The number of threads is the machine's business and must not change the version of an equal model.
    return re.sub(r"\[num_threads: \d+\]", "[num_threads: 0]", booster.model_to_string())


def version_of(folder: Path) -> str:
    """sha256 over the model's files: each name, length and bytes, in order of name. Other files in the folder do not count."""
    names = sorted(path.name for path in folder.iterdir() if path.name == "model.json" or path.name.startswith("booster_"))
    digest = hashlib.sha256()
    for name in names:
        content = (folder / name).read_bytes()
        digest.update(f"{name}\n{len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def load(folder: Path, *, version: str | None = None) -> Model:
    """The model in `folder`; with `version`, only if its bytes still have that hash.

    Raises ArtifactError for a changed or incomplete folder.
    """
    import lightgbm

    if not (folder / "model.json").is_file():
        raise ArtifactError(f"no model.json in {folder.name}", hint="the artifact is incomplete; train again")
    found = version_of(folder)
    if version is not None and found != version:
        raise ArtifactError(
            f"the files of model {version[:12]} have the hash {found[:12]}: they were changed after training",
            hint="nothing was scored; restore the artifact from MLflow's store, or train and promote again",
        )
    content = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    if content.get("schema") != SCHEMA or content.get("learner") not in LEARNERS:
        raise ArtifactError(
            f"model.json has schema {content.get('schema')!r}, learner {content.get('learner')!r}", hint="train again"
        )
    missing = [role for role in LEARNERS[content["learner"]] if not (folder / f"booster_{role}.txt").is_file()]
    if missing:
        raise ArtifactError(f"boosters missing: {', '.join(missing)}", hint="the artifact is incomplete; train again")
    features = tuple(
        Feature(f["name"], f["source"], f["kind"], f["absent"], tuple(f["categories"])) for f in content["features"]
    )
    boosters = {role: lightgbm.Booster(model_file=str(folder / f"booster_{role}.txt")) for role in LEARNERS[content["learner"]]}
    for role, booster in boosters.items():
        expected = [f.name for f in features] + ([EXPOSED] if role == "both" else [])
        if booster.feature_name() != expected:
            raise ArtifactError(f"booster {role} was fitted on other columns than model.json lists", hint="train again")
    slopes = [
        arm
        for arm in ARMS
        if not (content["calibration"][arm]["slope"] > 0 and math.isfinite(content["calibration"][arm]["slope"]))
    ]
    if slopes:
        raise ArtifactError(f"calibration does not increase for {', '.join(slopes)}", hint="train again")
    return Model(content["learner"], features, boosters, content["calibration"], content["about"], found)
