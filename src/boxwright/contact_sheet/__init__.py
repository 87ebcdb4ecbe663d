"""Pages that show images with the boxes or labels that were found; for the demo and the commands.

    boxes     a box with its label, and a prediction: of a box, or of the image as a whole
    results   reads the JSONL files of a batch prediction's folder
    pictures  an image upright, as a thumbnail, or with what was found drawn into it
    page      the page: one file that needs nothing else

It knows files and the formats that the service publishes, and no room of the service.
"""
