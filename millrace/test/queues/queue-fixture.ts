/** A queue over a log on a simulated machine, and consumers that write down what they are given. */
import type { QueueMessage } from '../../src/broker/queues/message.ts';
import { NO_PROPERTIES } from '../../src/broker/queues/message.ts';
import { openQueue } from '../../src/broker/queues/open-queue.ts';
import type { OpenedQueue } from '../../src/broker/queues/opened-queue.ts';
import type {
  DeadLetterReason,
  Delivery,
  QueueConsumer,
  QueueSettings,
  StreamOffset,
} from '../../src/broker/queues/queue.ts';
import type { QueueContext } from '../../src/broker/queues/queue-context.ts';
import { QueueMemory } from '../../src/broker/queues/queue-memory.ts';
import { QueueTurns } from '../../src/broker/queues/queue-turns.ts';
import { Background } from '../../src/core/background.ts';
import { type Logger, silentLogger } from '../../src/core/log.ts';
import { SimMachine } from '../../src/core/sim/sim-machine.ts';
import type { DiskLog } from '../../src/log/partition-log.ts';
import type { LogConfig } from '../../src/log/types.ts';
import { logId, openStore, SMALL, type TestStore } from '../log/fixture.ts';
import { PlainStates } from './plain-states.ts';

const STORE = {
  journalFileBytes: 512 * 1024,
  journalBytesMax: 2048 * 1024,
  checkpointJournalBytes: 768 * 1024,
};

export const SETTINGS: QueueSettings = {
  type: 'classic',
  maxLength: undefined,
  maxLengthBytes: undefined,
  overflow: 'drop-head',
  messageTtlMs: undefined,
  expiresMs: undefined,
  deadLetterExchange: undefined,
  deadLetterRoutingKey: undefined,
  deadLetterStrategy: 'at-most-once',
  deliveryLimit: 20,
  maxPriority: undefined,
  singleActiveConsumer: false,
  consumerTimeoutMs: undefined,
  keyOrdered: false,
  dedupeWindowMs: undefined,
  maxAgeMs: undefined,
  segmentBytes: undefined,
  sourceTopic: undefined,
  sourceOffset: undefined,
};

export interface DeadLetter {
  readonly text: string;
  readonly reason: DeadLetterReason;
}

export class TestConsumer implements QueueConsumer {
  tag = 'c';
  noAck = false;
  exclusive = false;
  priority = 0;
  prefetch = 0;
  streamOffset: StreamOffset = { kind: 'next' };
  isWilling = true;
  readonly deliveries: Delivery[] = [];
  /** Bodies, as they were read when they came. */
  readonly texts: string[] = [];
  readonly late: Delivery[] = [];
  isCancelled = false;
  onDelivery: ((delivery: Delivery) => void) | undefined;

  constructor(options: Partial<TestConsumer> = {}) {
    Object.assign(this, options);
  }

  deliver(delivery: Delivery): void {
    this.deliveries.push(delivery);
    this.texts.push(delivery.message.body.toString());
    this.onDelivery?.(delivery);
  }

  cancelled(): void {
    this.isCancelled = true;
  }

  timedOut(delivery: Delivery): void {
    this.late.push(delivery);
  }

  /** The texts since the last call. */
  take(): string[] {
    return this.texts.splice(0);
  }
}

export class QueueFixture {
  readonly machine: SimMachine;
  readonly states = new PlainStates();
  readonly deadLetters: DeadLetter[] = [];
  /** What dead letters meet. */
  deadLetterOutcome: 'moved' | 'nowhere' | 'refused' = 'moved';
  onDeadLetter: ((letter: DeadLetter) => void) | undefined;
  failures: unknown[] = [];
  memory = new QueueMemory();
  opened: TestStore | undefined;
  logs: DiskLog[] = [];
  private context: QueueContext | undefined;
  private current: OpenedQueue | undefined;
  private readonly settings: QueueSettings;
  private readonly config: Partial<LogConfig>;
  private readonly logger: Logger;
  /** How many the topic has at the next start. */
  partitions: number;
  isDurable = true;

  constructor(
    settings: Partial<QueueSettings> = {},
    options: {
      readonly seed?: number;
      readonly config?: Partial<LogConfig>;
      readonly partitions?: number;
      readonly logger?: Logger;
    } = {},
  ) {
    this.machine = new SimMachine(options.seed ?? 1);
    this.settings = { ...SETTINGS, ...settings };
    this.config = options.config ?? {};
    this.logger = options.logger ?? silentLogger;
    this.partitions = options.partitions ?? 1;
  }

