"""The networks MedEnhance ships weights for."""

from MedEnhanceLib.engine.networks.atlas_finder import AtlasFinder
from MedEnhanceLib.engine.networks.brain_unet import BrainUNet
from MedEnhanceLib.engine.networks.ct_denoiser import CtDenoiser
from MedEnhanceLib.engine.networks.denoiser import NoiseAwareDenoiser
from MedEnhanceLib.engine.networks.guided import GuidedDenoiser
from MedEnhanceLib.engine.networks.mirrored_unet import MirroredUNet
from MedEnhanceLib.engine.networks.refiner import RefinedDenoiser
from MedEnhanceLib.engine.networks.slice_splitter import SliceSplitter
from MedEnhanceLib.engine.networks.tissue_guess import TissueGuessUNet
from MedEnhanceLib.engine.networks.tissue_net import TissueNet

__all__ = [
    "AtlasFinder",
    "BrainUNet",
    "CtDenoiser",
    "GuidedDenoiser",
    "MirroredUNet",
    "NoiseAwareDenoiser",
    "RefinedDenoiser",
    "SliceSplitter",
    "TissueGuessUNet",
    "TissueNet",
]
