"""A self-supervised encoder: masked genes are guessed without labels, then few labels suffice."""
