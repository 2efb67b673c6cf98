"""scGen (Lotfollahi et al. 2019): the response to a stimulus, by arithmetic in a latent space."""
