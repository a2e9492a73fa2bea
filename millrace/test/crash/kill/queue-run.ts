/** Producers and workers at a broker that is killed under them, and the judgement at the end. */
import { setTimeout as pause } from 'node:timers/promises';
import { connect } from 'amqplib';
import type { AmqpUnderTest } from '../../amqp/amqp-under-test.ts';
import { checkQueueHistory, type QueueReport } from '../queue-checker.ts';
import {
  idOf,
  type QueueClientOptions,
  QueueProducer,
  QueueRecorder,
  QueueWorker,
  type WorkerHabits,
} from './queue-clients.ts';

/** Rejected messages of `work` go to `dead`, and from there to `grave`; those of `limited` when they came back three times. */
const QUEUES: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  grave: {},
  dead: { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'grave' },
  work: { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' },
  limited: {
    'x-queue-type': 'quorum',
    'x-delivery-limit': 3,
    'x-dead-letter-exchange': '',
    'x-dead-letter-routing-key': 'dead',
  },
  plain: {},
};
const DEAD_LETTERS = { work: 'dead', limited: 'dead', dead: 'grave' };

const WORKERS: readonly WorkerHabits[] = [
  { queue: 'work', prefetch: 10, releases: 10, rejects: 10, dies: 10 },
  { queue: 'work', prefetch: 50, releases: 2, rejects: 5, dies: 0 },
  { queue: 'limited', prefetch: 5, releases: 40, rejects: 2, dies: 20 },
  { queue: 'dead', prefetch: 20, releases: 5, rejects: 20, dies: 5 },
  { queue: 'plain', prefetch: 100, releases: 0, rejects: 0, dies: 2 },
];

/** Settled so long before a kill it is written: far more than the broker takes, on a machine that is busy. */
const FORGETS_MS = 5_000;

export class QueueRun {
  private readonly broker: AmqpUnderTest;
  private readonly recorder = new QueueRecorder();
  private readonly producers: readonly QueueProducer[];
  private readonly workers: readonly QueueWorker[];
  private running: Promise<void>[] = [];

  constructor(broker: AmqpUnderTest, seed: number) {
    this.broker = broker;
    const named = (name: string, index: number): QueueClientOptions => ({
      name,
      seed: seed * 100 + index,
      url: broker.url,
      recorder: this.recorder,
    });
    this.producers = [
      new QueueProducer(named('producer-1', 1), ['work', 'limited']),
      new QueueProducer(named('producer-2', 2), ['plain', 'work']),
    ];
    this.workers = WORKERS.map(
      (habits, index) => new QueueWorker(named(`worker-${index}`, 10 + index), habits),
    );
  }

  async begin(): Promise<void> {
    const model = await connect(this.broker.url);
    const channel = await model.createChannel();
    for (const [queue, args] of Object.entries(QUEUES))
      await channel.assertQueue(queue, { durable: true, arguments: args });
    await model.close();
    this.running = [...this.producers, ...this.workers].map((client) => client.run());
  }

  /** Resolves when so many more messages were confirmed. */
  async confirmed(count: number): Promise<void> {
    const wanted = this.recorder.confirmed + count;
    while (this.recorder.confirmed < wanted) await pause(2);
  }

  async kill(): Promise<void> {
    this.recorder.add({ kind: 'crash', power: false });
    await this.broker.kill('SIGKILL');
  }

  /** Lets all clients come to an end, takes what is left, and judges. The broker has to be up. */
  async end(): Promise<QueueReport> {
    for (const client of [...this.producers, ...this.workers]) client.stop();
    await Promise.all(this.running);
    const model = await connect(this.broker.url);
    const channel = await model.createChannel();
    for (const queue of Object.keys(QUEUES)) {
      for (;;) {
        const message = await channel.get(queue, { noAck: true });
        if (message === false) break;
        const { redelivered } = message.fields;
        this.recorder.add({ kind: 'left', queue, redelivered, ...idOf(message.content) });
      }
    }
    await model.close();
    return checkQueueHistory(this.recorder.events, {
      deadLetters: DEAD_LETTERS,
      forgetsMs: FORGETS_MS,
    });
  }
}
