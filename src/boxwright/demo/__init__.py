"""The guided tour: from labelled images to boxes through the public API, and a page that shows them.

    __main__       the command: options, and the steps in order
    shapes         five kinds of object, drawn
    drawn          a data set of such objects on backgrounds: scale, light, overlap, noise, empty images
    folder         anybody's `labels.csv` and images instead
    dataset        what both give: pictures with boxes in a bucket folder, and the two CSV files
    service        `boxwright serve` as a child process
    steps          create dataset → import → train → evaluations → batchPredict, with the official client
    progress       bars on a terminal, a line per tenth elsewhere
    results        reads the JSONL files and matches them with the labels
    table          the per-label table
    contact_sheet  index.html

It is a client like any other: it imports no room of the service, only the public API's client, Pillow, NumPy and
`contact_sheet`, which the commands use too.
"""
