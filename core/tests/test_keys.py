"""Keys: a file of mode 0600, the environment before it, and nothing ever shown but the last four characters."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from pathlib import Path

import pytest
from visioncraft.api_keys import ApiKeys
from visioncraft.errors import AuthenticationError, ConfigurationError, InvalidRequest, StorageError
from visioncraft.plugins.contracts import KeyCheck
from visioncraft.plugins.hookspecs import hookimpl
from visioncraft.plugins.manager import PluginManager
from visioncraft.runtime.keeping import keep_key
from visioncraft.settings import Settings

KEY = "abcdefgh-1234-9721"


def test_a_key_is_kept_privately_and_shown_by_its_last_four(tmp_path: Path) -> None:
    keys = ApiKeys(tmp_path / "new" / "api_keys.json")
    assert keys.set("leonardo-api", KEY) == "************9721"
    assert keys.get("leonardo-api") == KEY
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600
    assert [entry.name for entry in keys.path.parent.iterdir()] == ["api_keys.json"]


def test_a_loose_file_of_before_becomes_private_and_keeps_its_other_keys(tmp_path: Path) -> None:
    path = tmp_path / "api_keys.json"
    path.write_text(json.dumps({"other": "kept"}))
    path.chmod(0o644)
    ApiKeys(path).set("leonardo-api", KEY)
    assert json.loads(path.read_text()) == {"other": "kept", "leonardo-api": KEY}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_environment_comes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = ApiKeys(tmp_path / "api_keys.json")
    keys.set("leonardo-api", KEY)
    monkeypatch.setenv("LEONARDO_API_KEY", "from-the-environment")
    assert keys.get("leonardo-api") == "from-the-environment"


@pytest.mark.parametrize("key", ["", "short", "has a space inside", "new\nline-in-key", "x" * 513, "ключ-из-букв"])
def test_what_is_no_key_is_refused_without_being_repeated(tmp_path: Path, key: str) -> None:
    keys = ApiKeys(tmp_path / "api_keys.json")
    with pytest.raises(InvalidRequest) as caught:
        keys.set("leonardo-api", key)
    assert caught.value.details["field"] == "api_key"
    assert not key or key not in str(caught.value.details)
    assert not keys.path.exists()


def test_an_unknown_service_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="Unknown service"):
        ApiKeys(tmp_path / "api_keys.json").set("other-api", KEY)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{not json",
        b"[" * 100_000,
        b'{"a": ' * 100_000,
        b'{"leonardo-api": "\xff\xfe"}',
        b'{"leonardo-api": ' + b"9" * 5000 + b"}",
        b'["leonardo-api"]',
        b'{"leonardo-api": 5}',
        b'{"leonardo-api": ["a-key"]}',
        b"{}" + b" " * 2**20,
    ],
    ids=lambda content: f"{content[:20]!r} of {len(content)}",
)
def test_a_damaged_file_is_named_and_left_as_it_is(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "api_keys.json"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"api_keys\.json: .*; mend or remove it"):
        ApiKeys(path).set("leonardo-api", KEY)
    assert path.read_bytes() == content


def test_a_failed_write_leaves_the_old_key_and_no_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = ApiKeys(tmp_path / "api_keys.json")
    keys.set("leonardo-api", KEY)

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        keys.set("leonardo-api", "another-key-0000")
    assert keys.get("leonardo-api") == KEY
    assert [entry.name for entry in tmp_path.iterdir()] == ["api_keys.json"]


def test_a_given_key_comes_before_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEONARDO_API_KEY", "from-the-environment")
    assert ApiKeys(tmp_path / "api_keys.json").get("leonardo-api", "given-in-hand") == "given-in-hand"


class Asked:
    """A plugin that asks a service which answers with `outcome`."""

    def __init__(self, outcome: Exception | None, service: str = "leonardo-api") -> None:
        self.outcome, self.service, self.keys = outcome, service, list[str]()

    @hookimpl
    def visioncraft_key_checks(self) -> list[KeyCheck]:
        async def ask(key: str) -> None:
            self.keys.append(key)
            if self.outcome is not None:
                raise self.outcome

        return [KeyCheck(self.service, ask)]


def keep(path: Path, plugin: Asked, key: str = KEY) -> tuple[str, bool]:
    manager = PluginManager(Settings())
    manager.register(plugin, "asked")
    return asyncio.run(keep_key(manager, ApiKeys(path), "leonardo-api", key))


def test_an_accepted_key_is_kept(tmp_path: Path) -> None:
    plugin = Asked(None)
    assert keep(tmp_path / "api_keys.json", plugin) == ("************9721", True)
    assert plugin.keys == [KEY]


def test_a_refused_key_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(AuthenticationError):
        keep(tmp_path / "api_keys.json", Asked(AuthenticationError("refused")))
    assert not (tmp_path / "api_keys.json").exists()


@pytest.mark.parametrize("plugin", [Asked(OSError(KEY)), Asked(None, "another-service")])
def test_a_key_that_nobody_can_be_asked_about_is_kept_and_not_logged(
    plugin: Asked, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert keep(tmp_path / "api_keys.json", plugin) == ("************9721", False)
    assert ApiKeys(tmp_path / "api_keys.json").get("leonardo-api") == KEY
    assert KEY not in caplog.text


def test_what_is_no_key_is_not_asked_about(tmp_path: Path) -> None:
    plugin = Asked(None)
    with pytest.raises(InvalidRequest):
        keep(tmp_path / "api_keys.json", plugin, "short")
    assert plugin.keys == []
