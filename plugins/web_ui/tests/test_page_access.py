"""Who may use the page: the shell is open, the login makes a cookie, and other pages get nothing."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from playwright.sync_api import expect
from tabs import TOKEN, Opener, Tab, visitor
from visioncraft.access.keys import AccessKeys
from visioncraft.testing import Server

HTML = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@contextmanager
def logged_in(server: Server) -> Iterator[httpx.Client]:
    """A browser's client: its cookie, and nothing else."""
    with visitor(server) as client:
        client.post("/session", headers={"Authorization": f"Bearer {TOKEN}"}).raise_for_status()
        yield client


def test_a_browser_is_sent_to_the_page_and_a_program_gets_the_contract(studio: Server) -> None:
    sent = studio.get("/", headers=HTML)
    assert (sent.status_code, sent.headers["location"]) == (307, "/app/")
    for accept in ("*/*", "application/json", "application/json, text/html;q=0.5"):
        answer = studio.get("/", headers={"Accept": accept})
        assert answer.json() == {"message": "VisionCraft Pro API", "status": "running", "version": "1.0.0"}
        assert "Accept" in answer.headers["vary"]


def test_the_page_has_a_policy_that_lets_its_own_scripts_run_alone(studio: Server) -> None:
    policy = studio.get("/app/").headers["content-security-policy"]
    assert re.search(r"script-src 'self' 'sha256-[\w+/=]+';", policy)
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy


def test_the_first_load_is_small(visit: Opener, studio: Server) -> None:
    tab = visit(studio)
    expect(tab.page.get_by_label("Prompt", exact=True)).to_be_visible()
    names = tab.page.evaluate("performance.getEntries().map(each => each.name).filter(name => name.includes('/app/'))")
    sizes = {name: len(gzip.compress(studio.get(name).content)) for name in {*names, f"{studio.url}/app/"}}
    assert f"{studio.url}/app/js/draw.js" in sizes
    assert sum(sizes.values()) < 150_000, sizes


def test_nothing_moves_while_the_page_comes(visit: Opener, studio: Server) -> None:
    tab = visit(studio)
    tab.page.add_init_script(LAYOUT_SHIFTS)
    tab.open()
    expect(tab.page.get_by_label("Prompt", exact=True)).to_be_visible()
    assert tab.page.evaluate("shifted()") < 0.01


LAYOUT_SHIFTS = """
    let shift = 0;
    const add = entries => entries.forEach(each => shift += each.value);
    const watcher = new PerformanceObserver(list => add(list.getEntries()));
    watcher.observe({type: 'layout-shift', buffered: true});
    globalThis.shifted = () => (add(watcher.takeRecords()), shift);"""


def test_the_token_lets_a_browser_in_until_it_logs_out(visit: Opener, guarded: Server) -> None:
    visit.expected = lambda error: "401" in error  # the console tells of the wrong token
    tab = visit(guarded)
    tab.page.get_by_label("Token").fill("a wrong token")
    tab.page.get_by_role("button", name="Log in").click()
    expect(tab.page.get_by_role("alert")).to_contain_text("not this server's token")
    tab.page.get_by_label("Token").fill(f" {TOKEN} ")
    tab.page.keyboard.press("Enter")
    tab.draw("behind a token", Steps="15")
    image = tab.result()
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") == 512
    assert tab.page.evaluate("document.cookie") == ""
    tab.page.reload()
    expect(tab.page.get_by_alt_text("behind a token").first).to_be_visible()
    tab.page.get_by_label("Language, colours and login").click()
    tab.page.get_by_role("button", name="Log out").click()
    expect(tab.page.get_by_label("Token")).to_be_visible()
    tab.page.reload()
    expect(tab.page.get_by_label("Token")).to_be_visible()


