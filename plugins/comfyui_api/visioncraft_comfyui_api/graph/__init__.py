"""ComfyUI's graphs: the nodes that are known, how a graph is checked, and the one request that it stands for."""
