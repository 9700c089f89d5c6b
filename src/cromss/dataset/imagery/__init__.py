"""Satellite images as files: the one opener for everything that the project reads, and what it judges them by."""
