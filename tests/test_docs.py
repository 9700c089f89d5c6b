"""What the pages promise is there."""

import re

from helpers.entrypoint import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_every_link_to_a_file_leads_somewhere():
    links = {page: re.findall(r"\]\(([^)#]+)", page.read_text()) for page in PAGES}
    files = {page.parent / link for page, found in links.items() for link in found if "://" not in link}
    assert len(files) > 5
    assert [file for file in files if not file.exists()] == []


def test_the_readme_lists_every_option_of_every_group():
    rows = re.findall(r"^\| `(\w+)` \| ([\w, ]+) \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    listed = {group: set(options.split(", ")) for group, options in rows}
    there = {group: {path.stem for path in (ROOT / "conf" / group).glob("[!_]*.yaml")} for group in listed}
    assert len(listed) == 7
    assert listed == there
