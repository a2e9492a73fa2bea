"""An application with aio-pika: robust connections, which come back with all they had declared."""

import asyncio

import aio_pika
from aio_pika.exceptions import ChannelNotFoundEntity, DeliveryError

import cases
from cases import unique

TIMEOUT = 30


async def confirms_returns_and_get():
    async with await aio_pika.connect(cases.URL) as connection:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        queue = await channel.declare_queue(exclusive=True)
        exchange = channel.default_exchange
        await exchange.publish(aio_pika.Message(b"one", headers={"n": 1}), queue.name)
        message = await queue.get(timeout=TIMEOUT)
        assert message.body == b"one" and message.headers == {"n": 1}
        await message.ack()
        assert await queue.get(fail=False) is None
        try:
            await exchange.publish(aio_pika.Message(b"lost"), unique("nowhere"), mandatory=True)
            raise AssertionError("what nobody takes was not returned")
        except DeliveryError:
            pass
        many = [exchange.publish(aio_pika.Message(b"%d" % n), queue.name) for n in range(500)]
        await asyncio.gather(*many)
        assert (await channel.declare_queue(queue.name, passive=True)).declaration_result.message_count == 500


async def iterator_with_prefetch_and_reject():
    async with await aio_pika.connect(cases.URL) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=2)
        dead = await channel.declare_queue(exclusive=True)
        arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead.name}
        queue = await channel.declare_queue(exclusive=True, arguments=arguments)
        for index in range(6):
            await channel.default_exchange.publish(
                aio_pika.Message(str(index).encode()), queue.name
            )
        seen = []
        async with queue.iterator(timeout=TIMEOUT) as messages:
            async for message in messages:
                seen.append(int(message.body))
                if len(seen) % 2 == 0:
                    await message.reject()
                else:
                    await message.ack()
                if len(seen) == 6:
                    break
        assert seen == list(range(6)), seen
        bodies = []
        for _ in range(3):
            message = await dead.get(timeout=TIMEOUT, no_ack=True)
            bodies.append(int(message.body))
            assert message.headers["x-death"][0]["reason"] == "rejected"
        assert bodies == [1, 3, 5], bodies


async def topics_and_bindings_of_exchanges():
    async with await aio_pika.connect(cases.URL) as connection:
        channel = await connection.channel()
        source = await channel.declare_exchange(unique("s"), "topic", auto_delete=True)
        target = await channel.declare_exchange(unique("t"), "headers", auto_delete=True)
        queue = await channel.declare_queue(exclusive=True)
        await target.bind(source, "a.#")
        await queue.bind(target, arguments={"x-match": "all", "kind": "good"})
        for key, kind in (("a.b", "good"), ("a", "bad"), ("b", "good"), ("a.b.c", "good")):
            await source.publish(
                aio_pika.Message(key.encode(), headers={"kind": kind}), key, mandatory=False
            )
        got = [(await queue.get(timeout=TIMEOUT, no_ack=True)).body for _ in range(2)]
        assert got == [b"a.b", b"a.b.c"], got
        assert await queue.get(fail=False) is None


async def a_channel_that_fails_comes_back():
    async with await aio_pika.connect_robust(cases.URL) as connection:
        channel = await connection.channel()
        try:
            await channel.get_queue(unique("missing"), ensure=True)
            raise AssertionError("a queue that is not there was found")
        except ChannelNotFoundEntity:
            pass
        other = await connection.channel()
        queue = await other.declare_queue(exclusive=True)
        await other.default_exchange.publish(aio_pika.Message(b"m"), queue.name)
        assert (await queue.get(timeout=TIMEOUT, no_ack=True)).body == b"m"


async def request_and_reply():
    from aio_pika.patterns import RPC

    async with await aio_pika.connect_robust(cases.URL) as connection:
        channel = await connection.channel()
        rpc = await RPC.create(channel)
        name = unique("double")

        async def double(*, n):
            return n * 2

        await rpc.register(name, double, auto_delete=True)
        answers = await asyncio.gather(*(rpc.call(name, kwargs={"n": n}) for n in range(20)))
        assert answers == [n * 2 for n in range(20)], answers


async def transactions():
    async with await aio_pika.connect(cases.URL) as connection:
        channel = await connection.channel(publisher_confirms=False)
        queue = await channel.declare_queue(exclusive=True)
        async with channel.transaction():
            await channel.default_exchange.publish(aio_pika.Message(b"kept"), queue.name)
        try:
            async with channel.transaction():
                await channel.default_exchange.publish(aio_pika.Message(b"undone"), queue.name)
                raise KeyError
        except KeyError:
            pass
        async with await aio_pika.connect(cases.URL):
            pass
        assert (await queue.get(timeout=TIMEOUT, no_ack=True)).body == b"kept"
        assert await queue.get(fail=False) is None


async def all_comes_back_behind_a_restart():
    connection = await aio_pika.connect_robust(cases.URL, reconnect_interval=0.2)
    async with connection:
        channel = await connection.channel()
        exchange = await channel.declare_exchange(unique("e"), "fanout", durable=False)
        queue = await channel.declare_queue(unique("q"), durable=False, auto_delete=True)
        await queue.bind(exchange)
        seen = asyncio.Queue()

        async def on_message(message):
            async with message.process():
                await seen.put(message.body)

        await queue.consume(on_message)
        await exchange.publish(aio_pika.Message(b"before"), "")
        assert await asyncio.wait_for(seen.get(), TIMEOUT) == b"before"
        came_back = asyncio.Event()
        connection.reconnect_callbacks.add(lambda *_: came_back.set())
        await asyncio.to_thread(cases.restart_broker)
        await asyncio.wait_for(came_back.wait(), TIMEOUT)
        await exchange.publish(aio_pika.Message(b"behind"), "")
        assert await asyncio.wait_for(seen.get(), TIMEOUT) == b"behind"


cases.run(
    {
        case.__name__.replace("_", " "): lambda case=case: asyncio.run(
            asyncio.wait_for(case(), 2 * TIMEOUT)
        )
        for case in (
            confirms_returns_and_get,
            iterator_with_prefetch_and_reject,
            topics_and_bindings_of_exchanges,
            a_channel_that_fails_comes_back,
            request_and_reply,
            transactions,
            all_comes_back_behind_a_restart,
        )
    }
)
