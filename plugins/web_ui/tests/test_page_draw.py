"""Drawing with the page: every field of the model, live progress, cancelling, and images to start from."""

from __future__ import annotations

import base64
from typing import Any

from playwright.sync_api import expect
from tabs import Opener, Tab
from visioncraft.testing import Server

DROP = """(place, [kind, png]) => {
    const bytes = Uint8Array.from(atob(png), letter => letter.charCodeAt(0));
    const data = new DataTransfer();
    data.items.add(new File([bytes], 'dropped.png', {type: 'image/png'}));
    const event = kind === 'paste' ? new ClipboardEvent('paste', {clipboardData: data, bubbles: true})
        : new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true});
    place.dispatchEvent(event);
}"""


def last_job(server: Server) -> dict[str, Any]:
    newest: dict[str, Any] = server.get("/jobs?limit=1").json()["jobs"][0]
    return newest


def permit(server: Server, gate: str, steps: int) -> None:
    assert server.post(f"/fake/permits/{gate}/{steps}").status_code == 200


def test_a_prompt_becomes_an_image(tab: Tab) -> None:
    tab.draw("a red fox", Steps="15")
    assert tab.result().get_attribute("alt") == "a red fox"
    assert last_job(tab.server)["parameters"]["num_inference_steps"] == 15


def test_a_parameter_that_only_a_plugin_knows_has_its_field(tab: Tab) -> None:
    tab.page.get_by_label("Model", exact=True).select_option(label="Palette")
    tab.page.get_by_label("Palette", exact=True).select_option(label="cold")
    tab.draw("a lake")
    tab.result()
    job = last_job(tab.server)
    assert (job["model"], job["parameters"]["palette"]) == ("palette", "cold")


def test_a_model_tells_its_own_sizes_and_defaults(tab: Tab) -> None:
    width = tab.page.get_by_label("Width", exact=True).first
    tab.page.get_by_label("Model", exact=True).select_option(label="Palette")
    expect(width).to_have_value("256")
    tab.page.get_by_label("Model", exact=True).select_option(label="Fake")
    expect(width).to_have_value("512")
    assert width.get_attribute("max") == "1024"


def test_steps_and_previews_are_seen_while_it_is_drawn(tab: Tab) -> None:
    tab.draw("gated seen", Steps="15")
    permit(tab.server, "seen", 3)
    expect(tab.page.locator(".stage .progress")).to_contain_text("Step 3 of 15")
    expect(tab.page.get_by_alt_text("Preview of the image")).to_be_visible()
    expect(tab.page).to_have_title("20 % · Draw · VisionCraft")
    permit(tab.server, "seen", 12)
    tab.result()
    expect(tab.page).to_have_title("Draw · VisionCraft")
    assert tab.page.get_by_alt_text("Preview of the image").count() == 0


def test_one_button_cancels_what_is_drawn_and_what_waits(tab: Tab) -> None:
    tab.draw("gated held", Steps="15")
    tab.server.post("/queue/pause")
    try:
        tab.draw("it waits behind")
        expect(tab.page.locator(".stage .progress")).to_contain_text("queue")
        tab.page.get_by_role("button", name="Cancel").click()
        expect(tab.page.locator(".stage")).to_contain_text("Cancelled")
    finally:
        tab.server.post("/queue/resume")
    tab.page.locator(".strip button").first.click()
    tab.page.get_by_role("button", name="Cancel").click()
    permit(tab.server, "held", 1)
    expect(tab.page.locator(".stage")).to_contain_text("Cancelled")
    ended = tab.server.get("/jobs?limit=2").json()["jobs"]
    assert [(job["parameters"]["prompt"], job["status"]) for job in ended] == [
        ("it waits behind", "cancelled"),
        ("gated held", "cancelled"),
    ]


