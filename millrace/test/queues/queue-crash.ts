/**
 * A queue with its state on a simulated machine that loses power, or is killed, at any step: nothing that was confirmed is lost, nothing comes
 * twice without being called redelivered, and what was acknowledged long enough before comes no more.
 */
import { openInternalLog } from '../../src/broker/internal-log.ts';
import { NO_PROPERTIES, type QueueMessage } from '../../src/broker/queues/message.ts';
import { openQueue } from '../../src/broker/queues/open-queue.ts';
import type { Delivery, Queue, QueueSettings } from '../../src/broker/queues/queue.ts';
import { QueueMemory } from '../../src/broker/queues/queue-memory.ts';
import { QueueTurns } from '../../src/broker/queues/queue-turns.ts';
import { openQueueStates } from '../../src/broker/queues/state/queue-states.ts';
import { Background } from '../../src/core/background.ts';
import type { Env } from '../../src/core/env.ts';
import { silentLogger } from '../../src/core/log.ts';
import { SimMachine, SimPowerCut } from '../../src/core/sim/sim-machine.ts';
import { openLogStore } from '../../src/log/log-store.ts';
import { encodeProperties } from '../../src/wire/amqp/properties.ts';
import { DIRECTORY, logId, SMALL, SMALL_STORE } from '../log/fixture.ts';
import { SETTINGS, TestConsumer } from './queue-fixture.ts';

const LIVES = 5;
/** Steps of a life in which the power may go. */
const STEPS = 900;
const ROUNDS = 30;
const SEGMENT = 6 * 1024;

interface Fate {
  isConfirmed: boolean;
  deliveries: number;
  /** When it was acknowledged, on the machine's clock; -1 = not. */
  ackedAtMs: number;
  /** It was in an earlier life, and that may have been forgotten… */
  mayBeSettled: boolean;
  /** …or must not have been. */
  isSettled: boolean;
}

export interface QueueCrashReport {
  readonly cuts: number;
  readonly confirmed: number;
  readonly redelivered: number;
  readonly acked: number;
  readonly bytesFreed: number;
}

export class QueueCrash {
  private readonly machine: SimMachine;
  private readonly settings: QueueSettings;
  private readonly fates = new Map<string, Fate>();
  private readonly problems: string[] = [];
  /** Confirmed, and has still to come in this life. */
  private readonly missing = new Set<string>();
  private readonly textAt = new Map<number, string>();
  private redelivered = 0;
  private bytesFreed = 0;
  private nextText = 0;

  constructor(seed: number) {
    this.machine = new SimMachine(seed);
    this.settings = { ...SETTINGS, maxPriority: seed % 2 === 0 ? 3 : undefined };
  }

  /** @throws {Error} that says which promise was broken */
  async run(): Promise<QueueCrashReport> {
    let cuts = 0;
    let env = this.machine.boot();
    for (let life = 1; life <= LIVES; life++) {
      const isLast = life === LIVES;
      if (!isLast) {
        const step = this.machine.stepCount + 1 + Math.floor(env.random.next() * STEPS);
        this.machine.cutAtStep(step, env.random.next() < 0.7 ? 'power' : 'kill');
      }
      try {
        await this.machine.run(this.live(env, isLast));
      } catch (error) {
        if (!(error instanceof SimPowerCut)) throw error;
        cuts++;
      }
      this.died(this.machine.wallMs());
      if (this.problems.length > 0) throw new Error(`life ${life}: ${this.problems.join('; ')}`);
      if (!isLast) env = this.machine.reboot();
    }
    const fates = [...this.fates.values()];
    return {
      cuts,
      confirmed: fates.filter((fate) => fate.isConfirmed).length,
      redelivered: this.redelivered,
      acked: fates.filter((fate) => fate.isSettled).length,
      bytesFreed: this.bytesFreed,
    };
  }

  /** What was acknowledged a second before, ten times what may be forgotten, is known for ever. */
  private died(atMs: number): void {
    for (const [text, fate] of this.fates) {
      const wasAcked = fate.ackedAtMs >= 0;
      if (wasAcked && fate.ackedAtMs < atMs - 1000) fate.isSettled = true;
      if (wasAcked) fate.mayBeSettled = true;
      fate.ackedAtMs = -1;
      // What was with somebody comes again.
      if (fate.isConfirmed && !fate.mayBeSettled) this.missing.add(text);
    }
  }

