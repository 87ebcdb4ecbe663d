"""Detectors of others, as ONNX files: what their outputs mean, and the nodes that give them our contract.

    import_main    the process that reads a file and makes a model folder of it
    model_making   from a file and its job to a model folder
    selection      from evidence to one hypothesis; two that are left are a refusal
    precision      int8 or fp32
    validation     which hypothesis finds the boxes of labelled images, and how good the model is
    probes         what a network answers to frames that are made up
    adapter_graph  the network with our nodes around it
    layouts        the table of layouts
    grid_layouts   those whose rows belong to cells, or end with six or seven columns
    query_layouts  those that are told by the names of their outputs
    recognition    what recognising looks at, and how it says no
    label_list     the labels, from a list or from the file itself
    source         the file: read within limits, refused if it is more than one file that only computes
    nodes          nodes and constants under names of their own
    job            what is asked for, as job.json; what can be asked for

Imports go down this list: see the contract in pyproject.toml. onnx is imported here and in what trains, nowhere else.
"""
