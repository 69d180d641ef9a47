"""The stand-in is proven by clients that are not ours, and by the OpenAPI description of the real API."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from leonardo_ai_sdk import LeonardoAiSDK
from leonardo_ai_sdk.models import errors
from rules import OTHER_MODEL
from standin import KEY, USER, StandIn
from visioncraft.testing import PATIENCE_S

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
OPENAPI = HERE / "data" / "openapi.json"


def test_the_official_python_client_creates_polls_lists_and_deletes(standin: StandIn) -> None:
    with LeonardoAiSDK(bearer_auth=KEY, server_url=standin.base_url) as client:
        made = client.image.create_generation(request={"prompt": "from python", "num_images": 1, "seed": 77})
        job = made.object.sd_generation_job
        assert job is not None and job.cost is not None
        states = []
        while "COMPLETE" not in states:
            found = client.image.get_generation_by_id(id=str(job.generation_id)).object.generations_by_pk
            states.append(str(getattr(found.status, "value", found.status)))
        assert states == ["PENDING", "COMPLETE"]
        assert found.generated_images[0].url.endswith(".jpg")
        assert (found.seed, found.prompt) == (77, "from python")
        me = client.user.get_user_self().object.user_details[0]
        assert (me.user.id, me.api_concurrency_slots) == (USER, 10)
        listed = client.image.get_generations_by_user_id(user_id=USER).object.generations
        assert [each.id for each in listed or ()] == [job.generation_id]
        models = client.models.list_platform_models().object.custom_models
        assert [each.id for each in models or ()] == [OTHER_MODEL]
        client.image.delete_generation_by_id(id=str(job.generation_id))
        assert standin.deleted == [job.generation_id]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"prompt": "x", "width": 1544}, 400, "invalid dimensions"),
        ({"prompt": "x", "num_images": 5}, 400, "num_images"),
        ({"prompt": "x" * 1501, "num_images": 1}, 400, "prompt too long"),
        ({"prompt": "x", "alchemy": True, "ultra": True, "num_images": 1}, 400, "ultra"),
        ({"prompt": "x", "modelId": "c0ffee00-0000-4000-8000-000000000000", "num_images": 1}, 400, "Production API"),
    ],
)
def test_the_official_python_client_meets_the_same_refusals(
    body: dict[str, Any], status: int, words: str, standin: StandIn
) -> None:
    with (
        LeonardoAiSDK(bearer_auth=KEY, server_url=standin.base_url) as client,
        pytest.raises(errors.SDKError) as caught,
    ):
        client.image.create_generation(request=body)
    assert (caught.value.status_code, standin.generations) == (status, {})
    assert words in caught.value.body


def test_the_official_javascript_client_agrees(standin: StandIn) -> None:
    modules = Path(sys.prefix) / "node" / "node_modules"
    outcome = subprocess.run(
        ["node", str(HERE / "support" / "client.cjs"), standin.base_url, KEY, USER],
        env={**os.environ, "NODE_PATH": str(modules)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert outcome.returncode == 0, f"{outcome.stderr}\nscripts/install-leonardo-client.sh puts the client in place"
    said = json.loads(outcome.stdout)
    assert (said["states"], said["listed"], said["user"]) == (["PENDING", "COMPLETE"], [said["id"]], USER)
    assert said["url"].startswith(standin.url) and said["models"] == ["RPG v9"]
    assert (said["wide"]["status"], said["stranger"]["status"]) == (400, 401)
    assert "invalid dimensions" in said["wide"]["body"]
    assert standin.deleted == [said["id"]]


def test_every_answer_is_as_the_openapi_description_has_it(standin: StandIn) -> None:
    schema = schemathesis.openapi.from_path(OPENAPI)
    with httpx.Client(base_url=standin.base_url, headers={"Authorization": f"Bearer {KEY}"}) as client:
        made = client.post("/generations", json={"prompt": "by the book", "num_images": 1})
        schema["/generations"]["POST"].validate_response(made)
        name = made.json()["sdGenerationJob"]["generationId"]
        for state in ("PENDING", "COMPLETE"):
            looked = client.get(f"/generations/{name}")
            assert looked.json()["generations_by_pk"]["status"] == state
            schema["/generations/{id}"]["GET"].validate_response(looked)
        schema["/generations/user/{userId}"]["GET"].validate_response(client.get(f"/generations/user/{USER}"))
        schema["/me"]["GET"].validate_response(client.get("/me"))
        schema["/platformModels"]["GET"].validate_response(client.get("/platformModels"))
        schema["/generations/{id}"]["DELETE"].validate_response(client.delete(f"/generations/{name}"))
        looked = client.get(f"/generations/{name}")
        schema["/generations/{id}"]["GET"].validate_response(looked)
        assert looked.json() == {"generations_by_pk": None}


def test_the_description_can_find_fault(standin: StandIn) -> None:
    """Else the test before this one would prove nothing."""
    operation = schemathesis.openapi.from_path(OPENAPI)["/generations/{id}"]["GET"]
    standin.generations["odd"] = {"status": "DONE", "prompt": "odd"}
    standin._left["odd"] = 1
    answer = httpx.get(f"{standin.base_url}/generations/odd", headers={"Authorization": f"Bearer {KEY}"})
    assert not operation.is_valid_response(answer)


def test_the_kept_description_is_that_of_the_shared_notes() -> None:
    kept = json.loads(OPENAPI.read_text("utf-8"))
    agreed = ROOT.parent / "shared" / "leonardo" / "openapi.json"
    assert len(kept["paths"]) == 5
    if agreed.exists():
        whole = json.loads(agreed.read_text("utf-8"))
        assert kept["paths"] == {path: whole["paths"][path] for path in kept["paths"]}
