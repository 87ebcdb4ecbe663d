"""Published weights.

tfjs_graph        computes a graph model of TensorFlow.js, as a reference
weights_package   an npm package with a small graph model, and a registry that serves it
"""
