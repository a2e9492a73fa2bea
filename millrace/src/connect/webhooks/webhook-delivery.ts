/**
 * Webhooks out: each record of a topic to one endpoint, at least once, as a member of a consumer group.
 *
 *     topic → read → attempted, some at a time → delivered
 *                        ↓ failed                      ↑
 *                    retries topic, with a due time ───┘ → given up: dead letters
 *
 * A record is done with when the endpoint has taken it, or when it is on the disk as a retry or a dead letter: so the position of the group
 * goes on whatever one record does, nothing is lost with the process, and what waits goes on waiting after a restart.
 *
 * Source: Standard Webhooks 1.0.0.
 */
import { createHash } from 'node:crypto';
import { isUtf8 } from 'node:buffer';
import { ConsumerShare } from '../../client/consumer-share.ts';
import { GroupedProducer } from '../../client/grouped-producer.ts';
import { visibleBatches } from '../../client/kafka/fetched-records.ts';
import { topicMissing } from '../../client/kafka/refusal.ts';
import type { Log, LogReader, LogRecords, RecordHeader, TopicPartition } from '../../client/log.ts';
import { Background } from '../../core/background.ts';
import {
  WEBHOOK_AWAY_MS,
  WEBHOOK_COMMIT_MS,
  WEBHOOK_FAILURES_IN_A_ROW,
  WEBHOOK_PAUSE_MS,
  WEBHOOK_PAUSE_MS_MAX,
  WEBHOOK_STOP_MS,
  WEBHOOK_TIMEOUT_MS,
  WEBHOOK_WRITE_RETRY_MS,
} from '../../core/direct-limits.ts';
import { MillraceError } from '../../core/errors.ts';
import { CONSUME_WAIT_MS, TIMER_DELAY_MS_MAX } from '../../core/limits.ts';
import { type Logger, silentLogger } from '../../core/log.ts';
import type { Address } from '../../core/webhook-post.ts';
import { type DeliverOptions, type DeliveryPlan, planDelivery } from './webhook-options.ts';
import { copied, ROOM, WebhookRetries, type WebhookRecord } from './webhook-retries.ts';
import { type Outcome, WebhookSender } from './webhook-sender.ts';
import { type Item, WebhookWork } from './webhook-work.ts';

/** Since it was started, in this process. */
export interface DeliveryStats {
  /** `paused`: the endpoint fails, or has said to wait. `disabled`: it has answered 410. */
  readonly state: 'starting' | 'running' | 'paused' | 'disabled' | 'stopped';
  /** Records that the endpoint has taken. */
  readonly delivered: number;
  /** Attempts that failed. */
  readonly failures: number;
  /** Records that wait for another attempt. */
  readonly retrying: number;
  /** Records that were given up, and are dead letters where there are some. */
  readonly deadLetters: number;
  /** Records without a value: they are for nobody. */
  readonly skipped: number;
  readonly inFlight: number;
  /** Why the last attempt failed that did. */
  readonly lastError: MillraceError | undefined;
}

export interface Delivery extends AsyncDisposable {
  readonly name: string;
  /** Resolves when it has partitions; rejects with what has stopped it before. */
  readonly ready: Promise<void>;
  /** Resolves when it has stopped; rejects with what has stopped it: ML_WEBHOOK_DISABLED, ML_TOPIC_MISSING, … */
  readonly done: Promise<void>;
  stats(): DeliveryStats;
  /** Begins nothing more, waits a moment for what is under way, keeps where it stands. Never rejects. Idempotent. */
  stop(): Promise<void>;
}

export interface DeliveryParts {
  readonly logger?: Logger;
  /** Nobody else has it as long as this one runs: the next start need not wait until a process that was killed is missed. */
  readonly instanceId?: string | undefined;
  /** Looks up names of hosts. Default: as the system does. */
  readonly resolve?: (host: string) => Promise<readonly Address[]>;
  readonly onEnd?: () => void;
}

