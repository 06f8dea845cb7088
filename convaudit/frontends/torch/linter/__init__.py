"""What a torch model carries for nothing: each weight as its operator gets it, the graph as exported."""
