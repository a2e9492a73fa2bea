/**
 * AMQP clients for the broker to be killed under: producers that want confirms, and workers that accept, give back, reject, and die. They
 * connect again for as long as it takes, and write down what they did and what they were told. The client is amqplib, as programs use it.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { type Channel, type ChannelModel, connect, type ConsumeMessage } from 'amqplib';
import { SimRandom } from '../../../src/core/sim/sim-random.ts';
import type { QueueEvent, TimedQueueEvent } from '../queue-history.ts';

const RETRY_MS = 20;
const FILLER = 'The quick brown fox jumps over the lazy dog. '.repeat(60);

/** The history that all clients write into, and which life of the broker it is. */
export class QueueRecorder {
  readonly events: TimedQueueEvent[] = [];
  /** Rises when the broker is killed: what a client of an earlier life still holds is nothing any more. */
  life = 0;
  confirmed = 0;
  settled = 0;
  private nextId = 0;
  private nextConsumer = 0;

  add(event: QueueEvent): void {
    this.events.push({ ...event, atMs: performance.now() });
    if (event.kind === 'confirm') this.confirmed++;
    if (event.kind === 'accept') this.settled++;
    if (event.kind === 'crash') this.life++;
  }

  id(): string {
    return `m${this.nextId++}`;
  }

  consumer(name: string): string {
    return `${name}/${this.nextConsumer++}`;
  }
}

/** Bytes that follow from the id: a body that is not this one was not sent. */
export function bodyOf(id: string): Buffer {
  const bytes = (Number(id.slice(1)) * 7919) % 2_500;
  return Buffer.from(`${id}:${FILLER.slice(0, bytes)}`);
}

export function idOf(body: Buffer): { readonly id: string; readonly intact: boolean } {
  const id = body.subarray(0, Math.max(0, body.indexOf(':'))).toString();
  return { id, intact: /^m\d+$/.test(id) && body.equals(bodyOf(id)) };
}

export interface QueueClientOptions {
  readonly name: string;
  readonly seed: number;
  readonly url: string;
  readonly recorder: QueueRecorder;
}

abstract class QueueClient {
  protected readonly options: QueueClientOptions;
  protected readonly random: SimRandom;
  protected isStopping = false;

  constructor(options: QueueClientOptions) {
    this.options = options;
    this.random = new SimRandom(options.seed);
  }

  stop(): void {
    this.isStopping = true;
  }

  /** Works, on one connection after the other, until it is stopped. */
  async run(): Promise<void> {
    while (!this.isStopping) {
      let model: ChannelModel;
      try {
        model = await connect(this.options.url);
      } catch {
        await pause(RETRY_MS);
        continue;
      }
      model.on('error', () => {});
      // Who asks for the end of a connection that ends by itself meanwhile gets no answer.
      const gone = new Promise<void>((resolve) => model.once('close', resolve));
      // What fails in a session does so because its connection has ended.
      await this.session(model).catch(() => {});
      await Promise.race([model.close().catch(() => {}), gone]);
    }
  }

  /** Until the connection ends, or the client is stopped. */
  protected abstract session(model: ChannelModel): Promise<void>;
}

/** Sends messages to some queues, so many at a time, and waits for their confirms. */
export class QueueProducer extends QueueClient {
  private readonly queues: readonly string[];
  private sequence = 0;

  constructor(options: QueueClientOptions, queues: readonly string[]) {
    super(options);
    this.queues = queues;
  }

  protected async session(model: ChannelModel): Promise<void> {
    const channel = await model.createConfirmChannel();
    const state = { isOver: false };
    channel.on('error', () => {});
    const over = new Promise<void>((resolve) => channel.once('close', resolve));
    void over.then(() => (state.isOver = true));
    while (!this.isStopping && !state.isOver) {
      const count = 1 + this.random.below(30);
      for (let index = 0; index < count; index++) this.send(channel);
      // Rejects when some were refused: each has been told by its own callback.
      await Promise.race([channel.waitForConfirms().catch(() => {}), over]);
      await pause(this.random.below(4));
    }
  }

