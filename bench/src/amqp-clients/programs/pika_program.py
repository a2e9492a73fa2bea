"""An application with pika: the blocking connection for most, and the one with callbacks."""

import threading

import pika
from pika.exceptions import (
    ChannelClosedByBroker,
    NackError,
    UnroutableError,
)

import cases
from cases import unique

PARAMETERS = pika.URLParameters(cases.URL)


def connected(**options):
    parameters = pika.URLParameters(cases.URL)
    for name, value in options.items():
        setattr(parameters, name, value)
    return pika.BlockingConnection(parameters)


def confirms_and_returns():
    with connected() as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.basic_publish("", queue, b"one", mandatory=True)
        try:
            channel.basic_publish("", unique("nowhere"), b"lost", mandatory=True)
            raise AssertionError("what nobody takes was not returned")
        except UnroutableError as error:
            assert error.messages[0].body == b"lost", error.messages
            assert error.messages[0].method.reply_code == 312
        full = channel.queue_declare(
            "", exclusive=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"}
        ).method.queue
        channel.basic_publish("", full, b"first")
        try:
            channel.basic_publish("", full, b"second")
            raise AssertionError("a full queue has taken a message")
        except NackError:
            pass
        method, properties, body = channel.basic_get(queue)
        assert (body, method.message_count) == (b"one", 0)
        channel.basic_ack(method.delivery_tag)
        assert channel.basic_get(queue) == (None, None, None)


def properties_come_as_they_went():
    sent = pika.BasicProperties(
        content_type="text/plain",
        content_encoding="utf-8",
        headers={
            "int": 2**40,
            "negative": -5,
            "text": "ünïcode",
            "bytes": b"\x00\xff",
            "bool": True,
            "none": None,
            "list": [1, "two", {"three": 3}],
            "table": {"a": {"b": 1}},
        },
        delivery_mode=2,
        priority=3,
        correlation_id="c",
        reply_to="r",
        expiration="60000",
        message_id="m",
        timestamp=1234567890,
        type="t",
        user_id="guest",
        app_id="a",
        cluster_id="k",
    )
    with connected() as connection:
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.basic_publish("", queue, "ünïcode".encode(), sent)
        for method, properties, body in channel.consume(queue, inactivity_timeout=10):
            assert properties is not None, "nothing came"
            assert properties == sent, (properties, sent)
            assert body.decode() == "ünïcode"
            channel.basic_ack(method.delivery_tag)
            break
        assert channel.cancel() == 0


def prefetch_bounds_what_is_unacknowledged():
    with connected() as connection:
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        for index in range(10):
            channel.basic_publish("", queue, str(index).encode())
        channel.basic_qos(prefetch_count=3)
        seen = []
        channel.basic_consume(queue, lambda _c, method, _p, body: seen.append((method, body)))
        while len(seen) < 3:
            connection.process_data_events(time_limit=1)
        # An answer behind what would have been too much.
        assert channel.queue_declare(queue, passive=True).method.message_count == 7
        assert [body for _, body in seen] == [b"0", b"1", b"2"]
        channel.basic_nack(seen[2][0].delivery_tag, multiple=True, requeue=True)
        while len(seen) < 6:
            connection.process_data_events(time_limit=1)
        assert [(m.redelivered, body) for m, body in seen[3:]] == [
            (True, b"0"),
            (True, b"1"),
            (True, b"2"),
        ], seen


def a_channel_that_fails_leaves_the_connection():
    with connected() as connection:
        channel = connection.channel()
        for code, wrong in {
            404: lambda c: c.queue_declare(unique("missing"), passive=True),
            403: lambda c: c.exchange_declare("amq.mine", "direct"),
            406: lambda c: c.exchange_declare("amq.direct", "fanout", durable=True),
        }.items():
            try:
                wrong(channel)
                raise AssertionError(f"no {code}")
            except ChannelClosedByBroker as error:
                assert error.reply_code == code, error
            channel = connection.channel()
        channel.queue_declare("", exclusive=True)


def a_consumer_hears_that_its_queue_is_gone():
    with connected() as connection:
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        cancelled = []
        channel.add_on_cancel_callback(cancelled.append)
        tag = channel.basic_consume(queue, lambda *_: None)
        connection.channel().queue_delete(queue)
        while not cancelled:
            connection.process_data_events(time_limit=1)
        assert cancelled[0].method.consumer_tag == tag


def transactions():
    with connected() as connection:
        channel, other = connection.channel(), connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.tx_select()
        channel.basic_publish("", queue, b"never")
        channel.tx_rollback()
        channel.basic_publish("", queue, b"once")
        assert other.basic_get(queue)[0] is None
        channel.tx_commit()
        assert other.basic_get(queue, auto_ack=True)[2] == b"once"


