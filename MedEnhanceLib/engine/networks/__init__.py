"""The networks MedEnhance ships weights for."""

from MedEnhanceLib.engine.networks.denoiser import NoiseAwareDenoiser
from MedEnhanceLib.engine.networks.super_resolver import ThroughPlaneSuperResolver

__all__ = ["NoiseAwareDenoiser", "ThroughPlaneSuperResolver"]
