"""A report on a folder in which one file of one run is odd: that is left out and named, and the other run is shown."""

import io
import json
import random
import sys
import time
import zipfile
from functools import partial

import numpy as np
import pytest
import yaml

from cromss.report.formats import FORMATS
from cromss.report.listing import beside_paper, overview
from cromss.report.page.exports import runs_csv, table_csv, table_markdown
from cromss.report.page.figures import curves, effects_of
from cromss.report.page.patches import gallery
from cromss.report.page.render import page_data, render
from cromss.report.page.summary_figure import summary_png
from cromss.report.paper import TABLES
from cromss.report.read import read_runs
from cromss.report.sweeps import read_ablation, status
from cromss.report.table import compared
from cromss.runs.lock import LOCK
from cromss.runs.names import CONFIG, METRICS, PANELS, PATCHES, RECORD, RESULTS, SUBMITTED, SWEEP
from helpers.hostile import JSON_TEXTS, YAML_TEXTS, json_bytes, mutations
from helpers.invented_runs import config, invent_patches, invent_run
from report.conftest import RUN

PATCH_FILE = f"{PANELS}/{PATCHES}"
HYDRA = ".hydra/hydra.yaml"
SCORES = {"oa": 0.5, "aa": 0.5, "miou": 0.5, "mf1": 0.5, "classes": {"water": {"iou": 0.25}}}
HYDRA_CONTENT = {"hydra": {"runtime": {"choices": {"fusion": "mid"}}, "overrides": {"task": ["a=1"]}}}
SUBMISSION = {"job": "17_0", "host": "node1", "is_slurm": False, "log": "/nowhere"}
PLAN = {"format": 1, "runs": [{"folder": "whole", "overrides": ["a=1"]}, {"folder": "odd", "overrides": ["a=2"]}]}


@pytest.fixture
def sweep(tmp_path):
    """A sweep of two runs, of which one will be changed."""
    for name, prop in (("whole", 0.3), ("odd", 0.5)):
        run = invent_run(tmp_path / "sweep" / name, config(prop))
        invent_patches(run)
        (run / RESULTS).write_text(json.dumps(RUN | {"scores": {"s2": SCORES}}))
        (run / SUBMITTED).write_text(json.dumps(SUBMISSION))
        (run / ".hydra").mkdir()
        (run / HYDRA).write_text(yaml.safe_dump(HYDRA_CONTENT))
    (tmp_path / "sweep" / SWEEP).write_text(json.dumps(PLAN))
    return tmp_path / "sweep"


def as_yaml(document):
    """YAML of a changed document, also of what is refused; None where it has no form at all."""
    try:
        return yaml.dump(document, Dumper=yaml.CDumper, allow_unicode=True).encode("utf-8", "surrogatepass")
    except (RecursionError, yaml.YAMLError, UnicodeError):
        return None


def odd_files(sweep, canary):
    """File, what is odd, and what makes its bytes; None for what has no form."""
    run = sweep / "odd"
    for name in (RECORD, RESULTS, SUBMITTED):
        document = json.loads((run / name).read_text())
        yield from ((name, text, partial(json_bytes, changed)) for text, changed in mutations(document, canary))
        yield from ((name, text, partial(bytes, found)) for text, found in JSON_TEXTS.items())
    for name in (CONFIG, HYDRA):
        document = yaml.safe_load((run / name).read_text())
        yield from ((name, text, partial(as_yaml, changed)) for text, changed in mutations(document, canary))
        yield from ((name, text, partial(bytes, found)) for text, found in YAML_TEXTS.items())
    yield from ((METRICS, text, partial(bytes, found)) for text, found in odd_tables().items())
    good = (run / PATCH_FILE).read_bytes()
    yield from ((PATCH_FILE, text, found) for text, found in odd_archives(good, canary))


def odd_tables():
    values = (
        "x",
        "-1",
        "1e400",
        "1e300",
        "nan",
        "inf",
        "1_0",
        "\u0663",
        "\ud800",
        "\x1b[2J",
        "0x10",
        " 1",
        "1\0",
        "=1+1",
    )
    tables = {f"epoch {v!r}": f"epoch,step,val/loss\n{v},1,1\n" for v in values}
    tables |= {f"value {v!r}": f"epoch,step,val/loss,val/s2/miou\n0,1,{v},{v}\n1,2,1,0.5\n" for v in values}
    tables |= {f"name {v!r}": f"epoch,{v},val/{v}/miou,{v}/{v}/{v}/{v}\n0,1,1,1\n" for v in (*values, "", "a" * 10_000)}
    tables |= {
        "name <script>": 'epoch,</script><img src=x onerror=y>,"val/a,b/miou"\n0,1,1\n',
        "nothing": "",
        "zero": "\0",
    }
    tables |= {
        "twice": "epoch,epoch\n0,1\n",
        "falling": "epoch\n1\n0\n",
        "same": "epoch\n1\n1\n",
        "ragged": "epoch,a\n0\n",
    }
    tables |= {
        "quote": 'epoch,"a\n0,1\n',
        "long field": "epoch," + "a" * 200_000 + "\n",
        "wide": "epoch" + ",a" * 10**6,
    }
    tables |= {"many": "epoch\n" + "".join(f"{n}\n" for n in range(2_100_000)), "no rows": "epoch,step,val/loss\n"}
    tables |= {"blank lines": "epoch,val/loss\n\n\n0,1\n", "carriage": "epoch,val/loss\r0,1\r"}
    return {name: text.encode("utf-8", "surrogatepass") for name, text in tables.items()}


