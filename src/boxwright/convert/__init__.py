"""Labelled images from one file format into another: COCO, Pascal VOC, YOLO, the import CSV, and what labelling tools write.

    arguments    the command line's flags
    formats      the formats, as data: what each is read from and can carry
    command      what the flags start: which formats, in what order
    dataset      what all formats are read into: images, labels and boxes, on disk
    number_runs  names that are numbers, one after the other: which were seen
    inventory    what a data set holds, counted
    entries      what may stand in an annotation
    outlines     shapes that are no boxes, and the boxes around them
    account      what is told afterwards: what could not be carried, what was doubtful, what was left out
    losses       what a format cannot carry
    folders      what lies in folders, without what operating systems and editors leave there
    image_files  which file an annotation means
    pictures     the images: their files, how large and how turned they are
    options      what the flags said
    output       files and folders that appear whole or not at all
    foreign      other tools' files, which are refused by name
    json_documents, xml_elements   JSON and XML as streams, within limits
    json_kinds                     which format a JSON file has
    import_csv, coco, voc, yolo, class_folders    one format each: `recognise`, `read`, `write`
    vertex, labelstudio, cvat, labelme, sagemaker, datumaro    the same
    flat_table, results            one that is only written, one that is only read
    set_lists                      VOC's lists of images
    yolo_layout, yolo_labels       what a YOLO folder says about itself, and its label files

Local files only; no service is asked.
"""
