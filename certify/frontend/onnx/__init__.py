"""ONNX files: a module that computes what the file says, to be exported like any other.

So there is one lowering, that of exported programs, and the comparison of graph and program
covers ONNX as well.
"""