def test_logging_out_leaves_nothing_to_the_next_person_in_any_tab(visit: Opener, guarded: Server) -> None:
    keys = AccessKeys(guarded.house.folder / "data" / "access_keys.json")
    ada, bob = (keys.create(name, ["generate", "gallery:read", "models:read"])[1] for name in ("ada", "bob"))
    tab, other = visit(guarded), visit(guarded)
    log_in(tab, ada)
    tab.draw("of ada alone", Steps="15")
    tab.result()
    other.open()
    expect(other.page.get_by_alt_text("of ada alone").first).to_be_visible()
    tab.page.get_by_label("Language, colours and login").click()
    tab.page.get_by_role("button", name="Log out").click()
    log_in(other, bob)
    expect(other.page.get_by_label("Prompt", exact=True)).to_have_value("")
    other.draw("of bob alone", Steps="15")
    expect(other.page.locator(".result img")).to_have_attribute("alt", "of bob alone")
    assert other.page.locator(".strip button").count() == 1
    assert "of ada" not in other.page.evaluate("JSON.stringify(localStorage)")


def log_in(tab: Tab, token: str) -> None:
    tab.page.get_by_label("Token").fill(token)
    tab.page.keyboard.press("Enter")
    expect(tab.page.get_by_label("Prompt", exact=True)).to_be_visible()


def test_the_cookie_is_kept_from_scripts_and_other_sites(guarded: Server) -> None:
    with logged_in(guarded) as client:
        cookie = client.post("/session", headers={"Authorization": f"Bearer {TOKEN}"}).headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Path=/" in cookie
    assert f"visioncraft_session_{guarded.port}=" in cookie
    assert TOKEN not in cookie


def test_only_the_shell_is_open(guarded: Server) -> None:
    with visitor(guarded) as client:
        assert client.get("/app/").status_code == 200
        assert client.get("/app/js/app.js").status_code == 200
        assert client.get("/app/session").json() == {"needed": True, "known": False, "caller": ""}
        for method, path in (("GET", "/gallery"), ("GET", "/models"), ("POST", "/session"), ("DELETE", "/session")):
            assert client.request(method, path).status_code == 401, path
        for path in ("/app/../gallery", "/app/%2e%2e/gallery", "/app/..%2fplugin.py", "/app/js/../../plugin.py"):
            assert client.get(path).status_code in (401, 404), path


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://localhost:3000"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_another_page_cannot_use_the_cookie(guarded: Server, headers: dict[str, str]) -> None:
    with logged_in(guarded) as client:
        assert client.post("/queue/resume", headers={"Origin": guarded.url}).status_code == 200
        assert client.post("/queue/resume", headers=headers).status_code in (401, 403)


def test_a_forged_an_altered_and_an_ended_cookie_open_nothing(guarded: Server) -> None:
    with logged_in(guarded) as client:
        [(name, value)] = client.cookies.items()
        assert client.get("/queue").status_code == 200
        until, random, _, signature = value.split(".")
        for forged in (f"{int(until) + 1}.{random}..{signature}", f"{until}.{random}..", "..", "x", f"9.{random}.é"):
            with visitor(guarded, headers={b"Cookie": f"{name}={forged}".encode()}) as other:
                assert other.get("/queue").status_code == 401
        kept = {name: value}
        client.delete("/session").raise_for_status()
    with visitor(guarded, cookies=kept) as again:
        assert again.get("/queue").status_code == 401


def test_a_login_goes_by_a_name_of_its_own(guarded: Server) -> None:
    with logged_in(guarded) as one, logged_in(guarded) as other:
        names = {client.get("/app/session").json()["caller"] for client in (one, other)}
        assert len(names) == 2
        job = one.post("/jobs", json={"prompt": "mine", "num_inference_steps": 15}).json()
        assert job["client"] in names


def test_a_login_with_an_access_key_may_what_the_key_may_until_that_is_revoked(guarded: Server) -> None:
    keys = AccessKeys(guarded.house.folder / "data" / "access_keys.json")
    _, key = keys.create("a reader", ["gallery:read"])
    with visitor(guarded) as client:
        client.post("/session", headers={"X-Api-Key": key}).raise_for_status()
        assert client.get("/app/session").json() == {"needed": True, "known": True, "caller": "a reader"}
        assert client.get("/gallery").status_code == 200
        assert client.post("/jobs", json={"prompt": "not mine to ask"}).status_code == 403
        keys.revoke("a reader")
        assert client.get("/gallery").status_code == 401


def test_something_wrong_beside_a_login_leaves_the_login(guarded: Server) -> None:
    with logged_in(guarded) as client:
        again = client.post("/session", headers={"Authorization": "Bearer no token of this server"})
        assert (again.status_code, "set-cookie" in again.headers) == (204, False)
        assert client.get("/app/session").json()["known"]
