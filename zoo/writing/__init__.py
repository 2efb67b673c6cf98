"""Writing results: atomically, block by block, in AnnData's form or as a table."""
