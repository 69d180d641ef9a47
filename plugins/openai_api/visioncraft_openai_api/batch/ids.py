"""Names of files, batches and answers: they say nothing of what they name, and none is ever a path unchecked."""

from __future__ import annotations

import re
import secrets

_FILE = re.compile(r"file-[0-9a-f]{24}")


def new_file_id() -> str:
    """A fresh name of a file: `file-` and 24 hexadecimal digits."""
    return f"file-{secrets.token_hex(12)}"


def new_batch_id() -> str:
    """A fresh name of a batch: `batch_` and 24 hexadecimal digits."""
    return f"batch_{secrets.token_hex(12)}"


def new_answer_id() -> str:
    """A fresh name of a line's answer: `batch_req_` and 24 hexadecimal digits."""
    return f"batch_req_{secrets.token_hex(12)}"


def is_file_id(text: str) -> bool:
    """Whether a text has exactly the shape of a file's name."""
    return _FILE.fullmatch(text) is not None
