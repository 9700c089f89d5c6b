"""The reference page of all settings, and the help that is made from it."""

import subprocess
import sys

import pytest

from cromss.config import UserError
from cromss.config.reference import help_text, page, page_file
from helpers.entrypoint import ROOT


def test_the_committed_page_is_what_the_schema_says():
    assert page_file().read_text(encoding="utf-8") == page(), "run `make reference`"


@pytest.mark.parametrize(
    ("group", "line"),
    [
        (
            "trainer",
            "trainer.epochs = 30 (demo), 50 (finetune), 200 (pretrain), 2 (smoke); a whole number",
        ),
        ("selection", "selection.prop = 0.5; a number in [0, 1]. "),
        ("trainer", "trainer.optimizer.weight_decay = "),
        ("trainer/scheduler", "trainer.scheduler.patience = 30; a whole number of at least 0. "),
        ("dataset", "dataset.flip = 0.5; a number in [0, 1]. Probability"),
        ("dataset", "dataset.noise_rates.confusion; "),
    ],
)
def test_the_help_of_a_group_has_its_keys_with_defaults_ranges_and_sentences(group, line):
    assert f"- {line}" in help_text(group)


def test_a_group_that_does_not_exist_is_reported_with_those_that_do():
    with pytest.raises(UserError, match="--help trianer: .* trainer"):
        help_text("trianer")


def test_every_key_is_described():
    for line in page().splitlines():
        assert not line.startswith("- ") or line.endswith("."), line


def test_help_needs_no_torch():
    code = (
        "import sys, runpy\n"
        "sys.argv = ['train.py', '--help', 'trainer']\n"
        f"runpy.run_path({str(ROOT / 'train.py')!r}, run_name='__main__')\n"
        "assert 'torch' not in sys.modules\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert "trainer.epochs" in ended.stdout
