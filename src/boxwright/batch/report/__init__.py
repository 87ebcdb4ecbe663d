"""The report of a batch job: what its results say, made of the candidates that it has kept.

    reporting      the whole: one pass over the candidates, then the files
    gathering      the pass: counts, and the images that stand out
    leaders        the few images that are first by some number
    label_next     which images to label next
    duplicates     equal and nearly equal images
    oddities       images and boxes that look like mistakes
    failures       errors, grouped by what they say
    thumbnails     small pictures of a few images
    listings       the CSV files
    findings       what was found, as data and in sentences
    page           report.html
    figures        its pictures and histograms

Memory does not grow with the job: lists are cut, and duplicates are sought among `duplicates.WINDOW` images at a time. The
same candidates give the same bytes (ADR 0041).
"""
