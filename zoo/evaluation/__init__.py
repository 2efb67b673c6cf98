"""The one machinery behind every number on a card: metrics with intervals, baselines, disturbances.

Torch-free: a model is asked as the runner asks it.
"""
