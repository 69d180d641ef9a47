"""Whose files and batches are where people have keys of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from batching import begin, line, send, until
from harness import Server, served
from openai import BadRequestError, NotFoundError, OpenAI, PermissionDeniedError
from openai_house import openai_house
from visioncraft.access.keys import AccessKeys
from visioncraft.access.scopes import USUAL


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(openai_house(tmp_path_factory.mktemp("keyed"))) as server:
        yield server


def somebody(server: Server, name: str, scopes: Sequence[str] = USUAL) -> OpenAI:
    """A client with a key of its own."""
    _, key = AccessKeys(server.house.folder / "data" / "access_keys.json").create(name, scopes)
    return OpenAI(base_url=f"{server.url}/v1", api_key=key)


def images_of(server: Server, client: OpenAI) -> int:
    answer = server.get("/gallery", headers={"Authorization": f"Bearer {client.api_key}"})
    return int(answer.json()["total_count"])


def test_another_ones_files_and_batches_are_not_there_and_what_is_drawn_is_its_senders(keyed: Server) -> None:
    with somebody(keyed, "ada") as ada, somebody(keyed, "bob") as bob:
        batch = until(ada, begin(ada, [line("one"), line("two")]), "completed")
        assert (images_of(keyed, ada), images_of(keyed, bob)) == (2, 0)
        for file in (batch.input_file_id, str(batch.output_file_id)):
            for ask in (bob.files.retrieve, bob.files.content, bob.files.delete):
                with pytest.raises(NotFoundError):
                    ask(file)
        for look in (bob.batches.retrieve, bob.batches.cancel):
            with pytest.raises(NotFoundError):
                look(batch.id)
        assert not bob.files.list().data and not bob.batches.list().data
        with pytest.raises(BadRequestError, match="no such file"):
            bob.batches.create(
                input_file_id=batch.input_file_id, endpoint="/v1/images/generations", completion_window="24h"
            )
        assert len(ada.files.list().data) == 2 and [each.id for each in ada.batches.list()] == [batch.id]


def test_a_key_that_may_not_draw_may_send_no_files(keyed: Server) -> None:
    with somebody(keyed, "viewer", ["gallery:read"]) as viewer, pytest.raises(PermissionDeniedError):
        send(viewer, [line("one")])
