"""Connects to a server that listens on the host's loopback, and to anything else it finds."""

import os
import socket

for family, address in (
    (socket.AF_INET, ("127.0.0.1", int(os.environ["PORT"]))),
    (socket.AF_UNIX, "\0" + os.environ["ABSTRACT"]),
):
    try:
        with socket.socket(family) as connection:
            connection.settimeout(2)
            connection.connect(address)
            print("CONNECTED", address)
    except OSError as error:
        print("refused", error)
