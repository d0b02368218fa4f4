"""Settings: one `quant_assets.toml`, overridden by `QUANT_ASSETS__SECTION__KEY`. Vendor keys never come through here.

Where folders lie is resolved against the *home*: the folder of `quant_assets.toml`, searched from the current one upwards.
"""

from __future__ import annotations

import datetime as dt
import difflib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from quant_assets.calendars import quarter_window, year_window
from quant_assets.errors import BadArgument
from quant_assets.vendors import VENDORS

FILE_NAME = "quant_assets.toml"
HOME_VARIABLE = "QUANT_ASSETS_HOME"
PREFIX = "QUANT_ASSETS__"
ADDRESS = r"^[^@\s]+@[^@\s]+$"

Profile = Literal["offline", "live"]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Paths(Section):
    """Folders, relative to the home unless absolute.

    Logs must not lie in a `logs` folder beside `dagster.yaml`: Dagster's telemetry uploads and deletes what it finds there, even when
    it is switched off in `dagster.yaml`.
    """

    data: Path = Path("data")
    outputs: Path = Path("outputs")
    mlflow: Path = Path("mlflow")
    logs: Path = Path("data/logs")


class Signal(Section):
    """Bands of the score and the threshold of the user's own trading rule (probabilities)."""

    strong_bull: float = Field(0.72, ge=0, le=1)
    bull: float = Field(0.62, ge=0, le=1)
    bear: float = Field(0.38, ge=0, le=1)
    strong_bear: float = Field(0.28, ge=0, le=1)
    score_threshold: float = Field(0.65, ge=0, le=1)

    @model_validator(mode="after")
    def ordered(self) -> Self:
        if not self.strong_bull > self.bull > self.bear > self.strong_bear:
            given = f"strong_bull {self.strong_bull:g}, bull {self.bull:g}, bear {self.bear:g}, strong_bear {self.strong_bear:g}"
            raise ValueError(f"bands must fall from strong_bull to strong_bear, not {given}")
        return self


class Grids(Section):
    """First day of each partition grid."""

    history_start: dt.date = dt.date(2000, 1, 1)
    first_cutoff: dt.date = dt.date(2009, 1, 1)
    first_decision: dt.date = dt.date(2009, 1, 2)

    @model_validator(mode="after")
    def on_their_grids(self) -> Self:
        if self.history_start != year_window(self.history_start.year).start:
            raise ValueError(f"history_start {self.history_start} is not a 1 January, and the history grid has calendar years")
        if self.first_cutoff != quarter_window(self.first_cutoff).start:
            raise ValueError(f"first_cutoff {self.first_cutoff} is not the first day of a quarter, and each cut-off begins one")
        if not self.history_start < self.first_cutoff <= self.first_decision:
            begun = f"history_start {self.history_start}, first_cutoff {self.first_cutoff}, first_decision {self.first_decision}"
            raise ValueError(f"{begun} (or their defaults) are not in the order history_start < first_cutoff <= first_decision")
        return self


class Features(Section):
    """What the model reads: the name of a packaged set, or of one of your own in `sets` (see `features/sets.py`)."""

    model: str = "baseline"
    sets: dict[str, tuple[str, ...]] = Field(default_factory=dict)


class Models(Section):
    """How models are trained.

    Parameters
    ----------
    tune : choose parameters by Optuna at each calendar year's first cut-off, from what was known then, for the cut-offs of that year.
    trials : settings that a study tries. objective : what it maximises (or minimises, of a loss) by purged cross-validation.
    tracking_uri : of an MLflow server; None: files in the home. While it does not answer, runs wait in the home and are sent later.
    """

    tracking_uri: str | None = Field(None, pattern=r"^https?://[^\s?#]+$")

    tune: bool = False
    trials: int = Field(50, ge=1)
    objective: Literal["auc", "log_loss", "rank_ic"] = "auc"


class Alerts(Section):
    """Where a failed run is told by e-mail; nowhere when `email_to` is None. User and password come from the environment only."""

    email_to: str | None = Field(None, pattern=ADDRESS)
    email_from: str | None = Field(None, pattern=ADDRESS)
    smtp_host: str | None = None
    smtp_port: int = Field(587, ge=1, le=65535)
    smtp_starttls: bool = True

    @model_validator(mode="after")
    def deliverable(self) -> Self:
        if self.email_to is not None and (self.email_from is None or not self.smtp_host):
            raise ValueError("email_to also needs email_from and smtp_host")
        return self


class Vendor(Section):
    """How to reach one vendor; `base_url` is asked instead of the vendor's own server (and gets its key).

    contact : e-mail address that goes with every request (the SEC demands one). series : what else to fetch of a vendor of series (FRED).
    folder : where the files of a vendor lie who is read and not asked, relative to the home unless absolute; LEAN's are read only where it
        is set, Kaggle's from `native` in the data folder when None.
    """

    base_url: str | None = Field(None, pattern=r"^https?://[^\s?#]+$")
    contact: str | None = Field(None, pattern=ADDRESS)
    series: tuple[str, ...] = ()
    folder: Path | None = None


