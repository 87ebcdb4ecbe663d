"""Labelled images from one file format into another: COCO JSON, Pascal VOC, YOLO folders and the import CSV.

    arguments  the command line's flags
    command    what they start: which formats, in what order
    dataset    what all formats are read into: images, labels and boxes, on disk
    account    what is told afterwards: what could not be carried, what was left out
    pictures   the image files: where they lie, how large and how turned they are
    choices    what the flags said
    output     files and folders that appear whole or not at all
    import_csv, coco, voc, yolo     one format each: `recognise`, `read`, `write`

Local files only; no service is asked.
"""
