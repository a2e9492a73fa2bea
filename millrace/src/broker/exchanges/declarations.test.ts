/** What a virtual host answers to declarations, bindings and deletions: the words are those of RabbitMQ. */
import { expect, test } from 'vitest';
import {
  ANYBODY,
  declared,
  type FakeHosts,
  message,
  valueOf,
  withFakeHosts,
} from '../../../test/exchanges/fake-queue.ts';
import type { FieldTable } from '../../wire/amqp/field-table.ts';
import type { QueueOutcome } from '../queues/queue.ts';
import type { Binding, ExchangeDeclaration, QueueOwner } from './virtual-host.ts';

const UNCONDITIONAL = { ifUnused: false, ifEmpty: false };

function exchange(
  name: string,
  type = 'direct',
  change: Partial<ExchangeDeclaration> = {},
): ExchangeDeclaration {
  return {
    name,
    type,
    passive: false,
    durable: false,
    autoDelete: false,
    internal: false,
    arguments: {},
    ...change,
  };
}

function toQueue(
  source: string,
  queue: string,
  routingKey: string,
  table: FieldTable = {},
): Binding {
  return { source, destination: { kind: 'queue', name: queue }, routingKey, arguments: table };
}

function toExchange(source: string, target: string, routingKey = ''): Binding {
  return { source, destination: { kind: 'exchange', name: target }, routingKey, arguments: {} };
}

function said(outcome: QueueOutcome<unknown>): string {
  return outcome.ok ? 'ok' : `${outcome.error} - ${outcome.message}`;
}

function routed({ vhost }: FakeHosts, to: string, key: string, headers?: FieldTable): string[] {
  return valueOf(vhost.route(message(to, key, headers))).map(({ name }) => name);
}

test('a queue that is declared again must be the same', async () => {
  await withFakeHosts(async ({ vhost }) => {
    const base = { 'x-message-ttl': 1000, 'x-dead-letter-exchange': 'a' };
    const again = async (table: FieldTable, change = {}) =>
      said(
        await vhost.declareQueue(
          declared('base', { durable: true, arguments: table, ...change }),
          ANYBODY,
        ),
      );
    expect(await again(base)).toBe('ok');
    expect(await again({ ...base, 'x-queue-type': 'classic', 'x-unknown': 5 })).toBe('ok');
    expect(await again({ ...base, 'x-message-ttl': 1000n })).toBe('ok');
    const inequivalent = (rest: string) => `PRECONDITION_FAILED - inequivalent arg ${rest}`;
    expect(await again({ ...base, 'x-message-ttl': 2000 })).toBe(
      inequivalent(
        `'x-message-ttl' for queue 'base' in vhost '/': received '2000' but current is '1000'`,
      ),
    );
    expect(await again({ 'x-message-ttl': 1000 })).toBe(
      inequivalent(
        `'x-dead-letter-exchange' for queue 'base' in vhost '/': received none but current is the value 'a' of type 'longstr'`,
      ),
    );
    expect(await again({ ...base, 'x-max-length': 5 })).toBe(
      inequivalent(
        `'x-max-length' for queue 'base' in vhost '/': received the value '5' of type 'signedint' but current is none`,
      ),
    );
    expect(await again(base, { durable: false })).toBe(
      inequivalent(
        `'durable' for queue 'base' in vhost '/': received 'false' but current is 'true'`,
      ),
    );
    expect(await again(base, { autoDelete: true })).toBe(
      inequivalent(
        `'auto_delete' for queue 'base' in vhost '/': received 'true' but current is 'false'`,
      ),
    );
    expect(await again(base, { exclusive: true })).toContain('RESOURCE_LOCKED - cannot obtain');
  });
});

test('names that begin with amq. are the brokers; it makes up names', async () => {
  await withFakeHosts(async ({ vhost }) => {
    expect(said(await vhost.declareQueue(declared('amq.foo'), ANYBODY))).toBe(
      "ACCESS_REFUSED - queue name 'amq.foo' contains reserved prefix 'amq.*'",
    );
    const made = valueOf(await vhost.declareQueue(declared(''), ANYBODY));
    expect(made.queue.name).toMatch(/^amq\.gen-[A-Za-z0-9_-]{22}$/);
    expect(said(await vhost.declareQueue(declared(made.queue.name), ANYBODY))).toContain(
      'reserved',
    );
    const looked = declared(made.queue.name, { passive: true });
    expect(said(await vhost.declareQueue(looked, ANYBODY))).toBe('ok');
    expect(said(await vhost.declareQueue(declared('nope', { passive: true }), ANYBODY))).toBe(
      "NOT_FOUND - no queue 'nope' in vhost '/'",
    );
  });
});

