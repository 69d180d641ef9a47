"""What whoever sent the request that is being answered sees and owns; where no request is answered, all and nothing."""

from __future__ import annotations

from visioncraft.access.owned import OwnedStore
from visioncraft.plugins.contracts import ImageStore
from visioncraft.types.identity import identity_of_request
from visioncraft.types.models import ModelInfo


def sees_all() -> bool:
    """Whether everybody's jobs and images are theirs to see."""
    identity = identity_of_request.get()
    return identity is None or identity.sees_all


def sees(owner: str) -> bool:
    """Whether jobs and images of this owner are theirs to see."""
    identity = identity_of_request.get()
    return identity is None or identity.sees_all or owner == identity.whose


def owner() -> str:
    """Whose a job is that they ask for; empty where nobody is told apart."""
    identity = identity_of_request.get()
    return identity.whose if identity is not None else ""


def may_use(model: ModelInfo) -> bool:
    """Whether they may draw with a model."""
    identity = identity_of_request.get()
    return identity is None or not identity.models or model.id in identity.models


def shown(store: ImageStore) -> ImageStore:
    """The gallery as they see it."""
    identity = identity_of_request.get()
    return store if identity is None or identity.may("all") else OwnedStore(store, identity)