  private async live(env: Env, isLast: boolean): Promise<void> {
    const store = await openLogStore(env, {
      ...SMALL_STORE,
      checkpointIntervalMs: 4000,
      directory: DIRECTORY,
      onFatal: (error) => this.failed(error),
    });
    const config = { ...SMALL, segmentBytes: SEGMENT };
    const log = store.openLog(logId(1), config);
    const stateConfig = { ...config, cleanupDelete: false, cleanupCompact: true };
    const stateLog = store.openLog(logId(2), stateConfig, { reserved: true });
    await store.finishRecovery();
    const logger = silentLogger;
    const internal = openInternalLog({ log: stateLog, env, logger, onDamage: 'refuse' });
    const states = await openQueueStates({ env, logger, log: internal });
    const queue = openQueue(
      {
        env,
        logger,
        states,
        deadLetters: () => 'nowhere',
        background: new Background((error) => this.failed(error)),
        wasClean: store.cleanStart,
        memory: new QueueMemory(),
        turns: new QueueTurns(env),
      },
      {
        id: logId(1).topicId,
        vhost: '/',
        name: 'work',
        settings: this.settings,
        topic: 'queue.work',
        logs: [log],
        durable: true,
      },
    );
    await queue.ready;
    await this.work(env, queue, isLast);
    this.bytesFreed += Math.max(0, log.logEndOffset * 100 - log.sizeBytes);
    await queue.close();
    await states.close();
    await store.close();
  }

  /** Whatever the machine was doing when it lost its power fails, too. */
  private failed(error: unknown): void {
    if (!(error instanceof SimPowerCut)) this.problems.push(String(error));
  }

  private async work(env: Env, queue: Queue, isLast: boolean): Promise<void> {
    let held: Delivery[] = [];
    const consumer = new TestConsumer({ prefetch: 40 });
    consumer.onDelivery = (delivery) => {
      this.delivered(delivery);
      held.push(delivery);
    };
    queue.consume(consumer);
    for (let round = 0; round < ROUNDS; round++) {
      await this.publish(env, queue);
      await env.timers.sleep(env.random.next() < 0.3 ? 4000 : 30);
      // Some get stuck, so that there are holes between them.
      const chosen = held.filter(({ offset }) => offset % 16 > 0 && env.random.next() < 0.8);
      held = held.filter((delivery) => !chosen.includes(delivery));
      if (env.random.next() < 0.2) queue.settle(chosen, 'release');
      else this.ack(env, queue, chosen);
    }
    if (!isLast) return;
    for (let round = 0; round < 300 && (queue.counts.ready > 0 || held.length > 0); round++) {
      this.ack(env, queue, held.splice(0));
      await env.timers.sleep(20);
    }
    for (const text of this.missing) this.problems.push(`${text} is lost`);
    if (queue.counts.ready > 0) this.problems.push(`${queue.counts.ready} are left`);
  }

  private ack(env: Env, queue: Queue, deliveries: readonly Delivery[]): void {
    queue.settle(deliveries, 'accept');
    for (const { offset } of deliveries) {
      const fate = this.fates.get(this.textAt.get(offset) ?? '');
      if (fate !== undefined) fate.ackedAtMs = env.clock.nowMs();
    }
  }

  private delivered({ message, offset, redelivered }: Delivery): void {
    const text = message.body.toString().trim();
    const fate = this.fates.get(text);
    if (fate === undefined) {
      this.problems.push(`nobody has published ${text}`);
      return;
    }
    this.textAt.set(offset, text);
    if (fate.deliveries > 0) {
      this.redelivered++;
      if (!redelivered) this.problems.push(`${text} comes again, without a word`);
    }
    if (fate.isSettled) this.problems.push(`${text} was acknowledged long ago`);
    fate.deliveries++;
    fate.mayBeSettled = false;
    this.missing.delete(text);
  }

  private async publish(env: Env, queue: Queue): Promise<void> {
    const count = 1 + Math.floor(env.random.next() * 5);
    const texts = Array.from({ length: count }, () => `m${this.nextText++}`);
    const fates = texts.map(
      (): Fate => ({
        isConfirmed: false,
        deliveries: 0,
        ackedAtMs: -1,
        mayBeSettled: false,
        isSettled: false,
      }),
    );
    for (const [index, text] of texts.entries()) this.fates.set(text, fates[index] as Fate);
    const { refused, durable } = queue.append(texts.map((text) => this.message(env, text)));
    // The power went while it was written.
    if (refused.length > 0) return;
    await durable;
    for (const fate of fates) fate.isConfirmed = true;
    for (const [index, text] of texts.entries())
      if (fates[index]?.deliveries === 0) this.missing.add(text);
  }

  private message(env: Env, text: string): QueueMessage {
    const priority = Math.floor(env.random.next() * 4);
    return {
      key: null,
      exchange: '',
      routingKey: 'work',
      properties: priority === 0 ? NO_PROPERTIES : encodeProperties({ priority }),
      body: Buffer.from(text.padEnd(100)),
      timestampMs: env.clock.nowMs(),
    };
  }
}
