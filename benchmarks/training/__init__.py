"""Training: `classification`, `networks` and `quality` measure; the others are an experiment and a maker of data.

ablation_experiment  experiment: quality with one ingredient of training taken out in turn
classification       quality of a classifier after a training of a number of minutes
make_variants        data maker: other data sets out of a labelled folder
networks             what networks cost: multiplications, weights, images per second
quality              average precision after a training of a number of minutes
"""
