"""A resumable search by Optuna for Hydra, which imports this at every start: what it does is in `cromss.search`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.plugins.sweeper import Sweeper
from omegaconf import OmegaConf


class OwnOptions(SearchPathPlugin):
    """Makes ``hydra/sweeper=optuna`` the file of this name in ``conf/`` where hydra-optuna-sweeper is installed, too.

    Hydra refuses a file beside a registered config of its name, and imports each plugin where it looks for plugins:
    the configs go when all of them have been looked at.
    """

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Called before any config is composed."""
        sweepers = ConfigStore.instance().repo["hydra"].get("sweeper", {})
        for name in ("optuna.yaml", "sampler"):
            sweepers.pop(name, None)


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
            UserError: Optuna is not installed; or see `OptunaSearch.run`.
        """
        from cromss.config import UserError
        from cromss.io.extras import extra

        try:
            with extra("search", "hydra/sweeper=optuna"):
                from cromss.search.search import OptunaSearch
                from cromss.search.space import read_space
        except ValueError as error:
            raise UserError(str(error)) from error
        OptunaSearch(self.launcher, **self.settings).run(*read_space(self.params, arguments), self.folder)
