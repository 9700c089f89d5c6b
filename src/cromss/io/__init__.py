"""Reading untrusted files, and writing files safely, for all other packages."""
