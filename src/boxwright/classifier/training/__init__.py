"""From images to one trained network.

    fit              the steps in order: features, probe, fine-tuning, choice
    candidates       probe, fine-tuned network and their mean, and which of them becomes the model
    finetuning       the training of the last groups
    probe            logistic regression on frozen features
    doubts           scores of training images that were not learned from
    calibration      the temperature that makes scores mean what they say
    features         what the pretrained network sees in every image, once
    label_weighting  how much images and labels count
    input_size       how large the input is
    trained          what a job needs, and what its training leaves
    start            published weights, or those of another classifier
    recipe           hyper-parameters, steps, phases

A resumed training ends with the same weights as one that was never stopped.
"""
