"""What a job trains, and how its time is spent; decided before the steps.

    candidates   which networks, in which order, and which of them becomes the model
    hold_out     which training images help to judge where VALIDATION is small
    schedule     steps, learning rate, phases
    input_size   the size of the network's input
    time_budget  seconds to leave for delivery
    int8_budget  images and seconds for the choice between fp32 and int8
    trained      what a training leaves, and how a job ends

Decisions and value types; no step is computed here.
"""
