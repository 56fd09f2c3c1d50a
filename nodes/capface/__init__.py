"""CapFace inside ComfyUI: the node, the control object, the network on the host's blocks."""
