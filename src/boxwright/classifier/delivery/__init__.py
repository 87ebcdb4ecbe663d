"""From a trained network to a model folder.

    finish       the steps in order: export, check, choose, evaluate, report, publish
    export       model.json and model.onnx
    time_budget  seconds to leave for all that

The model folder is published whole or not at all.
"""
