"""Training: `classification`, `label_next`, `loop`, `networks` and `quality` measure; two others are no benchmarks.

ablation_experiment  experiment: quality with one ingredient of training taken out in turn
classification       quality of a classifier after a training of a number of minutes
label_next           uncertain images of a report against images taken at random
loop                 average precision after a round of the loop of labelling, training and predicting
make_variants        data maker: other data sets out of a labelled folder
networks             what networks cost: multiplications, weights, images per second
quality              average precision after a training of a number of minutes
"""
