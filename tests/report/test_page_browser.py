"""The page in a browser: it draws, sorts, filters, and has nothing to complain of."""

import pytest
from selenium.webdriver.support.wait import WebDriverWait

from cromss.report.output import write_page
from cromss.report.page import page_files
from cromss.report.read import read_runs
from cromss.report.table import compared
from helpers.chromium import chromium, console, needs_chromium
from helpers.invented_runs import config, invent_run, invent_sweep

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """The page of seven experiments, one of them failed, in a window that shows all figures."""
    folder = tmp_path_factory.mktemp("page")
    invent_sweep(folder / "runs")
    invent_run(folder / "runs" / "broken", config(0.9), curve=[0.9], state="failed", error="<b>ValueError</b>")
    out = folder / "report"
    write_page(page_files(compared(read_runs([folder / "runs"])), out), out)
    with chromium(folder / "profile", height=3000) as opened:
        opened.get((folder / "report" / "index.html").as_uri())
        yield opened


@pytest.fixture
def page(browser):
    """As it is when it is opened."""
    browser.refresh()
    drawn = "#curves .ytitle, #effects .ytitle, #classes .heatmaplayer image"
    WebDriverWait(browser, 60).until(lambda page: len(find(page, drawn)) == 4)
    yield browser
    assert console(browser) == []
    assert browser.execute_script("return performance.getEntriesByType('resource').map(e => e.name)") == []


def find(page, selector):
    return page.find_elements("css selector", selector)


def names(page):
    return [row.get_attribute("data-name") for row in find(page, "tr.experiment")]


def press(page, heading):
    find(page, f'th[data-column="{heading}"] button')[0].click()


def choose(page, select, text):
    find(page, f"#{select}")[0].send_keys(text)


def test_everything_is_drawn(page):
    assert find(page, "h1")[0].text == "7 experiments, 13 runs"
    # A line and a band for each of six, a line for that of a single seed.
    assert len(find(page, "#curves .scatterlayer .trace.scatter")) == 13
    assert len(find(page, "#effects figure .scatterlayer")) == 2
    assert len(find(page, "#classes .heatmaplayer image")) == 1
    assert len(find(page, ".patches tbody tr")) == 2
    pictures = page.execute_script("return [...document.querySelectorAll('.patches img')].map(i => i.naturalWidth)")
    assert pictures == [16] * (2 * (2 + 6))
    assert "<b>ValueError</b>" in find(page, ".notes")[0].text
    # What does not fit scrolls in its own box: the page itself has the width of the window.
    assert page.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")


def test_the_best_is_bold_and_what_failed_is_last(page):
    rows = find(page, "tr.experiment")
    assert names(page) == [f"E{rank}" for rank in range(1, 8)]
    assert [len(row.find_elements("css selector", "b")) for row in rows] == [2, 0, 0, 0, 0, 0, 0]
    assert rows[-1].text.endswith("failed")


def test_a_heading_sorts_both_ways(page):
    press(page, "setting 1")
    column = [row.find_elements("css selector", "td")[2].text for row in find(page, "tr.experiment")]
    assert column == ["0.3", "0.3", "0.5", "0.5", "0.7", "0.7", "0.9"]
    assert find(page, "th[aria-sort=ascending]")[0].text.startswith("prop")
    press(page, "setting 1")
    assert [row.find_elements("css selector", "td")[2].text for row in find(page, "tr.experiment")] == column[::-1]


def test_a_filter_leaves_what_has_all_words(page):
    find(page, "#filter")[0].send_keys("FUSION=late prop=0.5")
    assert len(names(page)) == 1
    assert find(page, "#count")[0].text == "1 of 7"
    find(page, "#filter")[0].send_keys(" nonsense")
    assert names(page) == []
    assert find(page, "tr.none")[0].text == "No experiment contains these words."


def test_a_row_opens_and_shows_its_runs(page):
    find(page, "tr.experiment")[0].click()
    runs = [row.text for row in find(page, "tr.run")]
    assert [f"seed={seed}" in text and text.endswith("done") for seed, text in zip((1, 2), runs, strict=True)] == [
        True
    ] * 2
    assert find(page, "tr.experiment")[0].get_attribute("aria-expanded") == "true"
    find(page, "tr.experiment")[0].click()
    assert find(page, "tr.run") == []


def test_another_metric_moves_to_the_front_and_changes_the_figures(page):
    assert find(page, "#curves .ytitle")[0].text == "val s2 mIoU, %"
    choose(page, "metric", "val loss")
    assert find(page, "th.chosen")[0].text.startswith("val loss")
    # Of a loss the lowest is the best.
    assert find(page, "th[aria-sort=ascending]")[0].text.startswith("val loss")
    page.execute_async_script("drawing.then(arguments[0])")
    assert find(page, "#curves .ytitle")[0].text == "val loss"
