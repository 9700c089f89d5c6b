"""Satellite images as files: the one function that opens them all, and checks of their values."""
