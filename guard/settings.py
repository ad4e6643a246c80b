"""
The settings: a YAML file, and environment variables with the prefix ``GUARD_`` over it.

Credentials are never settings; they come from the sources that the vendor's SDK knows.
"""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, available_timezones

import pydantic
from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from guard.core.breaker import BreakerRules
from guard.core.clock import ClockRule
from guard.core.leasing import Durations
from guard.core.limits import Limits
from guard.errors import BadInput
from guard.limitsettings import BreakerSettings, LimitSettings, SpanMs, Strict
from guard.settingsfile import read_file
from guard.wrongsettings import NO_SETTINGS, Origin, not_json, sentences


class TargetSettings(Strict):
    """
    One (region, project) to watch.
    """

    name: str = Field(min_length=1, max_length=63, pattern=r"^[a-z0-9][a-z0-9-]*$")
    """How policies, metrics and logs call it."""
    region: str = Field(min_length=1)
    """The region, for example cn-north-4."""
    project_id: str = Field(min_length=1)
    """The id of the project in that region."""
    endpoint: str | None = None
    """The address of the service, if it is not the region's public one."""
    workspaces: Literal["all"] | list[str] = "all"
    """``all``, or a list of workspace ids; ``"0"`` is the default workspace."""
    credentials: str | None = None
    """A section of the SDK's credentials file, if not ``basic``."""


