"""Every example of docs/extending.md, as it stands there: its files in an empty folder, and its command."""

import re
import shlex

import pytest

from helpers.entrypoint import ROOT, metrics

PAGE = (ROOT / "docs" / "extending.md").read_text()
SECTIONS = {
    title: text
    for title, text in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    if "```bash" in text
}
FILES = re.compile(r"^`([\w/.]+)`:?\n+```\w+\n(.*?)^```", re.MULTILINE | re.DOTALL)
SMALL = ["trainer.epochs=1", "trainer.limit_batches=1", "trainer.wandb=disabled", "trainer.progress_bar=false"]


def test_the_page_shows_a_loss_a_selection_a_dataset_and_an_encoder():
    assert {"loss", "selection", "dataset", "encoder"} <= {word for title in SECTIONS for word in title.lower().split()}


@pytest.mark.parametrize(
    "title",
    [pytest.param(title, marks=[pytest.mark.slow] * (title in ("A dataset", "A selection"))) for title in SECTIONS],
)
def test_an_example_of_the_page_trains(title, tmp_path, train):
    for name, content in FILES.findall(SECTIONS[title]):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (line,) = re.findall(r"^cromss train (.+)$", SECTIONS[title], re.MULTILINE)
    train(*shlex.split(line, comments=True), *SMALL, "hydra.run.dir=run")
    assert len(metrics(tmp_path / "run")) == 1
