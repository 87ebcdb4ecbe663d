"""What the tests stand on: real servers, clients and files, made anew for each run and bound to the loopback interface.

access        accounts, their credentials, and services that ask for them
charts        the Helm chart, rendered
clients       how tests call a service: official clients, commands of their own, a browser, recorded cases
clusters      a Ray cluster of several nodes
databases     PostgreSQL, and a line to it that can be cut
documents     what is read from the documents and made for them
images        images of every kind, drawn or written by hand, and labels for them
machine       what test processes share: ports, installed packages, time
networks      detectors of others as small ONNX files, and what their outputs mean
operations    ledgers, and runners that do what a test says
predictions   a tiny model, batch jobs and every engine
processes     child processes that misbehave, and the killing of others
releases      data directories as released versions leave them
services      running services, in each way that somebody may start one
stores        object stores and their troubles
weights       packages of published weights, and a reference for their conversion
"""
