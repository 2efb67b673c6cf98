"""Calibration: a new version of a classifier, fitted to a user's own labelled cells, without torch.

The runner never trains; this is a step of its own, which leaves a new model folder. The graph up to
`prob` stays as it was; what follows it (probabilities, p-values, sets) is fitted anew:

    labelled → evidence → calibrator (scaling, scores, scope) → measuring → graph, card → folder

`zoo.calibrating.calibration.calibrate` does all of it.
"""
