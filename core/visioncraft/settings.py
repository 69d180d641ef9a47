"""Settings: read by dynaconf, validated once into frozen pydantic models, then never touched again.

Order of strength: environment (`VISIONCRAFT_SERVER__PORT=9000`), then the settings file, then the defaults here. The
file is `--settings`, else `$VISIONCRAFT_SETTINGS`, else `./settings.toml`, else the user's configuration folder.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork, PrivateAttr, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from visioncraft.errors import ConfigurationError
from visioncraft.token import find_token, token_file

ENV_PREFIX = "VISIONCRAFT"
INTERPRETER = "python"
"""The key of a plugin's table that the core reads itself."""

PREFIX = r"(/[A-Za-z0-9._~-]+)+"
"""What a path prefix looks like, as a regular expression: never `//`, with which a link would lead to another host."""

_NOT_SETTINGS = {"settings", "token", "token_file", "url"}  # VISIONCRAFT_SETTINGS and so on, read by themselves


class PluginSettings(BaseModel):
    """The base of every settings table: frozen, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ServerSettings(PluginSettings):
    """`[server]`: the address, and who may talk to it."""

    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65535)
    allowed_hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "[::1]", "host.docker.internal")
    cors_origins: tuple[str, ...] = ("http://localhost", "http://127.0.0.1", "http://[::1]")
    max_body_bytes: int = Field(16 * 2**20, ge=1024)
    body_memory_bytes: int = Field(64 * 2**20, ge=1024)
    max_message_bytes: int = Field(4096, ge=128)
    max_connections: int = Field(2048, ge=1)
    head_timeout_s: float = Field(10.0, gt=0)
    body_timeout_s: float = Field(30.0, gt=0)
    write_timeout_s: float = Field(60.0, gt=0)
    keep_alive_s: int = Field(5, ge=1)
    dialect_ports: Literal["own", "free", "off"] = "own"
    root_path: str = Field("", pattern=rf"^({PREFIX})?$")
    trusted_proxies: tuple[IPvAnyNetwork, ...] = ()


class LogsSettings(PluginSettings):
    """`[logs]`: what is written down, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"
    file: str = ""


class JobsSettings(PluginSettings):
    """`[jobs]`: the queue."""

    capacity: int = Field(32, ge=1)
    keep_ended_s: float = Field(86400.0, ge=0)
    max_reruns: int = Field(3, ge=0)
    ledger: str = "sqlite"
    lease_s: float = Field(30.0, gt=0)


class WorkersSettings(PluginSettings):
    """`[workers]`: the processes that compute."""

    pool: str = "local"
    heartbeat_s: float = Field(1.0, gt=0)
    silent_limit_s: float = Field(60.0, gt=0)
    stall_limit_s: float = Field(600.0, gt=0)
    memory_limit_gb: float = Field(0.0, ge=0)
    idle_unload_s: float = Field(900.0, ge=0)
    warm: Literal["auto", "on", "off"] = "auto"


class PicturesSettings(PluginSettings):
    """`[pictures]`: decoding what others made, in processes of their own."""

    decoders: int = Field(2, ge=1, le=64)
    memory_limit_mb: int = Field(1024, ge=64)
    time_limit_s: int = Field(10, ge=1)
    wait_limit_s: float = Field(10.0, gt=0)
    idle_s: float = Field(60.0, gt=0)


class GenerationSettings(PluginSettings):
    """`[generation]`: which generators must be there, and which one runs a model that several can."""

    backends: tuple[str, ...] = ()


class StorageSettings(PluginSettings):
    """`[storage]`: where pictures go."""

    backend: str = "auto"


class PluginsSettings(PluginSettings):
    """`[plugins]`: which load, and their own tables under `[plugins.config.<name>]`."""

    disabled: tuple[str, ...] = ()
    enabled: tuple[str, ...] = ()
    safe_mode: bool = False
    trusted: tuple[str, ...] = ()
    import_timeout_s: float = Field(20.0, gt=0)
    hook_timeout_s: float = Field(10.0, gt=0)
    status_timeout_s: float = Field(2.0, gt=0)
    config: Mapping[str, Mapping[str, Any]] = Field(default_factory=dict)


TableT = TypeVar("TableT", bound=PluginSettings)


