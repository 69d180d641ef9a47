"""Plugins as the environment knows them: nothing of them is imported."""

from __future__ import annotations

from difflib import get_close_matches
from importlib.metadata import Distribution, EntryPoint, entry_points

from visioncraft.errors import NotFound
from visioncraft.settings import Settings

GROUP = "visioncraft"
BUILT_IN = "memory"


def find(name: str, settings: Settings) -> EntryPoint | None:
    """A plugin's entry point; None for one that lives in an environment of its own, as settings say.

    Raises `NotFound` that names the nearest.
    """
    points = {point.name: point for point in entry_points(group=GROUP)}
    if settings.interpreter(name):
        return None
    if name in points:
        return points[name]
    if name == BUILT_IN:
        raise NotFound(f"'{BUILT_IN}' is part of the core, not an installed plugin")
    apart = [each for each in settings.plugins.config if settings.interpreter(each)]
    near = get_close_matches(name, [*points, *apart], n=1)
    hint = f"did you mean '{near[0]}'?" if near else "`visioncraft plugins` lists them"
    raise NotFound(f"No plugin '{name}' is installed; {hint}")


def names_of(distribution: Distribution) -> list[str]:
    """The plugins that a distribution brings."""
    return sorted(point.name for point in distribution.entry_points if point.group == GROUP)
