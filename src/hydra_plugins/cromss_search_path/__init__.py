"""Where else this project's programs look for options: beside ``conf``, and in the folder that they are started in.

Hydra finds its plugins in this namespace, and calls this one at the start of every program that uses Hydra.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from hydra._internal.core_plugins import file_config_source
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.plugins.search_path_plugin import SearchPathPlugin

from cromss.io.package_data import config_dir


class KnownGroups(file_config_source.FileConfigSource):
    """A folder in which only the groups of this project are groups.

    Any other folder there, such as one that is called like a key, ``runs`` or ``out``, has nothing to do with options.
    """

    @staticmethod
    def scheme() -> str:
        """Of the paths of such folders."""
        return "cromss"

    def is_group(self, config_path: str) -> bool:
        """Whether there is a folder of options for this group."""
        return _is_known(config_path) and super().is_group(config_path)

    def is_config(self, config_path: str) -> bool:
        """Whether there is an option."""
        return "/" in config_path and _is_known(config_path) and super().is_config(config_path)

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """Groups and options in a folder."""
        found = super().list(config_path, results_filter)
        return found if config_path else [name for name in found if _is_known(name)]


class ExperimentsAndOwnOptions(SearchPathPlugin):
    """Adds the folder that holds ``experiments``, and the current one for options of the user's own.

    The project's own options come first: a file in the current folder adds to them and replaces none.
    """

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Adds folders where the program is one of this project."""
        own = config_dir()
        if not any(str(entry.path).removeprefix("file://") == str(own) for entry in search_path.get_path()):
            return
        for provider, folder in (("experiments", own.parent), ("current folder", Path.cwd())):
            if all(str(entry.path).partition("://")[2] != str(folder) for entry in search_path.get_path()):
                search_path.append(provider, f"{KnownGroups.scheme()}://{folder}")


def _is_known(config_path: str) -> bool:
    return config_path.partition("/")[0] in ("", *_groups())


@cache
def _groups() -> frozenset[str]:
    return frozenset({"experiments", *(entry.name for entry in config_dir().iterdir() if entry.is_dir())})
