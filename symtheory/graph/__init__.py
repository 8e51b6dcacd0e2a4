"""Declare: parameters, inputs, operations, and the graph they form."""
