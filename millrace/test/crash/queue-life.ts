/** One life of a broker with queues: who sends, who works, and what is looked at in the end. */
import type { Broker } from '../../src/broker/broker.ts';
import type { VirtualHost } from '../../src/broker/exchanges/virtual-host.ts';
import { PublishBatch } from '../../src/broker/exchanges/publish-batch.ts';
import type { Delivery, Queue, QueueConsumer } from '../../src/broker/queues/queue.ts';
import type { Env } from '../../src/core/env.ts';
import type { SimRandom } from '../../src/core/sim/sim-random.ts';
import type { QueueEvent } from './queue-history.ts';

export interface QueueLifeOptions {
  readonly env: Env;
  readonly random: SimRandom;
  /** Numbers of the next message and consumer; they go on over all lives. */
  readonly names: { message: number; consumer: number };
  /** What producers and workers do together. */
  readonly operations: number;
  /** Nothing happens to it: at the end everything is taken. */
  readonly isLast: boolean;
  readonly record: (event: QueueEvent) => void;
}

/** What is declared. Dead letters of all go to `dead`, of those to `grave`. */
export const SIM_QUEUES: Readonly<Record<string, Readonly<Record<string, string | number>>>> = {
  grave: {},
  dead: { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'grave' },
  work: { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' },
  limited: {
    'x-delivery-limit': 2,
    'x-dead-letter-exchange': '',
    'x-dead-letter-routing-key': 'dead',
  },
  expiring: {
    'x-message-ttl': 400,
    'x-dead-letter-exchange': '',
    'x-dead-letter-routing-key': 'dead',
  },
  short: { 'x-max-length': 5, 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' },
  refusing: { 'x-max-length': 8, 'x-overflow': 'reject-publish' },
  ranked: { 'x-max-priority': 3 },
};

/** Where dead letters go, by the queue from which they come. */
export const DEAD_LETTERS = {
  work: 'dead',
  limited: 'dead',
  expiring: 'dead',
  short: 'dead',
  dead: 'grave',
};

/** Where messages are sent: dead letters come by themselves. */
const TARGETS = Object.keys(SIM_QUEUES).filter((name) => name !== 'dead' && name !== 'grave');
const OWNER = { label: 'simulation' };
/** Flags of a property list with a delivery mode and a priority. */
const DURABLE_RANKED = (1 << 12) | (1 << 11);

interface Held {
  readonly id: string;
  readonly delivery: Delivery;
}

interface Worker {
  readonly queue: Queue;
  readonly consumer: QueueConsumer;
  readonly held: Held[];
}

export class QueueLife {
  private readonly options: QueueLifeOptions;
  private isOver = false;
  private readonly workers: Worker[] = [];
  private unconfirmed = 0;

  constructor(options: QueueLifeOptions) {
    this.options = options;
  }

  /** The broker is dead: nobody says anything any more. */
  over(): void {
    this.isOver = true;
  }

  async run(broker: Broker): Promise<void> {
    const vhost = broker.virtualHosts.get('/');
    if (vhost === undefined) throw new Error('there is no virtual host');
    await this.declare(vhost);
    const { random, operations } = this.options;
    for (let done = 0; done < operations && !this.isOver; done++) {
      this.operate(vhost);
      if (random.chance(0.5)) await this.pause(random.below(random.chance(0.1) ? 300 : 20));
      else if (random.chance(0.3)) await this.pause(0);
    }
    while (this.unconfirmed > 0) await this.pause(5);
    if (!this.options.isLast) return;
    for (const worker of this.workers.splice(0)) this.leave(worker);
    await this.takeAll(vhost);
  }

  private async declare(vhost: VirtualHost): Promise<void> {
    for (const [name, args] of Object.entries(SIM_QUEUES)) {
      const declaration = { name, passive: false, durable: true, exclusive: false };
      const declared = await vhost.declareQueue(
        { ...declaration, autoDelete: false, arguments: args },
        OWNER,
      );
      if (!declared.ok) throw new Error(`${name}: ${declared.message}`);
      await declared.value.queue.ready;
    }
  }

  private operate(vhost: VirtualHost): void {
    const { random } = this.options;
    const draw = random.below(10);
    if (draw < 4) this.publish(vhost);
    else if (draw < 5 || this.workers.length === 0) this.join(vhost);
    else {
      const worker = this.workers[random.below(this.workers.length)];
      if (worker === undefined) return;
      if (draw < 6 && random.chance(0.4)) this.leave(worker);
      else this.work(worker);
    }
  }

  private publish(vhost: VirtualHost): void {
    const { random, names, env } = this.options;
    const batch = new PublishBatch(vhost);
    const ids: string[] = [];
    const count = 1 + random.below(random.chance(0.1) ? 40 : 4);
    for (let index = 0; index < count; index++) {
      const queue = TARGETS[random.below(TARGETS.length)] ?? '';
      const id = `m${names.message}`;
      this.say({ kind: 'publish', id, queue, producer: 'p', sequence: names.message++ });
      ids.push(id);
      const properties = Buffer.alloc(4);
      properties.writeUInt16BE(DURABLE_RANKED);
      properties[2] = 2;
      properties[3] = random.below(4);
      batch.add({
        key: null,
        exchange: '',
        routingKey: queue,
        properties,
        body: bodyOf(id),
        timestampMs: env.clock.nowMs(),
      });
    }
    const { refused, durable } = batch.commit();
    for (const index of refused) this.say({ kind: 'refuse', id: ids[index] ?? '' });
    const taken = ids.filter((_, index) => !refused.includes(index));
    this.unconfirmed++;
    const confirmed = (): void => {
      this.unconfirmed--;
      for (const id of taken) this.say({ kind: 'confirm', id });
    };
    // Who fails is dying: then nobody is told anything.
    void (durable ?? Promise.resolve()).then(confirmed, () => {});
  }

  private join(vhost: VirtualHost): void {
    const { random, names } = this.options;
    const all = Object.keys(SIM_QUEUES);
    const found = vhost.queue(all[random.below(all.length)] ?? '', OWNER);
    if (!found.ok) throw new Error(found.message);
    const { queue } = found.value;
    const held: Held[] = [];
    const tag = `c${names.consumer++}`;
    const consumer: QueueConsumer = {
      tag,
      noAck: false,
      exclusive: false,
      priority: 0,
      prefetch: 1 + random.below(20),
      isWilling: true,
      deliver: (delivery) => {
        if (this.isOver) return;
        const { id, intact } = idOf(delivery.message.body);
        const { redelivered } = delivery;
        held.push({ id, delivery });
        const what = { id, queue: queue.name, consumer: tag, redelivered, intact };
        this.say({ kind: 'deliver', ...what });
      },
      cancelled: () => {},
      timedOut: () => {},
    };
    const refusal = queue.consume(consumer);
    if (refusal !== undefined) throw new Error(refusal.message);
    this.workers.push({ queue, consumer, held });
  }

  /** The channel closes: all that it has goes back. */
  private leave(worker: Worker): void {
    const at = this.workers.indexOf(worker);
    if (at >= 0) this.workers.splice(at, 1);
    const { queue, consumer, held } = worker;
    queue.cancel(consumer);
    this.settle(worker, held.splice(0), 'release');
  }

  private work(worker: Worker): void {
    const { random } = this.options;
    const { held } = worker;
    if (held.length === 0) return;
    const count = random.chance(0.4) ? held.length : 1;
    const some = held.splice(random.chance(0.5) ? 0 : random.below(held.length), count);
    const draw = random.below(10);
    this.settle(worker, some, draw < 6 ? 'accept' : draw < 8 ? 'release' : 'reject');
  }

  private settle(
    { queue, consumer }: Worker,
    some: readonly Held[],
    kind: 'accept' | 'release' | 'reject',
  ): void {
    // Said first: whoever dies in the middle of it may have done it or not.
    for (const { id } of some) this.say({ kind, id, queue: queue.name, consumer: consumer.tag });
    queue.settle(
      some.map(({ delivery }) => delivery),
      kind,
    );
  }

  async takeAll(vhost: VirtualHost): Promise<void> {
    // What is too old, or too much, goes to the dead letters before those are looked at.
    for (const name of Object.keys(SIM_QUEUES).toReversed()) {
      const found = vhost.queue(name, OWNER);
      if (!found.ok) throw new Error(found.message);
      const { queue } = found.value;
      for (;;) {
        const got = await queue.get({ noAck: true });
        if (!got.ok) throw new Error(got.message);
        if (got.value === undefined) break;
        const { redelivered, message } = got.value;
        this.say({ kind: 'left', queue: name, redelivered, ...idOf(message.body) });
      }
    }
  }

  private say(event: QueueEvent): void {
    if (!this.isOver) this.options.record(event);
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.options.env.timers.after(ms, resolve);
    });
  }
}

const FILLER = 'abcdefghijklmnopqrstuvwxyz '.repeat(80);

function bodyOf(id: string): Buffer {
  const bytes = (Number(id.slice(1)) * 7919) % (Number(id.slice(1)) % 7 === 0 ? 2_000 : 100);
  return Buffer.from(`${id}:${FILLER.slice(0, bytes)}`);
}

function idOf(body: Buffer): { readonly id: string; readonly intact: boolean } {
  const id = body.subarray(0, Math.max(0, body.indexOf(':'))).toString();
  return { id, intact: /^m\d+$/.test(id) && body.equals(bodyOf(id)) };
}
