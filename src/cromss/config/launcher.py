"""What the settings of Hydra's launchers and of its search may be, where this project reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from cromss.config.settings import Count, CountOrZero, Means, Problem, Settings, Text, find_problems

Minutes = Annotated[int, Field(ge=1, le=60 * 24 * 366)]
Seconds = Annotated[float, Field(gt=0, le=1e7)]
Processes = Annotated[int, Field(ge=1, le=100_000)]


class OneByOne(Settings):
    """The launcher without settings."""


class _Jobs(Settings):
    submitit_folder: Text
    """Where jobs write what they print."""

    name: Text
    """Name of the jobs."""

    nodes: Processes
    """Nodes per job."""

    tasks_per_node: Annotated[Processes | Literal[-1], Means("a whole number of at least 1")]
    """Processes per node, one per device."""

    gpus_per_node: CountOrZero | None
    """GPUs per node; null for none."""

    timeout_min: Minutes
    """Time limit of a job, minutes."""

    signal_delay_s: CountOrZero
    """Seconds before the time limit at which a job is told to stop."""

    max_num_timeout: CountOrZero
    """How often a job resumes after its time limit."""


class LocalProcesses(_Jobs):
    """``hydra/launcher=slurm_local``: processes of this machine."""

    parallel: Processes
    """Jobs at a time."""


class Slurm(_Jobs):
    """``hydra/launcher=slurm``: jobs of Slurm."""

    stderr_to_stdout: bool
    """Whether errors are written to the file of the output."""

    array_parallelism: Processes
    """Jobs at a time."""

    poll_s: Seconds
    """Seconds between two looks at the queue."""

    partition: Text | None
    """Partition; null for the cluster's default."""

    account: Text | None
    """Account that pays; null for the user's default."""

    qos: Text | None
    """Quality of service."""

    cpus_per_task: Processes
    """Cores per process."""

    mem_gb: Annotated[float, Field(gt=0, le=1e6)] | None
    """Memory per node, GB; null for the cluster's default."""

    gres: Text | None
    """Generic resources, as ``gpu:a100:4``."""

    constraint: Text | None
    """Features that nodes must have."""

    setup: list[Text] | None
    """Lines of shell before the job."""

    additional_parameters: Annotated[dict[str, Any], Means("keys with values")]
    """Any other options of sbatch."""


class Search(Settings):
    """``hydra/sweeper=optuna``: a search by Optuna."""

    sampler: Annotated[dict[str, Any], Means("keys with values, among them _target_")]
    """Sampler; an option of the group hydra/sweeper/sampler."""

    direction: Literal["minimize", "maximize"]
    """Whether a low score is better, or a high one."""

    storage: Text
    """URL of the database of the study."""

    study_name: Text
    """Name of the study."""

    n_trials: Count
    """Trials in all."""

    n_jobs: Count
    """Trials proposed together."""

    failures_in_a_row: Count
    """Failed trials in a row after which the search stops."""

    poll_s: Seconds
    """Seconds between two looks at runs of an earlier start."""

    params: Annotated[dict[str, Any], Means("keys with what they may be")]
    """Key -> what the search may choose from."""


LAUNCHERS: Mapping[str, type[Settings]] = {
    "hydra_plugins.cromss_launchers.OneByOne": OneByOne,
    "hydra_plugins.cromss_launchers.Processes": LocalProcesses,
    "hydra_plugins.cromss_launchers.SlurmJobs": Slurm,
}
"""``hydra.launcher._target_`` -> its settings; other launchers are not checked."""

SWEEPERS: Mapping[str, type[Settings]] = {"hydra_plugins.cromss_search.OptunaSweeper": Search}
"""``hydra.sweeper._target_`` -> its settings; other sweepers are not checked."""


def launcher_problems(values: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with the settings of a launcher.

    Args:
        values: Of ``hydra.launcher``, plain.
    """
    return _problems(LAUNCHERS, values, "hydra.launcher")


def sweeper_problems(values: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with the settings of a sweeper.

    Args:
        values: Of ``hydra.sweeper``, plain.
    """
    return _problems(SWEEPERS, values, "hydra.sweeper")


def _problems(table: Mapping[str, type[Settings]], values: Mapping[str, Any], prefix: str) -> list[Problem]:
    model = table.get(str(values.get("_target_")))
    own = {key: value for key, value in values.items() if key not in ("_target_", "_recursive_")}
    return [] if model is None else find_problems(model, own, prefix)
