"""aeacus: malignant or normal, by two experts and a gate between them."""
