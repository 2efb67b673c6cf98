"""Importing: weights that others trained become model folders, without running their code.

An importer reads a source as data and gives a graph with its genes and labels; everything else
(folder, sample, expected outputs, calibration, evaluation, card) is the same for all of them:

    restricted_pickle, torch_file → importer.read → ImportedModel → converting → folder
"""
