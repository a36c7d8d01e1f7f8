"""Answers of self-checks, kept in the user's folder so that each is found only once a machine."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from MedEnhanceLib.user_folders import CACHE_VARIABLE, folder_of

LARGEST_BYTES = 10_000


def recall(question: str) -> str | None:
    """The answer, or None when there is none that can be read."""
    try:
        path = _file(question)
        if path.stat().st_size > LARGEST_BYTES:
            return None
        facts = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RuntimeError):
        return None
    if not isinstance(facts, dict) or facts.get("question") != question:
        return None
    answer = facts.get("answer")
    return answer if isinstance(answer, str) else None


def remember(question: str, answer: str) -> None:
    """Keep an answer where that is possible; the file is whole or not there at all."""
    with suppress(OSError, RuntimeError):
        path = _file(question)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=path.parent, suffix=".part")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump({"question": question, "answer": answer}, file)
            os.replace(part, path)
        except OSError:
            Path(part).unlink(missing_ok=True)
            raise


def _file(question: str) -> Path:
    return folder_of(CACHE_VARIABLE) / f"{hashlib.sha256(question.encode()).hexdigest()[:32]}.json"
