"""How good detections are, and what a person is told about it.

    evaluate     the API's evaluation grid and the COCO figures
    intervals    confidence intervals
    comparison   found, missed, confused, image by image
    orientation  whether the objects have an "up"
    data_checks  what is in the data, and what is wrong with it
    report       report.html

NumPy, not PyTorch: it judges detections, whatever found them.
"""
