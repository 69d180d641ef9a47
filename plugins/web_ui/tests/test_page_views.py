"""Watching, finding and managing with the page; what anybody typed shows as text, and nobody is kept out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from playwright.sync_api import expect
from tabs import PHONE, Opener, Tab
from visioncraft.testing import Server

SCRIPT = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"
SIZE = {"width": 64, "height": 64, "num_inference_steps": 15}


@pytest.fixture(scope="module")
def filled(studio: Server) -> Iterator[Server]:
    """A gallery with some images, one of which has markup wherever people can write."""
    for number in range(8):
        assert studio.draw(f"harbour {number}", seed=number, **SIZE).status_code == 200
    image = studio.draw(SCRIPT, **SIZE).headers["x-image-id"]
    marks = {"tags": ["<b>tag</b>"], "notes": SCRIPT, "rating": 3}
    assert studio.client.patch(f"/images/{image}", json=marks).status_code == 200
    yield studio


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_view_keeps_anybody_out(visit: Opener, filled: Server, scheme: str) -> None:
    tab = visit(filled, color_scheme=scheme, reduced_motion="reduce")
    for path in ("", "watch", "gallery", "manage"):
        tab.open(path)
        tab.page.wait_for_load_state("networkidle")
        assert tab.violations() == [], path
    tab.open("gallery")
    tab.page.locator(".cell .open").first.click()
    tab.page.locator(".parameters").wait_for()
    assert tab.violations() == []


def test_markup_in_prompts_tags_and_notes_shows_as_text(visit: Opener, filled: Server) -> None:
    tab = visit(filled, "gallery")
    tab.page.locator(".cell .open").first.click()
    expect(tab.page.locator(".said")).to_have_text(SCRIPT)
    expect(tab.page.locator("#i-notes")).to_have_value(SCRIPT)
    expect(tab.page.locator("#i-tags")).to_have_value("<b>tag</b>")
    expect(tab.page).to_have_title("Gallery · VisionCraft")
    assert tab.page.locator("main script, main img[onerror]").count() == 0


def test_a_search_stands_in_the_address_and_back_leads_out_of_an_image(visit: Opener, filled: Server) -> None:
    tab = visit(filled, "gallery")
    tab.page.get_by_role("searchbox").fill("harbour")
    tab.page.keyboard.press("Enter")
    expect(tab.page.get_by_role("search").get_by_role("status")).to_have_text("8 images")
    assert tab.page.url.endswith("/app/gallery?q=harbour")
    tab.page.get_by_alt_text("harbour 3").click()
    expect(tab.page.locator(".said")).to_have_text("harbour 3")
    tab.page.go_back()
    expect(tab.page.locator(".viewer")).to_have_count(0)
    expect(tab.page.get_by_role("searchbox")).to_have_value("harbour")


def test_everything_of_an_image_goes_into_the_form(visit: Opener, filled: Server) -> None:
    tab = visit(filled, "gallery?q=harbour")
    tab.page.get_by_alt_text("harbour 5").click()
    tab.page.get_by_role("button", name="Use these").click()
    expect(tab.page.get_by_label("Prompt", exact=True)).to_have_value("harbour 5")
    expect(tab.page.locator("#f-seed")).to_have_value("5")
    expect(tab.page.get_by_label("Width", exact=True).first).to_have_value("64")
    assert tab.page.url == f"{filled.url}/app/"


def test_images_are_starred_rated_and_deleted_unless_that_is_undone(visit: Opener, filled: Server) -> None:
    tab = visit(filled, "gallery?q=harbour")
    tab.page.get_by_role("checkbox", name="harbour 1").click()
    tab.page.get_by_role("button", name="Star", exact=True).click()
    expect(tab.page.locator(".starred")).to_have_count(1)
    stop_the_clock(tab)
    tab.page.get_by_role("button", name="Delete").click()
    expect(tab.page.get_by_alt_text("harbour 1")).to_be_hidden()
    tab.page.get_by_role("button", name="Undo").click()
    expect(tab.page.get_by_alt_text("harbour 1")).to_be_visible()
    assert filled.get("/gallery?favourite=true&image_data=false").json()["total_count"] == 1


def stop_the_clock(tab: Tab) -> None:
    """Hold what the page does after a while, which a busy machine would do too soon."""
    tab.page.clock.install()
    tab.page.clock.pause_at(datetime.now() + timedelta(minutes=1))


def test_a_range_is_selected_and_two_are_compared(visit: Opener, filled: Server) -> None:
    tab = visit(filled, "gallery?q=harbour")
    tab.page.get_by_role("checkbox", name="harbour 7").click()
    tab.page.get_by_role("checkbox", name="harbour 6").click(modifiers=["Shift"])
    tab.page.get_by_role("button", name="Compare").click()
    expect(tab.page.locator(".compare img")).to_have_count(2)
    tab.page.get_by_label("Where the second image begins").press("End")
    expect(tab.page.locator(".compare .over-image")).to_have_css("clip-path", "inset(0px 0px 0px 100%)")
    shown = [image.get_attribute("alt") for image in tab.page.locator(".compare img").all()]
    assert shown == ["harbour 7", "harbour 6"]


def test_arrows_walk_through_the_gallery_and_enter_opens(visit: Opener, filled: Server) -> None:
    tab = visit(filled, "gallery?q=harbour")
    tab.page.locator(".cell .open").first.focus()
    tab.page.keyboard.press("ArrowRight")
    expect(tab.page.locator(".cell .open").nth(1)).to_be_focused()
    tab.page.keyboard.press("Enter")
    expect(tab.page.locator(".said")).to_have_text("harbour 6")
    tab.page.keyboard.press("Escape")
    expect(tab.page.locator(".viewer")).to_have_count(0)
    assert tab.page.url == f"{filled.url}/app/gallery?q=harbour"


def test_all_tabs_agree_on_a_paused_queue_and_cancel_what_waits(visit: Opener, filled: Server) -> None:
    one, other = visit(filled, "watch"), visit(filled, "watch")
    one.page.get_by_role("button", name="Pause").click()
    try:
        expect(other.page.get_by_text("Paused")).to_be_visible()
        job = filled.submit("waits in the queue", **SIZE)
        expect(other.page.get_by_text("waits in the queue")).to_be_visible()
        other.page.get_by_role("button", name="Cancel: waits in the queue").click()
        filled.until(job, "cancelled")
        other.page.get_by_role("button", name="Resume").click()
        expect(one.page.get_by_role("button", name="Pause")).to_be_visible()
        assert filled.get("/queue").json()["paused"] is False
    finally:
        filled.post("/queue/resume")


def test_the_page_speaks_german_too_and_knows_every_message_in_both(visit: Opener, filled: Server) -> None:
    tab = visit(filled, "manage", locale="de-DE")
    expect(tab.page.get_by_role("heading", name="Modelle")).to_be_visible()
    assert tab.page.evaluate("document.documentElement.lang") == "de"
    english, german = (filled.get(f"/app/messages/{code}.json").json() for code in ("en", "de"))
    assert english.keys() == german.keys()


def test_nothing_scrolls_sideways_on_a_phone(visit: Opener, filled: Server) -> None:
    tab = visit(filled, "", **PHONE)
    for path in ("watch", "gallery", "manage"):
        tab.open(path)
        tab.page.wait_for_load_state("networkidle")
        assert tab.page.evaluate("document.documentElement.scrollWidth") == 360, path