class Settings(BaseSettings):
    """
    The settings of one process.
    """

    model_config = SettingsConfigDict(
        env_prefix="GUARD_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        validate_default=False,
        use_attribute_docstrings=True,
    )

    targets: list[TargetSettings] = Field(min_length=1)
    """What is watched: a list of targets. Required."""
    armed: bool = False
    """Whether this process may terminate jobs at all. Without it, it holds a client that has no terminate call."""
    policies: Path = Path("policies")
    """The folder of the policy files."""
    prices: Path | None = None
    """The price book: a YAML file that is taken again when it changes. Without it money is unknown."""
    ledger: str = "sqlite:///guard.db"
    """The URL of the ledger."""
    listen: str = "127.0.0.1:9108"
    """Where /metrics, /statusz, /openapi.json, /livez and /readyz are served."""
    listen_certificate: Path | None = None
    """The certificate of the listener (PEM, the chain behind it), taken anew when it changes. Without it: plain HTTP."""
    listen_key: Path | None = None
    """The key of that certificate (PEM, without a password)."""
    listen_token_file: Path | None = None
    """A file of bearer tokens, one a line; all but yes or no of /livez and /readyz is shown to their holders only."""
    scan_interval: SpanMs = 12_000
    """How often every target is looked at for new jobs, with one or two calls. Deadlines do not depend on it."""
    walk_interval: SpanMs = 1_200_000
    """How often every live job of a target is read. Only that proves that a job is gone, and shows changed facts."""
    keep_ended: SpanMs = 2_592_000_000
    """How long jobs that ended are remembered, so that a restarted one is known as such."""
    keep_history: SpanMs = 400 * 86_400_000
    """How long runs that ended stay in the history, from which spend and savings are worked out."""
    keep_findings: SpanMs = 400 * 86_400_000
    """How long matches that led to no call are kept; what they add up to stays. Intents are kept for ever."""
    limits: LimitSettings | Literal["none"] = LimitSettings()
    """How many terminations a sliding window allows; ``none`` removes the limits, which every start says."""
    breaker: BreakerSettings | Literal["none"] = BreakerSettings()
    """What makes the guard observe only, until a person has looked; ``none`` removes it, which every start says."""
    clock: ClockRule = ClockRule.SMALLER
    """Which clock of a running job counts: ``smaller`` (of the usable ones), ``duration`` or ``start_time``."""
    timezone: str = "UTC"
    """The time zone in which bare dates in exemptions end."""
    pause_file: Path | None = None
    """While this file exists, nothing is terminated."""
    confirm_timeout: SpanMs = 600_000
    """How long a termination may take until it is called unconfirmed."""
    terminate_timeout: SpanMs = 10_000
    """How long one terminate call may take, until it counts as not answered and the job is read again."""
    lease_duration: SpanMs = 30_000
    """How long other replicas wait for the heart of one that is silent until they take its targets."""
    lease_renew_deadline: SpanMs = 20_000
    """How long a replica that cannot renew its leases goes on acting on them; less than `lease_duration`."""
    lease_retry_period: SpanMs = 5_000
    """How often a replica renews its leases."""
    savings_horizon: SpanMs = 86_400_000
    """The horizon over which the savings of a termination are counted."""
    savings_min_ends: int = Field(default=30, ge=1, le=1_000_000)
    """How many natural ends after its running time a group of like runs needs before it tells what a termination saved."""
    savings_assumption: SpanMs = 0
    """How long a job is assumed to have gone on where no group has these; kept apart from what is measured."""

    api_rate: float = Field(default=20.0, gt=0, le=1000)
    """How many calls per second a target is sent at most. Throttling lowers it, and it slowly rises to this again."""
    api_in_flight: int = Field(default=16, ge=4, le=1000)
    """How many calls to a target may be on their way at once; a part of them is kept for terminations."""

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value not in available_timezones():
            near = difflib.get_close_matches(value, available_timezones(), n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(f"expected an IANA time zone such as UTC or Asia/Shanghai, got {value!r}{hint}")
        return value

    @field_validator("scan_interval", "walk_interval", "confirm_timeout", "lease_duration", "lease_renew_deadline")
    @classmethod
    def _bearable(cls, value: int) -> int:
        if not 1000 <= value <= 366 * 86_400_000:
            raise ValueError("expected at least 1s and at most 366d")
        return value

    @field_validator("keep_history", "keep_findings")
    @classmethod
    def _useful(cls, value: int) -> int:
        if not 86_400_000 <= value <= 36_600 * 86_400_000:
            raise ValueError("expected at least 1d and at most 36600d")
        return value

    @model_validator(mode="after")
    def _safe(self) -> "Settings":
        if wrong := self.durations().wrong():
            raise ValueError(wrong)
        return self

    def durations(self) -> Durations:
        """
        Return how long leases last, as the core knows it.
        """
        return Durations(
            lease_ms=self.lease_duration,
            renew_ms=self.lease_renew_deadline,
            retry_ms=self.lease_retry_period,
            call_ms=self.terminate_timeout,
        )

    @field_validator("targets")
    @classmethod
    def _distinct(cls, value: list[TargetSettings]) -> list[TargetSettings]:
        for what, seen in (
            ("name", [one.name for one in value]),
            ("region and project_id", [(one.region, one.project_id) for one in value]),
        ):
            if len(set(seen)) < len(seen):
                raise ValueError(f"two targets have the same {what}")
        return value

    @field_validator("limits")
    @classmethod
    def _priced(cls, value: LimitSettings | str, info: ValidationInfo) -> LimitSettings | str:
        if isinstance(value, LimitSettings) and value.max_cost_rate is not None and info.data.get("prices") is None:
            raise ValueError("max_cost_rate: expected the setting prices beside it, without which no cost is known")
        return value

    @property
    def zone(self) -> ZoneInfo:
        """
        The time zone as an object.
        """
        return ZoneInfo(self.timezone)

    def limits_in_force(self) -> Limits | None:
        """
        Return the limits, or None if they were removed.
        """
        return self.limits.as_limits() if isinstance(self.limits, LimitSettings) else None

    def removed(self) -> list[tuple[str, str]]:
        """
        Return what every start of an armed guard has to say of what bounds it no more: event and note.
        """
        found = [("limits.removed", "limits: none; nothing bounds how many jobs a wrong policy ends")]
        found.append(("breaker.removed", "breaker: none; a wrong policy is stopped by the limits alone"))
        return [one for one, how in zip(found, (self.limits, self.breaker), strict=True) if self.armed and how == "none"]

    def breaker_in_force(self) -> BreakerRules | None:
        """
        Return the numbers of the breaker, or None if it was removed.
        """
        return self.breaker.as_rules() if isinstance(self.breaker, BreakerSettings) else None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """
        Let the environment win over the file.
        """
        return env_settings, init_settings


class _FixedSettings(Settings):
    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def fixed_settings(**values: Any) -> Settings:
    """
    Return settings that the environment does not change.
    """
    return _FixedSettings(**values)


def shipped_policies() -> Path:
    """
    Return the folder of the policies that come with the guard, in a checkout or in an installation.
    """
    here = Path(__file__).parent
    checkout = here.parent / "policies"
    return here / "_shipped" / "policies" if not checkout.is_dir() else checkout


def environment() -> Mapping[str, str]:
    """
    Return the environment of the process, for the adapters that may not read it themselves.
    """
    return dict(os.environ)


def load_settings(path: Path | None) -> Settings:
    """
    Read the settings file, if there is one, and the environment; raises ``BadInput`` that names file, line and key.
    """
    path = path or (Path(os.environ["GUARD_CONFIG"]) if os.environ.get("GUARD_CONFIG") else None)
    values, lines = read_file(path) if path is not None else ({}, {})
    if path is None and not any(name.upper().startswith("GUARD_") for name in os.environ):
        raise BadInput(NO_SETTINGS)
    try:
        return Settings(**values)
    except ValidationError as error:
        origin = Origin(path=path, lines=lines, environment=os.environ)
        known = [name for model in (Settings, TargetSettings, LimitSettings, BreakerSettings) for name in model.model_fields]
        raise BadInput("\n".join(sentences(error.errors(include_url=False), origin, known))) from error
    except pydantic.errors.PydanticUserError as error:
        raise BadInput(f"{path or 'environment'}: {error}") from error
    except ValueError as error:
        raise BadInput(not_json(error)) from error


def settings_or_none(path: Path | None) -> Settings | None:
    """
    Return the settings, or None if there is neither a file nor a target in the environment: some commands need none.
    """
    if path is None and not os.environ.get("GUARD_CONFIG") and not os.environ.get("GUARD_TARGETS"):
        return None
    return load_settings(path)
