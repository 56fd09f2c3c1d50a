"""The host-free half of ComfyUI-CapHuman: photo -> faces -> identity and head -> hint -> CapFace.

Nothing in this package imports ComfyUI. Start reading at `flow.py`.
"""
