"""The dry run of a batch prediction: what its inputs name, what is there, and how long the job takes.

    intervals   how sure a share or a rate is
    survey      the inputs, read as the job reads them: rows, duplicates, unusable rows, a sample
    sightings   which images of the sample are there, and how large they are
    trial       images of the sample predicted as the job predicts them, for a few seconds
    room        free space where results go
    sentences   an estimate in sentences
    estimator   all of it, one after the other

Only the plan's own scratch is written to (ADR 0040).
"""
