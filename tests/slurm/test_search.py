"""A search whose trials are jobs."""

import re
import subprocess
import sys

from omegaconf import OmegaConf

from helpers.entrypoint import ROOT, SMALL
from slurm.cluster import until

SEARCH = [
    *("-m", "hydra/sweeper=optuna", *SMALL, "trainer.epochs=1", "trainer.limit_batches=1"),
    *("selection.prop=interval(0.2,0.8)", "trainer.monitor=val/s2/miou", "hydra.sweep.dir=found"),
    *("hydra/launcher=slurm", "hydra.launcher.cpus_per_task=1", "hydra.launcher.mem_gb=2", "hydra.launcher.poll_s=2"),
    *("hydra.launcher.timeout_min=30", "hydra.sweeper.n_trials=3", "hydra.sweeper.n_jobs=2", "hydra.sweeper.poll_s=1"),
]


def test_a_search_that_is_killed_while_its_jobs_run_waits_for_them_and_does_the_rest(cluster, tmp_path):
    command = [sys.executable, str(ROOT / "train.py"), *SEARCH]
    environment = cluster.env | {"XDG_CACHE_HOME": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    before = set(cluster.jobs())
    with (tmp_path / "log").open("w") as log:
        killed = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log)
        until(lambda: len(set(cluster.jobs()) - before) == 2, "two jobs", timeout=120)
        killed.kill()
        killed.wait()
    options = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True, "timeout": 240}
    said = subprocess.run(command, check=False, **options)
    assert said.returncode == 0, said.stderr
    assert "2 trials were under way" in said.stdout
    assert re.findall(r"Trial (\d): ", said.stdout) == ["0", "1", "2"]
    # Nothing was submitted twice.
    jobs = {job: state for job, state in cluster.jobs().items() if job not in before}
    assert sorted(jobs.values()) == ["COMPLETED"] * 3
    scores = [OmegaConf.load(run).score for run in (tmp_path / "found").glob("*/run.json")]
    assert len(scores) == 3
    assert OmegaConf.load(tmp_path / "found/optimization_results.yaml").best_value == max(scores)
