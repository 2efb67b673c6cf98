"""SAUCIE (Amodio et al. 2019): one autoencoder that embeds, clusters, denoises and aligns cells."""
