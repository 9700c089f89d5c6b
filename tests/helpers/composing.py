"""Composes configs as `train.py` does, quickly: a file or a reference is parsed once per process."""

import copy
import functools
from unittest import mock

import omegaconf.base
from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.file_config_source import FileConfigSource

from cromss.config.resolvers import register_resolvers
from cromss.io.package_data import config_dir

register_resolvers()

_load = FileConfigSource.load_config


@functools.cache
def _loaded(folder, file):
    return _load(FileConfigSource(provider="main", path=folder), file)


def _copied(source, file):
    return copy.deepcopy(_loaded(source.path, file))


def reading_files_once():
    """A context in which Hydra finds a file again without reading it."""
    return mock.patch.object(FileConfigSource, "load_config", _copied)


def composed(*overrides, **options):
    """The config of a command line with these overrides; `options` are those of `hydra.compose`."""
    with reading_files_once(), initialize_config_dir(str(config_dir()), version_base="1.3"):
        return compose("config", list(overrides), **options)


# References are what takes most of the time of a check; the tree that the parser makes of a text is only looked at.
omegaconf.base.parse = functools.cache(omegaconf.base.parse)
