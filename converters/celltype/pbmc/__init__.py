"""pbmc-celltype: the recipe on pbmc3k with corrected labels, its own evaluation and card."""
