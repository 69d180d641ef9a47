"""How many processor threads compute: found by timing the denoiser's calls while pictures are drawn.

Every operation waits for the last of its threads. Where another program has one of the cores, all wait for the thread
that shares it, or has none at all, and fewer threads are faster: on two busy cores one thread drew a picture in a
quarter of the time that two took. No rule says how many: it depends on the cores, on what else runs, and changes.

Nothing here looks at a clock: the caller times its calls, so that a sequence of times always leads to the same numbers.
"""

from __future__ import annotations

import logging
from collections import OrderedDict, deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from statistics import median

_SAMPLES = 3  # calls whose median counts, so that one that was held up alone decides nothing
_FEWER, _MORE = 0.9, 0.97  # another number must take less than this share of the time; all cores are meant to be used
_HOPELESS = 1.5  # one that takes so much more than the fastest ends a survey: what lies beyond is no better
_CHANGED = 1.5  # calls that take so much more, or so much less, than usual mean that the machine's load changed
_PAUSES = (4, 16, 64, 128)  # calls until the next survey: longer with each that found nothing better
_EARLIER = 4  # more threads are tried after so small a part of the pause where calls became faster
_PATIENCE = 16  # calls of other kinds that a survey outlives
_KINDS = 64  # remembered

_log = logging.getLogger("visioncraft.local_sd")


@dataclass
class _Survey:
    """Other numbers of threads, tried one after another with calls of one kind.

    Args:
        kind: Of the calls; others go on with the number that was found before.
        tries: The numbers to try, the one that is tried now first.
        times: Seconds a call by number, as measured in this survey.
        seen: Seconds of the calls with the number that is tried now. The first one does not count: kernels are made for
            a number of threads when they are first called.
        strangers: Calls of other kinds meanwhile.
    """

    kind: Hashable
    tries: list[int]
    times: dict[int, float]
    seen: list[float] = field(default_factory=list)
    strangers: int = 0


class Threads:
    """The number of threads for each call, between 1 and as many as there are.

    Calls are compared with calls of their own kind only. A survey tries the next fewer, or more, numbers until one is
    clearly slower, and the fastest is kept. There is one soon after the start, one whenever calls take far longer or
    far shorter than usual, and one now and then, ever more seldom while nothing changes.

    Args:
        most: As many as there are.
        chosen: Whether the number is to be found; otherwise it stays `most`.
    """

    def __init__(self, most: int, chosen: bool = True) -> None:
        self.most = self.count = most
        """The number that is in force outside of surveys."""
        self._numbers = _numbers(most) if chosen else [most]
        self._recent: OrderedDict[Hashable, deque[float]] = OrderedDict()
        self._usual: dict[Hashable, float] = {}
        self._survey: _Survey | None = None
        self._pause, self._calls, self._upward = 0, 0, True

    @property
    def settled(self) -> int | None:
        """The number that is in force; None while others are tried."""
        return self.count if self._survey is None else None

    def of(self, kind: Hashable) -> int:
        """The number for the next call of a kind."""
        survey = self._survey
        return survey.tries[0] if survey is not None and survey.kind == kind else self.count

    def took(self, kind: Hashable, seconds: float) -> None:
        """Learn how long a call with `of(kind)` threads took."""
        if len(self._numbers) == 1:
            return
        if self._survey is None:
            self._watch(kind, seconds)
        elif self._survey.kind == kind:
            self._try(self._survey, seconds)
        else:
            self._survey.strangers += 1
            if self._survey.strangers > _PATIENCE:
                self._survey = None

    def _watch(self, kind: Hashable, seconds: float) -> None:
        """Between surveys: begin one when it is time."""
        self._calls += 1
        recent = self._recent.setdefault(kind, deque(maxlen=_SAMPLES))
        self._recent.move_to_end(kind)
        if len(self._recent) > _KINDS:
            self._usual.pop(self._recent.popitem(last=False)[0], None)
        recent.append(seconds)
        if len(recent) < _SAMPLES:
            return
        now = median(recent)
        usual = self._usual.setdefault(kind, now)
        pause = _PAUSES[self._pause]
        if now > _CHANGED * usual:
            self._begin(kind, now, self._fewer())
        elif now * _CHANGED < usual and self._calls >= pause // _EARLIER:
            self._begin(kind, now, self._more())
        elif self._calls >= pause:
            self._upward = not self._upward
            near, far = (self._more(), self._fewer()) if self._upward else (self._fewer(), self._more())
            self._begin(kind, now, near or far)

    def _fewer(self) -> list[int]:
        return [number for number in reversed(self._numbers) if number < self.count]

    def _more(self) -> list[int]:
        return [number for number in self._numbers if number > self.count]

    def _begin(self, kind: Hashable, now: float, tries: list[int]) -> None:
        """Try these, the nearest first; where there are none, what calls take now is usual."""
        self._usual[kind] = now
        if tries:
            self._survey = _Survey(kind, tries, {self.count: now})

    def _try(self, survey: _Survey, seconds: float) -> None:
        survey.seen.append(seconds)
        counted = survey.seen[1:]
        if not counted:
            return
        hopeless = counted[-1] > _HOPELESS * min(survey.times.values())
        if not hopeless and len(counted) < _SAMPLES:
            return
        survey.times[survey.tries.pop(0)] = median(counted)
        survey.seen = []
        if hopeless or not survey.tries:
            self._end(survey)

    def _end(self, survey: _Survey) -> None:
        fastest = min(survey.times, key=lambda number: survey.times[number])
        share = _FEWER if fastest < self.count else _MORE
        better = survey.times[fastest] < share * survey.times[self.count]
        self._survey, self._calls = None, 0
        self._pause = 1 if better else min(self._pause + 1, len(_PAUSES) - 1)
        if better:
            self.count = fastest
            self._recent.clear()
            self._usual.clear()
            _log.info("drawing with %d of %d processor threads, which is faster now", self.count, self.most)


def _numbers(most: int) -> list[int]:
    """What is tried, in rising order: one less than all, since often one other program is busy, and rough shares."""
    return sorted({max(1, number) for number in (1, most // 4, most // 2, most * 3 // 4, most - 1, most)})
