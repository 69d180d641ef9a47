"""Settings: where they come from, and how a wrong one is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError
from visioncraft.errors import ConfigurationError
from visioncraft.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests start without VISIONCRAFT_ variables of the machine's own."""
    import os

    for name in [name for name in os.environ if name.startswith("VISIONCRAFT_")]:
        monkeypatch.delenv(name)


def written(folder: Path, text: str) -> Path:
    file = folder / "settings.toml"
    file.write_text(text)
    return file


def test_a_file_overrides_defaults_and_the_environment_overrides_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path, "default_model = 'm'\n[server]\nport = 9001\nhost = '127.0.0.2'\n")
    monkeypatch.setenv("VISIONCRAFT_SERVER__PORT", "9002")
    settings = load_settings(file)
    assert (settings.server.port, settings.server.host, settings.default_model) == (9002, "127.0.0.2", "m")


def test_the_environment_reaches_a_plugins_own_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISIONCRAFT_PLUGINS__CONFIG__LOCAL_SD__DEVICE", "cpu")
    file = written(tmp_path, "[plugins.config.local_sd]\nconcurrency = 2\n")
    assert load_settings(file).plugins.config["local_sd"] == {"device": "cpu", "concurrency": 2}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[server]\nprot = 1", r"server\.prot: unknown key; did you mean 'port'\?"),
        ("defualt_model = 'x'", r"defualt_model: unknown key; did you mean 'default_model'\?"),
        ("[jobs]\ncapacity = 0", r"jobs\.capacity: .*greater than or equal to 1"),
        ("[server]\nport = 'many'", r"server\.port: .*integer"),
        ("token = 'secret'", r"token: secrets do not belong in settings"),
        ("[server\nport=1", r"cannot be read as TOML"),
    ],
)
def test_a_wrong_key_or_value_is_named_with_its_file(tmp_path: Path, text: str, told: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(ConfigurationError, match=told) as caught:
        load_settings(file)
    assert str(file) in caught.value.message
    assert "\n" not in caught.value.message
    assert "secret'" not in caught.value.message


def test_an_unknown_variable_of_ours_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISIONCRAFT_SERVRE__PORT", "1")
    with pytest.raises(ConfigurationError, match="did you mean 'server'"):
        load_settings(written(tmp_path, ""))


def test_a_named_file_that_is_absent_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such settings file"):
        load_settings(tmp_path / "nowhere.toml")


def test_the_token_comes_from_the_environment_and_shows_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISIONCRAFT_TOKEN", "very-secret")
    settings = load_settings(written(tmp_path, ""))
    assert settings.token is not None
    assert settings.token.get_secret_value() == "very-secret"
    assert "very-secret" not in repr(settings) + settings.model_dump_json() + str(settings.model_dump())


def test_a_list_in_the_environment_takes_the_place_of_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = "[server]\nallowed_hosts = ['a', 'b']\ncors_origins = ['http://a']\n"
    others = "[generation]\nbackends = ['a', 'b']\n[plugins]\ndisabled = ['a', 'b']\n"
    file = written(tmp_path, f"{server}{others}[plugins.config.x]\nhosts = ['a', 'b']\nkept = ['c']")
    for name in ("SERVER__ALLOWED_HOSTS", "GENERATION__BACKENDS", "PLUGINS__DISABLED", "PLUGINS__CONFIG__X__HOSTS"):
        monkeypatch.setenv(f"VISIONCRAFT_{name}", "['b']")
    monkeypatch.setenv("VISIONCRAFT_SERVER__CORS_ORIGINS", "[]")
    settings = load_settings(file)
    assert (settings.server.allowed_hosts, settings.server.cors_origins) == (("b",), ())
    assert (settings.generation.backends, settings.plugins.disabled) == (("b",), ("b",))
    assert settings.plugins.config["x"] == {"hosts": ["b"], "kept": ["c"]}


def test_a_list_in_a_local_file_takes_the_place_of_the_shared_ones(tmp_path: Path) -> None:
    (tmp_path / "settings.local.toml").write_text("[plugins]\ndisabled = ['c']\n")
    settings = load_settings(written(tmp_path, "[plugins]\ndisabled = ['a']\nhook_timeout_s = 3.0\n"))
    assert (settings.plugins.disabled, settings.plugins.hook_timeout_s) == (("c",), 3.0)


@pytest.mark.parametrize("token", ["short", "pässword", "токен-сервера", " " * 20, "line\nbreak", "x" * 513])
@pytest.mark.parametrize("where", ["VISIONCRAFT_TOKEN", "VISIONCRAFT_TOKEN_FILE"])
def test_a_token_that_not_every_client_can_send_is_refused_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, token: str
) -> None:
    file = tmp_path / "token"
    file.write_text(token, "utf-8")
    monkeypatch.setenv(where, str(file) if where.endswith("FILE") else token)
    with pytest.raises(ConfigurationError, match="openssl rand -hex 16") as caught:
        load_settings(written(tmp_path, ""))
    assert where in caught.value.message and (not token.strip() or token not in caught.value.message)


def test_a_token_comes_from_one_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("a-token-in-a-file\n", "utf-8")
    monkeypatch.setenv("VISIONCRAFT_TOKEN_FILE", str(tmp_path / "token"))
    token = load_settings(written(tmp_path, "")).token
    assert token is not None and token.get_secret_value() == "a-token-in-a-file"
    monkeypatch.setenv("VISIONCRAFT_TOKEN", "a-token-in-a-variable")
    with pytest.raises(ConfigurationError, match="both set"):
        load_settings(written(tmp_path, ""))
    monkeypatch.delenv("VISIONCRAFT_TOKEN")
    monkeypatch.setenv("VISIONCRAFT_TOKEN_FILE", str(tmp_path / "nowhere"))
    with pytest.raises(ConfigurationError, match="nowhere cannot be read"):
        load_settings(written(tmp_path, ""))


@pytest.mark.parametrize(
    "text", ["root_path = '//evil'", "root_path = 'studio'", "root_path = '/a/'", "trusted_proxies = ['proxy.example']"]
)
def test_a_prefix_or_proxy_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"server\.(root_path|trusted_proxies)"):
        load_settings(written(tmp_path, f"[server]\n{text}\n"))


def test_data_and_keys_lie_beside_the_settings_file(tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, ""))
    assert settings.data_path == tmp_path / "data"
    assert settings.keys_path == tmp_path / "api_keys.json"
    assert load_settings(written(tmp_path, "data_dir = 'elsewhere'")).data_path == tmp_path / "elsewhere"


def test_settings_cannot_be_changed_after_the_start() -> None:
    with pytest.raises(ValidationError):
        setattr(Settings(), "default_model", "other")  # noqa: B010  (assignment is what mypy rightly refuses)
