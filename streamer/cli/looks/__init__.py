"""What ``streamer doctor`` looks at, one module for each part of the world.

Each look is a function from what it needs to a list of findings. Where the
world is asked and where the answer is judged are different functions, so that
the judging can be tried with any answer. No look changes anything, and none
minds whether the service is up.
"""
