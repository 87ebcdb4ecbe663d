"""Child processes, and the killing of processes.

bomb_child      decodes files and says how large it has become after each
crashes         which children a service has, what a killed writer may leave, what is written when
talking_child   echoes, prints noise, ignores SIGTERM or dies, as its arguments say
channel_child   a child of many jobs, which predicts nothing
"""
