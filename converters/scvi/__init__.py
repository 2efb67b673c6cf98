"""scVI and scANVI: the encoder of a variational autoencoder of counts, and a classifier on it."""
