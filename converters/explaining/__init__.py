"""Explanations of the shipped classifiers: made, measured and put on their cards.

    python -m converters.explaining cards/NAME --data DIR --write

A study file says what to measure on, and tables of marker genes what biologists know.
"""