test('how long a consumer may have a message is said by the queue, or the broker', async () => {
  await withFakeHosts(async ({ vhost }) => {
    const timeout = async (table: FieldTable) => {
      const made = await vhost.declareQueue(declared('', { arguments: table }), ANYBODY);
      return valueOf(made).settings.consumerTimeoutMs;
    };
    expect(await timeout({})).toBe(60_000);
    expect(await timeout({ 'x-consumer-timeout': 5 })).toBe(5);
    expect(await timeout({ 'x-consumer-timeout': 0 })).toBeUndefined();
  });
});

test('an exclusive queue is its owner’s alone, and goes with it', async () => {
  await withFakeHosts(async (fake) => {
    const { vhost } = fake;
    const owner: QueueOwner = { label: 'owner' };
    const mine = declared('mine', { exclusive: true, durable: true });
    const made = valueOf(await vhost.declareQueue(mine, owner));
    expect(made.durable).toBe(false);
    expect(made.queue.topic).toBeUndefined();
    expect(said(await vhost.declareQueue(mine, owner))).toBe('ok');
    expect(said(await vhost.declareQueue(declared('mine'), owner))).toContain('RESOURCE_LOCKED');
    const locked =
      "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'mine' in vhost '/'. It could be originally declared on another connection or the exclusive property value does not match that of the original declaration.";
    expect(said(await vhost.declareQueue(mine, ANYBODY))).toBe(locked);
    expect(said(await vhost.declareQueue(declared('mine', { passive: true }), ANYBODY))).toBe(
      locked,
    );
    expect(said(vhost.queue('mine', ANYBODY))).toBe(locked);
    expect(said(await vhost.bind(toQueue('amq.direct', 'mine', ''), ANYBODY))).toBe(locked);
    expect(said(await vhost.deleteQueue('mine', ANYBODY, UNCONDITIONAL))).toBe(locked);
    expect(said(await vhost.bind(toQueue('amq.direct', 'mine', ''), owner))).toBe('ok');
    expect(routed(fake, '', 'mine')).toEqual(['mine']);
    const queue = fake.queue('mine');
    await vhost.ownerGone(owner);
    expect(queue.isClosed).toBe(true);
    expect(vhost.queues()).toEqual([]);
    expect(vhost.bindings()).toEqual([]);
    expect(routed(fake, '', 'mine')).toEqual([]);
  });
});

test('an exclusive queue whose connection went while it was made goes too', async () => {
  await withFakeHosts(async ({ vhost, background }) => {
    const owner: QueueOwner = { label: 'owner' };
    const making = vhost.declareQueue(declared('late', { exclusive: true }), owner);
    await vhost.ownerGone(owner);
    await making;
    await background.settled();
    expect(vhost.queues()).toEqual([]);
  });
});

test('quorum queues and streams last, and are for everybody', async () => {
  await withFakeHosts(async ({ vhost }) => {
    for (const type of ['quorum', 'stream']) {
      const declare = async (change: object) =>
        said(
          await vhost.declareQueue(
            declared('q', { durable: true, arguments: { 'x-queue-type': type }, ...change }),
            ANYBODY,
          ),
        );
      const invalid = (property: string) =>
        `PRECONDITION_FAILED - invalid property '${property}' for queue 'q' in vhost '/'`;
      expect(await declare({ exclusive: true })).toBe(invalid('exclusive-owner'));
      expect(await declare({ durable: false })).toBe(invalid('non-durable'));
      expect(await declare({ autoDelete: true })).toBe(invalid('auto-delete'));
    }
  });
});

