"""What a person may ask for of an alert or an incident, and what is refused whatever it is about.

Refusals are sentences for the person who asked, never exceptions.
"""

from __future__ import annotations

from fusion.schema import Command

VERBS = ("acknowledge", "identify", "close", "hand-over", "take", "mode")
ONLY_INCIDENTS = ("hand-over", "take")  # an alert is not handed over, what happened is
IDENTITIES = ("friend", "neutral", "suspect", "hostile", "unknown")
MODES = ("peace", "tension", "exercise")
MAX_TEXT = 500  # characters of a reason or a name


def refusal(command: Command) -> str:
    """Why a command cannot be carried out whatever it is about; empty when it can."""
    if command.verb not in VERBS:
        return f"unknown command: {', '.join(VERBS[:-1])} or {VERBS[-1]}"
    if command.verb != "mode" and bool(command.alert_id) == bool(command.incident_id):
        return "name an alert or an incident, one of the two"
    if not command.operator.strip():
        return "no operator: a command needs the name of a person"
    if max(len(command.operator), len(command.reason), len(command.to)) > MAX_TEXT:
        return f"names and reason may have {MAX_TEXT} characters each"
    return _about_verb(command)


def _about_verb(command: Command) -> str:
    if command.verb in ONLY_INCIDENTS and not command.incident_id:
        return f"{command.verb} is for incidents: name the incident of this alert"
    if command.verb == "identify":
        if command.identity not in IDENTITIES:
            return f"identity is one of {', '.join(IDENTITIES)}"
        if not command.reason.strip():
            return "identifying needs a reason: how is it known?"
    if command.verb == "close" and not command.reason.strip():
        return "closing needs a reason"
    if command.verb == "mode":
        return _about_mode(command)
    if command.verb == "hand-over":
        if not command.to.strip():
            return "handing over needs a recipient: who shall take it?"
        if not command.reason.strip():
            return "handing over needs a reason"
    return ""


def _about_mode(command: Command) -> str:
    if command.alert_id or command.incident_id:
        return "the mode is of the whole service: name no alert and no incident"
    if command.to not in MODES:
        return f"say in `to` which mode: {', '.join(MODES[:-1])} or {MODES[-1]}"
    return "" if command.reason.strip() else "changing the mode needs a reason"
