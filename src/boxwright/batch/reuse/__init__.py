"""Results of a former batch prediction, its base, taken over for images that have not changed.

    base_folder     the base's manifest and files of candidates, checked
    base_index      which image of the base has which results: a temporary database on this machine
    versions        versions of many objects at once, by lists or one by one
    former_results  what the engine asks: the results of a segment's images, or of an image's bytes
    opening         a base opened for a job, or why it is not of use

A base that cannot be read costs time and no result: its images are predicted (ADR 0039).
"""