/** Bytes of one answer of the log. */
const READ_BYTES = 1024 * 1024;
const JITTER = 0.2;

/** @throws {MillraceError} ML_CONFIG_INVALID, ML_WEBHOOK_ADDRESS; what comes up later is told by `done` */
export function startDelivery(
  log: Log,
  topic: string,
  options: DeliverOptions,
  parts: DeliveryParts = {},
): Delivery {
  return new TopicDelivery(log, topic, planDelivery(options), parts);
}

class TopicDelivery implements Delivery {
  readonly name: string;
  readonly ready: Promise<void>;
  readonly done: Promise<void>;
  readonly #log: Log;
  readonly #topic: string;
  readonly #plan: DeliveryPlan;
  readonly #logger: Logger;
  readonly #reader: LogReader;
  readonly #share: ConsumerShare;
  readonly #producer: GroupedProducer;
  readonly #retries: WebhookRetries;
  readonly #sender: WebhookSender;
  readonly #work: WebhookWork;
  readonly #attempts = new Background((error) => this.#fail(error));
  readonly #counts = { delivered: 0, failures: 0, deadLetters: 0, skipped: 0 };
  /** Of the ids of its webhooks. */
  #idPrefix = '';
  #owned: TopicPartition[] = [];
  #isPaused = false;
  /** A share was asked for, and is not begun with. */
  #isJoining = false;
  /** Tries in a row that the log has not answered. */
  #away = 0;
  #abort = new AbortController();
  #inFlight = 0;
  #failuresInARow = 0;
  #pausedUntilMs = 0;
  #committedMs = 0;
  #state: 'starting' | 'running' | 'disabled' | 'stopped' = 'starting';
  #lastError: MillraceError | undefined;
  #failure: unknown;
  #isStopping = false;
  #onReady: () => void = () => {};