class Settings(PluginSettings):
    """Every setting, validated. `settings.toml` in the repository lists each with its default and a comment."""

    default_model: str = "auto"
    data_dir: Path = Path("auto")
    server: ServerSettings = Field(default_factory=ServerSettings)
    logs: LogsSettings = Field(default_factory=LogsSettings)
    jobs: JobsSettings = Field(default_factory=JobsSettings)
    workers: WorkersSettings = Field(default_factory=WorkersSettings)
    pictures: PicturesSettings = Field(default_factory=PicturesSettings)
    generation: GenerationSettings = Field(default_factory=GenerationSettings)
    storage: StorageSettings = Field(default_factory=StorageSettings)
    plugins: PluginsSettings = Field(default_factory=PluginsSettings)
    token: SecretStr | None = Field(default=None, exclude=True, repr=False)
    _file: Path | None = PrivateAttr(default=None)
    _token_file: Path | None = PrivateAttr(default=None)

    @property
    def file(self) -> Path | None:
        """The file these settings came from; None when there is none."""
        return self._file

    @property
    def token_file(self) -> Path | None:
        """The file that the token came from, where it was one."""
        return self._token_file

    @property
    def data_path(self) -> Path:
        """The absolute folder for pictures, keys and models.

        `auto` is `data` beside the settings file, or the user's data folder when there is no settings file. A relative
        path counts from the settings file.
        """
        if str(self.data_dir) == "auto":
            return self._base / "data" if self._file else self._base
        return (self._base / self.data_dir.expanduser()).resolve()

    @property
    def log_path(self) -> Path | None:
        """The file that the log goes into as well, where there is one. A relative path counts from the settings."""
        return (self._base / Path(self.logs.file).expanduser()).resolve() if self.logs.file else None

    @property
    def keys_path(self) -> Path:
        """Where cloud services' keys are kept: `api_keys.json` beside the settings file, else in the user's data."""
        return self._base / "api_keys.json"

    @property
    def access_keys_path(self) -> Path:
        """Where the keys are kept that people were given for this server: `access_keys.json` in the data folder."""
        return self.data_path / "access_keys.json"

    @property
    def _base(self) -> Path:
        return self._file.parent if self._file else Path(platformdirs.user_data_path("visioncraft"))

    def plugin(self, name: str, table: type[TableT]) -> TableT:
        """A plugin's own table, `[plugins.config.<name>]`, validated into the plugin's model.

        Raises `ConfigurationError` that names the file, the key and what was expected.
        """
        raw = {key: value for key, value in self.plugins.config.get(name, {}).items() if key != INTERPRETER}
        return _validate(table, raw, self._file, prefix=f"plugins.config.{name}.")

    def interpreter(self, name: str) -> Path | None:
        """The Python that a plugin's worker runs under where it is not the server's own: `python` in its table.

        A relative path counts from the settings file. Links are not followed: a virtual environment is found by the
        path it was called by.
        """
        named = self.plugins.config.get(name, {}).get(INTERPRETER)
        return self._base / Path(str(named)).expanduser() if named else None


def find_settings_file(explicit: Path | None = None) -> Path | None:
    """The settings file to read, or None for the defaults. Raises `ConfigurationError` for a named one that is absent.

    dynaconf itself takes a missing file for an empty one, so the check is here.
    """
    named = explicit or (Path(os.environ["VISIONCRAFT_SETTINGS"]) if os.environ.get("VISIONCRAFT_SETTINGS") else None)
    if named is not None:
        if not named.is_file():
            raise ConfigurationError(f"{named}: no such settings file; check --settings or VISIONCRAFT_SETTINGS")
        return named.resolve()
    candidates = (Path("settings.toml"), platformdirs.user_config_path("visioncraft") / "settings.toml")
    return next((path.resolve() for path in candidates if path.is_file()), None)


def load_settings(explicit: Path | None = None) -> Settings:
    """Read, merge and validate the settings. Raises `ConfigurationError`."""
    file = find_settings_file(explicit)
    raw = _read(file)
    token = find_token()
    if token:
        raw["token"] = token
    settings = _validate(Settings, raw, file)
    settings._file, settings._token_file = file, token_file()
    return settings


def _read(file: Path | None) -> dict[str, Any]:
    """The file, over it the file's `.local` one where that is there, over them the environment."""
    merged: dict[str, Any] = {}
    if file is not None:
        local = file.with_suffix(f".local{file.suffix}")  # dynaconf's own custom; it would join the lists of both
        for source in (file, local):
            _lay_over(merged, _source(source) if source.is_file() else {})
    if "token" in merged:
        raise ConfigurationError(f"{file}: token: secrets do not belong in settings; set VISIONCRAFT_TOKEN instead")
    _lay_over(merged, _source(None))
    return {key: value for key, value in merged.items() if key not in _NOT_SETTINGS}


def _source(file: Path | None) -> dict[str, Any]:
    """What one file says, or the environment. Each is read alone: dynaconf would join the lists of all."""
    from dynaconf import Dynaconf

    only = {"settings_files": [str(file)], "loaders": []} if file else {"envvar_prefix": ENV_PREFIX}
    try:
        read = Dynaconf(environments=False, merge_enabled=True, core_loaders=["TOML"], **only).as_dict()
    except Exception as error:  # dynaconf passes on whatever its TOML reader raises
        raise ConfigurationError(f"{file or 'environment'}: cannot be read as TOML: {error}") from error
    return cast(dict[str, Any], _lower_keys(read))


def _lay_over(weak: dict[str, Any], strong: Mapping[str, Any]) -> None:
    """Tables key by key; every other value, a list too, takes the place of the weaker one."""
    for key, value in strong.items():
        if isinstance(value, dict) and isinstance(weak.get(key), dict):
            _lay_over(weak[key], value)
        else:
            weak[key] = value


def _lower_keys(value: object) -> object:
    """dynaconf spells keys from the environment in capitals; ours are lower case."""
    if isinstance(value, Mapping):
        return {str(key).lower(): _lower_keys(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_lower_keys(entry) for entry in value]
    return value


def _validate(table: type[TableT], raw: dict[str, Any], file: Path | None, prefix: str = "") -> TableT:
    try:
        return table.model_validate(raw)
    except ValidationError as error:
        where = str(file) if file else "settings (environment or defaults)"
        problems = "; ".join(_describe(table, problem, prefix) for problem in error.errors(include_url=False))
        raise ConfigurationError(f"{where}: {problems}") from None


def _describe(table: type[BaseModel], problem: ErrorDetails, prefix: str) -> str:
    key = prefix + ".".join(str(part) for part in problem["loc"])
    if problem["type"] != "extra_forbidden":
        return f"{key}: {problem['msg']}"
    known = _fields_at(table, problem["loc"][:-1])
    near = get_close_matches(str(problem["loc"][-1]), known, n=1)
    return f"{key}: unknown key; " + (f"did you mean '{near[0]}'?" if near else f"known here: {', '.join(known)}")


def _fields_at(table: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """The field names of the table at `path` below `table`."""
    for part in path:
        field = table.model_fields.get(str(part))
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            break
        table = field.annotation
    return [name for name in table.model_fields if name != "token"]
