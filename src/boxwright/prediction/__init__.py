"""Engine: streaming inference. Plans, decoding, the predictor, pipelines, sinks, engines."""
