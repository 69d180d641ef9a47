"""Who keeps a name that several plugins offer, and what the others are told."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from visioncraft.plugins.info import PluginInfo

log = logging.getLogger(__name__)

OfferT = TypeVar("OfferT")

_NAMED = 3  # clashes of one plugin that its error names


class Claims(Generic[OfferT]):
    """The names of one kind.

    VisionCraft's own plugins come before all others; then the one whose entry point has that name; then the one that
    had it when the names were last settled; then the first in the alphabet. Everybody else's offer of that name is left
    out, and its plugin says so for as long as that lasts.

    Args:
        kind: What is named, for messages.
        name_of: An offer's name.
        key: Names with one key are one name.
    """

    def __init__(self, kind: str, name_of: Callable[[OfferT], str], key: Callable[[str], str] = str) -> None:
        self._kind, self._name_of, self._key = kind, name_of, key
        self._owners: dict[str, PluginInfo] = {}
        self._told: dict[str, tuple[PluginInfo, str]] = {}

    def settle(self, offers: Iterable[tuple[PluginInfo, OfferT]]) -> dict[str, tuple[PluginInfo, OfferT]]:
        """Each name's key with the one offer that has it, and whose that is."""
        settled: dict[str, tuple[PluginInfo, OfferT]] = {}
        clashes: dict[str, list[str]] = {}
        infos = {name: info for name, (info, _) in self._told.items()}
        for info, offer in sorted(offers, key=self._rank):
            key = self._key(self._name_of(offer))
            holder = settled[key][0] if key in settled else info
            if holder is info:
                settled[key] = (info, offer)
            else:
                infos[info.name] = info
                clashes.setdefault(info.name, []).append(self._clash(offer, info, holder))
        self._owners = {key: info for key, (info, _) in settled.items()}
        for name, info in infos.items():
            self._tell(info, clashes.get(name, []))
        return settled

    def _rank(self, pair: tuple[PluginInfo, OfferT]) -> tuple[bool, bool, bool]:
        info, offer = pair
        key = self._key(self._name_of(offer))
        return not info.ours, key != self._key(info.name), self._owners.get(key) is not info

    def _clash(self, offer: OfferT, info: PluginInfo, holder: PluginInfo) -> str:
        return (
            f"{self._kind} '{self._name_of(offer)}' is offered by {info.origin} and by {holder.origin}, "
            "which keeps it; disable one of the two"
        )

    def _tell(self, info: PluginInfo, clashes: list[str]) -> None:
        """Put what is wrong into the plugin's entry, or take it away when it is over; the log hears of it once."""
        _, before = self._told.pop(info.name, (info, None))
        said = "; ".join(clashes[:_NAMED]) + (f"; and {len(clashes) - _NAMED} more" if len(clashes) > _NAMED else "")
        if said:
            self._told[info.name] = (info, said)
            if said != before:
                log.error("%s", said)
        info.blame(said, before or "")


def every(answers: Iterable[tuple[PluginInfo, Iterable[OfferT]]]) -> list[tuple[PluginInfo, OfferT]]:
    """Plugins' lists as one list of single offers."""
    return [(info, offer) for info, offers in answers for offer in offers]