def test_prompt_seed_and_settings_survive_a_reload(tab: Tab) -> None:
    tab.page.get_by_label("Prompt", exact=True).fill("<b>not lost</b>")
    tab.page.get_by_label("Not in the image").fill("fog")
    tab.page.get_by_label("Steps", exact=True).first.fill("31")
    tab.page.get_by_label("Seed").fill("4711")
    tab.page.get_by_label("Seed").blur()
    tab.page.reload()
    expect(tab.page.get_by_label("Prompt", exact=True)).to_have_value("<b>not lost</b>")
    expect(tab.page.get_by_label("Not in the image")).to_have_value("fog")
    expect(tab.page.get_by_label("Steps", exact=True).first).to_have_value("31")
    expect(tab.page.get_by_label("Seed")).to_have_value("4711")
    expect(tab.page.get_by_role("button", name="Locked")).to_have_attribute("aria-pressed", "true")
    tab.page.get_by_role("button", name="Generate").click()
    tab.result()
    job = last_job(tab.server)
    kept = {"prompt": "<b>not lost</b>", "negative_prompt": "fog", "num_inference_steps": 31}
    assert (job["seed"], job["parameters"] | kept) == (4711, job["parameters"])


def test_a_locked_seed_stays_and_a_random_one_changes(tab: Tab) -> None:
    tab.page.get_by_label("Seed").fill("12")
    tab.page.get_by_label("Seed").blur()
    tab.draw("twice the same")
    tab.result()
    assert last_job(tab.server)["seed"] == 12
    tab.page.get_by_role("button", name="Locked").click()
    tab.draw("another one")
    expect(tab.page.get_by_alt_text("another one").first).to_be_visible()
    assert last_job(tab.server)["seed"] != 12


def test_several_images_come_from_one_request(tab: Tab) -> None:
    tab.page.get_by_label("Number of images", exact=True).first.fill("3")
    tab.draw("three of them")
    expect(tab.page.locator(".result img")).to_have_count(3)
    assert len(last_job(tab.server)["images"]) == 3


def test_control_and_enter_generate(tab: Tab) -> None:
    tab.page.get_by_label("Prompt", exact=True).fill("by keyboard")
    tab.page.keyboard.press("Control+Enter")
    expect(tab.page.get_by_alt_text("by keyboard").first).to_be_visible()
    assert last_job(tab.server)["parameters"]["prompt"] == "by keyboard"


def test_a_refusal_is_told_in_words_and_nothing_is_lost(tab: Tab) -> None:
    tab.draw("fail: vram")
    expect(tab.page.locator(".stage")).to_contain_text("That failed")
    expect(tab.page.locator(".stage .trouble")).to_contain_text("VRAM")
    expect(tab.page.get_by_label("Prompt", exact=True)).to_have_value("fail: vram")
    assert last_job(tab.server)["status"] == "failed"


def test_an_image_to_start_from_is_dropped_pasted_chosen_or_of_the_gallery(tab: Tab, png: str) -> None:
    shown = tab.page.locator("vc-source img.source")
    for kind, selector in (("drop", ".draw"), ("drop", "vc-source .drop"), ("paste", "#f-prompt")):
        tab.page.locator(selector).evaluate(DROP, [kind, png])
        expect(shown).to_be_visible()
        tab.page.get_by_role("button", name="Remove").click()
        expect(shown).to_have_count(0)
    chosen = {"name": "a.png", "mimeType": "image/png", "buffer": base64.b64decode(png)}
    tab.page.get_by_label("Choose a file").set_input_files(chosen)  # type: ignore[arg-type]
    expect(shown).to_be_visible()
    tab.draw("from a file")
    tab.result()
    assert last_job(tab.server)["parameters"]["init_image"].startswith("sha256:")
    tab.page.get_by_role("button", name="From the gallery").click()
    tab.page.get_by_role("dialog").get_by_alt_text("from a file").first.click()
    expect(shown).to_have_attribute("src", tab.page.locator(".result img").first.get_attribute("src") or "")


def test_the_generate_button_is_in_reach_on_a_phone_and_nothing_scrolls_sideways(visit: Opener, studio: Server) -> None:
    for width in (320, 360):
        tab = visit(studio, viewport={"width": width, "height": 640}, is_mobile=True, has_touch=True)
        expect(tab.page.get_by_role("button", name="Generate")).to_be_in_viewport()
        assert tab.page.evaluate("document.documentElement.scrollWidth") == width
        assert (
            tab.page.locator("#f-num_inference_steps ~ input[type=range]").evaluate(
                "slider => getComputedStyle(slider).touchAction"
            )
            == "pan-y"
        )
