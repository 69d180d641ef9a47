"""Headers of `.safetensors` files: names and shapes of tensors, and what the file's maker wrote beside them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from visioncraft import check_regular, state_of

from visioncraft_local_sd.weights.safety import CheckpointRefused

Shapes = Mapping[str, tuple[int, ...]]
_SHOWN = 120  # characters of a title
_SPEC = "modelspec."  # https://github.com/Stability-AI/ModelSpec
_PREDICTIONS = {"epsilon": "epsilon", "eps": "epsilon", "v": "v_prediction", "v_prediction": "v_prediction"}
_ARCHITECTURES = {"stable-diffusion-v2-512": "epsilon", "stable-diffusion-v2-768-v": "v_prediction"}


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of itself.

    Args:
        shapes: The shape of every tensor, by its name.
        metadata: What its maker wrote, as `modelspec.title`; nothing of it is checked.
    """

    shapes: Shapes
    metadata: Mapping[str, str]

    @property
    def title(self) -> str:
        """What its maker calls it, in one line; empty where they did not say."""
        words = "".join(each if each.isprintable() else " " for each in self.metadata.get(f"{_SPEC}title", "")).split()
        return " ".join(words)[:_SHOWN]

    def prediction(self, name: str) -> str | None:
        """What the denoiser predicts, as diffusers spells it; None where nothing says.

        Tensors called `v_pred` are NovelAI's mark. Raises `CheckpointRefused` for a prediction that is not known here.

        Args:
            name: The file's, for the error.
        """
        if "v_pred" in self.shapes:
            return "v_prediction"
        said = self.metadata.get(f"{_SPEC}prediction_type", "").strip().lower()
        if not said:
            return _ARCHITECTURES.get(self.metadata.get(f"{_SPEC}architecture", "").strip().lower())
        if said not in _PREDICTIONS:
            raise CheckpointRefused(
                f"{name} says that its denoiser predicts {said[:40]!r}, which is not known here; where that is wrong, "
                "set prediction_type in plugins.config.local_sd.models"
            )
        return _PREDICTIONS[said]


def read_header(path: Path) -> Header:
    """A file's header. Raises `CheckpointRefused` for a damaged one, `OSError` for what is no regular file."""
    check_regular(path)
    return _read(path, state_of(path))


def tensor_shapes(path: Path) -> Shapes:
    """The shape of every tensor in a file. Raises as `read_header` does."""
    return read_header(path).shapes


def side(shapes: Shapes, key: str, axis: int, name: str) -> int:
    """How long one axis of a tensor is. Raises `CheckpointRefused` where it has no such axis.

    Args:
        name: The file's, for the error.
    """
    shape = shapes[key]
    try:
        return shape[axis]
    except IndexError:
        raise CheckpointRefused(f"{name} has a {key} of shape {list(shape)}, which no such model has") from None


@lru_cache(maxsize=1024)
def _read(path: Path, state: Hashable) -> Header:
    """Kept while the file stays as it is: `/models` asks every time."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
            return Header(shapes, file.metadata() or {})
    except (SafetensorError, ValueError, OverflowError) as error:
        raise CheckpointRefused(f"{path.name} is damaged or no safetensors file ({error}); fetch it again") from error
