/** Clients of every kind around one broker that is ended and started again, and what all of them saw, judged. */
import { setTimeout as pause } from 'node:timers/promises';
import { checkKafkaHistory } from '../kafka-checker.ts';
import type { KafkaReport } from '../kafka-history.ts';
import type { BrokerProcess } from './broker-process.ts';
import {
  Admin,
  type ClientOptions,
  Committer,
  IdempotentProducer,
  type KafkaClient,
  type Place,
  Reader,
  Recorder,
  Transformer,
} from './kafka-clients.ts';

const INPUT: Place = { topic: 'input', partition: 0 };
const PLAIN: readonly Place[] = [0, 1].map((partition) => ({ topic: 'plain', partition }));
const OUTPUTS: readonly Place[] = [0, 1].map((partition) => ({ topic: 'output', partition }));

export class KafkaRun {
  private readonly recorder = new Recorder();
  private readonly clients: readonly KafkaClient[];
  private readonly broker: BrokerProcess;
  private running: Promise<void>[] = [];

  /** @param broker running */
  constructor(broker: BrokerProcess) {
    this.broker = broker;
    const transformer = (name: string): Transformer =>
      new Transformer({
        ...this.named(name),
        transactionalId: name,
        group: name,
        input: INPUT,
        outputs: OUTPUTS,
      });
    this.clients = [
      new IdempotentProducer(this.named('feeder'), [INPUT]),
      new IdempotentProducer(this.named('producer-1'), PLAIN),
      new IdempotentProducer(this.named('producer-2'), PLAIN),
      new Committer(this.named('committer'), 'commits', INPUT),
      new Reader(this.named('reader-1'), [...PLAIN, ...OUTPUTS]),
      new Reader(this.named('reader-2'), [INPUT, ...OUTPUTS]),
      transformer('transformer-1'),
      transformer('transformer-2'),
    ];
  }

  async begin(): Promise<void> {
    const admin = new Admin(this.named('admin'));
    await admin.createTopics({ input: 1, plain: 2, output: 2 });
    admin.close();
    this.running = this.clients.map((client) => client.run());
    // Whoever fails is seen at the end; until then nobody waits for it.
    for (const client of this.running) client.catch(() => {});
  }

  /** Resolves when so many more records were acknowledged. */
  async acknowledged(count: number): Promise<void> {
    const wanted = this.recorder.acknowledged + count;
    while (this.recorder.acknowledged < wanted) await pause(5);
  }

  /** Lets all clients come to an end, reads everything once more, and judges. The broker has to be up. */
  async end(): Promise<KafkaReport> {
    for (const client of this.clients) client.stop();
    await Promise.all(this.running);
    const drain = new Reader(this.named('drain'), [INPUT, ...PLAIN, ...OUTPUTS]);
    await drain.drain();
    drain.close();
    return checkKafkaHistory(this.recorder.events, { drained: true });
  }

  private named(name: string): ClientOptions {
    return { name, port: this.broker.port, recorder: this.recorder };
  }
}
