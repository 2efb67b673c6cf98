"""Container images: the runner by an engine, a model on top of it by a layer and a manifest."""
