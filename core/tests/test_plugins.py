"""The five rules of the plugin manager, on entry points loaded from real modules on disk."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable
from importlib.metadata import EntryPoint, distributions
from pathlib import Path
from typing import Any

import pytest
import visioncraft
from packaging.version import Version
from visioncraft import PLUGIN_API, hookspecs
from visioncraft.errors import ConfigurationError
from visioncraft.plugins import PluginManager
from visioncraft.registry import Registry
from visioncraft.settings import GenerationSettings, PluginsSettings, Settings, StorageSettings
from visioncraft.stores import MemoryStore

Point = Callable[..., EntryPoint]

GENERATOR = """
from visioncraft import Generator, ModelInfo, hookimpl
class Engine(Generator):
    name = "{name}"
    def models(self):
        return [ModelInfo(id="{model}", name="A model", engine="{name}")]
    def run(self, request, progress):
        raise RuntimeError("not asked to draw")
@hookimpl
def visioncraft_generators(settings):
    return [Engine()]
"""


@pytest.fixture
def point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Point:
    """Writes a module and gives the entry point that loads it."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(name: str, source: str) -> EntryPoint:
        module = f"vc_test_{tmp_path.name}_{name}".replace("-", "_")
        (tmp_path / f"{module}.py").write_text(source)
        return EntryPoint(name, module, "visioncraft")

    return make


def manager_with(*points: EntryPoint, **plugins: object) -> PluginManager:
    manager = PluginManager(Settings(plugins=PluginsSettings.model_validate(plugins)))
    manager.register(_Memory(), "memory")
    manager.discover(points)
    return manager


class _Memory:
    """The core's own store, so that a registry can be put together."""

    from visioncraft.hookspecs import hookimpl

    @hookimpl
    def visioncraft_stores(self) -> list[MemoryStore]:
        return [MemoryStore()]


def test_a_disabled_plugin_is_listed_but_its_code_is_never_imported(point: Point) -> None:
    spoiled = point("spoiled", "raise SystemExit('imported')")
    manager = manager_with(spoiled, disabled=["spoiled"])
    assert manager.plugins["spoiled"].status == "disabled"
    assert spoiled.module not in sys.modules


def test_an_allow_list_blocks_every_other_plugin(point: Point) -> None:
    wanted = point("wanted", GENERATOR.format(name="wanted", model="m1"))
    other = point("other", GENERATOR.format(name="other", model="m2"))
    manager = manager_with(wanted, other, enabled=["wanted"])
    assert manager.plugins["wanted"].status == "active"
    assert manager.plugins["other"].status == "disabled"
    assert other.module not in sys.modules


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import no_such_module_anywhere", "ModuleNotFoundError"),
        ("raise SystemExit(3)", "SystemExit"),
        ("def broken(:", "SyntaxError"),
        (
            "from visioncraft import hookimpl\n@hookimpl\ndef visioncraft_modles(settings):\n    return []",
            "visioncraft_modles is no hook of plugin API 1.0; did you mean visioncraft_models?",
        ),
        (
            "from visioncraft import hookimpl\n@hookimpl\ndef visioncraft_models(settings, extra):\n    return []",
            "can not be found in the hookspec; a hook takes `settings`, or nothing",
        ),
    ],
)
def test_a_broken_plugin_is_named_with_its_reason_and_the_others_serve(point: Point, source: str, reason: str) -> None:
    manager = manager_with(point("broken", source), point("fine", GENERATOR.format(name="fine", model="m")))
    assert manager.plugins["broken"].status == "failed"
    assert reason in (manager.plugins["broken"].error or "")
    assert "fine" in Registry(manager.settings, manager).generators


