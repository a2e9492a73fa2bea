/** `MILLRACE_SEED=n` replays one seed, `MILLRACE_SEEDS=n` runs that many. */
import { expect, test } from 'vitest';
import { ANYBODY, declared } from '../../../test/exchanges/fake-queue.ts';
import { openSimBroker } from '../../../test/kafka/sim-broker.ts';
import type { Env } from '../../core/env.ts';
import { SimMachine, SimPowerCut } from '../../core/sim/sim-machine.ts';
import type { Broker } from '../broker.ts';
import type { QueueOutcome } from '../queues/queue.ts';
import type { Binding, VirtualHost } from './virtual-host.ts';

const SEEDS = Number(process.env['MILLRACE_SEEDS'] ?? 15);
const FIRST_SEED = Number(process.env['MILLRACE_SEED'] ?? 1);
const LIVES = 5;
const OPERATIONS = 25;
/** Steps of a life in which the power may go. */
const STEPS = 700;
const ACTORS = ['a', 'b', 'c'];

type Thing = 'queue' | 'exchange' | 'binding';

/** What one actor was told of its three things; undefined when it was not told how a change of it ended. */
class Actor {
  readonly name: string;
  private readonly known = new Map<Thing, boolean | undefined>();
  told = 0;

  constructor(name: string) {
    this.name = name;
  }

  get binding(): Binding {
    return {
      source: `x-${this.name}`,
      destination: { kind: 'queue', name: `q-${this.name}` },
      routingKey: 'k',
      arguments: { n: 1 },
    };
  }

  /** @returns whether the machine goes on */
  async change(vhost: VirtualHost, random: () => number): Promise<boolean> {
    const thing = (['queue', 'exchange', 'binding'] as const)[Math.floor(random() * 3)] ?? 'queue';
    const isMade = random() < 0.65;
    // What goes with it, or is not made because it lacks an end, is known no more until that is told.
    const before = new Map(this.known);
    const touched: Thing[] = thing === 'binding' ? ['binding'] : [thing, 'binding'];
    for (const each of touched) this.known.set(each, undefined);
    const outcome = await this.attempt(vhost, thing, isMade);
    // The disk fails while the machine dies: what becomes of it is not told.
    if (!outcome.ok && outcome.error === 'RESOURCE_ERROR') return false;
    this.told++;
    if (thing !== 'binding') {
      if (!outcome.ok) throw new Error(outcome.message);
      this.known.set(thing, isMade);
      this.known.set('binding', isMade ? before.get('binding') : false);
      return true;
    }
    const isBound = isMade && outcome.ok;
    const hasEnds = before.get('queue') !== false && before.get('exchange') !== false;
    if (isMade) assertSame('binding is possible', outcome.ok, hasEnds);
    this.known.set('binding', isBound);
    return true;
  }

  /** After a start: what is there, and that it is what was told. */
  look(vhost: VirtualHost): void {
    const there: Record<Thing, boolean> = {
      queue: vhost.queue(`q-${this.name}`, ANYBODY).ok,
      exchange: vhost.exchange(`x-${this.name}`) !== undefined,
      binding: vhost.bindings().some(({ source }) => source === `x-${this.name}`),
    };
    for (const thing of ['queue', 'exchange', 'binding'] as const) {
      const known = this.known.get(thing) ?? (this.known.has(thing) ? undefined : false);
      if (known !== undefined) assertSame(`${thing} of ${this.name}`, there[thing], known);
      this.known.set(thing, there[thing]);
    }
    if (there.binding) assertSame('ends of a binding', there.queue && there.exchange, true);
    const properties = Buffer.alloc(2);
    const routed = vhost.route({ exchange: `x-${this.name}`, routingKey: 'k', properties });
    const queues = there.exchange ? Number(there.binding) : -1;
    assertSame('queues', routed.ok ? routed.value.length : -1, queues);
  }

  private async attempt(
    vhost: VirtualHost,
    thing: Thing,
    isMade: boolean,
  ): Promise<QueueOutcome<unknown>> {
    if (thing === 'binding')
      return isMade ? vhost.bind(this.binding, ANYBODY) : vhost.unbind(this.binding, ANYBODY);
    const queue = `q-${this.name}`;
    if (thing === 'queue')
      return isMade
        ? vhost.declareQueue(declared(queue, { durable: true }), ANYBODY)
        : vhost.deleteQueue(queue, ANYBODY, { ifUnused: false, ifEmpty: false });
    const name = `x-${this.name}`;
    const described = { passive: false, durable: true, autoDelete: false, internal: false };
    return isMade
      ? vhost.declareExchange({ name, type: 'direct', ...described, arguments: {} })
      : vhost.deleteExchange(name, { ifUnused: false });
  }
}

function assertSame<Value extends boolean | number>(
  what: string,
  actual: Value,
  expected: Value,
): void {
  if (actual !== expected) throw new Error(`${what}: ${actual}, not ${expected}`);
}

async function live(env: Env, actors: readonly Actor[], isLast: boolean): Promise<void> {
  const broker: Broker = await openSimBroker(env);
  const vhost = broker.virtualHosts.get('/');
  if (vhost === undefined) throw new Error('there is always /');
  for (const actor of actors) actor.look(vhost);
  await Promise.all(
    actors.map(async (actor) => {
      let count = 0;
      while (count++ < OPERATIONS && (await actor.change(vhost, () => env.random.next())));
    }),
  );
  if (isLast) await broker.close();
}

async function run(seed: number): Promise<{ readonly cuts: number; readonly told: number }> {
  const machine = new SimMachine(seed);
  const actors = ACTORS.map((name) => new Actor(name));
  let cuts = 0;
  let env = machine.boot();
  for (let life = 1; life <= LIVES; life++) {
    const isLast = life === LIVES;
    if (!isLast)
      machine.cutAtStep(
        machine.stepCount + 1 + Math.floor(env.random.next() * STEPS),
        env.random.next() < 0.7 ? 'power' : 'kill',
      );
    try {
      await machine.run(live(env, actors, isLast));
    } catch (error) {
      if (!(error instanceof SimPowerCut)) throw error;
      cuts++;
    }
    if (!isLast) env = machine.reboot();
  }
  return { cuts, told: actors.reduce((sum, { told }) => sum + told, 0) };
}

test('what was declared, bound and deleted stays so, whenever the power goes', async () => {
  const count = process.env['MILLRACE_SEED'] === undefined ? SEEDS : 1;
  let cuts = 0;
  let told = 0;
  for (let seed = FIRST_SEED; seed < FIRST_SEED + count; seed++) {
    const report = await run(seed).catch((error: unknown) => {
      throw new Error(`replay with MILLRACE_SEED=${seed}`, { cause: error });
    });
    cuts += report.cuts;
    told += report.told;
  }
  expect(cuts).toBeGreaterThan(count);
  expect(told).toBeGreaterThan(count * 20);
});
