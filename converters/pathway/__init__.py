"""Attention over pathways: labels with the gene sets that a cell was looked at through."""
