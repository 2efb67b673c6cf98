"""scGNN (Wang et al. 2021): pretrained with a frozen reference graph, and as published."""
