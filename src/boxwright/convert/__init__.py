"""Labelled images from one file format into another: COCO JSON, Pascal VOC, YOLO folders, folders of labels, the import CSV.

    arguments    the command line's flags
    command      what they start: which formats, in what order
    dataset      what all formats are read into: images, labels and boxes, on disk
    entries      what may stand in an annotation
    account      what is told afterwards: what could not be carried, what was doubtful, what was left out
    folders      what lies in folders, without what operating systems and editors leave there
    image_files  which file an annotation means
    pictures     the images: their files, how large and how turned they are
    choices      what the flags said
    output       files and folders that appear whole or not at all
    foreign      other tools' files, which are refused by name
    import_csv, coco, voc, yolo, class_folders    one format each: `recognise`, `read`, `write`
    set_lists                      VOC's lists of images
    yolo_layout, yolo_labels       what a YOLO folder says about itself, and its label files

Local files only; no service is asked.
"""
