/** A virtual host against a model that is read off the rules: whatever is declared, bound and deleted, a message goes to the same queues. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  ANYBODY,
  declared,
  type FakeHosts,
  message,
  withFakeHosts,
} from '../../../test/exchanges/fake-queue.ts';
import type { FieldTable } from '../../wire/amqp/field-table.ts';
import type { LiveVirtualHost } from './live-virtual-host.ts';
import type { Binding } from './virtual-host.ts';

interface ModelExchange {
  readonly type: string;
  readonly autoDelete: boolean;
  readonly alternate: string | undefined;
}

/** Everything is a list, and looked through. */
class Model {
  readonly exchanges = new Map<string, ModelExchange>([
    ['amq.topic', { type: 'topic', autoDelete: false, alternate: undefined }],
  ]);
  readonly queues = new Set<string>();
  bindings: Binding[] = [];

  declareExchange(name: string, exchange: ModelExchange): void {
    if (!this.exchanges.has(name)) this.exchanges.set(name, exchange);
  }

  bind(binding: Binding): void {
    const { source, destination } = binding;
    const there = destination.kind === 'queue' ? this.queues : this.exchanges;
    if (!this.exchanges.has(source) || !there.has(destination.name)) return;
    if (!this.bindings.some((other) => same(other, binding))) this.bindings.push(binding);
  }

  unbind(gone: (binding: Binding) => boolean): void {
    const removed = this.bindings.filter(gone);
    this.bindings = this.bindings.filter((binding) => !gone(binding));
    for (const { source } of removed) {
      const isLast = !this.bindings.some((binding) => binding.source === source);
      if (this.exchanges.get(source)?.autoDelete === true && isLast) this.deleteExchange(source);
    }
  }

  deleteExchange(name: string): void {
    if (name.startsWith('amq.') || !this.exchanges.delete(name)) return;
    this.unbind(
      ({ source, destination }) =>
        source === name || (destination.kind === 'exchange' && destination.name === name),
    );
  }

  deleteQueue(name: string): void {
    this.queues.delete(name);
    this.unbind(({ destination }) => destination.kind === 'queue' && destination.name === name);
  }

  route(exchange: string, keys: readonly string[], headers: FieldTable): string[] | undefined {
    if (exchange === '') return [...this.queues].filter((name) => keys.includes(name)).sort();
    if (!this.exchanges.has(exchange)) return undefined;
    const found = new Set<string>();
    this.visit(exchange, keys, headers, new Set(), found);
    return [...found].sort();
  }

  private visit(
    name: string,
    keys: readonly string[],
    headers: FieldTable,
    seen: Set<string>,
    found: Set<string>,
  ): void {
    const exchange = this.exchanges.get(name);
    if (exchange === undefined || seen.has(name)) return;
    seen.add(name);
    const fitting = this.bindings.filter(
      (binding) => binding.source === name && fits(exchange.type, binding, keys, headers),
    );
    if (fitting.length === 0 && exchange.alternate !== undefined)
      this.visit(exchange.alternate, keys, headers, seen, found);
    for (const { destination } of fitting) {
      if (destination.kind === 'queue') found.add(destination.name);
      else this.visit(destination.name, keys, headers, seen, found);
    }
  }
}

function fits(
  type: string,
  binding: Binding,
  keys: readonly string[],
  headers: FieldTable,
): boolean {
  if (type === 'fanout') return true;
  if (type === 'headers') return binding.arguments['h'] === (headers['h'] ?? 'none');
  if (type === 'direct') return keys.includes(binding.routingKey);
  const expression = binding.routingKey
    .split('.')
    .map((word) => (word === '#' ? '(?:[^.]*\\.)*' : word === '*' ? '[^.]*\\.' : `${word}\\.`))
    .join('');
  return keys.some((key) => new RegExp(`^${expression}$`).test(`${key}.`));
}

function same(one: Binding, other: Binding): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

const exchangeName = fc.constantFrom('e1', 'e2', 'e3', 'amq.topic');
const queueName = fc.constantFrom('q1', 'q2', 'q3');
const key = fc
  .array(fc.constantFrom('a', 'b'), { minLength: 1, maxLength: 3 })
  .map((words) => words.join('.'));
const pattern = fc
  .array(fc.constantFrom('a', 'b', '*', '#'), { minLength: 1, maxLength: 3 })
  .map((words) => words.join('.'));
const header = fc.constantFrom('1', '2');

const binding: fc.Arbitrary<Binding> = fc
  .tuple(
    exchangeName,
    fc.oneof(
      { weight: 2, arbitrary: queueName.map((name) => ({ kind: 'queue' as const, name })) },
      { weight: 1, arbitrary: exchangeName.map((name) => ({ kind: 'exchange' as const, name })) },
    ),
    fc.oneof(key, pattern),
    header,
  )
  .map(([source, destination, routingKey, h]) => ({
    source,
    destination,
    routingKey,
    arguments: { h },
  }));

