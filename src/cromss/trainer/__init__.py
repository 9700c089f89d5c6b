"""How a run goes: the LightningModule, its metrics, pictures, logs and checkpoints."""
