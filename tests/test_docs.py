"""What the pages promise is there."""

import re
import subprocess
import sys

import yaml

from helpers.entrypoint import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


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


def test_the_site_builds_and_has_every_page(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    pages = {page.stem for page in (ROOT / "docs").glob("*.md")}
    named = set(re.findall(r"([\w-]+)\.md", yaml.safe_dump(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])))
    assert named == pages
    assert "prediction_confidence" in (tmp_path / "api.html").read_text()


def test_the_pages_ask_for_no_file_outside_of_the_clone():
    pages = [*PAGES, ROOT / "Makefile"]
    assert [page.name for page in pages if "../shared" in page.read_text()] == []
