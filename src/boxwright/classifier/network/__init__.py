"""What is trained.

    graph    the network as ONNX
    network  EfficientNet-Lite with one score a label, and which size of it each model type trains
    loss     cross entropy of one label an image, or of any number

PyTorch modules and functions, which know neither the data set nor the schedule.
"""
