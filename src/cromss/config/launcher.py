"""Settings of Hydra's launchers and of the search, and whether the processes that they start fit the training."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from omegaconf import DictConfig
from pydantic import ConfigDict, Field

from cromss.config.mistakes import UserError
from cromss.config.settings import (
    OPTIONAL,
    Count,
    CountOrZero,
    Means,
    Part,
    Positive,
    Problem,
    Seconds,
    Seed,
    Settings,
    Share,
    Text,
    find_problems,
)
from cromss.config.words import as_typed

Minutes = Annotated[int, Field(ge=1, le=60 * 24 * 366)]
Processes = Annotated[int, Field(ge=1, le=100_000)]


class OneByOne(Settings):
    """The launcher without settings."""


class _Jobs(Settings):
    submitit_folder: Text
    """Folder of the output of the jobs."""

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
    """Seconds before the time limit at which a job gets the signal to stop."""

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
    """Seconds between two checks of the queue."""

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


class Sampler(Settings):
    """What the samplers of Optuna share; further keys are theirs."""

    model_config = ConfigDict(extra="allow")

    seed: Seed | None
    """Seed of the proposals; null for another search every time."""

    n_startup_trials: CountOrZero = OPTIONAL
    """Random trials before the first that is proposed by a model."""

    n_ei_candidates: Count = OPTIONAL
    """Candidates per proposal."""

    sigma0: Positive | None = OPTIONAL
    """Deviation to start with."""

    population_size: Annotated[int, Field(ge=2, le=1_000_000)] = OPTIONAL
    """Trials per generation."""

    mutation_prob: Share | None = OPTIONAL
    """Probability of a mutation; null for one per setting."""

    crossover_prob: Share = OPTIONAL
    """Probability of a crossover."""

    swapping_prob: Share = OPTIONAL
    """Probability of a swap within a crossover."""


class Search(Settings):
    """``hydra/sweeper=optuna``: a search by Optuna."""

    sampler: Part
    """Sampler: an option of the group hydra/sweeper/sampler, one of tpe, random, cmaes, nsgaii."""

    direction: Literal["minimize", "maximize"]
    """Whether the score is minimised or maximised."""

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
    """Seconds between two checks of runs of an earlier start."""

    params: Annotated[dict[str, Any], Means("keys with their possible values")]
    """Key -> its possible values."""


LAUNCHERS: Mapping[str, type[Settings]] = {
    "hydra_plugins.cromss_launchers.OneByOne": OneByOne,
    "hydra_plugins.cromss_launchers.Processes": LocalProcesses,
    "hydra_plugins.cromss_launchers.SlurmJobs": Slurm,
}
"""``hydra.launcher._target_`` -> its settings; other launchers are not checked."""

SWEEPERS: Mapping[str, type[Settings]] = {"hydra_plugins.cromss_search.OptunaSweeper": Search}
"""``hydra.sweeper._target_`` -> its settings; other sweepers are not checked."""

SAMPLERS = tuple(f"optuna.samplers.{name}Sampler" for name in ("TPE", "Random", "CmaEs", "NSGAII"))
"""``_target_`` of the samplers that propose settings for one score from a seed; a grid is a plain sweep."""


def launcher_problems(values: Mapping[str, Any], prefix: str = "hydra.launcher") -> list[Problem]:
    """Finds mistakes in the settings of a launcher or a sweeper.

    Args:
        values: Of ``hydra.launcher`` or ``hydra.sweeper``, plain.
        prefix: Which of the two.
    """
    model = {**LAUNCHERS, **SWEEPERS}.get(str(values.get("_target_")))
    own = {key: value for key, value in values.items() if key not in ("_target_", "_recursive_")}
    return [] if model is None else find_problems(model, own, prefix)


def check_sweeper(values: Mapping[str, Any]) -> None:
    """Checks the settings of a sweeper before any run starts.

    Args:
        values: The plain values of ``hydra.sweeper``.

    Raises:
        UserError: One message with every problem, each with its cure.
    """
    problems = launcher_problems(values, "hydra.sweeper")
    sampler = values.get("sampler")
    if values.get("_target_") in SWEEPERS and isinstance(sampler, Mapping):
        if sampler.get("_target_") in SAMPLERS:
            own = {key: value for key, value in sampler.items() if key != "_target_"}
            problems += find_problems(Sampler, own, "hydra.sweeper.sampler")
        else:
            key = "hydra.sweeper.sampler"
            problems.append(
                Problem(
                    key,
                    f"{key}._target_={as_typed(sampler.get('_target_'))} must be one of {', '.join(SAMPLERS)}: set "
                    "hydra/sweeper/sampler to tpe, random, cmaes or nsgaii",
                )
            )
    if problems:
        raise UserError("\n".join(["This search cannot start:", *(f"  - {problem.sentence}" for problem in problems)]))


def check_shape(cfg: DictConfig) -> Iterator[str]:
    """Sentences about settings of launcher and trainer that do not fit, before anything is submitted.

    Args:
        cfg: Config of one run, with that of Hydra itself.
    """
    launcher = cfg.hydra.launcher
    if "tasks_per_node" not in launcher or "nodes" not in launcher:
        return  # the launcher that runs jobs in this process
    devices, nodes = cfg.trainer.devices, cfg.trainer.num_nodes
    tasks, hosts = launcher.tasks_per_node, launcher.nodes
    if not isinstance(devices, int) or devices < 1:
        yield f"trainer.devices={devices} must be a whole number of at least 1: a launcher starts one process each"
    elif tasks != devices:
        yield (
            f"trainer.devices={devices} needs hydra.launcher.tasks_per_node={devices}, one process per device, not "
            f"{tasks}"
        )
    if hosts != nodes:
        yield f"trainer.num_nodes={nodes} needs hydra.launcher.nodes={nodes}, and it is {hosts}"
    gpus = launcher.get("gpus_per_node")
    if gpus is not None and isinstance(devices, int) and gpus < devices and cfg.trainer.accelerator in ("gpu", "cuda"):
        yield f"trainer.devices={devices} GPUs need hydra.launcher.gpus_per_node={devices}, and it is {gpus}"


def check_tasks(cfg: DictConfig) -> Iterator[str]:
    """Sentences where Slurm did not start one process per device; called within the job.

    Lightning refuses too few. With too many, each would train on its own in the same folder.

    Args:
        cfg: Config of one run.
    """
    if "SLURM_PROCID" not in os.environ or "SLURM_STEP_NUM_TASKS" not in os.environ:
        return
    tasks, devices, nodes = int(os.environ["SLURM_STEP_NUM_TASKS"]), cfg.trainer.devices, cfg.trainer.num_nodes
    if tasks > 1 and isinstance(devices, int) and devices > 0 and tasks != devices * nodes:
        yield (
            f"Slurm started {tasks} processes for trainer.devices={devices} on trainer.num_nodes={nodes} node(s): set "
            f"--ntasks-per-node={devices}, or trainer.devices={tasks // nodes}"
        )


def gpus_per_node(accelerator: str, devices: int | str) -> int | None:
    """GPUs to ask a scheduler for: as many as the training has devices; None where it runs on CPUs.

    Args:
        accelerator: ``trainer.accelerator``.
        devices: ``trainer.devices``.
    """
    return devices if accelerator in ("gpu", "cuda") and isinstance(devices, int) and devices > 0 else None
