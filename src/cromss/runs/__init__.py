"""Everything about the folder of a run: the names of its files, and how they are read and written."""
