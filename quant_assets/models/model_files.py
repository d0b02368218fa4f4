"""What lies in the folder of a model's run: what a night loads, the evidence, and the model as MLflow loads it.

Which run that is, and where its folder lies, is `registry.py`'s business.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import xgboost as xgb

from quant_assets.models.evidence import Evidence
from quant_assets.models.pooled import TrainedModel, importances
from quant_assets.models.tracking import MODEL_FOLDER

BOOSTER = "booster.ubj"
BOOSTER_HASH = "booster.sha256"
MEMBER_FILE = "members.parquet"
BESIDE_FILE = "beside.parquet"
OF_MODEL = (BOOSTER, BOOSTER_HASH, MEMBER_FILE, BESIDE_FILE)
"""What a night loads; the first is always there."""
EVIDENCE_FOLDER = "evidence"
EXAMPLE_ROWS = 5
UNREADABLE = (OSError, xgb.core.XGBoostError, pl.exceptions.PolarsError)
"""What `read` raises of files that are gone or damaged."""


@dataclass(frozen=True)
class StoredModel:
    """A model as a night uses it; `members` is empty for past cut-offs, `files` holds what else was kept with it."""

    run_id: str
    booster: xgb.Booster
    members: tuple[xgb.Booster, ...]
    files: Mapping[str, bytes]


def read(run_id: str, folder: Path) -> StoredModel:
    """The model whose files lie in the folder. Raises UNREADABLE, also where the booster is not what was written: XGBoost itself takes
    damaged trees and dies of them.
    """
    written = folder / BOOSTER_HASH
    if written.exists() and written.read_text() != _hash(folder / BOOSTER):
        raise OSError(f"{BOOSTER} is not what was written")
    booster = xgb.Booster(model_file=folder / BOOSTER)
    members, beside = folder / MEMBER_FILE, folder / BESIDE_FILE
    raw = pl.read_parquet(members)["booster"].to_list() if members.exists() else []
    files = dict(pl.read_parquet(beside).iter_rows()) if beside.exists() else {}
    return StoredModel(run_id, booster, tuple(xgb.Booster(model_file=bytearray(one)) for one in raw), files)


def write(model: TrainedModel, folder: Path, *, files: Mapping[str, bytes]) -> None:
    """Writes a model and, where there is evidence, that with its pictures, which take a second to draw, and the model as MLflow loads it.

    Parameters
    ----------
    files : by name, kept with the model: `StoredModel.files`.
    """
    _write_model(model, folder)
    if files:
        beside = {"name": list(files), "content": list(files.values())}
        pl.DataFrame(beside, schema={"name": pl.String, "content": pl.Binary}).write_parquet(folder / BESIDE_FILE)
    if model.evidence is not None:
        _write_evidence(model.evidence, folder / EVIDENCE_FOLDER)
        _write_flavour(model.booster, model.evidence.values.head(EXAMPLE_ROWS), folder / MODEL_FOLDER)


def _write_model(model: TrainedModel, folder: Path) -> None:
    model.booster.save_model(folder / BOOSTER)
    (folder / BOOSTER_HASH).write_text(_hash(folder / BOOSTER))
    if model.members:
        raw = [bytes(member.save_raw("ubj")) for member in model.members]
        pl.DataFrame({"member": range(len(raw)), "booster": raw}).write_parquet(folder / MEMBER_FILE)
    # not a parameter, which ends after 6,000 characters
    (folder / "features.json").write_text(json.dumps(list(model.features), indent=1))
    (folder / "importances.json").write_text(json.dumps(dict(importances(model.booster)), indent=1))


def _hash(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _write_evidence(evidence: Evidence, folder: Path) -> None:
    from quant_assets.models import model_pictures  # matplotlib: only where something is drawn

    folder.mkdir()
    for name, table in evidence.tables().items():
        table.write_csv(folder / f"{name}.csv")
    evidence.held.write_parquet(folder / "held.parquet")
    model_pictures.write(evidence, folder)


def _write_flavour(booster: xgb.Booster, example: pl.DataFrame, folder: Path) -> None:
    """The model as `mlflow.xgboost` and `mlflow.pyfunc` load it: its columns are doubles, so that integers and singles are welcome too."""
    import mlflow.xgboost
    import pandas as pd

    rows = example.to_pandas()
    signature = mlflow.models.infer_signature(rows, booster.predict(xgb.DMatrix(rows)))
    needs = [f"xgboost=={xgb.__version__}", f"pandas=={pd.__version__}"]
    mlflow.xgboost.save_model(booster, folder, signature=signature, input_example=rows, pip_requirements=needs, model_format="ubj")
