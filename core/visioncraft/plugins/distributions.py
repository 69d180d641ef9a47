"""What an installed distribution says of itself, read without importing a line of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

from visioncraft._version import PLUGIN_API, __version__

CORE = "visioncraft"
OURS = frozenset(
    f"visioncraft-{name}"
    for name in (
        "a1111-api",
        "comfyui-api",
        "gallery-fs",
        "gemini-api",
        "hf-api",
        "leonardo",
        "local-onnx",
        "local-sd",
        "mcp-server",
        "metrics",
        "mini",
        "openai-api",
        "web-ui",
    )
)
"""The distributions that load in safe mode; every other plugin is somebody else's."""


@dataclass(frozen=True, slots=True)
class Unmet:
    """A requirement that an environment does not meet.

    Args:
        distribution, version: Whose requirement it is.
        requirement: What it asks for.
        found: The version there is; None where there is none.
    """

    distribution: str
    version: str
    requirement: Requirement
    found: str | None

    def __str__(self) -> str:
        there = f"{self.requirement.name} {self.found}" if self.found else "it is not installed"
        return f"{self.distribution} {self.version} needs {self.requirement}: {there}"


def requirements(declared: Iterable[str]) -> Iterator[Requirement]:
    """What a distribution needs on this machine, extras left out; what cannot be read is passed over, as pip does."""
    for text in declared:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement


def core_requirement(distribution: Distribution) -> Requirement | None:
    """Which versions of the core a plugin says it was made for, as `visioncraft>=1,<2`; None where it says nothing."""
    needed = requirements(distribution.requires or ())
    return next((each for each in needed if canonicalize_name(each.name) == CORE), None)


def incompatibility(distribution: Distribution) -> str | None:
    """Why a plugin was not made for this core, and what to do; None where nothing speaks against it.

    The plugin API has the core's own version (semantic versioning): a plugin states what it was made for as any
    distribution does, so that pip knows it too.
    """
    needed = core_requirement(distribution)
    if needed is None or needed.specifier.contains(__version__, prereleases=True):
        return None
    return (
        f"it was made for visioncraft{needed.specifier}, and this is {__version__} (plugin API {PLUGIN_API}): "
        f"look for another version with visioncraft plugins install --upgrade {distribution.name}"
    )


def installed() -> dict[str, Distribution]:
    """The installed distributions by canonical name; of two with one name the one that is imported.

    What an interrupted uninstall left behind has no name, and is passed over.
    """
    found: dict[str, Distribution] = {}
    for each in distributions():
        if each.name:
            found.setdefault(canonicalize_name(each.name), each)
    return found


def installed_versions() -> dict[str, str]:
    """Their versions."""
    return {name: each.version for name, each in installed().items()}


def unmet(name: str, version: str, declared: Iterable[str], versions: Mapping[str, str]) -> Iterator[Unmet]:
    """The requirements of one distribution that these versions do not meet.

    Args:
        name, version: The distribution.
        declared: Its `Requires-Dist`.
        versions: What is installed, by canonical name.
    """
    for requirement in requirements(declared):
        found = versions.get(canonicalize_name(requirement.name))
        if found is None or not _meets(requirement, found):
            yield Unmet(name, version, requirement, found)


def _meets(requirement: Requirement, version: str) -> bool:
    try:
        return requirement.specifier.contains(version, prereleases=True)
    except InvalidVersion:
        return True  # a version of nobody's scheme can be compared with none
