"""STCAT's T-cell states (Shen et al. 2025): three linear models and the rules between them."""
