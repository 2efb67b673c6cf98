"""ACTINN as actinn-jax trains it (Ma and Pellegrini 2020): its references become model folders."""
