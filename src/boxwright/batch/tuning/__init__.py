"""How many processes suit a network on this machine.

    command       which network to measure, and with how much of the machine
    tuning_file   what was measured, in one file of the data directory
    measure_main  the process that measures
    scheduler     when to measure: after the first batch with a network, never beside one

Tuning changes how long a batch takes, never what is found.
"""