  constructor(log: Log, topic: string, plan: DeliveryPlan, parts: DeliveryParts) {
    const { env } = log;
    this.name = plan.name;
    this.#log = log;
    this.#topic = topic;
    this.#plan = plan;
    this.#logger = (parts.logger ?? silentLogger).with({ webhook: plan.name, topic });
    this.#reader = log.reader({ uncommitted: false, bytesMax: READ_BYTES });
    this.#share = new ConsumerShare(log, {
      group: plan.group,
      topic,
      instanceId: parts.instanceId,
      onRebalance: () => this.#reader.wake(),
    });
    this.#producer = new GroupedProducer(log);
    this.#retries = new WebhookRetries(log, this.#producer, plan.retriesTopic);
    this.#sender = new WebhookSender(env, plan.endpoint, parts.resolve);
    this.#work = new WebhookWork(plan.isOrdered);
    const isReady = new Promise<void>((resolve) => {
      this.#onReady = resolve;
    });
    this.done = this.#run().finally(parts.onEnd);
    this.ready = Promise.race([isReady, this.done]);
    // Who wants to know looks.
    for (const each of [this.done, this.ready]) each.catch(() => {});
  }

  stats(): DeliveryStats {
    const isPaused = this.#state === 'running' && this.#log.env.clock.nowMs() < this.#pausedUntilMs;
    return {
      state: isPaused ? 'paused' : this.#state,
      ...this.#counts,
      retrying: this.#work.retrying,
      inFlight: this.#inFlight,
      lastError: this.#lastError,
    };
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#share.callOff();
    this.#reader.wake();
    await this.done.catch(() => {});
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #run(): Promise<void> {
    try {
      await this.#open();
      while (!this.#isEnding) await this.#goOn();
    } catch (error) {
      // A wait that was called off.
      const isAborted = error instanceof MillraceError && error.code === 'ML_ABORTED';
      if (!(this.#isStopping && isAborted)) this.#fail(error);
    }
    await this.#close();
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** A log that does not answer for a while, as when its broker is started again, ends nothing: what was read is kept meanwhile. */
  async #goOn(): Promise<void> {
    try {
      if (this.#isJoining || this.#share.isRebalancing) await this.#join();
      else await this.#step();
      this.#away = 0;
    } catch (error) {
      if (!(error instanceof MillraceError && error.retriable) || this.#isEnding) throw error;
      this.#logger.warn('the log of a webhook does not answer, and is asked again', { error });
      const waitMs = Math.min(WEBHOOK_WRITE_RETRY_MS, WEBHOOK_AWAY_MS * 2 ** this.#away++);
      await this.#log.env.timers.sleep(waitMs);
    }
  }

  get #isEnding(): boolean {
    return this.#isStopping || this.#failure !== undefined;
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    this.#reader.wake();
  }

  async #open(): Promise<void> {
    const found = (await this.#log.topics([this.#topic])).get(this.#topic);
    if (found === undefined) throw topicMissing(this.#topic);
    // A topic of the same name that is made later has other records at the same offsets.
    const hash = createHash('sha256').update(`${found.name} ${found.id}`).digest('hex');
    this.#idPrefix = `msg_${hash.slice(0, 16)}`;
    await this.#retries.open(found.partitions);
    if (this.#plan.enable) await this.#retries.enable();
  }

  /** Waits for records, for something that is due, or for an attempt that ends; then does what can be done. */
  async #step(): Promise<void> {
    for (const records of await this.#reader.poll(this.#waitMs())) this.#take(records);
    this.#dispatch();
    if (this.#work.isFull !== this.#isPaused) this.#pauseReading(this.#work.isFull);
    const nowMs = this.#log.env.clock.monotonicMs();
    if (nowMs - this.#committedMs < WEBHOOK_COMMIT_MS) return;
    this.#committedMs = nowMs;
    await this.#share.commitOrRejoin(this.#work.done());
  }

  #waitMs(): number {
    // An attempt that ends wakes it.
    if (this.#inFlight >= this.#limit) return CONSUME_WAIT_MS;
    const nowMs = this.#log.env.clock.nowMs();
    const untilMs = Math.max(this.#pausedUntilMs, this.#work.nextDueMs ?? 0);
    return untilMs <= nowMs ? CONSUME_WAIT_MS : Math.min(CONSUME_WAIT_MS, untilMs - nowMs);
  }

  /** Attempts at a time: one that fails again and again is asked one by one. */
  get #limit(): number {
    const isFailing = this.#failuresInARow >= WEBHOOK_FAILURES_IN_A_ROW;
    return isFailing ? 1 : this.#plan.endpoint.concurrency;
  }

  #pauseReading(isPaused: boolean): void {
    this.#isPaused = isPaused;
    if (isPaused) this.#reader.pause(this.#owned);
    else this.#reader.resume(this.#owned);
  }

  /** What is under way ends first, so that it counts. */
  async #join(): Promise<void> {
    this.#isJoining = true;
    await this.#settleAttempts(WEBHOOK_TIMEOUT_MS);
    this.#reader.unassign(this.#owned);
    const { partitions, committed } = await this.#share.join(this.#work.done());
    // What it had may be another's now: should this fail below, nothing of it is committed.
    this.#work.begin(new Map(), []);
    const topic = this.#topic;
    this.#owned = partitions.map((partition) => ({ topic, partition }));
    const { retries, disabledUrl } = await this.#retries.load(partitions);
    if (disabledUrl === this.#plan.endpoint.url.href) throw this.#disabled();
    const news = this.#owned.filter(({ partition }) => !committed.has(partition));
    const at = this.#plan.from === 'latest' ? 'stable' : 'beginning';
    const starts = await this.#log.offsets(news, at);
    const positions = new Map(committed);
    for (const [index, { partition }] of news.entries())
      positions.set(partition, starts[index] ?? 0);
    this.#work.begin(positions, retries);
    // From here on nothing is passed over, also when it ends before it has delivered anything.
    await this.#share.commitOrRejoin(this.#work.done());
    this.#reader.assign(
      [...positions].map(([partition, offset]) => ({ topic, partition, offset })),
    );
    this.#pauseReading(false);
    this.#isJoining = false;
    this.#state = 'running';
    this.#onReady();
  }

  #take(records: LogRecords): void {
    const { partition, from, next } = records;
    for (const batch of visibleBatches(records))
      while (batch.next()) {
        const { data, offset, timestamp, keyStart, keyEnd, valueStart, valueEnd } = batch;
        if (offset < from) continue;
        if (valueStart < 0) {
          this.#counts.skipped++;
          continue;
        }
        this.#work.add({
          partition,
          offset,
          timestamp,
          key: keyStart < 0 ? null : Buffer.from(data.subarray(keyStart, keyEnd)),
          value: Buffer.from(data.subarray(valueStart, valueEnd)),
          headers: batch.headerCount === 0 ? [] : copied(batch.headers()),
        });
      }
    this.#work.reach(partition, next);
  }

  #dispatch(): void {
    const nowMs = this.#log.env.clock.nowMs();
    if (nowMs < this.#pausedUntilMs || this.#isEnding || this.#share.isRebalancing) return;
    while (this.#inFlight < this.#limit) {
      const item = this.#work.next(nowMs);
      if (item === undefined) return;
      this.#inFlight++;
      this.#attempts.run('attempt', this.#attempt(item));
    }
  }

  async #attempt(item: Item): Promise<void> {
    try {
      const { signal } = this.#abort;
      const { partition, offset } = item.record;
      const outcome = await this.#sender.attempt(
        { id: `${this.#idPrefix}_${partition}_${offset}`, body: this.#bodyOf(item.record) },
        signal,
      );
      await this.#conclude(item, outcome);
    } finally {
      this.#inFlight--;
      this.#reader.wake();
    }
  }

  async #conclude(item: Item, outcome: Outcome): Promise<void> {
    switch (outcome.kind) {
      case 'delivered':
        this.#failuresInARow = 0;
        this.#counts.delivered++;
        if (!item.isStored || (await this.#durably(() => this.#retries.remove(item.record))))
          this.#work.settle(item);
        return;
      case 'failed':
        this.#counts.failures++;
        this.#lastError = outcome.error;
        this.#pauseEndpoint(outcome.afterMs);
        await this.#failed(item, outcome.error, outcome.afterMs);
        return;
      case 'gone':
        await this.#durably(() => this.#retries.disable(this.#plan.endpoint.url.href));
        this.#fail(this.#disabled());
        return;
      case 'aborted':
        // It counts as never begun: whoever goes on, here or elsewhere, finds it where it was.
        return;
    }
  }

  async #failed(item: Item, error: MillraceError, afterMs: number): Promise<void> {
    const attempts = item.attempts + 1;
    const delayMs = this.#plan.delaysMs[item.attempts];
    if (delayMs === undefined) {
      await this.#giveUp(item, error, attempts);
      return;
    }
    const { clock, random } = this.#log.env;
    const waitMs = Math.max(delayMs * (1 + JITTER * random.next()), afterMs);
    const dueMs = Math.round(clock.nowMs() + waitMs);
    const retry = { ...item.record, attempts, dueMs, error: error.message };
    if (!(await this.#durably(() => this.#retries.save(retry)))) return;
    item.attempts = attempts;
    item.dueMs = dueMs;
    this.#work.retry(item);
  }

  async #giveUp(item: Item, error: MillraceError, attempts: number): Promise<void> {
    const { deadTopic } = this.#plan;
    const { record } = item;
    const isWritten =
      deadTopic === undefined ||
      (await this.#durably(() => this.#writeDead(deadTopic, record, error, attempts)));
    if (!isWritten) return;
    if (item.isStored && !(await this.#durably(() => this.#retries.remove(record)))) return;
    this.#counts.deadLetters++;
    this.#work.settle(item);
  }

  async #writeDead(
    topic: string,
    { partition, offset, timestamp, key, value, headers }: WebhookRecord,
    error: MillraceError,
    attempts: number,
  ): Promise<void> {
    const told: RecordHeader[] = Object.entries({
      'webhook.name': this.name,
      'webhook.url': this.#plan.endpoint.url.href,
      'webhook.error': error.message,
      'webhook.attempts': String(attempts),
      'webhook.topic': this.#topic,
      'webhook.partition': String(partition),
      'webhook.offset': String(offset),
    }).map(([name, text]) => ({ key: name, value: text }));
    const spec = { name: topic, partitions: undefined, configs: ROOM };
    const partitions = await this.#producer.partitionsOf(spec);
    await this.#producer.append(topic, [
      {
        partition: this.#producer.partitionFor(key, partitions),
        timestamp,
        key,
        value,
        headers: [...headers, ...told],
      },
    ]);
  }

  /** An endpoint that fails in a row is left alone for a while, and one that says so for as long as it says. */
  #pauseEndpoint(afterMs: number): void {
    const times = ++this.#failuresInARow - WEBHOOK_FAILURES_IN_A_ROW;
    const pauseMs =
      times < 0 ? 0 : Math.min(WEBHOOK_PAUSE_MS_MAX, WEBHOOK_PAUSE_MS * 2 ** Math.min(times, 16));
    const untilMs = this.#log.env.clock.nowMs() + Math.max(pauseMs, afterMs);
    this.#pausedUntilMs = Math.max(this.#pausedUntilMs, untilMs);
  }

  /** Until it is on the disk. False: it ends before. */
  async #durably(write: () => Promise<unknown>): Promise<boolean> {
    for (;;) {
      try {
        await write();
        return true;
      } catch (error) {
        if (!(error instanceof MillraceError) || !error.retriable) throw error;
        this.#logger.warn('what became of a webhook cannot be written down', { error });
        if (this.#isEnding) return false;
        await this.#log.env.timers.sleep(WEBHOOK_WRITE_RETRY_MS);
      }
    }
  }

  #bodyOf({ value, timestamp }: WebhookRecord): Buffer {
    const { type } = this.#plan;
    if (type === undefined) return value;
    const time = new Date(timestamp < 0 ? this.#log.env.clock.nowMs() : timestamp).toISOString();
    return Buffer.from(
      `{"type":${JSON.stringify(type)},"timestamp":"${time}","data":${dataOf(value)}}`,
    );
  }

  #disabled(): MillraceError {
    this.#state = 'disabled';
    const { host } = this.#plan.endpoint.url;
    return new MillraceError(
      'ML_WEBHOOK_DISABLED',
      `${host} has answered 410 to webhook ${this.name}: it wants no more of topic ${this.#topic}`,
      { fields: { address: host, topic: this.#topic } },
    );
  }

  /** Waits for attempts that are under way; what takes longer is called off. */
  async #settleAttempts(withinMs: number): Promise<void> {
    const { timers } = this.#log.env;
    const late = timers.after(Math.min(withinMs, TIMER_DELAY_MS_MAX), () => this.#abort.abort());
    await this.#attempts.settled();
    late.cancel();
    if (this.#abort.signal.aborted) this.#abort = new AbortController();
  }

  async #close(): Promise<void> {
    await this.#settleAttempts(WEBHOOK_STOP_MS);
    this.#reader.close();
    try {
      await this.#share.leave(this.#work.done());
    } catch (error) {
      // The group finds out by itself; what was not committed is delivered once more.
      this.#logger.warn('the group of a webhook could not be left in order', { error });
    }
    await this.#producer.close();
    await this.#sender.close();
    if (this.#state !== 'disabled') this.#state = 'stopped';
  }
}

/** JSON as it is, everything else as text. */
function dataOf(value: Buffer): string {
  const text = isUtf8(value) ? value.toString('utf8') : value.toString('base64');
  try {
    JSON.parse(text);
    return text;
  } catch {
    return JSON.stringify(text);
  }
}
