"""Files and batches as dialects, at `/v1` and without it."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter
from visioncraft import Dialect, Service, Settings

from visioncraft_openai_api.batch.database import Database
from visioncraft_openai_api.batch.desk import Desk
from visioncraft_openai_api.batch.files import Files
from visioncraft_openai_api.batch.routes import add_batch_routes, add_file_routes
from visioncraft_openai_api.batch.runner import Runner
from visioncraft_openai_api.batch.store import Batches
from visioncraft_openai_api.errors import errors_of
from visioncraft_openai_api.schemas import ERRORS
from visioncraft_openai_api.settings import OpenAISettings

_FORM_BYTES = 2**20  # what a form may have beside its file
_DAY_S = 86400
_SCOPE = "generate"


def batch_dialects(settings: Settings, service: Service) -> Sequence[Dialect]:
    """The dialects of files and batches. They come before those of images, which have all of `/v1` else.

    Args:
        settings: The server's.
        service: Draws.
    """
    table = settings.plugin("openai_api", OpenAISettings)
    folder = settings.data_path.resolve() / "openai"
    database = Database(folder / "batches.sqlite3")
    files = Files(database, folder / "files", int(table.max_files_gb * 2**30))
    desk = Desk(service, database, files, Batches(database), int(table.keep_files_days * _DAY_S))
    runner = Runner(desk)
    errors, most_bytes = errors_of(service), table.max_file_mb * 2**20
    dialects = []
    for prefix in ("/v1", ""):
        documented = bool(prefix)
        responses = ERRORS if documented else None
        of_files = APIRouter(tags=["files"], include_in_schema=documented, responses=responses)
        of_batches = APIRouter(tags=["batches"], include_in_schema=documented, responses=responses)
        add_file_routes(of_files, prefix, desk, most_bytes)
        add_batch_routes(of_batches, prefix, desk, runner)
        dialects += [
            Dialect(of_files, errors, request_size=most_bytes + _FORM_BYTES, to_disk=True, scope=_SCOPE),
            Dialect(of_batches, errors, scope=_SCOPE),
        ]
    dialects.append(Dialect(APIRouter(lifespan=runner.living)))
    return dialects
