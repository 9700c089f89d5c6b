"""Speed, memory and size, ours beside a plain rewrite of the published way: `make bench`."""
