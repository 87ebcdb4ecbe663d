"""Networks of others, as small ONNX files that tests build themselves.

foreign_onnx   a network of each layout, whose boxes are known
references     what each layout means, once more in numpy
"""
