"""One network's training.

    fit             from the first step or the checkpoint to the end
    trainer         what its steps look at, and its validation
    detection_step  the losses of a part of a batch
    validation_set  the images that validate

A resumed training ends with the same weights as one that was never stopped.
"""
