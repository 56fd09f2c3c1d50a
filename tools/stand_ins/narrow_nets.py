"""SD 1.5 and CapFace with a tenth of the channels and seeded random weights: the host's whole machinery in milliseconds."""
import torch

WIDTH = 32


def seeded(module, seed):
    """Random weights that keep activations in range; normalisations stay near 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in module.state_dict().values():
            noise = torch.randn(value.shape, generator=generator)
            value.copy_(noise / value[0].numel() ** 0.5 if value.dim() > 1 else 0.1 * noise)
        for layer in module.modules():
            if isinstance(layer, (torch.nn.GroupNorm, torch.nn.LayerNorm)):
                layer.weight.add_(1)
    return module.eval().requires_grad_(False)


def base_model(config_class=None, width=WIDTH, **changes):
    """A host model patcher; SD15's configuration unless another class is given."""
    import comfy.model_base
    import comfy.model_patcher
    import comfy.supported_models
    unet = {"use_checkpoint": False, "image_size": 32, "out_channels": 4, "use_spatial_transformer": True, "legacy": False,
            "adm_in_channels": None, "in_channels": 4, "model_channels": width, "num_res_blocks": [2] * 4, "num_heads": 8,
            "transformer_depth": [1] * 6 + [0] * 2, "transformer_depth_output": [1] * 9 + [0] * 3, "channel_mult": [1, 2, 4, 4],
            "transformer_depth_middle": 1, "use_linear_in_transformer": False, "context_dim": 768, "num_head_channels": -1,
            "use_temporal_attention": False, "use_temporal_resblock": False, "dtype": torch.float32, **changes}
    config = (config_class or comfy.supported_models.SD15)(unet)
    model = comfy.model_base.BaseModel(config, device="cpu")
    seeded(model.diffusion_model, 1)
    cpu = torch.device("cpu")
    return comfy.model_patcher.ModelPatcher(model, load_device=cpu, offload_device=cpu)


def capface(network_module, seed=2):
    import comfy.ops
    net = network_module.CapFaceNet(torch.float32, torch.device("cpu"), comfy.ops.disable_weight_init, width=WIDTH)
    return seeded(net, seed)


def controlnet(spec_module, seed=3):
    """An ordinary ControlNet as the host's control object."""
    import comfy.cldm.cldm
    import comfy.controlnet
    import comfy.ops
    options = {**spec_module.SPEC.network(), "hint_channels": 3, "model_channels": WIDTH}
    net = comfy.cldm.cldm.ControlNet(**options, dtype=torch.float32, device="cpu", operations=comfy.ops.disable_weight_init)
    return comfy.controlnet.ControlNet(seeded(net, seed), load_device=torch.device("cpu"))


def t2i_adapter(seed=4):
    import comfy.controlnet
    import comfy.t2i_adapter.adapter
    net = comfy.t2i_adapter.adapter.Adapter(channels=[32, 64, 128, 128], nums_rb=2, cin=192, ksize=1, sk=True, use_conv=False,
                                            xl=False)
    return comfy.controlnet.T2IAdapter(seeded(net, seed), 3, 8, "nearest-exact", device=torch.device("cpu"))
