"""A trained network over a scene of any size: georeferenced maps. The command line is `cromss predict`."""
