"""What is trained, and on what.

    dense        the network and the model types
    pretrained   the same detector on a pretrained backbone
    coco         the same task in NanoDet-g's design, with COCO's weights
    coco_labels  COCO's labels, and which one a name means
    loss         assignment and loss

PyTorch modules and functions, which know neither the data set nor the schedule.
"""
