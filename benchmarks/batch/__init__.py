"""Batch prediction; what is called a part serves the others, which measure.

candidates       what candidates cost, and results made again from them
cluster          what a Ray cluster costs and brings
cluster_bench    part: a bucket of images, a list, and jobs on it
cluster_kills    part: jobs over a cluster whose processes are killed
decode_fidelity  what decoding at a fraction of the size costs in average precision
dry_run          what a dry run says of a job, against the job
generated        part: a list of any length and a model that does not look
inputs           names below a folder, and an archive against single files
lite0            part: a detector on EfficientNet-Lite0 as ONNX
imported         what nodes around an imported network cost
memory           resident memory against images
own              part: Boxwright's stages and engine as a child process
planning         rows planned a second, and the memory of it
priorities       how many images jobs of three priorities get
report           what a report costs
resume           when a job that goes on knows its finished shards
rivals           part: other ways to do the same work as child processes
reuse            results taken over, against a job that predicts all
scaling          the cost of a row, the effect of cores, the wait of small jobs
stage_clock      part: sums time by stage
stages           where the time of one image goes
throughput       images per second against the machine's limit and other ways
turns            what a turn of a job costs
"""
