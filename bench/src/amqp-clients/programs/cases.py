"""Cases of a program that uses a client of AMQP: each says `pass <name>`, or `fail <name>: <why>`."""

import os
import sys
import traceback
import uuid

HOST = os.environ["AMQP_HOST"]
PORT = int(os.environ["AMQP_PORT"])
URL = f"amqp://guest:guest@{HOST}:{PORT}/"


def unique(prefix):
    return f"{prefix}-{uuid.uuid4()}"


def restart_broker():
    """The broker is killed and started again with what it had."""
    print("restart the broker", flush=True)
    sys.stdin.readline()


def run(cases):
    failed = 0
    for name, case in cases.items():
        try:
            case()
            print(f"pass {name}", flush=True)
        except Exception as error:  # whatever it is, the next case runs
            failed += 1
            traceback.print_exc()
            print(f"fail {name}: {type(error).__name__} {error}".replace("\n", " "), flush=True)
    sys.exit(1 if failed else 0)