def odd_archives(good, canary):
    """What is odd, and what makes the bytes of an archive."""
    with zipfile.ZipFile(io.BytesIO(good)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
        head = json.loads(str(np.load(io.BytesIO(parts["head.npy"]))))

    def pack(changed, method):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", method) as archive:
            for name, part in changed.items():
                archive.writestr(name, part)
        return file.getvalue()

    def packed(changed, method=zipfile.ZIP_DEFLATED):
        return partial(pack, changed, method)

    def with_head(changed):
        found = json_bytes(changed)
        if found is None or len(found) > 100_000:
            return None
        head = array(np.array(found.decode("utf-8", "replace")))
        return pack(parts | {"head.npy": head}, zipfile.ZIP_DEFLATED)

    def array(values, **options):
        file = io.BytesIO()
        np.save(file, values, **options)
        return file.getvalue()

    for text, changed in mutations(head, canary):
        yield f"head {text}", partial(with_head, changed)
    objects = np.array([{"a": 1}], object)
    columns = {
        "float": np.zeros((2, 16, 16)),
        "empty": np.zeros((0, 16, 16), np.uint8),
        "thin": np.zeros((2, 16, 0), np.uint8),
        "other side": np.zeros((2, 8, 8), np.uint8),
        "axes": np.zeros((2,) * 20, np.uint8),
        "text": np.array("x"),
        "order": np.asfortranarray(np.zeros((2, 16, 16), np.uint8)),
        "objects": objects,
    }
    for text, values in columns.items():
        changed = array(values, allow_pickle=text == "objects")
        yield f"column {text}", packed(parts | {"column_1.npy": changed})
    header = b"\x93NUMPY\x01\x00\x76\x00" + b"(" * 117 + b"\n"
    yield "header", packed(parts | {"column_1.npy": header})
    claimed = array(np.zeros((2, 16, 16), np.uint8)).replace(b"(2, 16, 16)", b"(9999999, 9999999)")
    yield "shape", packed(parts | {"column_1.npy": claimed})
    bomb = array(np.zeros((2, 7000, 7000), np.uint8))
    yield "bomb", packed(parts | {f"column_{n}.npy": bomb for n in range(2)})
    yield "method", packed(parts, zipfile.ZIP_LZMA)
    yield "many", packed({f"{n}": b"" for n in range(3000)})
    yield "missing", packed({name: part for name, part in parts.items() if name != "column_2.npy"})
    rng = random.Random(0)
    for place in sorted(rng.sample(range(len(good)), 60)):
        flipped = good[:place] + bytes([good[place] ^ 0xFF]) + good[place + 1 :]
        yield f"flip {place}", partial(bytes, flipped)
        yield f"cut {place}", partial(bytes, good[:place])


def report_all(sweep, whole_page):
    """Every way of reporting, in this process."""
    found = read_runs([sweep])
    assert "whole" in [run.name for run in found.runs]
    table = compared(found)
    for listing in (overview(table), beside_paper(TABLES["dfc2020"], table)):
        texts = [render_as(listing) for render_as in FORMATS.values()]
        assert all(text.isascii() or text.encode() for text in texts)
    text = status(sweep)
    assert text.count("\n") == len(PLAN["runs"]) + 2
    assert read_ablation(sweep).branches
    effects = effects_of(table.experiments, table.settings)
    json.dumps(page_data(table, effects, gallery(table.experiments)[0]), allow_nan=False)
    json.dumps([curves(table.experiments, name) for name in table.metrics], allow_nan=False)
    texts += [text, table_csv(table), runs_csv(table), table_markdown(table)]
    if whole_page:
        texts.append(render(table, effects))
        summary_png(table, effects)
    assert not any("\x1b" in text or "\0" in text for text in texts)


def attack(sweep, cases, caplog, whole_page):
    kept = {path: path.read_bytes() for path in (sweep / "odd").rglob("*") if path.is_file() and path.name != LOCK}
    slowest = (0.0, "")
    for file, text, changed in cases:
        path = sweep / "odd" / file
        if (content := changed()) is None:
            continue
        path.write_bytes(content)
        caplog.clear()
        start = time.monotonic()
        try:
            report_all(sweep, whole_page)
        except Exception as error:
            raise AssertionError(f"{file}: {text}: {type(error).__name__}: {error}") from error
        slowest = max(slowest, (time.monotonic() - start, f"{file}: {text}"))
        path.write_bytes(kept[path])
    return slowest


def test_one_odd_file_costs_no_more_than_itself(sweep, tmp_path, caplog):
    canary = tmp_path / "canary"
    cases = list(odd_files(sweep, canary))
    rng = random.Random(1)
    few = [case for name in (METRICS, PATCH_FILE) for case in rng.sample([c for c in cases if c[0] == name], 15)]
    named = [case for case in cases if case[1] in ("exploding anchors", "bomb", "depth", "1e400")]
    attack(sweep, [*named, *few, *rng.sample(cases, 30)], caplog, whole_page=False)
    assert not canary.exists()


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_every_odd_file_costs_no_more_than_itself(sweep, tmp_path, caplog, capsys):
    canary = tmp_path / "canary"
    cases = list(odd_files(sweep, canary))
    seconds, which = attack(sweep, cases, caplog, whole_page=False)
    attack(sweep, random.Random(2).sample(cases, 150), caplog, whole_page=True)
    assert not canary.exists()
    with capsys.disabled():
        sys.stdout.write(f"\n{len(cases)} odd files of runs, {seconds:.1f} s at most for all reports ({which})\n")
