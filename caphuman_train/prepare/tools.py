"""The networks that look at photos, from their files, through the host's own loaders."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caphuman_core.check import fail, require

if TYPE_CHECKING:
    from torch import Tensor

    from caphuman_bench.score.control import Fitter
    from caphuman_core.face.detection import Detector
    from caphuman_core.identity.encode import Encoders

FITTERS = ("auto", "landmarks", "deca")
RENDERED_HEAD = "rendered head"          # what tells the face where there is no BiSeNet
VAE_PREFIX = "first_stage_model."
SUFFIXES = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin")
Latents = Callable[["Tensor"], "tuple[Tensor, Tensor]"]
Parser = Callable[["Tensor"], "Tensor"]


@dataclass(frozen=True)
class Tools:
    """What turns a photo into a record."""

    detector: Detector
    fitter: Fitter                       # has the head model
    encoders: Encoders                   # FaceNet, and CLIP's tower unless tokens are left out
    latents: Latents                     # pictures [B, 3, H, W] 0..1 -> mean, deviation [B, 4, H/8, W/8] as the UNet sees latents
    parser: Parser | None                # photo [3, H, W] 0..1 -> [H, W] bool, True on the face itself
    versions: Mapping[str, str]          # what exactly they are, for the manifest


@dataclass(frozen=True)
class ToolFiles:
    """Where the networks are; None: found by what is in the files below `models`."""

    models: Path | None = None           # a folder laid out like the host's models
    vae: Path | None = None              # a VAE, or the checkpoint of the base model that will be trained with
    clip: Path | None = None
    facenet: Path | None = None
    parser: Path | None = None
    head_model: Path | None = None       # for landmark fits: a converted .safetensors; None: the built-in head
    detector: str = "auto"
    fitter: str = "auto"
    use_parser: bool = True
    tokens: bool = True

    def load(self) -> Tools:
        """All of them. InputError that names what is missing and how to get it."""
        from caphuman_bench.score.faces import choose_detector, version_of
        detector, fitter = choose_detector(self.detector, self.models), self._fitter()
        encoders, (latents, vae) = self._encoders(), self._latents()
        parser, parser_version = self._parser()
        versions = {"detector": version_of(detector), "fitter": fitter.version, "head_model": fitter.model.name,
                    "head_model_fingerprint": fitter.model.fingerprint, "vae": vae, "clip": encoders.clip_fingerprint,
                    "facenet": encoders.fingerprint, "parser": parser_version}
        return Tools(detector, fitter, encoders, latents, parser, versions)

    def _fitter(self) -> Fitter:
        from caphuman_bench.score.control import DecaFitter, LandmarkFitter, find_fitter
        from caphuman_core.head.model.head_model import load_file
        require(self.fitter in FITTERS, "--fitter", f"must be one of {', '.join(FITTERS)}", repr(self.fitter), "choose one of them")
        device = _device()
        if self.fitter == "deca":
            return DecaFitter(self.models, device)
        if self.fitter == "landmarks" or self.head_model is not None:
            return LandmarkFitter(None if self.head_model is None else load_file(self.head_model))
        return find_fitter(self.models, device)[0]

    def _encoders(self) -> Encoders:
        from caphuman_core.files.weights import fingerprint, read_state_dict
        from caphuman_core.identity.encode import Encoders
        from caphuman_core.identity.facenet import build_facenet
        path = self._file("facenet", self.facenet, "--facenet")
        net = build_facenet(read_state_dict(path, "FaceNet"), f"FaceNet file '{path.name}'")
        known = fingerprint({name: value for name, value in net.state_dict().items() if name.startswith("last_")})
        nodes = _part("nodes.identity")
        facenet = nodes.IdentityEncoder(_part("nodes.host").patcher(net), known)
        if not self.tokens:
            return Encoders(facenet.embed, _no_tokens, known)
        return nodes.encoders(facenet, load_tower(self._file("clip_vision", self.clip, "--clip")))

    def _latents(self) -> tuple[Latents, str]:
        return load_latents(self._file("sd15", self.vae, "--vae"))

    def _parser(self) -> tuple[Parser | None, str]:
        if not self.use_parser:
            return None, RENDERED_HEAD
        path = self.parser or self._look_for("face_parsing")
        return (None, RENDERED_HEAD) if path is None else load_parser(path)

    def _file(self, key: str, named: Path | None, option: str) -> Path:
        """The file that was named, else the first of that kind below the models folder."""
        from caphuman_core.files.catalogue import by_key, plain
        found = named or self._look_for(key)
        if found is None:
            entry = by_key(key)
            fail(f"prepare needs {entry.title}: it", "must be in the models folder or be named", "neither",
                 f"get it from {plain(entry.where)}, and add {option} FILE, or --models ComfyUI/models")
        return found

    def _look_for(self, key: str) -> Path | None:
        from caphuman_core.files.catalogue import by_key
        from caphuman_core.files.recognising import peek
        folders = [self.models / name for name in sorted(by_key(key).directories)] if self.models else []
        files = (path for folder in folders if folder.is_dir() for path in sorted(folder.rglob("*")) if path.suffix in SUFFIXES)
        return next((path for path in files if key in peek(path).keys), None)


def load_tower(path: Path) -> Any:
    """CLIP's vision tower, as Load CLIP Vision loads it."""
    _part("nodes.host")                  # the host first: it has to be started up in its own way
    import comfy.clip_vision
    made = comfy.clip_vision.load(str(path))
    if made is None:
        fail(f"CLIP vision file '{path.name}'", "must be CLIP ViT-L/14's vision tower", "another file",
             "use openai/clip-vit-large-patch14")
    return made