test('a queue is deleted when it is unused and empty, if that is asked', async () => {
  await withFakeHosts(async (fake) => {
    const { vhost } = fake;
    await vhost.declareQueue(declared('q'), ANYBODY);
    const queue = fake.queue('q');
    queue.append([message('', 'q'), message('', 'q')]);
    queue.consumers = 1;
    const remove = async (ifUnused: boolean, ifEmpty: boolean) =>
      said(await vhost.deleteQueue('q', ANYBODY, { ifUnused, ifEmpty }));
    expect(await remove(true, false)).toBe("PRECONDITION_FAILED - queue 'q' in vhost '/' in use");
    expect(await remove(false, true)).toBe(
      "PRECONDITION_FAILED - queue 'q' in vhost '/' not empty",
    );
    expect(valueOf(await vhost.deleteQueue('q', ANYBODY, UNCONDITIONAL))).toBe(2);
    expect(valueOf(await vhost.deleteQueue('q', ANYBODY, UNCONDITIONAL))).toBe(0);
    expect(queue.isClosed).toBe(true);
  });
});

test('a queue that is deleted automatically goes when its last consumer has left, not before it had one', async () => {
  await withFakeHosts(async (fake) => {
    const { vhost, background } = fake;
    await vhost.declareQueue(declared('q', { autoDelete: true }), ANYBODY);
    const queue = fake.queue('q');
    vhost.consumersChanged(queue);
    await background.settled();
    expect(vhost.queues()).toHaveLength(1);
    queue.consumers = 1;
    vhost.consumersChanged(queue);
    queue.consumers = 0;
    vhost.consumersChanged(queue);
    expect(vhost.queues()).toHaveLength(0);
    await background.settled();
    expect(queue.isClosed).toBe(true);
  });
});

test('a queue that expires goes when nobody has used it for so long', async () => {
  await withFakeHosts(async (fake) => {
    const { vhost, env, background } = fake;
    const table = { 'x-expires': 1000 };
    await vhost.declareQueue(declared('q', { arguments: table }), ANYBODY);
    const queue = fake.queue('q');
    await env.timers.sleep(900);
    vhost.used(queue);
    await env.timers.sleep(900);
    await vhost.declareQueue(declared('q', { passive: true }), ANYBODY);
    await env.timers.sleep(900);
    queue.consumers = 1;
    vhost.consumersChanged(queue);
    await env.timers.sleep(5_000);
    expect(vhost.queues()).toHaveLength(1);
    queue.consumers = 0;
    vhost.consumersChanged(queue);
    await env.timers.sleep(990);
    expect(vhost.queues()).toHaveLength(1);
    await env.timers.sleep(20);
    expect(vhost.queues()).toHaveLength(0);
    await background.settled();
  });
});

test('an exchange that is declared again must be the same', async () => {
  await withFakeHosts(async ({ vhost }) => {
    const declare = async (...parts: Parameters<typeof exchange>) =>
      said(await vhost.declareExchange(exchange(...parts)));
    expect(await declare('e', 'direct', { durable: true })).toBe('ok');
    const inequivalent = (field: string, received: string, current: string) =>
      `PRECONDITION_FAILED - inequivalent arg '${field}' for exchange 'e' in vhost '/': received ${received} but current is ${current}`;
    expect(await declare('e', 'fanout', { durable: true })).toBe(
      inequivalent('type', "'fanout'", "'direct'"),
    );
    expect(await declare('e')).toBe(inequivalent('durable', "'false'", "'true'"));
    expect(await declare('e', 'direct', { durable: true, autoDelete: true })).toBe(
      inequivalent('auto_delete', "'true'", "'false'"),
    );
    expect(await declare('e', 'direct', { durable: true, internal: true })).toBe(
      inequivalent('internal', "'true'", "'false'"),
    );
    const alternate = { 'alternate-exchange': 'a' };
    expect(await declare('e', 'direct', { durable: true, arguments: alternate })).toBe(
      inequivalent('alternate-exchange', "the value 'a' of type 'longstr'", 'none'),
    );
    expect(await declare('f', 'direct', { arguments: { 'alternate-exchange': 5 } })).toBe(
      "PRECONDITION_FAILED - invalid type 'signedint' for arg 'alternate-exchange' in exchange 'f' in vhost '/'",
    );
    expect(await declare('f', 'nonesuch')).toBe(
      "PRECONDITION_FAILED - unknown exchange type 'nonesuch'",
    );
    expect(await declare('f', 'nonesuch', { passive: true })).toBe(
      "NOT_FOUND - no exchange 'f' in vhost '/'",
    );
    expect(await declare('amq.bar')).toBe(
      "ACCESS_REFUSED - exchange name 'amq.bar' contains reserved prefix 'amq.*'",
    );
    expect(await declare('amq.topic', 'topic', { durable: true })).toBe('ok');
    expect(await declare('', 'direct', { durable: true })).toBe(
      'ACCESS_REFUSED - operation not permitted on the default exchange',
    );
  });
});

