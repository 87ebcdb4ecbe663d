"""What the scripts share.

arguments     the options that they have in common
pictures      images of known sizes, and the mixes that they make
plot          curves as an SVG
results       the closing line, and results as files with machine, versions and date
serving       a service of a benchmark's own
slow_store    a folder as a distant bucket
tiny_service  a service with a model that costs next to nothing
workers       child processes that answer tasks
"""
