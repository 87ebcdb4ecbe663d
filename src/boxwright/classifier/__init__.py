"""Training of classifiers: from labelled images to a model folder.

    train_main  the training process
    session     one job, from examples to the model folder
    delivery    export, choice of a precision, evaluation, report, publication
    training    features, probe, fine-tuning, choice
    evaluation  how good scores are, and the report
    data        labelled images, and batches of views of them
    network     the network, its loss, its graph

Job, checkpoints, device and what else every training needs are in `boxwright.learning`. Imports go down this list: see the
contract in pyproject.toml.
"""
