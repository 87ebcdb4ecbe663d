"""Engine: learning. The network, its data, training, evaluation, checkpoints, export. The only room with torch."""
