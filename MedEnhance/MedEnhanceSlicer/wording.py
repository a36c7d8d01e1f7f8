"""What the panel says; colours that the colour-blind can tell apart."""

import html

from slicer.i18n import tr as _

COLOURS = {"good": "#009e73", "warning": "#e69f00", "refused": "#d55e00"}


def bannerStyle(verdict):
    """Style sheet of the suitability banner; readable on light and dark backgrounds."""
    color = COLOURS[verdict]
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return (
        f"QLabel {{ border-left: 3px solid {color}; "
        f"background-color: rgba({red}, {green}, {blue}, 40); padding: 4px; }}"
    )


def tip(text):
    """A tool tip that shows a text as it is, where Qt would take a name in it for HTML."""
    return f"<qt>{html.escape(text, quote=False)}</qt>" if "<" in text or "&" in text else text


def bannerText(verdict, modelTitle, reasons):
    """One paragraph: whether the model suits the volume, and why not."""
    if verdict == "good":
        return _("{model} suits this volume.").format(model=modelTitle)
    return " ".join(reasons)


def modelText(model):
    """What a model is for, in a sentence under the list; the rest stands on its card."""
    first = model.description.split(". ")[0].rstrip(".")
    return f"{first or model.method}."


def targetText(source, target):
    """What super-resolution would make of a grid."""
    old, new = (" x ".join(f"{s:.3g}" for s in grid.spacing) for grid in (source, target))
    size = " x ".join(str(n) for n in target.size)
    return _("{old} mm becomes {new} mm, {size} voxels.").format(old=old, new=new, size=size)


def forecastText(forecast, device):
    """Time and memory of a run that has not begun; "" when nothing is known."""
    if forecast is None:
        return _("How long it takes is known after the first run.")
    time = duration(forecast.seconds) if forecast.seconds >= 1 else _("1 s or less")
    text = _("About {time} on: {device}").format(time=time, device=device)
    if forecast.memory_mb is not None:
        text += _(", {memory}").format(memory=memoryText(forecast.memory_mb))
    if forecast.measured_here:
        return text + "."
    return text + _(" (from the model's published cost).")


def memoryText(megabytes):
    """Memory for people, such as "350 MB" or "2.6 GB"."""
    if megabytes < 1000:
        return _("{n} MB").format(n=max(1, round(megabytes)))
    return _("{n:.1f} GB").format(n=megabytes / 1000)


def progressText(progress):
    """Phase and time left."""
    phase = progress.phase[:1].upper() + progress.phase[1:]
    if progress.seconds_left is None:
        return phase
    return _("{phase}, about {time} left").format(phase=phase, time=duration(progress.seconds_left))


def duration(seconds):
    """A time for people, such as "8 s", "2 min 5 s" or "1 h 10 min"."""
    seconds = max(0, round(seconds))
    if seconds < 60:
        return _("{seconds} s").format(seconds=seconds)
    minutes, rest = divmod(seconds, 60)
    if minutes < 60:
        return _("{minutes} min {seconds} s").format(minutes=minutes, seconds=rest)
    hours, minutes = divmod(minutes, 60)
    return _("{hours} h {minutes} min").format(hours=hours, minutes=minutes)
