"""From a trained network to a model folder.

    finish     the steps in order: export, check, choose, evaluate, report, publish
    export     model.json and model.onnx
    precision  int8 or fp32

The model folder is published whole or not at all.
"""
