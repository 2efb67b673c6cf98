"""DCA (Eraslan et al. 2019): a deep count autoencoder with a negative binomial likelihood."""
