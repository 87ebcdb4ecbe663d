"""Labelled images and what a step gets of them.

    dataset  images and their sets
    augment  batches of random views

Every batch is a function of the seed and the step.
"""