def test_a_hook_that_raises_loses_only_its_own_answer(point: Point) -> None:
    raising = (
        "from visioncraft import hookimpl\n@hookimpl\ndef visioncraft_models(settings):\n    raise ValueError('no')"
    )
    manager = manager_with(point("a_raising", raising), point("fine", GENERATOR.format(name="fine", model="m")))
    registry = Registry(manager.settings, manager)
    assert [model.id for model in registry.available()] == ["m"]
    assert manager.plugins["a_raising"].error == "visioncraft_models raised ValueError: no"


def test_a_hook_that_answers_no_list_is_named(point: Point) -> None:
    wrong = "from visioncraft import hookimpl\n@hookimpl\ndef visioncraft_models(settings):\n    return 3"
    manager = manager_with(point("wrong", wrong))
    assert manager.collect("visioncraft_models") == []
    assert "TypeError" in (manager.plugins["wrong"].error or "")


def test_a_hook_that_hangs_is_left_behind_at_its_time_limit(point: Point) -> None:
    hanging = (
        "import threading\nfrom visioncraft import hookimpl\nrelease = threading.Event()\n"
        "@hookimpl\ndef visioncraft_models(settings):\n    release.wait()\n    return []"
    )
    hanger = point("hanging", hanging)
    manager = manager_with(hanger, hook_timeout_s=0.05)
    assert manager.collect("visioncraft_models") == []
    assert "did not answer within 0.05 s" in (manager.plugins["hanging"].error or "")
    release: threading.Event = sys.modules[hanger.module].release
    release.set()


@pytest.mark.parametrize(
    ("hook", "answer", "reason"),
    [
        ("generators", "['plasma']", "visioncraft_generators answered a str, not a Generator"),
        ("generators", "[Nameless()]", "visioncraft_generators answered a Nameless whose name is None, not a name"),
        ("models", "[5]", "visioncraft_models answered a int, not a ModelInfo"),
        ("stores", "[Nameless()]", "visioncraft_stores answered a Nameless, not a ImageStore"),
        ("key_checks", "[len]", "visioncraft_key_checks answered a builtin_function_or_method, not a KeyCheck"),
        ("commands", "[lambda: 0]", "visioncraft_commands answered a function whose name is None, not a name"),
    ],
)
def test_a_hook_that_answers_something_else_costs_its_plugin_alone(
    point: Point, hook: str, answer: str, reason: str
) -> None:
    source = (
        GENERATOR.format(name="unused", model="m").replace('    name = "unused"\n', "").replace("Engine", "Nameless")
    )
    source = source.partition("@hookimpl")[0] + f"@hookimpl\ndef visioncraft_{hook}():\n    return {answer}\n"
    manager = manager_with(point("wrong", source), point("fine", GENERATOR.format(name="fine", model="m")))
    assert [model.id for model in Registry(manager.settings, manager).available()] == ["m"]
    assert manager.collect(f"visioncraft_{hook}") == [] or hook in ("generators", "stores")
    assert (manager.plugins["wrong"].status, manager.plugins["wrong"].error) == ("failed", reason)


@pytest.mark.parametrize(
    ("models", "reason"),
    [
        ("raise OSError('the disk is away')", "OSError: the disk is away"),
        ("return threading.Event().wait()", "did not answer within 0.05 s"),
        ("return ['a']", "TypeError: it answered what is no ModelInfo"),
    ],
)
def test_a_generator_that_cannot_list_its_models_is_named_until_it_can(point: Point, models: str, reason: str) -> None:
    source = GENERATOR.format(name="shy", model="n").replace(
        "        return [ModelInfo", f"        if self.shy: {models}\n        return [ModelInfo"
    )
    shy = point(
        "shy",
        f"import threading\n{source}".replace("class Engine(Generator):", "class Engine(Generator):\n    shy = True"),
    )
    manager = manager_with(shy, point("fine", GENERATOR.format(name="fine", model="m")), hook_timeout_s=0.05)
    registry = Registry(manager.settings, manager)
    assert [model.id for model in registry.available()] == ["m"]
    error = manager.plugins["shy"].error or ""
    assert error.startswith("generator 'shy' could not list its models") and reason in error
    vars(registry.generators["shy"])["shy"] = False
    registry.refresh()
    assert [model.id for model in registry.available()] == ["m", "n"]
    assert manager.plugins["shy"].error is None


