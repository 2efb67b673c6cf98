"""`zoo doctor`: what of this machine would stop a run, and what mends it."""
