"""Hydra's Optuna sweeper, made resumable; Hydra imports this at every start, so what it does is in `cromss.search`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.plugins.sweeper import Sweeper
from hydra_plugins.hydra_optuna_sweeper import config as _  # noqa: F401  # registers what goes below
from omegaconf import OmegaConf


class OwnOptions(SearchPathPlugin):
    """Makes ``hydra/sweeper=optuna`` the file of this name in ``conf/``.

    Hydra refuses a file beside a registered config of its name, and runs each plugin's module again where it looks for
    plugins, in the order of the folders: the config goes when all of them have been looked at.
    """

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Called before any config is composed."""
        ConfigStore.instance().repo["hydra"]["sweeper"].pop("optuna.yaml", None)


class OptunaSweeper(Sweeper):
    """Searches by `cromss.search.search.OptunaSearch`.

    Args:
        params: Key -> what it may be, for experiments; overrides on the command line win.
        **settings: Of the search.
    """

    def __init__(self, params: Mapping[str, Any], **settings: Any) -> None:
        self.params, self.settings = params, settings

    def setup(self, *, hydra_context: Any, task_function: Any, config: Any) -> None:
        """What Hydra has for a sweeper.

        Raises:
            UserError: Settings of the search that it cannot start with.
        """
        from cromss.config.launcher import check_sweeper

        settings: Any = OmegaConf.to_container(config.hydra.sweeper, resolve=True)
        check_sweeper(settings)
        self.folder = Path(str(config.hydra.sweep.dir))
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Runs the search, or what is left of it.

        Raises:
            UserError: See `OptunaSearch.run`.
        """
        from cromss.search.search import OptunaSearch
        from cromss.search.space import read_space

        OptunaSearch(self.launcher, **self.settings).run(*read_space(self.params, arguments), self.folder)
