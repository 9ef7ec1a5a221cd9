"""What must hold in a simulation beside the accountant's sums."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from adapters.formats import alert
from adapters.incidents.database import entry_of
from adapters.store import DataDir
from adapters.wire import load_json
from fusion.cases.record import Incident
from fusion.schema import Alert
from tests.running import BASE

if TYPE_CHECKING:
    from tests.simulation.world import World


def more(world: World, journal: Sequence[bytes], kept: Mapping[str, bytes]) -> list[str]:
    """All that is wrong."""
    told = [entry_of(entry) for entry in journal]
    alerts = {item.id: item for item in told if isinstance(item, Alert)}
    incidents = {item.id: item for item in told if isinstance(item, Incident)}
    heard = [*_newest(alerts, kept), *_transitions(world, journal), *_incidents(world, incidents)]
    return [*heard, *_database(world, told), *_noted(world, journal)]


def _transitions(world: World, journal: Sequence[bytes]) -> list[str]:
    """Every transition was told on `alert-log`, perhaps twice."""
    heard = {*world.log_heard}
    told = [(entry_of(entry), entry) for entry in journal if entry not in heard]
    return [f"lost: nobody heard of {a.id} {a.state} {a.t_us}" for a, _ in told if isinstance(a, Alert)]


def _newest(alerts: Mapping[str, Alert], kept: Mapping[str, bytes]) -> list[str]:
    """What the broker keeps of an alert is its newest state."""
    found = []
    for name, payload in kept.items():
        at_broker = alert.decode(payload)
        if name in alerts and (at_broker.state, at_broker.t_us) < (alerts[name].state, alerts[name].t_us):
            newest = alerts[name]
            found.append(f"stale: {name} {at_broker.state} {at_broker.t_us}, not {newest.state} {newest.t_us}")
    return found


def _noted(world: World, journal: Sequence[bytes]) -> list[str]:
    """What the broker took is noted, or every start from now on would say it again."""
    told = int(DataDir(world.config.data_dir).told_path.read_bytes())
    return [] if told == len(journal) else [f"repeated: {told} of {len(journal)} entries are noted as told"]


def _incidents(world: World, incidents: Mapping[str, Incident]) -> list[str]:
    head = f"{BASE}incident/"
    kept = sorted(topic.removeprefix(head) for topic in world.net.retained if topic.startswith(head))
    open_ = sorted(name for name, incident in incidents.items() if incident.state != "closed")
    found = [] if kept == open_ else [f"conflicting: incidents open in the journal {open_}, at the broker {kept}"]
    found += [f"invented: incident {name} is in no journal" for name in world.incidents_heard if name not in incidents]
    return found + [f"lost: incident {name} was not heard" for name in incidents if name not in world.incidents_heard]


def _database(world: World, told: Sequence[object]) -> list[str]:
    """Every transition of the journal is in the database that is written behind it."""
    with closing(sqlite3.connect(world.config.data_dir / "incidents.db")) as database:
        rows = {*database.execute("SELECT incident, number FROM transitions")}
        names = {name for (name,) in database.execute("SELECT id FROM alerts")}
    found = [
        f"database: transition {item.number} of incident {item.id} is not there"
        for item in told
        if isinstance(item, Incident) and (item.id, item.number) not in rows
    ]
    missing = dict.fromkeys(item.id for item in told if isinstance(item, Alert) and item.id not in names)
    return found + [f"database: alert {name} is not there" for name in missing]


def status(world: World) -> str:
    """What the broker keeps of the service's state."""
    kept = world.net.retained.get(f"{BASE}status")
    return str(load_json(kept.payload).get("state")) if kept else ""
