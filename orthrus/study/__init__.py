"""A scaling study: a grid of fits, a probe at the end of each, and the power laws that the scores follow.

spec (what varies) -> grid of fits -> fit, embed and probe each, in turn or as a Slurm array -> laws -> one page.
"""
