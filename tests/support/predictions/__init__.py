"""Models, batch jobs and engines without a service.

batch_inputs     inputs of batch predictions of every kind, and their plans
batch_jobs       batch jobs over real folders
engines          every engine as a maker, for the contract suite
tables           tables of candidates
tiny_model       a whole model folder of a detector with its rows, made in seconds
tiny_classifier  the same of a classifier
"""
