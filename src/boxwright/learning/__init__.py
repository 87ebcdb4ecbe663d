"""What every training needs, whatever it trains: detector and classifier stand on it.

    training_child  the process around a training
    trainer         the optimisation loop: steps, moving average, the clock, checkpoints
    precision       int8 or fp32
    quantise_main   the process that builds int8
    model_draft     a model folder that is being made
    onnx_graph      networks as ONNX, node by node
    efficientnet    EfficientNet-Lite and its ImageNet weights
    origin          where weights of others come from, and their terms
    views           images in the order of the passes, batches made ahead
    parallel_step   a step's gradient on several threads
    sampling        how often an image is shown
    input_frame     the shape of a network's input
    example_sets    the images in three sets
    schedule        progress, the clock and the learning rate
    checkpoint      the state of a training on disk
    pixel_cache     decoded images in memory
    device          the cores or a GPU
    page            parts of the page that is kept with a model
    charts          line charts as SVG
    job             job.json and examples.jsonl
    listener        what a training reports to, and how it is stopped

Imports go down this list: see the contract in pyproject.toml.
"""
