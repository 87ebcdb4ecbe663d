"""The Helm chart.

rendering  the chart as Helm's engine makes it from values, and what is in it
helm_main  Helm's engine, in a process of its own
"""
