import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from helpers import flips

TESTS = Path(flips.__file__).parents[1]


def outcomes(kind, folder, number, seed=0):
    """What comes of so many damages: outcome -> how often. A program that is killed goes on behind what killed it."""
    found = Counter()
    first = 0
    while first < number:
        done = subprocess.run(
            [sys.executable, "-m", "helpers.flips", kind, str(folder), *map(str, (seed, first, number))],
            cwd=TESTS,
            capture_output=True,
            text=True,
            check=False,
        )
        lines = done.stdout.splitlines()
        found.update(line.removeprefix("= ") for line in lines if line.startswith("="))
        begun = [int(line) for line in lines if not line.startswith("=")]
        assert begun, done.stderr
        first = begun[-1] + 1
        if done.returncode:
            found[f"WRONG: damage {begun[-1]} ended it with {done.returncode} {done.stderr[-300:]}"] += 1
    return found


def check(found, number):
    assert not {outcome: count for outcome, count in found.items() if outcome.startswith("WRONG")}
    assert sum(found.values()) == number
    assert found[flips.SENTENCE] > number // 4
    assert found[flips.RIGHT] > number // 20


@pytest.mark.parametrize("kind", ["store", "published"])
def test_a_damaged_lmdb_ends_in_a_sentence_or_the_right_value(kind, tmp_path):
    check(outcomes(kind, tmp_path, 150), 150)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", ["store", "published"])
def test_ten_thousand_damaged_lmdbs(kind, tmp_path, capsys):
    found = outcomes(kind, tmp_path, 10_000, seed=1)
    with capsys.disabled():
        sys.stdout.write(f"\n10,000 damages of a {kind} LMDB: {dict(found)}\n")
    check(found, 10_000)