def request_and_reply():
    with connected() as connection:
        server, client = connection.channel(), connection.channel()
        queue = server.queue_declare("", exclusive=True).method.queue

        def serve(_channel, method, properties, body):
            server.basic_publish(
                "",
                properties.reply_to,
                body.upper(),
                pika.BasicProperties(correlation_id=properties.correlation_id),
            )
            server.basic_ack(method.delivery_tag)

        server.basic_consume(queue, serve)
        replies = []
        client.basic_consume(
            "amq.rabbitmq.reply-to",
            lambda _c, _m, properties, body: replies.append((properties.correlation_id, body)),
            auto_ack=True,
        )
        for index in range(3):
            client.basic_publish(
                "",
                queue,
                f"call {index}".encode(),
                pika.BasicProperties(reply_to="amq.rabbitmq.reply-to", correlation_id=str(index)),
            )
        while len(replies) < 3:
            connection.process_data_events(time_limit=1)
        assert replies == [(str(index), f"CALL {index}".encode()) for index in range(3)], replies


def large_bodies_in_many_frames():
    with connected() as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        queue = channel.queue_declare("", exclusive=True).method.queue
        for size in (0, 1, 131_064, 131_065, 5_000_000):
            body = bytes(index % 251 for index in range(1000)) * (size // 1000 + 1)
            channel.basic_publish("", queue, body[:size])
            assert channel.basic_get(queue, auto_ack=True)[2] == body[:size], size


def small_frames_and_few_channels():
    with connected(frame_max=4096, channel_max=5, heartbeat=2) as connection:
        channels = [connection.channel() for _ in range(5)]
        queue = channels[0].queue_declare("", exclusive=True).method.queue
        channels[4].basic_publish("", queue, b"x" * 20_000)
        connection.process_data_events(time_limit=5)  # longer than two heartbeats
        assert len(channels[0].basic_get(queue, auto_ack=True)[2]) == 20_000


def work_from_another_thread():
    with connected() as connection:
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        done = []

        def work(_channel, method, _properties, body):
            def later():
                done.append(body)
                connection.add_callback_threadsafe(lambda: channel.basic_ack(method.delivery_tag))

            threading.Thread(target=later).start()

        channel.basic_qos(prefetch_count=1)
        channel.basic_consume(queue, work)
        for index in range(20):
            channel.basic_publish("", queue, str(index).encode())
        while len(done) < 20:
            connection.process_data_events(time_limit=1)
        assert done == [str(index).encode() for index in range(20)]


def callbacks():
    seen = []

    def opened(connection):
        connection.channel(on_open_callback=on_channel)

    def on_channel(channel):
        channel.confirm_delivery(lambda frame: seen.append(frame.method.NAME))
        channel.queue_declare("", exclusive=True, callback=lambda frame: on_queue(channel, frame))

    def on_queue(channel, frame):
        def on_message(_channel, method, _properties, body):
            channel.basic_ack(method.delivery_tag)
            seen.append(body)
            if seen.count(b"m") == 100:
                channel.connection.close()

        channel.basic_consume(frame.method.queue, on_message)
        for _ in range(100):
            channel.basic_publish("", frame.method.queue, b"m")

    connection = pika.SelectConnection(
        PARAMETERS,
        on_open_callback=opened,
        on_close_callback=lambda connection, _reason: connection.ioloop.stop(),
    )
    connection.ioloop.start()
    assert seen.count(b"m") == 100


def what_is_durable_outlives_the_broker():
    queue = unique("durable")
    with connected() as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare(queue, durable=True)
        for index in range(10):
            channel.basic_publish(
                "", queue, str(index).encode(), pika.BasicProperties(delivery_mode=2)
            )
        cases.restart_broker()
        try:
            channel.basic_publish("", queue, b"lost")
            raise AssertionError("a connection to a killed broker has published")
        except pika.exceptions.AMQPConnectionError:
            pass
        # Leaving the block of a connection that is closed would fail.
        connection = connected()
        channel = connection.channel()
        bodies = [channel.basic_get(queue, auto_ack=True)[2] for _ in range(10)]
        assert bodies == [str(index).encode() for index in range(10)], bodies
        channel.queue_delete(queue)
        connection.close()


cases.run(
    {
        case.__name__.replace("_", " "): case
        for case in (
            confirms_and_returns,
            properties_come_as_they_went,
            prefetch_bounds_what_is_unacknowledged,
            a_channel_that_fails_leaves_the_connection,
            a_consumer_hears_that_its_queue_is_gone,
            transactions,
            request_and_reply,
            large_bodies_in_many_frames,
            small_frames_and_few_channels,
            work_from_another_thread,
            callbacks,
            what_is_durable_outlives_the_broker,
        )
    }
)