test('exchanges that must not be deleted are not', async () => {
  await withFakeHosts(async ({ vhost }) => {
    const remove = async (name: string, ifUnused = false) =>
      said(await vhost.deleteExchange(name, { ifUnused }));
    await vhost.declareExchange(exchange('e'));
    await vhost.declareQueue(declared('q'), ANYBODY);
    await vhost.bind(toQueue('e', 'q', 'k'), ANYBODY);
    expect(await remove('')).toContain('not permitted on the default exchange');
    expect(await remove('amq.direct')).toBe(
      "ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost '/' not allowed",
    );
    expect(await remove('nope')).toBe('ok');
    expect(await remove('e', true)).toBe("PRECONDITION_FAILED - exchange 'e' in vhost '/' in use");
    expect(await remove('e')).toBe('ok');
    expect(vhost.bindings()).toEqual([]);
    expect(said(vhost.route(message('e', 'k')))).toBe("NOT_FOUND - no exchange 'e' in vhost '/'");
  });
});

test('what is bound must be there; what is not bound is unbound', async () => {
  await withFakeHosts(async ({ vhost }) => {
    await vhost.declareQueue(declared('q'), ANYBODY);
    const bind = async (binding: Binding) => said(await vhost.bind(binding, ANYBODY));
    const unbind = async (binding: Binding) => said(await vhost.unbind(binding, ANYBODY));
    expect(await bind(toQueue('amq.direct', 'nope', ''))).toBe(
      "NOT_FOUND - no queue 'nope' in vhost '/'",
    );
    expect(await bind(toQueue('nope', 'nope', ''))).toBe(
      "NOT_FOUND - no exchange 'nope' in vhost '/'",
    );
    expect(await bind(toQueue('', 'q', 'q'))).toContain('not permitted on the default exchange');
    expect(await bind(toExchange('amq.direct', ''))).toContain('default exchange');
    expect(await bind(toQueue('amq.match', 'q', '', { 'x-match': 'some' }))).toContain(
      'PRECONDITION_FAILED - Invalid x-match field value',
    );
    expect(await bind(toQueue('amq.millrace', 'q', ''))).toContain('ACCESS_REFUSED');
    expect(await unbind(toQueue('nope', 'q', ''))).toBe('ok');
    expect(await unbind(toQueue('amq.direct', 'nope', ''))).toBe('ok');
    expect(await unbind(toQueue('amq.direct', 'q', ''))).toBe('ok');
    expect(await unbind(toQueue('', 'q', 'q'))).toContain('default exchange');
  });
});

test('an exchange that is deleted automatically goes with its last binding, and those behind it', async () => {
  await withFakeHosts(async ({ vhost }) => {
    await vhost.declareExchange(exchange('one', 'fanout', { autoDelete: true }));
    await vhost.declareExchange(exchange('two', 'fanout', { autoDelete: true }));
    await vhost.declareQueue(declared('q'), ANYBODY);
    await vhost.bind(toQueue('two', 'q', 'a'), ANYBODY);
    await vhost.bind(toQueue('two', 'q', 'b'), ANYBODY);
    await vhost.bind(toExchange('one', 'two'), ANYBODY);
    await vhost.unbind(toQueue('two', 'q', 'a'), ANYBODY);
    expect(vhost.exchange('two')).toBeDefined();
    await vhost.deleteQueue('q', ANYBODY, UNCONDITIONAL);
    expect(vhost.exchange('two')).toBeUndefined();
    expect(vhost.exchange('one')).toBeUndefined();
    expect(vhost.bindings()).toEqual([]);
  });
});

