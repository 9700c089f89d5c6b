"""Launchers of sweeps that start only what is missing: one by one, in processes of this machine, or as jobs of Slurm.

Hydra finds its plugins in this namespace, and imports all of them at every start: what they do is in `cromss.sweep`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra_plugins.hydra_submitit_launcher.submitit_launcher import BaseSubmititLauncher

from cromss.config.resolvers import register_resolvers

# A job in a process of its own imports this first, and then looks up its folder.
register_resolvers()


class _OnlyMissing(Launcher):
    """Plans the runs of a sweep, then starts those that are neither finished nor under way."""

    hydra_context: Any
    config: Any

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """One result per job, in their order.

        Raises:
            UserError: The sweep cannot start; nothing was submitted.
        """
        from cromss.sweep.launch import launch

        return launch(self, self._start, job_overrides, initial_job_idx)

    @abstractmethod
    def _start(self, runs: Any) -> Any:
        """Hands runs over; returns what waits for them."""


class OneByOne(_OnlyMissing):
    """Runs in this process, one after the other; where a run fails, the others still run."""

    def setup(self, *, hydra_context: Any, task_function: Any, config: Any) -> None:
        """What Hydra has for a launcher."""
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def _start(self, runs: Any) -> Any:
        from cromss.sweep.launch import start_one_by_one

        return start_one_by_one(self, runs)


class Processes(_OnlyMissing, BaseSubmititLauncher):
    """Processes of this machine, each restarted after its time limit, a given number at a time."""

    _EXECUTOR = "local"

    def __call__(self, *args: Any) -> JobReturn:
        """Runs in each process of a job."""
        from cromss.sweep.processes import join_local_job

        join_local_job()
        return super().__call__(*args)

    def _start(self, runs: Any) -> Any:
        from cromss.sweep.local import start_processes

        return start_processes(self, self.params, runs)


class SlurmJobs(_OnlyMissing, BaseSubmititLauncher):
    """Jobs of Slurm, one array per sweep."""

    _EXECUTOR = "slurm"

    def _start(self, runs: Any) -> Any:
        from cromss.sweep.submit import start_slurm_jobs

        return start_slurm_jobs(self, self.params, runs)