const step = fc.oneof(
  fc.record({
    kind: fc.constant('declare-exchange' as const),
    name: exchangeName,
    type: fc.constantFrom('direct', 'fanout', 'topic', 'headers'),
    autoDelete: fc.boolean(),
    alternate: fc.option(exchangeName, { nil: undefined }),
  }),
  fc.record({ kind: fc.constant('declare-queue' as const), name: queueName }),
  fc.record({ kind: fc.constant('bind' as const), binding }),
  fc.record({ kind: fc.constant('bind' as const), binding }),
  fc.record({ kind: fc.constant('unbind' as const), at: fc.nat() }),
  fc.record({
    kind: fc.constant('delete' as const),
    name: fc.oneof(exchangeName, queueName),
    often: fc.nat({ max: 3 }),
  }),
  fc.record({
    kind: fc.constant('publish' as const),
    exchange: fc.oneof(exchangeName, fc.constant('')),
    key: fc.oneof(key, queueName),
    copies: fc.array(fc.oneof(key, queueName), { maxLength: 2 }),
    header,
  }),
);

type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never;

async function take(vhost: LiveVirtualHost, model: Model, taken: Step): Promise<void> {
  switch (taken.kind) {
    case 'declare-exchange': {
      const { name, type, autoDelete, alternate } = taken;
      model.declareExchange(name, { type, autoDelete, alternate });
      const table: FieldTable = alternate === undefined ? {} : { 'alternate-exchange': alternate };
      const unconditional = { passive: false, durable: false, internal: false };
      await vhost.declareExchange({ name, type, autoDelete, arguments: table, ...unconditional });
      return;
    }
    case 'declare-queue':
      model.queues.add(taken.name);
      await vhost.declareQueue(declared(taken.name), ANYBODY);
      return;
    case 'bind':
      model.bind(taken.binding);
      await vhost.bind(taken.binding, ANYBODY);
      return;
    case 'unbind': {
      const present = model.bindings[taken.at % Math.max(1, model.bindings.length)];
      if (present === undefined) return;
      model.unbind((other) => same(other, present));
      await vhost.unbind(present, ANYBODY);
      return;
    }
    case 'delete':
      await remove(vhost, model, taken);
      return;
    case 'publish':
      check(vhost, model, taken);
  }
}

/** What is remembered of routes must not outlive a change: the same ones are asked for after each. */
function checkRemembered(vhost: LiveVirtualHost, model: Model): void {
  for (const exchange of ['e1', 'e2', 'e3', 'amq.topic'])
    for (const key of ['a', 'b', 'a.b']) {
      const routed = vhost.route(message(exchange, key));
      const names = routed.ok ? routed.value.map(({ name }) => name).sort() : undefined;
      expect(names, `${exchange} ${key}`).toEqual(model.route(exchange, [key], {}));
    }
}

async function remove(
  vhost: LiveVirtualHost,
  model: Model,
  { name, often }: Extract<Step, { kind: 'delete' }>,
): Promise<void> {
  if (often > 0) return;
  if (name.startsWith('q')) {
    model.deleteQueue(name);
    await vhost.deleteQueue(name, ANYBODY, { ifUnused: false, ifEmpty: false });
  } else {
    model.deleteExchange(name);
    await vhost.deleteExchange(name, { ifUnused: false });
  }
}

function check(
  vhost: LiveVirtualHost,
  model: Model,
  { exchange, key, copies, header }: Extract<Step, { kind: 'publish' }>,
): void {
  const headers = { h: header, ...(copies.length > 0 ? { CC: copies } : {}) };
  const routed = vhost.route(message(exchange, key, headers));
  const names = routed.ok ? routed.value.map(({ name }) => name).sort() : undefined;
  expect(names).toEqual(model.route(exchange, [key, ...copies], headers));
}

async function checkAll(fake: FakeHosts, steps: readonly Step[], run: number): Promise<void> {
  const { hosts } = fake;
  await hosts.create(`run-${run}`);
  const vhost = hosts.get(`run-${run}`);
  if (vhost === undefined) throw new Error('created');
  const model = new Model();
  for (const taken of steps) {
    await take(vhost, model, taken);
    checkRemembered(vhost, model);
    expect(new Set(vhost.bindings().map((one) => JSON.stringify(one)))).toEqual(
      new Set(model.bindings.map((one) => JSON.stringify(one))),
    );
  }
  await hosts.delete(`run-${run}`);
}

test('messages go where the rules say, whatever was declared, bound and deleted before', async () => {
  await withFakeHosts(async (fake) => {
    let run = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 60 }), (steps) =>
        checkAll(fake, steps, run++),
      ),
      { numRuns: 150 },
    );
    expect(fake.hosts.all()).toHaveLength(1);
    expect(fake.metadata.entries('vhost/')).toEqual([]);
  });
});
