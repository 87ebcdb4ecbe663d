"""Labelled images and what a step gets of them.

    dataset   images and splits
    sampling  how often an image is shown
    augment   batches of random views

Every batch is a function of the seed and the step.
"""
