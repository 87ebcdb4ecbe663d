"""Online prediction: images that come with a request are decoded and predicted in a process of their own.

    deployed_models     the models that answer, and the process that has them loaded, started again when it ends
    deployment_follower brings them to what other processes have deployed and undeployed
    prediction_process  that process, seen from the service
    child_main          that process
    frames              what both say to each other about an image, as bytes

The process has nothing of the service but the folders of its models: no database, no stores, no keys, no listening sockets.
"""
