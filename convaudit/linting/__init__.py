"""Findings: the rules in one table, what a layer's weights alone tell, and what each finding saves.

It knows no model format: a front end hands over weights, and claims of its own about the graph.
"""
