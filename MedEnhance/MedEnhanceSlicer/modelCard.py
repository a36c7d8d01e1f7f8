"""The card of a model: what it is for, what it learned from, how good it is, what it cannot do."""

import html

from slicer.i18n import tr as _

from MedEnhanceLib.model import COMPARATORS

MOST_RESULTS = 4


def text(model):
    """The card as simple rich text.

    :param model: MedEnhanceLib Model.
    """
    parts = [
        _titled(_("What it does"), html.escape(model.description)),
        _titled(_("Method"), html.escape(model.method)),
        _titled(_("For"), _scope(model)),
        _titled(_("Trained on"), _training(model)),
        _titled(_("Measured"), _results(model)),
        _titled(_("Limits"), _bullets(model.limits)),
        _titled(_("Identity"), _identity(model)),
    ]
    return "".join(part for part in parts if part)


def _titled(title, content):
    return f"<p><b>{title}</b><br/>{content}</p>" if content else ""


def _scope(model):
    facts = [model.modality, model.body_part, ", ".join(model.contrasts)]
    return html.escape(" · ".join(fact for fact in (*facts, *model.scope) if fact))


def _training(model):
    lines = [
        _("{name}, {licence}").format(
            name=data.get("name", ""), licence=data.get("licence", _("licence not stated"))
        )
        for data in model.training_data
    ]
    return _bullets(lines)


def _results(model):
    """Means over the validation scans first; each beside what it was compared with."""
    rows = sorted(model.results, key=lambda row: not str(row.get("subject", "")).startswith("mean"))
    return _bullets([_result(row) for row in rows[:MOST_RESULTS]])


def _result(row):
    line = f"{row.get('condition', '')}: {row.get('metric', '')} {row.get('value', '')}"
    others = ", ".join(
        f"{row[name]} {row.get(value, '')}" for name, value in COMPARATORS if row.get(name)
    )
    return f"{line} ({others})" if others else line


def _identity(model):
    identity = " ".join(part for part in (model.id, model.version) if part)
    return html.escape(identity)


def _bullets(lines):
    return "<br/>".join("• " + html.escape(str(line)) for line in lines)
