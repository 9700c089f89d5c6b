"""The private Slurm does what the sweep's tests count on."""

import os
import signal
import subprocess
import sys

import pytest

from slurm.cluster import HERE, Cluster, until

# Ends well on TERM, as a job that saves and leaves; runs for ever before.
PATIENT = "trap 'echo saved; exit 0' TERM; echo began; while :; do sleep 0.1; done"
DEAF = "trap '' TERM; echo began; sleep 600"

IN_A_JOB = b"SLURM_JOB_ID="


def output(cluster, job):
    file = cluster.folder / f"slurm-{job}.out"
    return file.read_text() if file.exists() else ""


def test_a_step_runs_on_the_node(cluster):
    assert cluster.run("srun", "hostname").stdout.strip() == os.uname().nodename.partition(".")[0]


def test_an_array_runs_and_the_stand_in_for_accounting_knows_how_it_ended(cluster):
    array = cluster.submit("exit $SLURM_ARRAY_TASK_ID", "--array=0-1")
    cluster.wait(f"{array}_0", "COMPLETED")
    cluster.wait(f"{array}_1", "FAILED")
    rows = cluster.run("sacct", "-o", "JobID,State,NodeList", "--parsable2", "-j", array).stdout.splitlines()
    assert rows[0] == "JobID|State|NodeList"
    assert {row.rpartition("|")[0] for row in rows[1:]} >= {f"{array}_0|COMPLETED", f"{array}_1|FAILED"}


def test_a_requeued_job_starts_again_under_the_same_id(cluster):
    job = cluster.submit(PATIENT, "--open-mode=append")
    until(lambda: "began" in output(cluster, job), "the job's first words")
    cluster.requeue(job)
    until(lambda: output(cluster, job).count("began") == 2, "a second start")
    assert f"JobId={job} " in (shown := cluster.run("scontrol", "show", "job", "--oneliner", job).stdout)
    assert " Restarts=1 " in shown
    cluster.cancel(job)
    cluster.wait(job, "CANCELLED")


def test_an_urgent_job_preempts(cluster):
    lowly = cluster.submit(PATIENT, "--cpus-per-task=4")
    cluster.wait(lowly, "RUNNING")
    urgent = cluster.submit("true", "--cpus-per-task=4", "--partition=urgent")
    cluster.wait(urgent, "COMPLETED")
    cluster.wait(lowly, "RUNNING")
    cluster.cancel(lowly)
    cluster.wait(lowly, "CANCELLED")


def test_a_cancelled_job_that_does_not_listen_is_killed(cluster):
    job = cluster.submit(DEAF)
    until(lambda: "began" in output(cluster, job), "the job's first words")
    cluster.cancel(job)
    cluster.wait(job, "CANCELLED")
    until(lambda: not cluster.processes(IN_A_JOB), "the end of its processes")


def test_more_memory_than_a_node_has_is_refused(cluster):
    with pytest.raises(RuntimeError, match="Requested node configuration is not available"):
        cluster.submit("true", "--mem=64G")


def test_a_job_survives_the_loss_of_node_and_controller(cluster):
    job = cluster.submit(PATIENT, "--open-mode=append")
    until(lambda: "began" in output(cluster, job), "the job's first words")
    cluster.kill_daemons()
    assert not cluster.processes(IN_A_JOB)
    cluster.restart()
    until(lambda: output(cluster, job).count("began") == 2, "a second start")
    assert "saved" not in output(cluster, job)
    cluster.cancel(job)
    cluster.wait(job, "CANCELLED")


def test_two_clusters_know_nothing_of_each_other_and_die_with_who_started_them(cluster, tmp_path):
    mine = cluster.submit("sleep 600")
    cluster.wait(mine, "RUNNING")
    command = [sys.executable, str(HERE / "cluster.py"), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as by_hand:
        exported = by_hand.stdout.readline()
        assert exported.startswith(f"export SLURM_CONF={tmp_path}/slurm.conf PATH={HERE / 'bin'}:")
        other = Cluster(tmp_path)
        assert other.jobs() == {}
        job = other.submit("sleep 600")
        other.wait(job, "RUNNING")
        assert other.processes(IN_A_JOB)
        by_hand.send_signal(signal.SIGKILL)
    until(lambda: not other.processes(), "the end of all its processes")
    assert cluster.jobs()[mine] == "RUNNING"
    cluster.cancel(mine)
