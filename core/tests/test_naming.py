"""Every name that people have for a model leads to it, and no two models share an id."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from visioncraft import ByName, canonical_id, ids_for, model_id_of, name_key


@dataclass(frozen=True)
class Thing:
    id: str
    aliases: tuple[str, ...] = ()


def things(*names: str) -> list[Thing]:
    return [Thing(each, (name,)) for each, name in zip(ids_for(names), names, strict=True)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("My Painter v1.2", "my-painter-v1.2"),
        ("dreamshaper_8", "dreamshaper-8"),
        ("模型甲", "模型甲"),
        ("Café", "café"),
        ("Cafe\u0301", "café"),
        ("मॉडल", "मॉडल"),
        ("../../etc/passwd", "etc-passwd"),
        ("a\nb\x1b[2J\u202e$(x);", "a-b-2j-x"),
        ("!!!", "model"),
    ],
)
def test_an_id_keeps_letters_of_every_script_and_nothing_that_steers(name: str, expected: str) -> None:
    assert model_id_of(name) == expected


@pytest.mark.parametrize(
    "names",
    [
        ("dreamshaper_8", "dreamshaper-8"),
        ("dreamshaper_8", "dreamshaper-8", "DreamShaper 8", "dreamshaper.8", "DREAMSHAPER_8"),
        ("模型甲", "模型乙"),
        ("!!!", "???", "model"),
        ("a/b", "a-b", "a_b"),
        ("painter", "painter.safetensors", "Painter"),
    ],
)
def test_names_that_differ_lead_to_different_things_with_different_ids(names: tuple[str, ...]) -> None:
    for order in (names, tuple(reversed(names))):
        made = things(*order)
        assert len({canonical_id(each.id) for each in made}) == len(order)
        known = ByName(made)
        assert [known.get(name) for name in order] == made
        assert [known.get(each.id) for each in made] == made


def test_the_name_that_is_its_own_id_has_it_wherever_it_stands() -> None:
    assert ids_for(["dreamshaper_8", "dreamshaper-8"]) == ["dreamshaper_8", "dreamshaper-8"]
    assert ids_for(["dreamshaper_8"]) == ["dreamshaper-8"], "alone it has the id that it had"


def test_a_name_is_found_in_every_spelling_that_means_it() -> None:
    (painter,) = things("Dream_Shaper 8.1")
    known = ByName([painter])
    for spelled in ("Dream_Shaper 8.1", "dream-shaper-8.1", "DREAM SHAPER 8 1", " dream_shaper_8-1 "):
        assert known.get(spelled) is painter
    assert known.get("dream") is known.get("") is None


def test_an_id_is_stronger_than_another_name_and_a_spelling_than_a_likeness() -> None:
    first, second = Thing("ink", ("Ink Wash",)), Thing("wash", ("ink", "INK"))
    known = ByName([second, first])
    assert (known.get("ink"), known.get("INK"), known.get("iNk")) == (first, second, first)


def test_the_ids_of_earlier_versions_still_lead_to_the_file_that_had_them() -> None:
    first, second, latin = things("模型甲", "模型乙", "Café 2")
    known = ByName([first, second, latin])
    assert known.get("model") is first, "of several the first had it"
    assert known.get("caf-2") is latin


def test_names_that_mean_one_have_one_key() -> None:
    assert name_key("Dream_Shaper 8") == name_key("dream-shaper.8") != name_key("dreamshaper8")
