"""Side concerns of a run, one a module: what it keeps, what it watches, how it stops."""
