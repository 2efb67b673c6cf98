"""Cell types by logistic regression in CellTypist's form, with the same confidence in the graph."""
