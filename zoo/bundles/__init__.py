"""Bundles: a model in one file, for machines without a network.

    pbmc-celltype.zoo.tar       a plain tar of regular files, in this order
    ├── bundle.json             the index: the registry's entry; size and sha256 of every other file
    ├── model/manifest.json     its sha256 is the model's digest
    ├── model/…                 the files of the model's folder: card, graph, sample, …
    └── image.tar               optional: a container image, as `docker save` writes it

Nothing of a bundle is trusted: `archive` reads no more than the index lists and the index no more
than the schema allows, and what is stored goes through `zoo.pull` like a model from any hub.
"""
