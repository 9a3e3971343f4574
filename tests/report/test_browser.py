"""The page as a person meets it: in Chromium, which is asked for nothing over the network."""

import csv
import json
import shutil
import time

import pytest

from orthrus.report.page import write_report

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs Debian's chromium and chromium-driver")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ):
        options.add_argument(argument)
    downloads = tmp_path_factory.mktemp("downloads")
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    driver.downloads = downloads
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def page(browser, run_folder, tmp_path_factory):
    path = write_report(run_folder, tmp_path_factory.mktemp("page") / "report.html")
    browser.set_window_size(1200, 900)
    browser.get(path.as_uri())
    wait(lambda: browser.execute_script("return document.body.dataset.drawn"))
    return browser


def wait(condition, seconds=60):
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.05)
    return found


def test_every_chart_is_drawn_without_an_error_or_a_request(page):
    drawn = page.execute_script(
        "return [...document.querySelectorAll('.chart')].map(c => c.querySelectorAll('svg path').length)"
    )
    assert len(drawn) > 5
    assert min(drawn) > 0
    assert page.get_log("browser") == []
    requests = [
        message["params"]["request"]["url"]
        for entry in page.get_log("performance")
        if (message := json.loads(entry["message"])["message"])["method"] == "Network.requestWillBeSent"
    ]
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []


def points(page, test="true"):
    return page.execute_script(
        f"return [...document.querySelectorAll('#map .mark-symbol.role-mark path')].filter(p => {test}).length"
    )


def test_the_map_is_searched(page, store):
    search = page.find_element("id", "map-search")
    search.send_keys(store.column("transcript_id")[0].upper())
    wait(lambda: page.find_element("id", "map-found").text == "1 found")
    assert points(page) == len(store)
    assert points(page, "parseFloat(p.getAttribute('opacity')) > 0.5") == 1
    search.clear()
    search.send_keys(" ")
    wait(lambda: points(page, "parseFloat(p.getAttribute('opacity')) > 0.5") == len(store))


def test_the_map_is_coloured_by_any_column(page):
    from selenium.webdriver.support.ui import Select

    select = Select(page.find_element("id", "map-colour"))
    names = [option.text for option in select.options]
    assert {"species", "family", "length (nt)", "GC share"} <= set(names)
    select.select_by_visible_text("GC share")
    wait(lambda: fills(page) > 10)
    select.select_by_visible_text("species")
    wait(lambda: fills(page) == 2)


def fills(page):
    """How many colours the map's points have."""
    return page.execute_script(
        "return new Set([...document.querySelectorAll('#map .mark-symbol.role-mark path')]"
        ".map(p => p.getAttribute('fill'))).size"
    )


def test_pointing_at_a_transcript_tells_of_it(page, store):
    from selenium.webdriver import ActionChains

    mark = page.find_element("css selector", "#map .mark-symbol.role-mark path")
    ActionChains(page).move_to_element(mark).perform()
    tip = wait(lambda: page.execute_script("return document.querySelector('#vg-tooltip-element')?.innerText"))
    assert "transcript" in tip
    assert "length (nt)" in tip


def test_figures_and_tables_are_downloaded(page, store):
    page.find_element("id", "map-table").click()
    path = page.downloads / "embedding-map.csv"
    wait(path.exists)
    with path.open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["transcript"] for row in rows] == store.column("transcript_id")
    page.find_element("css selector", ".scroll + button").click()
    wait(lambda: len(list(page.downloads.glob("*.csv"))) == 2)
    link = "document.querySelector('.chart details a[download$=svg]')"
    page.execute_script(f"{link}.dispatchEvent(new MouseEvent('mousedown'))")
    wait(lambda: page.execute_script(f"return {link}.href").startswith("blob:"))
    page.find_element("css selector", ".chart details summary").click()
    page.find_element("css selector", ".chart details a[download$=svg]").click()
    (figure,) = wait(lambda: list(page.downloads.glob("*.svg")))
    assert "<svg" in figure.read_text()


@pytest.mark.parametrize("width", [420, 1200])
def test_nothing_is_wider_than_the_screen(page, width):
    screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    wide = (
        "return Math.max(document.documentElement.scrollWidth,"
        " ...[...document.querySelectorAll('svg')].map(s => s.getBoundingClientRect().right))"
    )
    wait(lambda: page.execute_script(wide) <= width + 1)
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_print_has_the_charts_and_no_controls(page):
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert page.execute_script("return getComputedStyle(document.querySelector('.tools')).display") == "none"
    assert page.execute_script("return document.querySelector('.chart svg').getBoundingClientRect().height") > 100
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
