"""Class names in many scripts, with everything that files and figures could take for something else."""

ANY_CLASS_NAMES = ["water", "森林", "غابة", "🌲", "a, b", 'c "d"', "e\nf", "<g> & h", "i/j", "x" * 500]
ANY_CLASS_NAMES += ["$\\foo$", "$$", "_k", "t\tu", "=1+1", "7", "a-b", "a b"]
