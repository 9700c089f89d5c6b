import csv
import io
import re

import pytest

from cromss.report.formats import as_csv, as_latex, as_markdown, as_text, latex
from cromss.report.listing import beside_paper
from cromss.report.paper import TABLES
from cromss.report.read import read_runs
from cromss.report.table import compared


@pytest.fixture
def report(invent, tmp_path):
    """Three seeds of a row, and another run of a name that every format must take."""
    for seed, miou in ((1, 36.0), (2, 37.0), (3, 38.0)):
        invent(f"{seed}", miou, seed=seed)
    weights = [{"origin": "cromss", "path": "a|b_50%&{#}~^$\\.ckpt", "sha256": None}]
    branches = ("s1", "s2", "fused")
    invent("other", 30.0, branches, row=None, weights=weights, fusion="mid", input="s1+s2", backbone="tu-resnet18")
    return beside_paper(TABLES["dfc2020"], compared(read_runs([tmp_path / "outputs"])))


def below(lines, start):
    """The first line that starts so, and the next."""
    i = next(i for i, line in enumerate(lines) if line.startswith(start))
    return lines[i], lines[i + 1]


def words(text):
    return " ".join(text.split())


def test_text_is_aligned_and_fits_a_terminal(report):
    lines = as_text(report).splitlines()
    assert max(map(len, lines)) <= 120
    paper, ours = below(lines, "resnet50     moco-13b")
    assert words(paper).endswith("paper 63.19 ± 0.70 50.76 ± 0.34 37.57 ± 0.72 49.83 ± 0.60")
    assert words(ours) == "ours 57.00 ± 1.00 47.00 ± 1.00 37.00 ± 1.00 42.00 ± 1.00 -0.57 3 seeds, E1"
    signs = [[match.start() for match in re.finditer("±", line)] for line in lines[2:] if line.count("±") == 4]
    assert len(signs) == 41
    assert len({tuple(columns) for columns in signs}) == 1
    heads = [line for line in lines if "mIoU" in line and "OA" in line]
    assert len(heads) == 5
    assert {line.index("OA") for line in heads} == {paper.index("63.19")}


def test_missing_runs_say_so(report):
    _, ours = below(as_text(report).splitlines(), "resnet50     decur-13b")
    assert words(ours) == "ours missing"
    assert as_text(report).count("missing\n") == 39


def test_other_runs_show_every_branch(report):
    lines = as_text(report).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("Other runs"))
    assert words(lines[start + 1]) == "tu-resnet18 cromss a|b_50%&{#… s1 50.00 40.00 30.00 35.00 1 seed, E2"
    assert [line.split()[0] for line in lines[start + 2 : start + 4]] == ["s2", "fused"]


def test_text_ends_with_what_was_read_and_what_is_missing(report):
    end = "3 of rows of the paper, 1 other on dfc2020, 0 on other datasets. 87 of 90 runs missing."
    assert words(as_text(report)).endswith(end)


def test_markdown_has_the_same_cells_in_every_row(report):
    rows = [line for line in as_markdown(report).splitlines() if line.startswith("|")]
    assert {len(re.split(r"(?<!\\)\|", row)) for row in rows} == {11}
    assert r"cromss a\|b_50%&{#…" in as_markdown(report)
    assert "| resnet50 | moco-13b | paper | 63.19 ± 0.70 |" in as_markdown(report)
    assert "### S2, fine-tuned" in as_markdown(report)


def test_latex_is_a_tabular_of_nine_columns(report):
    body = [line for line in as_latex(report).splitlines() if not line.startswith("%")]
    assert body[:2] == [r"\begin{tabular}{lllrrrrrl}", r"\toprule"]
    assert body[-2:] == [r"\bottomrule", r"\end{tabular}"]
    rows = [line for line in body if line.endswith(r"\\") and "multicolumn" not in line]
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {8}
    assert len(rows) == 1 + 40 + 40 + 3
    assert r" & ours & 57.00 $\pm$ 1.00 & 47.00 $\pm$ 1.00 & 37.00 $\pm$ 1.00 & 42.00 $\pm$ 1.00 & $-$0.57 & " in (
        as_latex(report)
    )
    # Nothing is left that a LaTeX of any encoding would stumble over.
    assert "\n".join(body).isascii()


def test_latex_takes_every_sign_literally():
    assert latex(r"50%_&{a}#~^$\ ±") == (r"50\%\_\&\{a\}\#\textasciitilde{}\textasciicircum{}\$\textbackslash{} $\pm$")


def test_csv_has_a_line_per_row_and_experiment(report):
    rows = list(csv.DictReader(io.StringIO(as_csv(report))))
    assert len(rows) == 40 + 3
    (ours,) = [row for row in rows if row["experiment"] == "E1"]
    assert (ours["input"], ours["mode"], ours["weights"], ours["seeds"]) == ("s2", "frozen", "moco-13b", "1 2 3")
    assert (ours["miou"], ours["miou_std"], ours["paper_miou"], ours["delta_miou"]) == (
        "37.00",
        "1.00",
        "37.57",
        "-0.57",
    )
    missing = next(row for row in rows if row["weights"] == "dofa")
    assert (missing["miou"], missing["paper_miou"]) == ("", "27.51")
    assert [row["branch"] for row in rows if row["experiment"] == "E2"] == ["s1", "s2", "fused"]
    assert rows[-1]["miou_std"] == ""
