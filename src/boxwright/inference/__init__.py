"""Trained models, and what runs them.

    model_folder        model.json and the network's files
    model_store         model folders on this machine and in the state's bucket
    runtime             the seam: one image's pixels in, boxes and scores out
    openvino_runtime    OpenVINO on the CPU
    onnx_runtime        ONNX Runtime on a GPU
    runtime_selection   chooses one of the two
    compiled_cache      compiled networks, kept beside the model
    suppression         from the network's output to detections
    loaded_model        a network in its runtime: prepare, infer
    predictor           a loaded detector: postprocess
    classification      a loaded classifier: a score for every label
    model_opening       a model folder of either kind, loaded
    baseline            what a model's test images look like, and how others differ
    evaluated_examples  what was found in a model's test images, kept beside it
    outcomes            which of it is right, at any two thresholds
    export_formats      the files of a model that other runtimes read

Training evaluates with the code that predicts, so `batch`, `online`, `detector` and `classifier` stand on this room.
"""
