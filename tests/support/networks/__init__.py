"""Networks of others, as small ONNX files that tests build themselves.

foreign_onnx   a network of each layout, whose boxes are known
hostile_onnx   files that are to do harm
references     what each layout means, once more in numpy
"""
