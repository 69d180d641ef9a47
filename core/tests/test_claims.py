"""Names that several plugins offer: VisionCraft's own keep theirs, and the plugin that wanted one is the one blamed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib.metadata import EntryPoint, distributions
from pathlib import Path
from typing import Any

import click
import pytest
from fastapi import APIRouter
from visioncraft import ModelInfo, hookimpl
from visioncraft.api_keys import ApiKeys
from visioncraft.cli.group import commands_of
from visioncraft.errors import AuthenticationError
from visioncraft.gallery import plugin as builtin
from visioncraft.plugins.contracts import KeyCheck
from visioncraft.plugins.manager import PluginManager
from visioncraft.plugins.registry import Registry
from visioncraft.runtime.keeping import keep_key
from visioncraft.settings import Settings, StorageSettings
from visioncraft.testing import FakeGenerator, MemoryStore


class Offers:
    """A plugin that offers what it is given."""

    def __init__(
        self, generators: Any = (), models: Any = (), stores: Any = (), commands: Any = (), checks: Any = ()
    ) -> None:
        self.generators, self.models, self.stores = list(generators), list(models), list(stores)
        self.commands, self.checks = list(commands), list(checks)

    @hookimpl
    def visioncraft_generators(self) -> list[Any]:
        return self.generators

    @hookimpl
    def visioncraft_models(self) -> list[Any]:
        return self.models

    @hookimpl
    def visioncraft_stores(self) -> list[Any]:
        return self.stores

    @hookimpl
    def visioncraft_commands(self) -> list[Any]:
        return self.commands

    @hookimpl
    def visioncraft_key_checks(self) -> list[Any]:
        return self.checks


def engine(name: str, *models: str, engines: tuple[str, ...] = ()) -> FakeGenerator:
    made = FakeGenerator()
    listed = [ModelInfo(id=model, name=f"{name}'s", engine=name) for model in models]
    vars(made).update(name=name, engines=frozenset(engines), models=lambda: listed)
    return made


def store(name: str) -> MemoryStore:
    made = MemoryStore()
    vars(made)["name"] = name
    return made


def manager_of(**plugins: Any) -> PluginManager:
    """Plugins in this order; `mini`, `local_sd` and `gallery_fs` are VisionCraft's own."""
    manager = PluginManager(Settings())
    manager.register(builtin, "memory")
    for name, plugin in plugins.items():
        ours = name in ("mini", "local_sd", "gallery_fs")
        manager.register(plugin, name, f"visioncraft-{name.replace('_', '-')}" if ours else f"visioncraft-x-{name}")
    return manager


def error_of(manager: PluginManager, name: str) -> str:
    return manager.plugins[name].error or ""


@pytest.mark.parametrize("spelt", ["visioncraft-mini", "VisionCraft-Mini", "visioncraft.mini"])
def test_nobody_takes_a_model_over_that_is_visioncrafts_own(spelt: str) -> None:
    own = Offers([engine("diffusers")], [ModelInfo(id="visioncraft-mini", name="Own", engine="diffusers")])
    manager = manager_of(a_thief=Offers([engine("a_thief", spelt, "its-own")]), mini=own)
    registry = Registry(manager.settings, manager)
    assert {model.id: model.name for model in registry.available()} == {
        "visioncraft-mini": "Own",
        "its-own": "a_thief's",
    }
    assert registry.generator_for(registry.model(None)).name == "diffusers"
    assert manager.plugins["mini"].error is None
    assert error_of(manager, "a_thief").startswith(f"model '{spelt}' is offered by plugin 'a_thief'")
    assert "and by plugin 'mini' (visioncraft-mini )" in error_of(manager, "a_thief")


def test_no_other_name_of_a_model_of_visioncrafts_own_is_taken_over_either() -> None:
    own = ModelInfo(id="dream-shaper-8", name="Own", engine="e", aliases=("Dream_Shaper 8",))
    thief = Offers(
        [engine("e")],
        [
            ModelInfo(id="Dream_Shaper.8", name="By id", engine="e"),
            ModelInfo(id="x", name="By alias", engine="e", aliases=("DREAM-SHAPER-8", "theirs")),
        ],
    )
    manager = manager_of(a_thief=thief, local_sd=Offers(models=[own]))
    registry = Registry(manager.settings, manager)
    for name in ("dream-shaper-8", "Dream_Shaper 8", "Dream_Shaper.8", "DREAM-SHAPER-8", "dream.shaper.8"):
        assert registry.model(name).name == "Own", name
    assert registry.model("theirs").id == "x"


def test_an_engine_that_is_visioncrafts_own_draws_its_models_unless_settings_say_otherwise() -> None:
    own = Offers([engine("local_sd", engines=("diffusers",))], [ModelInfo(id="m", name="M", engine="diffusers")])
    manager = manager_of(
        a_thief=Offers([engine("a_thief", engines=("diffusers",))]), b_thief=Offers([engine("diffusers")]), local_sd=own
    )
    registry = Registry(manager.settings, manager)
    assert registry.generator_for(registry.model("m")).name == "local_sd"


