"""Every key of the programs beside training takes odd values through the real command line."""

import random
import re

import pytest

from cromss.cli.command import run_command
from cromss.config.programs import PROGRAMS
from cromss.config.settings import keys_of

ODD = [
    *("abc", "", "null", "true", "-1", "0", "1.5", "1e400", "nan", "-inf", "9" * 30, "1e-400", "0x1f", "1_000"),
    *(
        "[1,2]",
        "{a: 1}",
        "[]",
        "{}",
        "[[[1]]]",
        "'quoted'",
        "'",
        "[",
        "a b",
        "a,b",
        "é",
        "日本",
        "a\nb",
        "a\\",
        "\x1b[2J",
    ),
    *("${x}", "${oc.env:HOME}", "???", "*", "a=b", "3/4", "https://host/a b", "~", "_target_", "A" * 5000),
]
BASE = {
    "predict": ["checkpoint=a", "s1=a", "s2=b", "out=b.tif"],
    "prepare": ["source=dw", "path=a", "out=b"],
    "report": [],
    "export": ["checkpoint=a", "out=b", "modality=s2"],
}
FORMS = [(program, key, odd) for program in PROGRAMS for key, _, _ in keys_of(PROGRAMS[program]) for odd in ODD]


def check(program, key, odd, monkeypatch, capfd):
    """The command line ends in sentences that name the key, or takes the value."""
    typed = [text for text in BASE[program] if not text.startswith(f"{key}=")]
    monkeypatch.setattr("sys.argv", [program, *typed, f"{key}={odd}"])
    taken, ended = [], None
    try:
        run_command(program, taken.append, "nothing happened.")
    except SystemExit as end:
        ended = end.code
    if ended is not None:
        said = capfd.readouterr().err
        assert (ended, taken) == (1, [])
        assert "Traceback" not in said
        assert "\x1b" not in said
        assert key.rpartition(".")[2] in said, said
        assert len(said) < 3000, said
        assert not re.search(r"full_key|object_type|HYDRA_FULL_ERROR|See http", said), said
        return "refused"
    assert len(taken) == 1
    return "taken"


def test_some_odd_values_are_accepted_or_reported_in_a_sentence(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    for form in random.Random(0).sample(FORMS, 12):
        check(*form, monkeypatch, capfd)


@pytest.mark.slow
@pytest.mark.timeout(3000)  # some 70 keys of prepare, each composed 39 times
@pytest.mark.parametrize("program", PROGRAMS)
def test_every_odd_value_of_every_key_is_accepted_or_reported_in_a_sentence(program, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    ends, wrong = [], []
    for form in FORMS:
        if form[0] == program:
            try:
                ends.append(check(*form, monkeypatch, capfd))
            except Exception as error:  # noqa: BLE001  # collected, as one run tells all of them
                wrong.append(f"{form[1]}={form[2][:40]!r}: {type(error).__name__} {str(error)[:300]}")
    with capfd.disabled():
        print(  # noqa: T201  # the counts of the walk
            f"\n{program}: {len(ends)} forms, {ends.count('refused')} refused, {len(wrong)} wrong"
        )
    assert not wrong, "\n".join(wrong)
