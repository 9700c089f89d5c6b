"""Prepares stores in this process, by the settings of the command line, and shows what is in them."""

from pathlib import Path

import lmdb
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from cromss.cli.command import checked_settings
from cromss.cli.prepare import run
from cromss.config.resolvers import register_resolvers
from cromss.io.package_data import config_dir

register_resolvers()


def prepared(*overrides):
    """Does what ``python -m cromss.prepare`` does with these overrides."""
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        cfg = compose("prepare", [str(override) for override in overrides])
    run(checked_settings("prepare", OmegaConf.to_container(cfg, resolve=True)))


def content(store):
    """Shard and key -> value, of all shards of a store."""
    found = {}
    for shard in sorted(Path(store).glob("*.lmdb")):
        with lmdb.open(str(shard), readonly=True, lock=False) as env, env.begin() as txn:
            found |= {(shard.name, bytes(key)): bytes(value) for key, value in txn.cursor()}
    return found


def statuses(store):
    """Id -> what the manifest says of it, status and reason."""
    rows = [line.split(",", 3) for line in (Path(store) / "manifest.csv").read_text().splitlines()[1:]]
    return {row[0]: (row[1], row[3].strip('"')) for row in rows}
