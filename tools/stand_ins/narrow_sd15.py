"""A custom node of the tests' server: it takes a Stable Diffusion 1.5 with a tenth of the channels for one of full size.

What a graph does on such a network is what it does on the real one, in a tenth of the memory; full-size networks are sampled by the
host's tests. To whom asks (the pack does), the model says the width of the real one.
"""
import comfy.supported_models

WIDTH = 32


class NarrowSD15(comfy.supported_models.SD15):
    unet_config = {**comfy.supported_models.SD15.unet_config, "model_channels": WIDTH}  # noqa: RUF012

    def get_model(self, *arguments, **options):
        model = super().get_model(*arguments, **options)
        self.unet_config["model_channels"] = comfy.supported_models.SD15.unet_config["model_channels"]
        return model


comfy.supported_models.models.append(NarrowSD15)
NODE_CLASS_MAPPINGS = {}
