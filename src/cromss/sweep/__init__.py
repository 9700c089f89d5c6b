"""Sweeps: their runs are planned and checked as a whole, and those that are missing start here, or as jobs."""
