"""Downloads raw data: Sentinel images and OSM labels of tiles, and archives; see `cromss.prepare.download.sources`."""
