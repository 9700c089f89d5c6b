"""Whatever distrusts a file or touches a disk, for all rooms."""