  private send(channel: Awaited<ReturnType<ChannelModel['createConfirmChannel']>>): void {
    const { recorder, name } = this.options;
    const queue = this.queues[this.random.below(this.queues.length)] ?? '';
    const id = recorder.id();
    const event = {
      kind: 'publish',
      id,
      queue,
      producer: name,
      sequence: this.sequence++,
    } as const;
    recorder.add(event);
    channel.sendToQueue(queue, bodyOf(id), { persistent: true }, (error) => {
      if (error === null) recorder.add({ kind: 'confirm', id });
      // Also the end of the connection comes as an error: then nobody knows.
      else if (String(error).includes('nacked')) recorder.add({ kind: 'refuse', id });
    });
  }
}

/** Chances, of 100, of what a worker does with a message. */
export interface WorkerHabits {
  readonly queue: string;
  readonly prefetch: number;
  readonly releases: number;
  readonly rejects: number;
  /** Ends its socket, or its channel, with messages in its hands. */
  readonly dies: number;
}

interface Held {
  readonly message: ConsumeMessage;
  readonly id: string;
}

export class QueueWorker extends QueueClient {
  private readonly habits: WorkerHabits;

  constructor(options: QueueClientOptions, habits: WorkerHabits) {
    super(options);
    this.habits = habits;
  }

  protected async session(model: ChannelModel): Promise<void> {
    const { recorder } = this.options;
    const life = recorder.life;
    const channel = await model.createChannel();
    channel.on('error', () => {});
    const held: Held[] = [];
    const state = { isOver: false };
    const over = new Promise<void>((resolve) => {
      model.once('close', resolve);
      channel.once('close', resolve);
    });
    void over.then(() => (state.isOver = true));
    const consumer = recorder.consumer(this.options.name);
    await channel.prefetch(this.habits.prefetch);
    await channel.consume(this.habits.queue, (message) => {
      // What comes after the kill was on its way: it will come again.
      if (message === null || state.isOver || recorder.life !== life) return;
      this.took(message, consumer, held);
      this.work(channel, consumer, held);
    });
    while (!this.isStopping && !state.isOver && recorder.life === life) {
      await Promise.race([over, pause(1 + this.random.below(20))]);
      if (state.isOver || recorder.life !== life) return;
      if (this.random.below(100) < this.habits.dies) break;
      // What was put aside is settled sooner or later.
      this.settleAll(channel, consumer, held);
    }
    // From here on it says nothing; and what it has said has reached the broker: whatever happens to it now, nobody may see that again.
    state.isOver = true;
    await channel.prefetch(this.habits.prefetch);
    if (recorder.life !== life) return;
    for (const { id } of held.splice(0)) this.say('release', id, consumer);
    if (this.random.chance(0.5)) await Promise.race([channel.close(), over]);
    else {
      destroySocket(model);
      await over;
    }
  }

  private took(message: ConsumeMessage, consumer: string, held: Held[]): void {
    const { recorder } = this.options;
    const { redelivered } = message.fields;
    const { id, intact } = idOf(message.content);
    const { queue } = this.habits;
    recorder.add({ kind: 'deliver', id, queue, consumer, redelivered, intact });
    held.push({ message, id });
  }

  /** With some delay, and not always in order. */
  private work(channel: Channel, consumer: string, held: Held[]): void {
    if (this.random.chance(0.4)) return;
    if (this.random.chance(0.2)) return this.settleAll(channel, consumer, held);
    const [one] = held.splice(this.random.below(held.length), 1);
    if (one === undefined) return;
    const draw = this.random.below(100);
    const { releases, rejects } = this.habits;
    if (draw < releases) {
      this.say('release', one.id, consumer);
      channel.nack(one.message, false, true);
    } else if (draw < releases + rejects) {
      this.say('reject', one.id, consumer);
      channel.reject(one.message, false);
    } else {
      this.say('accept', one.id, consumer);
      channel.ack(one.message);
    }
  }

  private settleAll(channel: Channel, consumer: string, held: Held[]): void {
    const last = held.at(-1);
    if (last === undefined) return;
    for (const { id } of held.splice(0)) this.say('accept', id, consumer);
    channel.ack(last.message, true);
  }

  private say(kind: 'accept' | 'release' | 'reject', id: string, consumer: string): void {
    this.options.recorder.add({ kind, id, queue: this.habits.queue, consumer });
  }
}

/** The end of a program that could not say anything any more. */
function destroySocket(model: ChannelModel): void {
  const { stream } = model.connection as unknown as {
    readonly stream: { destroy(error: Error): void };
  };
  // Only an error makes amqplib see that the connection is over.
  stream.destroy(new Error('the program ended'));
}
