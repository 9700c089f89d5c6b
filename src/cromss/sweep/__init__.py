"""Runs that survive: who holds a run's folder, what became of it, and the jobs of a sweep that still lack."""
