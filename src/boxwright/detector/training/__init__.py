"""One network's training.

    fit             from the first step or the checkpoint to the end
    trainer         steps, moving average, validation
    validation_set  the images that validate
    parallel_step   a step's gradient on several threads
    checkpoint      the state on disk

A resumed training ends with the same weights as one that was never stopped.
"""