def test_a_router_that_is_none_costs_its_plugin_alone(visioncraft_client: Callable[..., Any]) -> None:
    class Odd:
        @hookspecs.hookimpl
        def visioncraft_routers(self) -> list[object]:
            return [object()]

    client = visioncraft_client(Odd())
    assert client.get("/health").status_code == 200
    told = {each["name"]: each for each in client.get("/plugins").json()}
    assert told["mine"]["status"] == "failed" and "cannot be mounted" in told["mine"]["error"]


def test_two_plugins_with_one_generator_name_are_both_named_and_the_rightful_owner_keeps_it(point: Point) -> None:
    borrower = point("a_borrower", GENERATOR.format(name="owner", model="m1"))
    owner = point("owner", GENERATOR.format(name="owner", model="m2"))
    manager = manager_with(borrower, owner)
    registry = Registry(manager.settings, manager)
    assert [model.id for model in registry.available()] == ["m2"]
    error = manager.plugins["a_borrower"].error or ""
    assert "plugin 'a_borrower'" in error
    assert "plugin 'owner'" in error


def test_one_model_under_two_spellings_from_two_plugins_is_a_named_clash(point: Point) -> None:
    first = point("first", GENERATOR.format(name="first", model="phoenix-1.0"))
    second = point("second", GENERATOR.format(name="second", model="Phoenix-1-0"))
    manager = manager_with(first, second)
    registry = Registry(manager.settings, manager)
    assert [model.id for model in registry.available()] == ["phoenix-1.0"]
    assert "model 'Phoenix-1-0' is offered by" in (manager.plugins["second"].error or "")


@pytest.mark.parametrize(
    ("backends", "drawer"), [((), "z_first"), (("a_second",), "a_second"), (("z_first", "a_second"), "z_first")]
)
def test_a_model_that_two_engines_can_run_goes_to_its_first_one_unless_settings_say_otherwise(
    point: Point, backends: tuple[str, ...], drawer: str
) -> None:
    both = (
        "from visioncraft import ModelInfo, hookimpl\n@hookimpl\ndef visioncraft_models(settings):\n"
        "    return [ModelInfo(id='both', name='Both', engine='z_first', also=('a_second',))]"
    )
    engines = [point(name, GENERATOR.format(name=name, model=name)) for name in ("a_second", "z_first")]
    manager = manager_with(*engines, point("lister", both))
    settings = manager.settings.model_copy(update={"generation": GenerationSettings(backends=backends)})
    registry = Registry(settings, manager)
    assert registry.generator_for(registry.model("both")).name == drawer


def test_two_entry_points_of_one_name_are_a_named_clash(point: Point) -> None:
    one = point("same", GENERATOR.format(name="same", model="m"))
    manager = manager_with(one, one)
    assert [info.status for info in manager.plugins.values() if "same" in info.name] == ["active", "failed"]


@pytest.mark.parametrize(
    "settings",
    [
        Settings(generation=GenerationSettings(backends=("broken",))),
        Settings(storage=StorageSettings(backend="broken")),
    ],
)
def test_a_selected_backend_that_failed_stops_the_start_with_its_reason(point: Point, settings: Settings) -> None:
    manager = PluginManager(settings)
    manager.register(_Memory(), "memory")
    manager.discover([point("broken", "import no_such_module_anywhere")])
    with pytest.raises(ConfigurationError, match="no_such_module_anywhere"):
        Registry(settings, manager)


def test_a_selected_backend_that_is_not_installed_says_what_to_install() -> None:
    settings = Settings(storage=StorageSettings(backend="gallery_s3"))
    manager = PluginManager(settings)
    manager.register(_Memory(), "memory")
    with pytest.raises(ConfigurationError, match="pip install visioncraft-gallery-s3"):
        Registry(settings, manager)


