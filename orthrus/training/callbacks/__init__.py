"""Callbacks of a run, one a module: what is saved and measured, and how the run stops."""