def test_generators_and_stores_of_visioncrafts_own_stay_whoever_has_an_entry_point_of_their_name() -> None:
    thief = Offers([engine("leo")], stores=[store("gallery_fs"), store("memory")])
    own = Offers([engine("leo", "m")], stores=[store("gallery_fs")])
    manager = manager_of(leo=thief, gallery_fs=own)
    registry = Registry(manager.settings, manager)
    assert registry.owner("leo") == "gallery_fs" and registry.store is own.stores[0]
    assert "store 'memory' is offered by" in error_of(manager, "leo") and not error_of(manager, "gallery_fs")
    settings = manager.settings.model_copy(update={"storage": StorageSettings(backend="memory")})
    assert Registry(settings, manager).store is not thief.stores[1]


def test_between_others_the_name_decides_then_who_had_it_and_what_is_over_is_forgotten() -> None:
    first, second = Offers(), Offers([engine("second", "shared")])
    manager = manager_of(first=first, second=second, third=Offers([engine("third", "first")]))
    registry = Registry(manager.settings, manager)
    first.models = [
        ModelInfo(id="shared", name="first's", engine="second"),
        ModelInfo(id="first", name="F", engine="x"),
    ]
    registry.refresh()
    assert {model.id: model.name for model in registry.models()} == {"first": "F", "shared": "second's"}
    assert "model 'shared'" in error_of(manager, "first") and "model 'first'" in error_of(manager, "third")
    assert error_of(manager, "second") == ""
    first.models = []
    registry.refresh()
    assert error_of(manager, "first") == error_of(manager, "third") == ""


def test_many_clashes_are_counted_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    names = [f"m{number}" for number in range(9)]
    manager = manager_of(mini=Offers([engine("mine", *names)]), other=Offers([engine("other", *names)]))
    registry = Registry(manager.settings, manager)
    registry.refresh()
    assert "model 'm2'" in error_of(manager, "other") and error_of(manager, "other").endswith("; and 6 more")
    assert caplog.text.count("is offered by") == 3


def test_a_command_of_the_cores_name_is_left_out_and_told() -> None:
    commands = [click.Command("serve"), click.Command("plugins"), click.Command("aurora"), click.Command("gallery")]
    manager = manager_of(a_thief=Offers(commands=commands), gallery_fs=Offers(commands=[click.Command("gallery")]))
    found = commands_of(manager)
    assert set(found) == {"aurora", "gallery"} and found["gallery"] is not commands[3]
    for name in ("serve", "plugins", "gallery"):
        assert f"command '{name}' is offered by plugin 'a_thief'" in error_of(manager, "a_thief")


def test_a_key_is_shown_to_the_check_that_has_the_service_and_to_no_other(tmp_path: Path) -> None:
    stolen: list[str] = []

    async def steal(key: str) -> None:
        stolen.append(key)

    async def refuse(_key: str) -> None:
        raise AuthenticationError("no")

    manager = manager_of(
        a_thief=Offers(checks=[KeyCheck("leonardo-api", steal)]), mini=Offers(checks=[KeyCheck("leonardo-api", refuse)])
    )
    with pytest.raises(AuthenticationError):
        asyncio.run(keep_key(manager, ApiKeys(tmp_path / "keys.json"), "leonardo-api", "a" * 36))
    assert stolen == [] and "key check 'leonardo-api'" in error_of(manager, "a_thief")


def test_a_route_that_another_one_answers_is_left_out_and_told(visioncraft_client: Callable[..., Any]) -> None:
    router = APIRouter()
    for path in ("/health", "/images/{anything}", "/images/mine", "/mine"):
        router.get(path)(lambda: "mine")
    client = visioncraft_client(type("Routes", (), {"visioncraft_routers": hookimpl(lambda self: [router])})())
    assert client.get("/health").json() == {"status": "ok"} and client.get("/mine").json() == "mine"
    told = next(each for each in client.get("/plugins").json() if each["name"] == "mine")
    assert (
        told["status"] == "active"
        and "its GET /health, GET /images/{anything}, GET /images/mine is left out" in told["error"]
    )
    documented = client.get("/openapi.json").json()["paths"]
    assert "/mine" in documented and "/images/mine" not in documented
    assert "HealthAnswer" in str(documented["/health"]["get"]["responses"]["200"])


@pytest.mark.parametrize("order", [["a-thief", "visioncraft-mini"], ["visioncraft-mini", "zz-thief"]])
def test_an_entry_point_of_visioncrafts_own_name_keeps_nobody_from_loading(order: list[str], tmp_path: Path) -> None:
    points: list[EntryPoint] = []
    for name in order:
        folder = tmp_path / name / f"{name}-1.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (folder / "entry_points.txt").write_text("[visioncraft]\nmini = visioncraft.gallery.plugin\n")
        points += next(iter(distributions(path=[str(tmp_path / name)]))).entry_points
    manager = PluginManager(Settings())
    manager.discover(points)
    assert manager.plugins["mini"].distribution == "visioncraft-mini" and manager.plugins["mini"].status == "active"
    (thief,) = [info for name, info in manager.plugins.items() if name != "mini"]
    assert thief.status == "failed" and "is also the name of plugin 'mini' (visioncraft-mini 1)" in (thief.error or "")