def test_a_wrong_setting_of_a_plugin_stops_the_start(point: Point) -> None:
    source = """
from visioncraft import PluginSettings, hookimpl
class Table(PluginSettings):
    colour: str = "red"
@hookimpl
def visioncraft_models(settings):
    settings.plugin("picky", Table)
    return []
"""
    manager = manager_with(point("picky", source), config={"picky": {"color": "blue"}})
    with pytest.raises(ConfigurationError, match=r"plugins\.config\.picky\.color: unknown key; did you mean 'colour'"):
        manager.collect("visioncraft_models")


def installed(folder: Path, name: str, source: str, requires: str) -> EntryPoint:
    """A plugin as pip leaves it; answers its entry point."""
    metadata = folder / f"visioncraft_{name}-3.2.dist-info"
    metadata.mkdir()
    told = f"Metadata-Version: 2.1\nName: visioncraft-{name}\nVersion: 3.2\nRequires-Dist: {requires}\n"
    (metadata / "METADATA").write_text(told)
    (metadata / "entry_points.txt").write_text(f"[visioncraft]\n{name} = vc_made_for_{name}\n")
    (folder / f"vc_made_for_{name}.py").write_text(source)
    (found,) = next(iter(distributions(path=[str(folder)]))).entry_points
    return found


@pytest.mark.parametrize("requires", ["visioncraft>=2,<3", "VisionCraft[testing]<1", "visioncraft==0.9.*"])
def test_a_plugin_made_for_another_api_is_listed_with_what_to_do_and_never_imported(
    tmp_path: Path, requires: str
) -> None:
    manager = manager_with(installed(tmp_path, "later", "raise SystemExit('imported')", requires))
    info = manager.plugins["later"]
    assert info.status == "incompatible" and "vc_made_for_later" not in sys.modules
    assert "it was made for visioncraft" in (info.error or "") and f"(plugin API {PLUGIN_API})" in (info.error or "")
    assert "visioncraft plugins install --upgrade visioncraft-later" in (info.error or "")


@pytest.mark.parametrize(
    "requires", ["visioncraft", "visioncraft>=1.0,<2", "numpy", "visioncraft>=9; extra == 'x'", "not a requirement!"]
)
def test_a_plugin_made_for_this_api_or_for_none_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, requires: str
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    name = f"ours_{tmp_path.name}".replace("-", "_")
    manager = manager_with(installed(tmp_path, name, GENERATOR.format(name="x", model="m"), requires))
    assert manager.plugins[name].status == "active", manager.plugins[name].error


def test_safe_mode_never_imports_what_is_not_visioncrafts_own(point: Point) -> None:
    strange = point("strange", "raise SystemExit('imported')")
    manager = manager_with(strange, safe_mode=True, enabled=["strange"])
    assert manager.plugins["strange"].status == "disabled"
    assert "safe mode" in (manager.plugins["strange"].error or "")
    assert strange.module not in sys.modules


def test_safe_mode_asks_no_other_interpreter() -> None:
    manager = manager_with(safe_mode=True, config={"apart": {"python": "/nowhere/bin/python"}})
    assert (manager.plugins["apart"].status, manager.plugins["memory"].status) == ("disabled", "active")


def test_the_apis_version_is_the_cores_and_every_hook_says_since_when_it_is_there() -> None:
    assert visioncraft.__version__.startswith(f"{PLUGIN_API}.")
    specs = {name: spec for name, spec in vars(hookspecs).items() if name.startswith("visioncraft_")}
    assert len(specs) == 7
    for name, spec in specs.items():
        (since,) = re.findall(r"\n    \.\. versionadded:: (\d+\.\d+)\n", spec.__doc__ or "")
        assert Version(since) <= Version(PLUGIN_API), name