def load_latents(path: Path) -> tuple[Latents, str]:
    """(pictures [B, 3, H, W] 0..1 -> mean and deviation as the UNet sees latents, the VAE's fingerprint).

    path: a checkpoint of Stable Diffusion 1.5, or its VAE alone, in any layout that Load VAE takes. In float32: it is done once.
    """
    from caphuman_core.files.weights import read_state_dict, strip_prefix
    _part("nodes.host")
    import comfy.latent_formats
    import comfy.model_management
    import comfy.sd
    import torch
    from comfy.ldm.models.autoencoder import EmptyRegularizer
    from comfy.ldm.modules.distributions.distributions import DiagonalGaussianDistribution
    require_not_another_base(path)
    whole = read_state_dict(path, "VAE", lambda key: not key.startswith(("model.", "cond_stage_model.", "conditioner.")))
    state = strip_prefix(whole, VAE_PREFIX) or whole
    vae: Any = comfy.sd.VAE(sd=dict(state), dtype=torch.float32)
    if vae.first_stage_model is None or vae.latent_channels != 4 or vae.downscale_ratio != 8:
        fail(f"VAE file '{path.name}'", "must hold the VAE of Stable Diffusion 1.5", "another network",
             "name the base checkpoint, or its VAE")
    vae.first_stage_model.regularization = EmptyRegularizer()            # what it encodes to is then mean and log variance
    scale = comfy.latent_formats.SD15().scale_factor

    @torch.no_grad()
    def latents(pictures: Tensor) -> tuple[Tensor, Tensor]:
        told = [_told(picture) for picture in pictures.split(1)]          # one at a time: some 2 GB each at 512 x 512
        return torch.cat([one.mean for one in told]).cpu() * scale, torch.cat([one.std for one in told]).cpu() * scale

    def _told(picture: Tensor) -> Any:
        needed = vae.memory_used_encode(picture.shape, torch.float32)
        comfy.model_management.load_models_gpu([vae.patcher], memory_required=needed)
        return DiagonalGaussianDistribution(vae.first_stage_model.encode(vae.process_input(picture.float()).to(vae.device)))
    return latents, vae_fingerprint(vae.first_stage_model.state_dict())


def vae_fingerprint(state: Mapping[str, Tensor]) -> str:
    """Of a VAE, by its first and last layers on the way in: the same whatever else its file holds."""
    from caphuman_core.files.weights import fingerprint
    return fingerprint({key: state[key].float() for key in ("encoder.conv_in.weight", "encoder.conv_out.weight")})


def require_not_another_base(path: Path) -> None:
    """SDXL's VAE has the same shapes, and latents of another scale: its checkpoint is told by the rest."""
    from caphuman_core.files.recognising import peek
    found = peek(path)
    if found.problem:
        fail(f"VAE file '{path.name}'", "must be whole", found.problem, "download it again")
    if "another architecture" in found.what:
        fail(f"VAE file '{path.name}'", "must be of Stable Diffusion 1.5", found.what, "name the base checkpoint, or its VAE")


def load_parser(path: Path) -> tuple[Parser, str]:
    """BiSeNet, and what exactly it is."""
    from caphuman_core.face.bisenet import build_bisenet
    from caphuman_core.face.parsing import is_face
    from caphuman_core.files.weights import fingerprint, read_state_dict
    net = build_bisenet(read_state_dict(path, "face parsing"), f"face parsing file '{path.name}'")
    mark = fingerprint({name: value for name, value in net.state_dict().items() if name.startswith("conv_out.")})
    parser = _part("nodes.face_parsing").FaceParser(_part("nodes.host").patcher(net))
    return lambda photo: is_face(parser.classes(photo[None])[0]), f"BiSeNet ({mark})"


def _no_tokens(pixels: Tensor) -> Tensor:
    raise RuntimeError("tokens are left out")


def _device() -> str:
    import torch
    return "cuda" if torch.cuda.is_available() else "cpu"


def _part(name: str) -> Any:
    from caphuman_train.host import part
    return part()(name)
