"""VisionCraft Pro: one image-generation service in front of every engine.

These names are the public API for plugin authors; everything else may change without notice. They load when first
used, so importing this package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from visioncraft.contracts import EVERYTHING, Generator, ImageStore, KeyCheck, ModelKeeper, Progress
    from visioncraft.decoding import Decoders
    from visioncraft.device import free_memory_gb, has_bf16, probe_device
    from visioncraft.drawing import replay
    from visioncraft.editing import Control, Hires, InputImage, LoRA
    from visioncraft.errors import (
        AuthenticationError,
        ConfigurationError,
        GenerationFailed,
        InsufficientVRAM,
        InvalidRequest,
        JobCancelled,
        ModelNotAvailable,
        NotFound,
        PluginError,
        RateLimitExceeded,
        ServiceUnavailable,
        StorageError,
        StorageUnavailable,
        UpstreamError,
        VisionCraftError,
    )
    from visioncraft.files import (
        FoundFile,
        check_regular,
        find_below,
        is_bystander,
        read_bounded,
        read_json_object,
        state_of,
    )
    from visioncraft.hookspecs import hookimpl
    from visioncraft.ids import image_filename, is_image_id, new_image_id
    from visioncraft.images import decode_png, encode_png, read_record, read_record_file, webp_thumbnail, with_record
    from visioncraft.keys import ApiKeys
    from visioncraft.metadata import png_chunks
    from visioncraft.models import (
        Ability,
        ExportedModel,
        Limits,
        ModelInfo,
        StoredModel,
        canonical_id,
        model_folder,
        model_id_of,
    )
    from visioncraft.naming import ByName, NamedFile, ids_for, name_key, named_files
    from visioncraft.openmp import with_patient_threads
    from visioncraft.search import search_terms
    from visioncraft.settings import PluginSettings, Settings
    from visioncraft.shelf import Shelf
    from visioncraft.stores import page_of
    from visioncraft.types import (
        LEFT_OUT,
        ORIGINAL_SEED,
        BackendStatus,
        DeviceInfo,
        GalleryQuery,
        GeneratedImage,
        GenerationRequest,
        ImageRecord,
        Marks,
        Page,
        Sort,
        tag_key,
    )
    from visioncraft.zipping import zipped

__version__ = "1.0.0"

PLUGIN_API = "1.0"
"""The plugin API's version: the core's own without its last number. A plugin depends on `visioncraft>=1.0,<2`."""

_HOMES = {
    "decoding": ("Decoders",),
    "device": ("free_memory_gb", "has_bf16", "probe_device"),
    "drawing": ("replay",),
    "editing": ("Control", "Hires", "InputImage", "LoRA"),
    "errors": (
        "AuthenticationError",
        "ConfigurationError",
        "GenerationFailed",
        "InsufficientVRAM",
        "InvalidRequest",
        "JobCancelled",
        "ModelNotAvailable",
        "NotFound",
        "PluginError",
        "RateLimitExceeded",
        "ServiceUnavailable",
        "StorageError",
        "StorageUnavailable",
        "UpstreamError",
        "VisionCraftError",
    ),
    "files": (
        "FoundFile",
        "check_regular",
        "find_below",
        "is_bystander",
        "read_bounded",
        "read_json_object",
        "state_of",
    ),
    "hookspecs": ("hookimpl",),
    "ids": ("image_filename", "is_image_id", "new_image_id"),
    "images": ("decode_png", "encode_png", "read_record", "read_record_file", "webp_thumbnail", "with_record"),
    "keys": ("ApiKeys",),
    "metadata": ("png_chunks",),
    "naming": ("ByName", "NamedFile", "ids_for", "name_key", "named_files"),
    "openmp": ("with_patient_threads",),
    "search": ("search_terms",),
    "settings": ("PluginSettings", "Settings"),
    "shelf": ("Shelf",),
    "stores": ("page_of",),
    "contracts": ("EVERYTHING", "Generator", "ImageStore", "KeyCheck", "ModelKeeper", "Progress"),
    "models": (
        "Ability",
        "ExportedModel",
        "Limits",
        "ModelInfo",
        "StoredModel",
        "canonical_id",
        "model_folder",
        "model_id_of",
    ),
    "types": (
        "LEFT_OUT",
        "ORIGINAL_SEED",
        "BackendStatus",
        "DeviceInfo",
        "GalleryQuery",
        "GeneratedImage",
        "GenerationRequest",
        "ImageRecord",
        "Marks",
        "Page",
        "Sort",
        "tag_key",
    ),
    "zipping": ("zipped",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "EVERYTHING",
    "LEFT_OUT",
    "ORIGINAL_SEED",
    "PLUGIN_API",
    "Ability",
    "ApiKeys",
    "AuthenticationError",
    "BackendStatus",
    "ByName",
    "ConfigurationError",
    "Control",
    "Decoders",
    "DeviceInfo",
    "ExportedModel",
    "FoundFile",
    "GalleryQuery",
    "GeneratedImage",
    "GenerationFailed",
    "GenerationRequest",
    "Generator",
    "Hires",
    "ImageRecord",
    "ImageStore",
    "InputImage",
    "InsufficientVRAM",
    "InvalidRequest",
    "JobCancelled",
    "KeyCheck",
    "Limits",
    "LoRA",
    "Marks",
    "ModelInfo",
    "ModelKeeper",
    "ModelNotAvailable",
    "NamedFile",
    "NotFound",
    "Page",
    "PluginError",
    "PluginSettings",
    "Progress",
    "RateLimitExceeded",
    "ServiceUnavailable",
    "Settings",
    "Shelf",
    "Sort",
    "StorageError",
    "StorageUnavailable",
    "StoredModel",
    "UpstreamError",
    "VisionCraftError",
    "__version__",
    "canonical_id",
    "check_regular",
    "decode_png",
    "encode_png",
    "find_below",
    "free_memory_gb",
    "has_bf16",
    "hookimpl",
    "ids_for",
    "image_filename",
    "is_bystander",
    "is_image_id",
    "model_folder",
    "model_id_of",
    "name_key",
    "named_files",
    "new_image_id",
    "page_of",
    "png_chunks",
    "probe_device",
    "read_bounded",
    "read_json_object",
    "read_record",
    "read_record_file",
    "replay",
    "search_terms",
    "state_of",
    "tag_key",
    "webp_thumbnail",
    "with_patient_threads",
    "with_record",
    "zipped",
]


def __getattr__(name: str) -> object:
    """Load a public name on first use (PEP 562)."""
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'visioncraft' has no attribute {name!r}")
    return getattr(import_module(f"visioncraft.{home}"), name)
