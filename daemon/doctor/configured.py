"""Every setting with where it came from; secrets not shown."""

from collections.abc import Mapping
from pathlib import Path

from daemon.doctor.finding import Finding, failed, ok
from daemon.settings import Settings, SettingsError, setting_origins, shown_settings

SETTINGS = "settings"


def wrong_settings(error: SettingsError) -> list[Finding]:
    """A finding for each fault."""
    remedy = "mend it; nothing else can be looked at before"
    return [failed(SETTINGS, fault, remedy) for fault in error.faults]


def check_settings(
    settings: Settings, config: Path | None, environ: Mapping[str, str]
) -> list[Finding]:
    """One finding a setting, and the connections declared."""
    origins = setting_origins(config, environ)
    found = [
        ok(SETTINGS, f"{key} = {value} ({origins.get(key, 'default')})")
        for key, value in shown_settings(settings).items()
    ]
    if settings.connections:
        declared = ", ".join(connection.settings.id for connection in settings.connections)
        found.append(ok(SETTINGS, f"connections declared: {declared}"))
    return found
