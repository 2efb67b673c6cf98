"""From a file to a complete model folder: what all recipes share.

    order → cells → parts → fits → folder → measurements → card

`order` says what was asked for, by command line, plan, card and defaults; `cells` reads the file;
`parts` holds whole groups out; `fits` fits each seed and neighbour; `folder` writes graph, genes,
labels, sample and expected outputs; `measuring` has `zoo.evaluation` measure; `card` tells it all.
`build` is all of it; it needs torch, which importers, who take `prose` and `told`, do without.
"""
