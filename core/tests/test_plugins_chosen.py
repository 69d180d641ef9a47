"""Which of the found plugins serve: clashing names, what settings select, versions, safe mode."""

from __future__ import annotations

import re
import sys
from importlib.metadata import EntryPoint, distributions
from pathlib import Path

import pytest
import visioncraft
from packaging.version import Version
from points import GENERATOR, Memory, Point, manager_with
from visioncraft import PLUGIN_API
from visioncraft.errors import ConfigurationError
from visioncraft.plugins import hookspecs
from visioncraft.plugins.manager import PluginManager
from visioncraft.plugins.registry import Registry
from visioncraft.settings import GenerationSettings, Settings, StorageSettings


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
    manager.register(Memory(), "memory")
    manager.discover([point("broken", "import no_such_module_anywhere")])
    with pytest.raises(ConfigurationError, match="no_such_module_anywhere"):
        Registry(settings, manager)


def test_a_selected_backend_that_is_not_installed_says_what_to_install() -> None:
    settings = Settings(storage=StorageSettings(backend="gallery_s3"))
    manager = PluginManager(settings)
    manager.register(Memory(), "memory")
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
    assert len(specs) >= 8
    for name, spec in specs.items():
        (since,) = re.findall(r"\n    \.\. versionadded:: (\d+\.\d+)\n", spec.__doc__ or "")
        assert Version(since) <= Version(PLUGIN_API), name
