"""CellTypist: logistic regression on scaled values (Domínguez Conde et al. 2022)."""
