"""Keeps the daemons of one private Slurm: `python daemons.py FOLDER`, which `cluster.py` starts and talks to.

Reads a word a line from standard input: ``start``, and ``kill`` as when a node loses power; answers with the same word.
At the end of the input, also where its writer was killed, everything goes: the daemons, and the jobs that they started.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of linux/prctl.h


def start(*command):
    """Starts a daemon that dies with this process, its words in a log of its own."""
    with (folder / f"{Path(command[0]).name}.log").open("a") as log:
        subprocess.Popen(
            ("setpriv", "--pdeathsig=KILL", *command),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=os.environ | {"SLURM_CONF": str(folder / "slurm.conf")},
        )


def children():
    """Pids of all children with their names; as this process is a subreaper, orphans of daemons are among them."""
    pids = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return {int(pid): Path(f"/proc/{pid}/comm").read_text().strip() for pid in pids}


def stop_controller():
    """Lets slurmctld save its state: killed, it would forget the last seconds, and with them jobs."""
    for pid in [pid for pid, name in children().items() if name == "slurmctld"]:
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)


def kill_children(spare=()):
    """Kills the daemons, then what they leave behind, until nobody is left."""
    while victims := [pid for pid, name in children().items() if name not in spare]:
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    ctypes.CDLL(None).prctl(SUBREAPER, 1)
    munge = [f"--{name}-file={folder / 'munge'}.{name}" for name in ("key", "log", "pid", "seed")]
    start("munged", "--foreground", "--force", f"--socket={folder / 'munge.socket'}", *munge)
    try:
        while not (folder / "munge.socket").exists():
            time.sleep(0.05)
        for line in sys.stdin:
            if line == "start\n":
                start("slurmctld", "-D")
                start("slurmd", "-D")
            elif line == "kill\n":
                stop_controller()
                kill_children(spare=("munged",))
            sys.stdout.write(line)
            sys.stdout.flush()
    finally:
        kill_children()
