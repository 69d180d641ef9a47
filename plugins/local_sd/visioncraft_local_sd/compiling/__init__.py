"""A denoiser made faster while it draws as it is; what is made takes over when it is ready.

    graphs.py    on CUDA: calls that are recorded and replayed; all else here is for a CPU
    network.py   what is called: compiled code where there is some, the network itself elsewhere
    jobs.py      what is to be compiled, and the process that does it
    child.py     that process
    export.py    what it does
    calls.py     a call's inputs, described in JSON and made again

torch calls this AOTInductor: the network is exported, compiled by the system's C++ compiler into a package without
weights, and the package, loaded, reads the weights that the network has in memory. `torch.compile` would compile in the
process that draws, which holds Python's lock for half a minute and more.
"""
