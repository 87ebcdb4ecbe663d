"""The guided tour: from labelled images to predictions through the public API, and a page that shows them.

    __main__       the command: options, and the steps in order
    shapes         five kinds of object, drawn
    drawn          a data set of such objects on backgrounds: scale, light, overlap, noise, empty images
    folder         anybody's `labels.csv` and images instead
    image_labels   the same for labels of whole images, also as a folder for each label
    dataset        what both give: pictures with boxes in a bucket folder, and the two CSV files
    service        `boxwright serve` as a child process
    steps          create dataset → import → train → evaluations → batchPredict, with the official client
    progress       bars on a terminal, a line per tenth elsewhere
    results        reads the JSONL files and matches them with the labels
    table          the per-label table
    kinds          what differs between the kinds of model, as a table
    detection      the row for boxes
    classification the row for labels of whole images
    contact_sheet  index.html

It is a client like any other: it imports no room of the service, only the public API's client, Pillow, NumPy and
`contact_sheet`, which the commands use too.
"""
