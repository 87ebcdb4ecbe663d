"""Formats of labelling tools, as text: what `convert` writes of a data set, and a batch prediction of its results.

    pictures     an image with its boxes and labels, as each format takes it
    voc          Pascal VOC: an XML file an image
    yolo         YOLO: a text file an image, and data.yaml
    labelme      LabelMe: a JSON file an image
    cvat         CVAT for images 1.1: one XML file
    labelstudio  Label Studio's JSON: a list of tasks
    vertex       Vertex AI's JSONL: a line an image

Nothing here reads or writes a file.
"""
