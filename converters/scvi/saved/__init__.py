"""Folders that scvi-tools saves, read as data: `zoo convert scvi FOLDER -o DIR`."""
