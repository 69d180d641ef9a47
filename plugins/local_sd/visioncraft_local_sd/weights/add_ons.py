"""What a loaded model asks for by name: LoRAs, ControlNets, learned words, upscalers."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path

from visioncraft_local_sd.weights.files import Collection
from visioncraft_local_sd.weights.recognise import Kind


class AddOns:
    """Finds parts by their names, as they lie on disk now.

    Args:
        collection: Knows them.
    """

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    def find(self, kind: Kind, name: str) -> Path:
        """A part's file or folder. Raises `NotFound` that names those there are."""
        return Path(self._collection.part(kind, name).path)

    def state_of_texts(self) -> Hashable:
        """Another one whenever something that changes what a text means came, went or changed."""
        return self._collection.state("embedding", "lora")

    def words(self) -> Mapping[str, Path]:
        """Every learned word with its file: the file's own name, and its id where no other file is called so."""
        parts = [(part.id, Path(part.path)) for part in self._collection.parts("embedding") if not part.trouble]
        # The id of a name without letters and digits says nothing of it, and is an English word.
        ids = {part_id: path for part_id, path in parts if any(sign.isalnum() for sign in path.stem)}
        return ids | {path.stem: path for _, path in reversed(parts)}
