"""A SAPIENT peer of others (sapient-py: its framing and its bindings), in an environment apart.

python sapient.py listen     takes one connection after the other, answers registrations, prints every message as JSON
python sapient.py refuse     the same, and refuses every registration
python sapient.py frames     JSON lines of messages in, hexadecimal frames out

`listen` and `refuse` print their port first. A line "cut" on standard input ends the connection of that moment.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
from typing import Any

from google.protobuf import json_format
from sapient_msg.bsi_flex_335_v2_0.sapient_message_pb2 import SapientMessage
from sapient_py.framing import encode_frame, read_frame

NODE = "11111111-2222-4333-8444-555555555555"


def attend(stream: Any, accept: bool) -> None:
    """One connection: until it ends."""
    while True:
        try:
            message: Any = read_frame(stream, SapientMessage)
        except (EOFError, OSError):
            return
        print(json.dumps(json_format.MessageToDict(message, preserving_proto_field_name=True)), flush=True)
        if message.WhichOneof("content") == "registration":
            answer = SapientMessage(node_id=NODE, destination_id=message.node_id)
            answer.timestamp.GetCurrentTime()
            answer.registration_ack.acceptance = accept
            if not accept:
                answer.registration_ack.ack_response_reason.append("not wanted here")
            stream.write(encode_frame(answer))
            stream.flush()


def listen(accept: bool) -> None:
    """For ever."""
    open_now: list[socket.socket] = []

    def cut() -> None:
        for line in sys.stdin:
            if line.strip() == "cut" and open_now:
                open_now[-1].shutdown(socket.SHUT_RDWR)

    threading.Thread(target=cut, daemon=True).start()
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        while True:
            connection, _ = server.accept()
            open_now.append(connection)
            with connection, connection.makefile("rwb") as stream:
                attend(stream, accept)


def frames() -> None:
    """Until the input ends."""
    for line in sys.stdin:
        print(encode_frame(json_format.Parse(line, SapientMessage())).hex(), flush=True)


if __name__ == "__main__":
    frames() if sys.argv[1] == "frames" else listen(sys.argv[1] == "listen")
