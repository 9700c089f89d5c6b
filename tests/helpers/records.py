"""What a run says of itself when it begins."""

from cromss.runs.record import RunRecord

BEGUN = RunRecord(
    state="running",
    name="seed=1",
    overrides=["seed=1"],
    choices={"fusion": "mid"},
    config_hash="ab",
    identity="cd",
    epochs=3,
    seed=1,
    git_commit=None,
    job="Slurm job 17_0, start 1",
    host="node1",
    user="me",
    started="2026-01-01T00:00:00+00:00",
    monitor="val/loss",
)
