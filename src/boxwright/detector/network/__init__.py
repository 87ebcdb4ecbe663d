"""What is trained, and on what.

    dense       the network and the model types
    pretrained  the same detector on a pretrained backbone
    loss        assignment and loss
    device      the cores or a GPU

PyTorch modules and functions, which know neither the data set nor the schedule.
"""
