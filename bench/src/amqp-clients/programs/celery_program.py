"""A worker of Celery in a process of its own, and the application that gives it work; results come over AMQP too."""

import subprocess
import sys
import time

from celery import Celery, chain, group
from celery.exceptions import TaskRevokedError

import cases

TIMEOUT = 30

app = Celery("celery_program", broker=cases.URL, backend="rpc://")
app.conf.update(
    task_acks_late=True,
    task_default_queue="celery-program",
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options={"confirm_publish": True},
    task_queue_max_priority=5,
    worker_prefetch_multiplier=4,
)


@app.task
def add(a, b):
    return a + b


@app.task(bind=True, max_retries=3, default_retry_delay=0.2)
def third_time_lucky(self):
    if self.request.retries < 2:
        raise self.retry()
    return self.request.retries


@app.task
def fails():
    raise ValueError("as it should")


@app.task
def now():
    return time.time()


def results():
    answers = [add.delay(n, n) for n in range(200)]
    assert [answer.get(timeout=TIMEOUT) for answer in answers] == [2 * n for n in range(200)]


def groups_and_chains():
    assert group(add.s(n, 1) for n in range(10))().get(timeout=TIMEOUT) == list(range(1, 11))
    assert chain(add.s(1, 2), add.s(3), add.s(4))().get(timeout=TIMEOUT) == 10


def retries():
    assert third_time_lucky.delay().get(timeout=TIMEOUT) == 2


def failures():
    answer = fails.delay()
    assert isinstance(answer.get(timeout=TIMEOUT, propagate=False), ValueError)


def countdown():
    asked = time.time()
    assert now.apply_async(countdown=1).get(timeout=TIMEOUT) - asked >= 1


def waiting_tasks_hold_up_nobody():
    # More than the worker may hold at once: it raises its prefetch for each.
    for number in range(20):
        add.apply_async((number, 1), countdown=20)
    assert add.delay(1, 1).get(timeout=15) == 2


def priorities():
    assert add.apply_async((1, 1), priority=5).get(timeout=TIMEOUT) == 2


def remote_control():
    replies = app.control.ping(timeout=TIMEOUT, limit=1)
    assert list(replies[0].values()) == [{"ok": "pong"}], replies
    answer = add.apply_async((1, 1), countdown=2)
    answer.revoke()
    try:
        answer.get(timeout=TIMEOUT)
        raise AssertionError("a revoked task has run")
    except TaskRevokedError:
        pass


def the_broker_comes_back():
    cases.restart_broker()
    deadline = time.time() + TIMEOUT
    while True:
        try:
            answer = add.delay(20, 22)
            break
        except Exception:
            if time.time() > deadline:
                raise
    assert answer.get(timeout=2 * TIMEOUT) == 42


if __name__ == "__main__":
    worker = subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", "celery_program", "worker", "-c", "2", "-l", "warning"],
        stdout=sys.stderr,
        cwd=__file__.rpartition("/")[0],
    )
    try:
        cases.run(
            {
                case.__name__.replace("_", " "): case
                for case in (
                    results,
                    groups_and_chains,
                    retries,
                    failures,
                    countdown,
                    waiting_tasks_hold_up_nobody,
                    priorities,
                    remote_control,
                    the_broker_comes_back,
                )
            }
        )
    finally:
        worker.terminate()
        worker.wait()