class Settings(BaseSettings):
    """Everything a user may set; `Settings.load()` is the way in."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True)

    profile: Profile = "offline"
    universe: Path | None = None
    membership: Path | None = None
    warehouse: bool = True
    paths: Paths = Paths()
    signal: Signal = Signal()
    grids: Grids = Grids()
    features: Features = Features()
    models: Models = Models()
    alerts: Alerts = Alerts()
    sources: dict[str, Vendor] = Field(default_factory=dict)
    home: Path = Field(default_factory=Path.cwd, exclude=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        home = init_settings.init_kwargs.get("home") if isinstance(init_settings, InitSettingsSource) else None
        file = TomlConfigSettingsSource(settings_cls, toml_file=(home or find_home()) / FILE_NAME)
        if "home" in file.toml_data:  # the file's own place is the home
            raise _wrong_key(("home",), _known_keys(("home",)), (home or find_home()) / FILE_NAME)
        return init_settings, env_settings, file

    @classmethod
    def load(cls, *, home: Path | None = None, **overrides: Any) -> Settings:
        """Settings of a home; None: of the one that holds the current folder.

        Raises
        ------
        BadArgument : a key is unknown (the nearest known one is named) or a value is impossible.
        """
        known = _known_keys(("",))
        for variable in sorted(os.environ):
            if variable.upper().startswith(PREFIX) and _top_level(variable) not in known:
                raise _wrong_key((_top_level(variable),), known, variable)
        home = home or find_home()
        try:
            settings = cls(home=home, **overrides)
        except ValidationError as error:
            raise _explain(error, home / FILE_NAME) from None
        except SettingsError as error:  # a variable that names a section does not hold JSON
            raise BadArgument(str(error), remedy=f"set its keys one by one, as {PREFIX}SECTION__KEY") from None
        except ValueError as error:  # the TOML itself does not parse
            raise BadArgument(f"{home / FILE_NAME} cannot be read: {error}", remedy="correct the file") from None
        for vendor in settings.sources:
            if vendor not in VENDORS:
                location = ("sources", vendor)
                raise _wrong_key(location, VENDORS, _place(location, home / FILE_NAME))
        return settings

    def path(self, folder: Path) -> Path:
        """The folder, or file, as seen from the home."""
        return folder if folder.is_absolute() else self.home / folder

    @property
    def lake_root(self) -> Path:
        return self.path(self.paths.data) / "lake"

    @property
    def warehouse_file(self) -> Path:
        return self.path(self.paths.data) / "warehouse.duckdb"

    @property
    def dagster_storage(self) -> Path:
        return self.path(self.paths.data) / "dagster"

    @property
    def features_page(self) -> Path:
        return self.path(self.paths.outputs) / "features.html"

    @property
    def reports(self) -> Path:
        return self.path(self.paths.outputs) / "signals"

    @property
    def mlflow_uri(self) -> str:
        """Of the home's own store."""
        return f"sqlite:///{self.path(self.paths.mlflow) / 'mlflow.db'}"

    @property
    def mlflow_artifacts(self) -> str:
        return (self.path(self.paths.mlflow) / "artifacts").as_uri()

    @property
    def waiting_runs(self) -> Path:
        return self.path(self.paths.mlflow) / "waiting"

    @property
    def studies_file(self) -> Path:
        return self.path(self.paths.mlflow) / "studies.db"

    @property
    def universe_file(self) -> Path:
        packaged = Path(__file__).parent / "universes" / f"{self.profile}.csv"
        return self.path(self.universe) if self.universe else packaged

    @property
    def membership_file(self) -> Path | None:
        return self.path(self.membership) if self.membership else None


def find_home() -> Path:
    """The folder everything is relative to: `QUANT_ASSETS_HOME`, else the nearest one upwards with a `quant_assets.toml`, else here."""
    named = os.environ.get(HOME_VARIABLE)
    if named:
        if not Path(named).is_dir():
            raise BadArgument(f"{HOME_VARIABLE}={named} is no folder", remedy="make it first, or correct the variable")
        return Path(named).resolve()
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / FILE_NAME).is_file()), here)


def _top_level(variable: str) -> str:
    return variable[len(PREFIX) :].split("__")[0].lower()


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    """The keys that may stand where the last part of the location does."""
    model: type[BaseModel] = Settings
    if location[:-1] and location[0] == "sources":  # then comes the vendor's name
        return list(Vendor.model_fields)
    for part in location[:-1]:
        model = type(model.model_fields[str(part)].default)
    return [name for name in model.model_fields if name != "home"]


def _place(location: tuple[int | str, ...], file: Path) -> str | Path:
    """Where a setting stands: the variable that overrides it, one that holds its section as JSON, one of a key below it, else the file."""
    variables = {variable.upper(): variable for variable in sorted(os.environ)}
    names = [f"{PREFIX}{'__'.join(map(str, location[:n]))}".upper() for n in range(1, len(location) + 1)]
    if names[-1] in variables:
        return variables[names[-1]]
    for name, below in zip(names, location[1:], strict=False):
        if name in variables and f'"{below}"' in os.environ[variables[name]]:
            return variables[name]
    return next((variable for name, variable in variables.items() if name.startswith(f"{names[-1]}__")), file)


def _wrong_key(location: tuple[int | str, ...], known: Sequence[str], place: str | Path) -> BadArgument:
    """Of a setting that stands in a file, or in a variable of this name."""
    nearest = difflib.get_close_matches(str(location[-1]), known, n=1)
    remedy = f"did you mean {nearest[0]!r}?" if nearest else f"known keys: {', '.join(known)}"
    where = place if isinstance(place, Path) else f"the environment variable {place}"
    return BadArgument(f"unknown setting {'.'.join(map(str, location))!r} in {where}", remedy=remedy.rstrip("."))


def _explain(error: ValidationError, file: Path) -> BadArgument:
    first = error.errors()[0]
    location = first["loc"]
    name = ".".join(map(str, location))
    if first["type"] == "extra_forbidden":
        return _wrong_key(location, _known_keys(location), _place(location, file))
    whole = isinstance(first["input"], dict)  # a section's own rule names its values, which may stand in several places
    shown, where = (name, f"{file} or the environment") if whole else (f"{name} = {first['input']!r}", _place(location, file))
    return BadArgument(f"setting {shown}: {first['msg'].removeprefix('Value error, ')}", remedy=f"correct it in {where}")
