"""Which web pages may use the API."""

from __future__ import annotations

import re
from urllib.parse import urlsplit


def origin_pattern(origins: tuple[str, ...]) -> re.Pattern[str]:
    """Matches the allowed origins; one without a port stands for all its ports, `*` for every origin."""
    if "*" in origins:
        return re.compile(".*")
    alternatives = [re.escape(o) + ("" if urlsplit(o).port else r"(:\d{1,5})?") for o in origins]
    return re.compile("|".join(alternatives) or r"(?!)")
