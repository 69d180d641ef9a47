"""Cloud services that plugins declare: their keys are kept, and the variables that hold them are nobody else's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from toy import House
from visioncraft.api_keys import ApiKeys, KeyService
from visioncraft.environment import Secrets
from visioncraft.errors import AuthenticationError, InvalidRequest, UpstreamError, from_plain, to_plain
from visioncraft.plugins.contracts import KeyCheck
from visioncraft.plugins.hookspecs import hookimpl
from visioncraft.plugins.manager import PluginManager
from visioncraft.runtime.keeping import keep_key
from visioncraft.settings import Settings

KEY = "abcdefgh-1234-9721"
NIMBUS = KeyService("nimbus", "NIMBUS_API_KEY", "Nimbus")

NIMBUS_PLUGIN = """
from visioncraft import KeyService, hookimpl

@hookimpl
def visioncraft_key_services():
    return [KeyService("nimbus", "NIMBUS_API_KEY", "Nimbus")]
"""
NOSY_PLUGIN = """
import os
with open("seen", "a") as seen:
    print(*(name for name in os.environ if "NIMBUS" in name or "LEONARDO" in name), "looked", file=seen)
"""


class Cloud:
    """A plugin that declares services, and notes the keys that it is asked to check."""

    def __init__(self, *services: KeyService, checks: str = "", refuses: bool = False) -> None:
        self.services, self.checks, self.refuses = services, checks, refuses
        self.asked: list[str] = []

    @hookimpl
    def visioncraft_key_services(self) -> list[KeyService]:
        return list(self.services)

    @hookimpl
    def visioncraft_key_checks(self) -> list[KeyCheck]:
        async def ask(key: str) -> None:
            self.asked.append(key)
            if self.refuses:
                raise AuthenticationError("Nimbus refused the key")

        return [KeyCheck(self.checks, ask)] if self.checks else []


def manager_of(**plugins: object) -> PluginManager:
    manager = PluginManager(Settings())
    for name, plugin in plugins.items():
        manager.register(plugin, name, f"{name}-cloud")
    return manager


def keep(manager: PluginManager, path: Path, service: str) -> tuple[str, bool]:
    return asyncio.run(keep_key(manager, ApiKeys(path, manager.key_services.known()), service, KEY))


def test_a_declared_service_takes_a_key_after_its_own_check(tmp_path: Path) -> None:
    cloud = Cloud(NIMBUS, checks="nimbus")
    assert keep(manager_of(nimbus=cloud), tmp_path / "keys.json", "nimbus") == ("************9721", True)
    assert cloud.asked == [KEY]
    with pytest.raises(AuthenticationError):
        keep(manager_of(nimbus=Cloud(NIMBUS, checks="nimbus", refuses=True)), tmp_path / "keys.json", "nimbus")


@pytest.mark.parametrize("service", ["leonardo-api", "of-1.0"])
def test_a_plugin_that_only_checks_keys_as_in_1_0_has_its_service_known(service: str, tmp_path: Path) -> None:
    cloud = Cloud(checks=service)
    assert keep(manager_of(old=cloud), tmp_path / "keys.json", service)[1]
    assert cloud.asked == [KEY]


def test_a_key_is_shown_to_the_plugin_that_declares_its_service_and_to_no_other(tmp_path: Path) -> None:
    thief, cloud = Cloud(checks="nimbus"), Cloud(NIMBUS, checks="nimbus")
    keep(manager_of(a_thief=thief, nimbus=cloud), tmp_path / "keys.json", "nimbus")
    assert (thief.asked, cloud.asked) == ([], [KEY])


def test_an_unknown_service_is_refused_with_those_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="Unknown service 'other'") as caught:
        keep(manager_of(nimbus=Cloud(NIMBUS)), tmp_path / "keys.json", "other")
    assert caught.value.details == {"field": "service", "issue": "one of: leonardo-api, nimbus"}


def test_a_variable_that_two_plugins_name_is_one_plugins_and_the_other_is_told() -> None:
    manager = manager_of(nimbus=Cloud(NIMBUS), z_thief=Cloud(KeyService("mine", "NIMBUS_API_KEY")))
    for _ in range(2):  # it is said once, however often they are asked
        assert manager.key_services.known() == [NIMBUS]
    assert str(manager.plugins["z_thief"].error).count("environment variable 'NIMBUS_API_KEY' is offered by") == 1


@pytest.mark.parametrize("variable", ["PATH", "VISIONCRAFT_TOKEN", "nimbus_api_key", "NIMBUS_API_KEY_2", "_KEY", ""])
def test_a_variable_that_does_not_look_like_a_secret_is_refused(variable: str) -> None:
    with pytest.raises(ValueError, match="has to end in _KEY, _TOKEN or _SECRET"):
        KeyService("nimbus", variable)


def test_the_environment_comes_before_the_file_for_a_declared_service_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIMBUS_API_KEY", "from-the-environment")
    assert ApiKeys(tmp_path / "keys.json", [NIMBUS]).get("nimbus") == "from-the-environment"
    assert ApiKeys(tmp_path / "keys.json").get("nimbus") is None


def test_a_key_reaches_the_processes_of_the_plugin_that_declares_it_and_no_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("NIMBUS_API_KEY", "LEONARDO_API_KEY", "VISIONCRAFT_TOKEN", "HF_TOKEN"):
        monkeypatch.setenv(name, "a secret")
    secrets = Secrets()
    assert "NIMBUS_API_KEY" not in secrets.environment_for_trial(), "nobody has declared it yet"
    assert not {"HF_TOKEN", "VISIONCRAFT_TOKEN"} & secrets.environment_for_trial().keys()
    secrets.declare({"NIMBUS_API_KEY": "nimbus"})
    assert secrets.environment_for("nimbus")["NIMBUS_API_KEY"] == "a secret"
    seen = secrets.environment_for("other")
    assert not {"NIMBUS_API_KEY", "LEONARDO_API_KEY", "VISIONCRAFT_TOKEN"} & seen.keys()
    assert "HF_TOKEN" in seen, "what no plugin declares stays where it was"


def test_the_command_keeps_a_declared_services_key_and_no_other_plugin_sees_its_variable(house: House) -> None:
    house.settings("[plugins]\nenabled = ['nimbus', 'nosy']\n[plugins.config]")
    house.install("nimbus", NIMBUS_PLUGIN)
    house.install("nosy", NOSY_PLUGIN)
    done = house.run("api-key", "nimbus", KEY, NIMBUS_API_KEY="from-the-environment", LEONARDO_API_KEY="another")
    assert "nimbus: key ************9721 kept" in done.stdout, done.stderr
    assert "NIMBUS_API_KEY is set and comes before the kept key" in done.stdout
    assert json.loads((house.folder / "api_keys.json").read_text()) == {"nimbus": KEY}
    assert (house.folder / "seen").read_text() == "looked\n" * 2, "in its trial, and in the command itself"


def test_the_api_takes_a_declared_services_key_and_its_schema_names_it(
    visioncraft_client: Callable[..., TestClient], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    client = visioncraft_client(Cloud(NIMBUS))
    answer = client.post("/api-key", json={"service": "nimbus", "api_key": KEY})
    assert answer.json() == {
        "message": "API key updated successfully",
        "service": "nimbus",
        "key_preview": "************9721",
    }
    schema = client.get("/openapi.json").json()["components"]["schemas"]["ApiKeyBody"]
    assert schema["properties"]["service"]["enum"] == ["leonardo-api", "nimbus"]


@pytest.mark.parametrize(
    ("service", "code"),
    [
        ({}, "LEONARDO_API_ERROR"),
        ({"service": "leonardo-api"}, "LEONARDO_API_ERROR"),
        ({"service": "nimbus"}, "NIMBUS_API_ERROR"),
    ],
)
def test_an_upstream_error_is_named_after_its_service_also_behind_a_worker(service: dict[str, str], code: str) -> None:
    from visioncraft.api.errors import envelope, status_of

    error = from_plain(to_plain(UpstreamError("It failed", api_error="no", suggestion="again", **service)))
    assert (status_of(error), envelope(error)["error"]["code"]) == (502, code)
