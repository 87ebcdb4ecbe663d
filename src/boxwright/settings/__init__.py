"""Settings: frozen records, one for each group, every field documented with its unit.

A setting ``name`` is set by the environment variable ``BOXWRIGHT_NAME``, by a key in its group's table of a TOML file, and
for some by a flag. Only the composition root reads settings; every other room receives values.

    fields   how a setting is declared, and the checks of values
    groups   Settings and its groups: default, meaning and bounds of every setting
    serving  the groups of the API servers
    batch    the groups of batch predictions
    reading  read: the file, the environment over it, the flags over both
"""

from boxwright.settings.batch import BatchSettings
from boxwright.settings.fields import Setting
from boxwright.settings.groups import (
    DatabaseSettings,
    InferenceSettings,
    OperationsSettings,
    Settings,
    StorageSettings,
    TracesSettings,
    TrainingSettings,
    all_settings,
)
from boxwright.settings.reading import CONFIG_VARIABLE, PREFIX, read
from boxwright.settings.serving import QuotaSettings, ServerSettings

__all__ = [
    "CONFIG_VARIABLE",
    "PREFIX",
    "BatchSettings",
    "DatabaseSettings",
    "InferenceSettings",
    "OperationsSettings",
    "QuotaSettings",
    "ServerSettings",
    "Setting",
    "Settings",
    "StorageSettings",
    "TracesSettings",
    "TrainingSettings",
    "all_settings",
    "read",
]
