"""What was done to an image: a result made of another one tells of the runs before, too."""

import json

PROVENANCE_ATTRIBUTE = "MedEnhance.Provenance"
STEPS_ATTRIBUTE = "MedEnhance.Steps"
WARNINGS_ATTRIBUTE = "MedEnhance.Warnings"


def provenanceOf(node):
    """How the last run on a node's image was made; empty for a node that no run has made."""
    return fromJson(node.GetAttribute(PROVENANCE_ATTRIBUTE), {})


def earlierRuns(node):
    """The provenance of each run that led to the last one's input, the first one first."""
    steps = fromJson(node.GetAttribute(STEPS_ATTRIBUTE), [])
    return [step for step in steps if isinstance(step, dict)]


def runsOf(node):
    """The provenance of each run that led to what a node holds, the first one first."""
    return [run for run in (*earlierRuns(node), provenanceOf(node)) if run]


def warningsOf(node):
    return [str(each) for each in fromJson(node.GetAttribute(WARNINGS_ATTRIBUTE), [])]


def inherit(node, inputNode):
    """Write on a result what was done to its input, and what was warned of then."""
    runs = runsOf(inputNode)
    node.SetAttribute(STEPS_ATTRIBUTE, json.dumps(runs) if runs else None)
    warnings = dict.fromkeys((*warningsOf(inputNode), *warningsOf(node)))
    node.SetAttribute(WARNINGS_ATTRIBUTE, json.dumps(list(warnings)))


def fromJson(text, usual):
    """What the text of an attribute says; ``usual`` when it is no JSON of the same type.

    Attributes come with scenes, which other versions and other people may have written.
    """
    try:
        value = json.loads(text or "null")
    except ValueError:
        return usual
    return value if isinstance(value, type(usual)) else usual
