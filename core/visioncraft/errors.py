"""Everything that can go wrong, said once. The ladder knows no HTTP; `api/errors.py` holds the one table that does.

Every message names the culprit and, where there is one, the next step. Nothing here ever carries a secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any


class VisionCraftError(Exception):
    """The root of the ladder.

    Args:
        message: One sentence for a person, without a trailing period.
        details: Machine-readable facts about this error, JSON-serialisable, free of secrets.
    """

    code: str = "INTERNAL_ERROR"

    def __init__(self, message: str, **details: object) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class InvalidRequest(VisionCraftError):
    """A request that breaks the contract or the limits of its model.

    Args:
        message: What was refused.
        field: The field at fault, dotted where it nests; `body` for the document itself.
        issue: What is wrong with it and what would be right.
    """

    code = "VALIDATION_ERROR"

    def __init__(self, message: str, *, field: str, issue: str) -> None:
        super().__init__(message, field=field, issue=issue)

    @classmethod
    def of(cls, field: str, issue: str) -> InvalidRequest:
        """As nearly all of them read: `Invalid <field> provided`.

        .. versionadded:: 1.1
        """
        return cls(f"Invalid {field} provided", field=field, issue=issue)


class AuthenticationError(VisionCraftError):
    """A key or token is missing or was refused."""

    code = "AUTHENTICATION_ERROR"


class RequestTimeout(VisionCraftError):
    """The client took too long to send its request."""

    code = "REQUEST_TIMEOUT"


class Forbidden(VisionCraftError):
    """A Host or an Origin that this server does not serve, or a key that is not for what was asked."""

    code = "FORBIDDEN"


class NotFound(VisionCraftError):
    """There is no such job, picture, plugin or route."""

    code = "NOT_FOUND"


class MethodNotAllowed(VisionCraftError):
    """There is such a route, which does not take this HTTP method."""

    code = "METHOD_NOT_ALLOWED"


class ModelNotAvailable(VisionCraftError):
    """The named model cannot draw here: unknown, or its weights are absent.

    Args:
        model: The name as the client wrote it.
        available_models: Ids of the models that can draw now.
        suggestion: The command that would make it available, where there is one.
    """

    code = "MODEL_NOT_AVAILABLE"

    def __init__(self, model: str, available_models: Sequence[str], suggestion: str | None = None) -> None:
        super().__init__(f"Model '{model}' not available", **({"suggestion": suggestion} if suggestion else {}))
        self.model = model
        self.available_models = list(available_models)


class InsufficientVRAM(VisionCraftError):
    """The device's memory does not suffice, predicted before the work or met during it.

    Args:
        available: Free device memory, in GB (2**30 bytes).
        required: What the request needs, in GB; an estimate where the device only said "out of memory".
    """

    code = "INSUFFICIENT_VRAM"

    def __init__(
        self, available: float, required: float, message: str = "Not enough VRAM for requested resolution"
    ) -> None:
        super().__init__(message)
        self.vram_available = round(available, 2)
        self.vram_required = round(required, 2)


class RateLimitExceeded(VisionCraftError):
    """Too much at once: the queue is full, or an upstream service said so.

    Args:
        retry_after: Seconds until another try is worth it.
    """

    code = "RATE_LIMIT_EXCEEDED"

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message, retry_after=retry_after)
        self.retry_after = retry_after


class ServiceUnavailable(VisionCraftError):
    """Something this needs is not there now: a backend, a worker, a service."""

    code = "SERVICE_UNAVAILABLE"


class Overloaded(ServiceUnavailable):
    """There are too many clients at once.

    Args:
        retry_after: Seconds until another try is worth it.
    """

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message, retry_after=retry_after)
        self.retry_after = retry_after


class StorageError(ServiceUnavailable):
    """The picture could not be stored or read: a full disk, a missing permission, a damaged file."""


class StorageUnavailable(StorageError):
    """Nothing can be stored now, whatever it is: a full, read-only or absent disk, too many open files.

    A store that raises this from `save` is asked again, for as long as it takes: the picture waits in memory meanwhile,
    and no further one is begun.
    """


class GenerationFailed(VisionCraftError):
    """A generator raised something of its own; the log has its traceback, the client never."""


class UpstreamError(VisionCraftError):
    """A cloud service refused or failed.

    Args:
        message: What failed, naming the service.
        api_error: The service's own words, free of secrets.
        suggestion: What the client can do.
        service: Whose error it is, as its key service is called: the code of "nimbus" or "nimbus-api" is
            `NIMBUS_API_ERROR`. The default is the service that the contract names, and that plugins of 1.0 meant.
    """

    code = "LEONARDO_API_ERROR"

    def __init__(self, message: str, *, api_error: str, suggestion: str, service: str = "leonardo") -> None:
        super().__init__(message, api_error=api_error, suggestion=suggestion)
        self.code = re.sub("[^A-Z0-9]+", "_", service.upper()).removesuffix("_API") + "_API_ERROR"


class JobCancelled(VisionCraftError):
    """The job was cancelled. `Progress.step` raises it so that a generator stops within one step."""

    code = "CANCELLED"

    def __init__(self, message: str = "The job was cancelled") -> None:
        super().__init__(message)


class ConfigurationError(VisionCraftError):
    """The settings are wrong or incomplete; the server does not start."""

    code = "CONFIGURATION_ERROR"


class PluginError(VisionCraftError):
    """A plugin is broken, is missing, or clashes with another one."""

    code = "PLUGIN_ERROR"


class WorkerLost(VisionCraftError):
    """The process or machine that did the work is gone; the work may be done again elsewhere."""


class ProtocolError(VisionCraftError):
    """A worker and the server do not understand each other."""


def to_plain(error: VisionCraftError) -> dict[str, Any]:
    """An error as plain data, for the ledger and for the way between processes.

    A plugin's own class becomes the nearest one of this ladder: the other side may not have the plugin.
    """
    kind = next(base.__name__ for base in type(error).__mro__ if base in _LADDER.values())
    return {"kind": kind, **{name: value for name, value in vars(error).items() if not name.startswith("_")}}


def from_plain(state: Mapping[str, Any]) -> VisionCraftError:
    """The error that `to_plain` wrote down."""
    kind = _LADDER.get(str(state.get("kind")), VisionCraftError)
    error = kind.__new__(kind, str(state.get("message")))
    vars(error).update({name: value for name, value in state.items() if name != "kind"})
    return error


_LADDER: Mapping[str, type[VisionCraftError]] = {
    name: kind
    for name, kind in list(globals().items())
    if isinstance(kind, type) and issubclass(kind, VisionCraftError)
}
