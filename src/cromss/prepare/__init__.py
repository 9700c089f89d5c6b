"""Makes stores: ``cromss prepare source=… path=… out=…`` converts, ``action=verify`` checks, see `actions`.

A source is a function that turns a path and the options under its name in ``conf/prepare.yaml`` into a
`LocationReader`, see `cromss.prepare.sources`; `cromss.prepare.shards.prepare` does the rest, the same for all. One
that needs code of its own gets a file here.
"""
