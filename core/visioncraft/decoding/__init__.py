"""Where foreign pictures are decoded: in processes of their own, few, bounded in memory and time, and without secrets.

tasks.py     what is asked of such a process, and what it answers
__main__.py  the process
process.py   one of them as the server sees it
pool.py      all of them: `Decoders`
"""

from __future__ import annotations

from visioncraft.decoding.pool import Decoders

__all__ = ["Decoders"]
