"""A private Slurm of one node, without systemd and beside any other: `apt-get install slurm-wlm munge`, root.

By hand, ``python tests/slurm/cluster.py FOLDER`` prints what to export and stays until Ctrl-C.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
CPUS, MEGABYTES = 4, 16000  # as configured: there may be less, and nothing enforces it
MISSING = "tests/slurm needs Slurm and root: apt-get install slurm-wlm munge"


def until(condition, what, timeout=60):
    """Waits until a function returns something true; RuntimeError that names `what` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"not within {timeout} s: {what}")
        time.sleep(0.2)


class Cluster:
    """A running Slurm; use it as a context manager.

    Args:
        folder: Where all its files go; made where missing. Its path must be short, as a socket lies there.

    Attributes:
        env: Environment for processes that shall see this Slurm. Its ``sacct`` is a stand-in that asks slurmctld.

    Raises:
        RuntimeError: Slurm or munge is not installed, or does not start.
    """

    def __init__(self, folder):
        self.folder = Path(folder).resolve()
        path = os.pathsep.join([str(HERE / "bin"), os.environ["PATH"], "/usr/sbin"])
        self.env = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SBATCH_"))}
        self.env |= {"SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": path}
        if os.geteuid() or not all(shutil.which(name, path=path) for name in ("slurmctld", "slurmd", "munged", "srun")):
            raise RuntimeError(MISSING)

    def __enter__(self):
        for name in (".", "state", "spool"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            second.bind(("127.0.0.1", 0))
            ports = {"controller_port": first.getsockname()[1], "node_port": second.getsockname()[1]}
        host = socket.gethostname().partition(".")[0]  # slurmd takes no other name
        template = (HERE / "slurm.conf.in").read_text()
        conf = template.format(host=host, folder=self.folder, cpus=CPUS, megabytes=MEGABYTES, **ports)
        (self.folder / "slurm.conf").write_text(conf)
        (self.folder / "munge.key").unlink(missing_ok=True)
        self.run("mungekey", "--create", f"--keyfile={self.folder / 'munge.key'}")
        self._daemons = subprocess.Popen(
            [sys.executable, str(HERE / "daemons.py"), str(self.folder)],
            env=self.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for this process, which then closes the pipe
        )
        try:
            self.restart()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self._daemons.stdin.close()
        self._daemons.wait(30)
        self._daemons.stdout.close()

    def run(self, *command, check=True, timeout=60, **options):
        """Runs a command that sees this Slurm; returns a CompletedProcess with text, or fails with what it said."""
        options |= {"env": self.env, "capture_output": True, "text": True, "timeout": timeout}
        ended = subprocess.run(command, check=False, **options)
        if check and ended.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {ended.returncode}: {ended.stdout}{ended.stderr}")
        return ended

    def submit(self, script, *options):
        """Submits lines of shell by sbatch; returns the job's id. Output goes to ``slurm-<id>.out`` in the folder."""
        command = ("sbatch", "--parsable", f"--chdir={self.folder}", *options)
        return self.run(*command, input=f"#!/bin/sh\n{script}\n").stdout.strip()

    def jobs(self):
        """State by id of all jobs that were submitted, ended ones too; tasks of an array as ``<array>_<task>``."""
        rows = self.run("squeue", "--noheader", "--array", "--states=all", "--format=%i %T").stdout
        return dict(row.split() for row in rows.splitlines())

    def unended(self):
        """Ids of jobs that wait, run or are being ended."""
        return [job for job, state in self.jobs().items() if state in ("PENDING", "RUNNING", "COMPLETING")]

    def wait(self, job, *states, timeout=60):
        """Waits until a job is in one of some states, e.g. ``"RUNNING"``."""
        until(lambda: self.jobs().get(job) in states, f"job {job} in {states}", timeout)

    def processes(self, *marks):
        """Pids of what runs in this Slurm, daemons and jobs; only jobs with ``b"SLURM_JOB_ID="`` for a mark."""
        found = []
        for environ in Path("/proc").glob("[0-9]*/environ"):
            try:
                variables = environ.read_bytes()
            except OSError:
                continue  # ended meanwhile, or somebody else's
            if all(mark in variables for mark in (f"SLURM_CONF={self.env['SLURM_CONF']}\0".encode(), *marks)):
                found.append(int(environ.parent.name))
        return found

    def requeue(self, job):
        """Takes a running job from its node, as preemption does, and spares it the 6 s before it may start again."""
        self.run("scontrol", "requeue", job)
        self.wait(job, "PENDING", "RUNNING")
        # The node takes what was signed in the second of the end for what it has just ended, and fails the job.
        time.sleep(2)
        self.run("scontrol", "update", f"JobId={job}", "StartTime=now", check=False)  # fails where it runs by now

    def cancel(self, job):
        """Ends a job for good: TERM, then KILL after 5 s."""
        self.run("scancel", job)

    def kill_daemons(self):
        """The node loses power: jobs are gone without a signal that they could catch. The controller goes, too."""
        self._tell("kill")

    def restart(self):
        """Starts slurmctld and slurmd, on the state that they left; returns when Slurm has queued the lost jobs again.

        That takes up to 12 s. They start 6 s later.
        """
        self._tell("start")
        until(self._has_node, f"a node; see {self.folder}/slurmctld.log and slurmd.log")
        lost = [job for job, state in self.jobs().items() if state == "RUNNING"]

        def noticed():
            # The node says what it runs when it registers, by itself once a minute; young jobs are not missed yet.
            self.run("scontrol", "reconfigure")
            return not any(self.jobs()[job] == "RUNNING" for job in lost)

        until(noticed, f"{lost} lost")

    def _has_node(self):
        state = self.run("sinfo", "--noheader", "--partition=debug", "--format=%T", check=False)
        return state.stdout.strip() in ("idle", "mixed", "allocated")

    def _tell(self, word):
        self._daemons.stdin.write(f"{word}\n")
        self._daemons.stdin.flush()
        if self._daemons.stdout.readline() != f"{word}\n":
            raise RuntimeError(f"the daemons of {self.folder} are gone: see its logs")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with Cluster(sys.argv[1]) as hand:
        sys.stdout.write(f"export SLURM_CONF={hand.env['SLURM_CONF']} PATH={hand.env['PATH']}\n")
        sys.stdout.flush()
        try:
            signal.pause()
        except KeyboardInterrupt:
            sys.exit()
