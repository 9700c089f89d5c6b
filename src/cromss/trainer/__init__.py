"""Training and testing: the LightningModule, its metrics, pictures, logs and checkpoints."""