test('messages go through exchanges, in circles too, and each queue gets them once', async () => {
  await withFakeHosts(async (fake) => {
    const { vhost } = fake;
    for (const name of ['a', 'b', 'c']) await vhost.declareExchange(exchange(name, 'fanout'));
    await vhost.declareExchange(exchange('inside', 'direct', { internal: true }));
    for (const name of ['q', 'r']) await vhost.declareQueue(declared(name), ANYBODY);
    await vhost.bind(toExchange('a', 'b'), ANYBODY);
    await vhost.bind(toExchange('b', 'c'), ANYBODY);
    await vhost.bind(toExchange('c', 'a'), ANYBODY);
    await vhost.bind(toExchange('c', 'inside'), ANYBODY);
    await vhost.bind(toQueue('a', 'q', ''), ANYBODY);
    await vhost.bind(toQueue('c', 'q', ''), ANYBODY);
    await vhost.bind(toQueue('inside', 'r', 'k'), ANYBODY);
    expect(routed(fake, 'b', 'k').sort()).toEqual(['q', 'r']);
    expect(routed(fake, 'b', 'other')).toEqual(['q']);
    expect(said(vhost.route(message('inside', 'k')))).toBe(
      "ACCESS_REFUSED - cannot publish to internal exchange 'inside' in vhost '/'",
    );
  });
});

test('a message that leads nowhere goes to the alternate exchange, wherever that happens', async () => {
  await withFakeHosts(async (fake) => {
    const { vhost } = fake;
    const alternate = (name: string) => ({ arguments: { 'alternate-exchange': name } });
    await vhost.declareExchange(exchange('first', 'fanout'));
    await vhost.declareExchange(exchange('second', 'direct', alternate('last')));
    await vhost.declareExchange(exchange('loop', 'direct', alternate('loop')));
    await vhost.bind(toExchange('first', 'second'), ANYBODY);
    await vhost.declareQueue(declared('q'), ANYBODY);
    expect(routed(fake, 'first', 'k')).toEqual([]);
    await vhost.declareExchange(exchange('last', 'fanout'));
    await vhost.bind(toQueue('last', 'q', ''), ANYBODY);
    expect(routed(fake, 'first', 'k')).toEqual(['q']);
    expect(routed(fake, 'loop', 'k')).toEqual([]);
    await vhost.declareQueue(declared('r'), ANYBODY);
    await vhost.bind(toQueue('second', 'r', 'k'), ANYBODY);
    expect(routed(fake, 'first', 'k')).toEqual(['r']);
  });
});

test('CC and BCC are further keys', async () => {
  await withFakeHosts(async (fake) => {
    const { vhost } = fake;
    for (const name of ['q', 'r', 's']) {
      await vhost.declareQueue(declared(name), ANYBODY);
      await vhost.bind(toQueue('amq.topic', name, `${name}.*`), ANYBODY);
    }
    const copies = { CC: ['r', 5, 'q'], BCC: ['s', 'nope'] };
    expect(routed(fake, '', 'q', copies)).toEqual(['q', 'r', 's']);
    expect(routed(fake, 'amq.topic', 'x', { CC: ['r.1'], BCC: ['s.1', 'r.2'] })).toEqual([
      'r',
      's',
    ]);
    expect(said(vhost.route(message('', 'q', { CC: 'r' })))).toBe(
      'PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,"CC",longstr}',
    );
  });
});

test('a delayed exchange routes as the type that it is given', async () => {
  await withFakeHosts(async (fake) => {
    const { vhost } = fake;
    const delayed = (type: string) => ({ arguments: { 'x-delayed-type': type } });
    const declare = async (table: object) =>
      said(await vhost.declareExchange(exchange('d', 'x-delayed-message', table)));
    expect(await declare({})).toContain("'x-delayed-type' must be an existing exchange type");
    expect(await declare(delayed('x-delayed-message'))).toContain('must be an existing');
    expect(await declare(delayed('topic'))).toBe('ok');
    expect(await declare(delayed('topic'))).toBe('ok');
    expect(await declare(delayed('direct'))).toContain("inequivalent arg 'x-delayed-type'");
    expect(said(await vhost.declareExchange(exchange('d', 'topic', delayed('topic'))))).toContain(
      "inequivalent arg 'type'",
    );
    expect(vhost.exchange('d')?.type).toBe('topic');
    await vhost.declareQueue(declared('q'), ANYBODY);
    await vhost.bind(toQueue('d', 'q', '*.x'), ANYBODY);
    expect(routed(fake, 'd', 'a.x')).toEqual(['q']);
  });
});
