"""How good scores are, and what a person is told about it.

    evaluate     the API's metrics and the usual figures
    curves       areas under curves
    intervals    confidence intervals
    orientation  which flips leave the labels as they are
    mistakes     worst images, confused pairs, likely wrong labels
    data_checks  what is in the data, and what is wrong with it
    report       report.html

NumPy, not PyTorch: it judges scores, whatever gave them.
"""
