"""What the settings of the programs beside training may be."""

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from cromss.config.programs import PROGRAMS
from cromss.config.settings import problems_of
from cromss.paths import config_dir
from cromss.resolvers import register_resolvers

register_resolvers()
ODD = [1.5, [1], True, {"a": 1}, -3, "nan", "", float("inf"), None, "a\0b"]


def defaults(name):
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        return OmegaConf.to_container(compose(name), resolve=True)


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_model_has_the_keys_of_the_yaml_and_allows_its_defaults(name):
    settings = defaults(name)
    assert set(PROGRAMS[name].model_fields) == set(settings)
    given = {key for key, value in settings.items() if value is not None}
    assert not [problem for problem in problems_of(PROGRAMS[name], settings) if problem.partition("=")[0] in given]


@pytest.mark.parametrize("name", PROGRAMS)
def test_an_odd_value_of_any_key_is_told_in_one_sentence_with_the_key(name):
    settings = defaults(name)
    before = set(problems_of(PROGRAMS[name], settings))
    for key in settings:
        for odd in ODD:
            for problem in set(problems_of(PROGRAMS[name], settings | {key: odd})) - before:
                assert key in problem
                assert "\n" not in problem
