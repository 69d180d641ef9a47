"""What a plugin manager does with plugins that are left out, broken, slow or wrong: its first three rules."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from points import GENERATOR, Point, manager_with
from visioncraft.plugins import hookspecs
from visioncraft.plugins.registry import Registry


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
            "visioncraft_modles is no hook of plugin API 1.1; did you mean visioncraft_models?",
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


def test_a_hook_that_ends_the_process_ends_only_its_own_answer(point: Point) -> None:
    leaving = "from visioncraft import hookimpl\n@hookimpl\ndef visioncraft_models():\n    raise SystemExit(3)"
    manager = manager_with(point("leaving", leaving), point("fine", GENERATOR.format(name="fine", model="m")))
    assert [model.id for model in Registry(manager.settings, manager).available()] == ["m"]
    assert manager.plugins["leaving"].error == "visioncraft_models raised SystemExit: 3"


def test_a_hook_that_yields_is_asked_within_its_time_limit_too(point: Point) -> None:
    hanging = (
        "import threading\nfrom visioncraft import hookimpl\nrelease = threading.Event()\n"
        "@hookimpl\ndef visioncraft_models():\n    yield release.wait()"
    )
    hanger = point("yielding", hanging)
    manager = manager_with(hanger, hook_timeout_s=0.05)
    assert manager.collect("visioncraft_models") == []
    assert manager.plugins["yielding"].error == "visioncraft_models did not answer within 0.05 s"
    release: threading.Event = sys.modules[hanger.module].release
    release.set()


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
        ("return threading.Event().wait()", "did not answer within 2 s"),
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
    manager = manager_with(shy, point("fine", GENERATOR.format(name="fine", model="m")), hook_timeout_s=2.0)
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


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        ("abilities=frozenset({'loras', 'palette'})", "has unknown abilities: palette; there are: init_image, mask"),
        ("kind='quantum'", "is of the kind 'quantum'; there are: local, cloud"),
    ],
)
def test_a_model_that_no_worker_could_be_told_of_is_named_at_load_and_the_others_draw(
    point: Point, odd: str, said: str
) -> None:
    odd_one = (
        "from visioncraft import Generator, ModelInfo, hookimpl\n"
        "class Odd(Generator):\n"
        "    name = 'odd'\n"
        f"    def models(self):\n        return [ModelInfo('odd-1', 'Odd', 'odd', {odd})]\n"
        "    def run(self, request, progress):\n        ...\n"
        "@hookimpl\ndef visioncraft_generators():\n    return [Odd()]"
    )
    manager = manager_with(point("odd", odd_one), point("fine", GENERATOR.format(name="fine", model="m")))
    registry = Registry(manager.settings, manager)
    assert [model.id for model in registry.available()] == ["m"]
    assert f"model 'odd-1' {said}" in (manager.plugins["odd"].error or "")
