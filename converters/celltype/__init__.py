"""Cell types from raw counts: an MLP ensemble with its calibration and p-values in one graph."""
