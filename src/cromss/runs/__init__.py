"""The one home of a run's folder: what its files are called, and how they are read."""
