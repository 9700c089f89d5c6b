"""Where else this project's programs look for options: beside ``conf``, and in the folder that they are started in.

Hydra finds its plugins in this namespace, and calls this one at the start of every program that uses Hydra.
"""

from __future__ import annotations

from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

from cromss.io.package_data import config_dir


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
            if all(str(entry.path).removeprefix("file://") != str(folder) for entry in search_path.get_path()):
                search_path.append(provider, f"file://{folder}")
