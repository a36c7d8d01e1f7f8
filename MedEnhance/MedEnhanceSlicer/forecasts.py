"""What runs took on this computer, remembered between starts, and what the next one will take."""

import math

from MedEnhanceLib.forecast import Past, forecast

from .remembered import settings

KEY = "MedEnhance/Past/{model}/{device}"


def forecastRun(model, target, parameters):
    """The library's Forecast, or None when nothing is known.

    :param model: MedEnhanceLib Model.
    :param target: Geometry of the output.
    :param parameters: the module's parameter node.
    """
    past = recall(model.id, parameters.device.value)
    return forecast(model, math.prod(target.size), past, parameters.uncertainty)


def remember(job):
    """Keep what a job that is done has taken, unless it was made with extras."""
    if job.result.uncertainty is not None:
        return
    made = job.result.provenance
    if "seconds" not in made or made.get("unchanged"):
        return
    voxels = math.prod(job.result.output.geometry.size)
    memory = made.get("peak_memory_mb")
    value = f"{voxels} {made['seconds']} {'' if memory is None else memory}"
    settings().setValue(KEY.format(model=job.model.id, device=job.options.device), value)


def recall(modelId, device):
    """The `Past` of a model on a device, or None."""
    text = settings().value(KEY.format(model=modelId, device=device), "")
    parts = str(text or "").split()
    try:
        voxels, seconds = int(parts[0]), float(parts[1])
        memory = float(parts[2]) if len(parts) > 2 else None
    except (IndexError, ValueError):
        return None
    return Past(voxels, seconds, memory) if voxels > 0 else None
