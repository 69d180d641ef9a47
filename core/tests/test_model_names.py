"""The registry knows a model by every name of its own, and says which table in settings means none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from points import GENERATOR, Point, manager_with
from visioncraft import ConfigurationError, GalleryQuery, ModelNotAvailable
from visioncraft.gallery.memory import MemoryStore
from visioncraft.plugins.registry import Registry
from visioncraft.testing import a_picture

NAMED = GENERATOR.format(name="named", model="dreamshaper-8").replace(
    'engine="named")]',
    'engine="named", aliases=("dreamshaper_8",)), ModelInfo(id="模型甲", name="x", engine="named")]',
)


@pytest.mark.parametrize("name", ["dreamshaper_8", "dreamshaper-8", "DreamShaper 8", " dreamshaper.8 "])
def test_a_model_is_known_by_its_file_and_its_id_in_requests_and_settings(point: Point, name: str) -> None:
    manager = manager_with(point("named", NAMED))
    assert Registry(manager.settings, manager).model(name).id == "dreamshaper-8"
    chosen = manager.settings.model_copy(update={"default_model": name})
    assert Registry(chosen, manager).model(None).id == "dreamshaper-8"


def test_a_name_that_means_nothing_here_is_refused(point: Point) -> None:
    manager = manager_with(point("named", NAMED))
    registry = Registry(manager.settings, manager)
    for name in ("dreamshaper", "model", "模型乙", "-", ""):
        with pytest.raises(ModelNotAvailable):
            registry.model(name)
    with pytest.raises(ConfigurationError, match="no model 'dreamshaper_9' is known; did you mean 'dreamshaper-8'"):
        Registry(manager.settings.model_copy(update={"default_model": "dreamshaper_9"}), manager)


def test_a_table_for_a_model_that_is_not_there_is_told_once(point: Point, caplog: pytest.LogCaptureFixture) -> None:
    configured = 'name = "named"\n    configured = frozenset({"dreamshaper_8", "dreamshapr"})'
    manager = manager_with(point("named", NAMED.replace('name = "named"', configured, 1)))
    registry = Registry(manager.settings, manager)
    registry.refresh()
    told = [record.getMessage() for record in caplog.records if "models." in record.getMessage()]
    assert [line.partition(":")[0] for line in told] == ["plugins.config.named.models.dreamshapr"]


@pytest.mark.parametrize("asked", ["dreamshaper_8", "dreamshaper-8", "DreamShaper 8"])
def test_a_gallery_finds_pictures_under_every_spelling_of_their_model(asked: str) -> None:
    store = MemoryStore()
    make: Callable[..., Any] = a_picture
    for second, model in enumerate(("dreamshaper_8", "dreamshaper-8", "another")):
        record, png = make(second)
        store.save(replace(record, model=model), png)
    assert store.list(9, query=GalleryQuery(model=asked)).total == 2
