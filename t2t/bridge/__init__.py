"""A compiler asks, a policy answers: two processes, or two languages in one.

    compiler --transport--> bytes --codec--> messages --Host--> policy --> advice

`specs` says what is asked, `codecs` how it is written down, `transports` how it gets
there. `host` starts compilers, answers them and gives back trajectories; `t2t_bridge.h`
is the compilers' side, in C and C++. Numpy and the standard library are all it needs.
"""