  get queue(): OpenedQueue {
    if (this.current === undefined) throw new Error('the queue is not open');
    return this.current;
  }

  get log(): DiskLog {
    return this.logs[0] as DiskLog;
  }

  /** @param onOpen when the state was read, and nothing was done yet */
  async open(wasClean = true, env = this.machine.boot(), onOpen?: () => void): Promise<this> {
    this.opened = await openStore(this.machine, env, STORE);
    this.logs = Array.from({ length: this.partitions }, (_, number) => this.openLog(number));
    await this.machine.run(this.opened.store.finishRecovery());
    this.context = {
      env,
      logger: this.logger,
      states: this.states,
      deadLetters: (_queue, message, reason) => {
        const letter = { text: message.body.toString(), reason };
        if (this.deadLetterOutcome !== 'refused') {
          this.deadLetters.push(letter);
          this.onDeadLetter?.(letter);
        }
        return this.deadLetterOutcome;
      },
      background: new Background((error) => this.failures.push(error)),
      wasClean,
      memory: this.memory,
      turns: new QueueTurns(env),
    };
    this.current = this.openBeside(logId(1).topicId, this.settings);
    await this.machine.run(this.current.ready.then(onOpen));
    await this.idle();
    return this;
  }

  openLog(number: number): DiskLog {
    if (this.opened === undefined) throw new Error('the store is not open');
    const config = { ...SMALL, segmentBytes: 64 * 1024, ...this.config };
    return this.opened.store.openLog(logId(1, number), config);
  }

  /** A queue over the same logs. */
  openBeside(id: string, settings: Partial<QueueSettings>): OpenedQueue {
    if (this.context === undefined) throw new Error('the store is not open');
    return openQueue(this.context, {
      id,
      vhost: '/',
      name: 'work',
      settings: { ...SETTINGS, ...settings },
      topic: 'queue.work',
      logs: this.logs,
      durable: this.isDurable,
    });
  }

  /** Stops in order and starts again. */
  async restart(onOpen?: () => void): Promise<void> {
    await this.machine.run(this.queue.close());
    await this.machine.run(this.states.close());
    if (this.opened !== undefined) await this.machine.run(this.opened.store.close());
    await this.open(true, this.machine.reboot(), onOpen);
  }

  /** The process is killed, or the power goes; what was not flushed of the state is forgotten. */
  async crash(onOpen?: () => void): Promise<void> {
    this.machine.kill();
    this.states.crash();
    await this.open(false, this.machine.reboot(), onOpen);
  }

  /** Lets happen what happens by itself within so much time. */
  async idle(ms = 50): Promise<void> {
    await this.machine.runFor(ms);
    if (this.failures.length > 0) throw this.failures[0];
  }

  message(text: string, more: Partial<QueueMessage> = {}): QueueMessage {
    return {
      key: null,
      exchange: '',
      routingKey: 'work',
      properties: NO_PROPERTIES,
      body: Buffer.from(text),
      timestampMs: this.machine.wallMs(),
      ...more,
    };
  }

  /** Appends and waits until it is durable. @returns positions that were refused */
  async publish(
    texts: readonly string[],
    more: Partial<QueueMessage> = {},
  ): Promise<readonly number[]> {
    const { refused, durable } = this.queue.append(texts.map((text) => this.message(text, more)));
    if (durable !== undefined) await this.machine.run(durable);
    await this.idle();
    return refused;
  }

  async get(noAck = false): Promise<Delivery | undefined> {
    const outcome = await this.machine.run(this.queue.get({ noAck }));
    if (!outcome.ok) throw new Error(outcome.message);
    return outcome.value;
  }

  async getText(): Promise<string | undefined> {
    const delivery = await this.get(true);
    return delivery?.message.body.toString();
  }

  consume(options: Partial<TestConsumer> = {}): TestConsumer {
    const consumer = new TestConsumer(options);
    const refusal = this.queue.consume(consumer);
    if (refusal !== undefined) throw new Error(refusal.message);
    return consumer;
  }
}

export function texts(count: number, from = 0): string[] {
  return Array.from({ length: count }, (_, index) => `m${from + index}`);
}
