"""What the simulator is started with."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from adapters.spartoo.simulator.fault_kinds import AnyFault

ApiKey = Annotated[str, StringConstraints(pattern=r"^[0-9A-Fa-f]{16}$")]
Pattern = Literal["poisson", "regular"]
OrderKind = Literal["fine", "too_cheap", "unknown_product", "out_of_stock"]
DEFAULT_MIX: Mapping[OrderKind, float] = {
    "fine": 0.7,
    "too_cheap": 0.12,
    "unknown_product": 0.06,
    "out_of_stock": 0.12,
}


def _known_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("an IANA time zone such as Europe/Paris") from error
    return value


class AccountConfig(BaseModel):
    """One merchant account: its name in ledger and control interface, and its API key."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$")]
    key: ApiKey = Field(repr=False)
    active: bool = True
    multi_package: bool = Field(False, description="May ship an order in several packages")


class SimulatorConfig(BaseModel):
    """Settings of a simulated marketplace; the defaults make one account without orders."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    host: str = "127.0.0.1"
    port: int = Field(0, ge=0, le=65535, description="0 takes a free port")
    accounts: tuple[AccountConfig, ...] = Field(
        (AccountConfig(name="shoes-fr", key="0123456789ABCDEF"),), min_length=1
    )
    rate: float = Field(0, ge=0, le=10_000, description="New orders per second, all accounts")
    pattern: Pattern = Field("poisson", description="How arrivals are spaced")
    mix: Mapping[OrderKind, float] = Field(DEFAULT_MIX, description="Shares of the order kinds")
    seed: int = Field(1, ge=0)
    initial_orders: int = Field(0, ge=0, le=1_000_000)
    initial_span: timedelta = Field(
        timedelta(hours=1), ge=timedelta(0), description="Initial orders are this old at most"
    )
    limit_per_hour: int | None = Field(
        None, ge=1, description="Calls per account and web service in any hour; none: no limit"
    )
    zone: Annotated[str, AfterValidator(_known_zone)] = "Europe/Paris"
    slips: Literal["link", "base64"] = Field("link", description="How delivery slips are answered")
    ledger_size: int = Field(1_000_000, ge=1, description="Calls kept; older ones are forgotten")
    faults: tuple[AnyFault, ...] = ()

    @model_validator(mode="after")
    def _accounts_differ(self) -> Self:
        for what in ("name", "key"):
            if len({getattr(account, what) for account in self.accounts}) < len(self.accounts):
                raise ValueError(f"two accounts have the same {what}")
        return self

    @model_validator(mode="after")
    def _mix_has_shares(self) -> Self:
        if min(self.mix.values(), default=0) < 0 or sum(self.mix.values()) <= 0:
            raise ValueError("mix: shares must not be negative, and one must be over 0")
        return self
