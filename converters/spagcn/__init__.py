"""SpaGCN: a spatial graph convolution with a supervised head, and the published self-training."""
