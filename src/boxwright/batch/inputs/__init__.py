"""The inputs of a batch prediction: lists in several forms, folders, patterns, archives.

    pattern_bounds   which keys a pattern can still match
    addresses        what an address means: a file, a folder of images, a pattern of names
    image_names      which names are images, and how many of which suffix are left out
    frozen_names     names below a folder, frozen page by page
    unpacking        gzip as a stream
    tar_format       tar as a stream
    member_files     the bytes of archives' members until they are predicted
    archive_members  the images in an archive
    listed_members   members that a list names
    json_array       a JSON array as a list
    parquet_main     the process that reads Parquet
    parquet_rows     the addresses in a Parquet file
    sources          files by their content, and the entries in them
    list_pieces      text lists by ranges of their bytes
    job_inputs       all inputs of a job, as its first attempt has found them

Which of them may import which is a contract in pyproject.toml.
"""
