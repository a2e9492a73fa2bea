/**
 * Records of a topic, one after the other, for `for await`: by itself, or as a member of a consumer group.
 *
 *     poll → records handed out one by one → taken when the next one is asked for → committed now and then (groups)
 *
 * Invariant: nothing is committed that was not taken.
 */
import type { Log, LogReader, LogRecords } from '../client/log.ts';
import { visibleBatches } from '../client/kafka/fetched-records.ts';
import { MillraceError } from '../core/errors.ts';
import {
  CONSUME_COMMIT_MS,
  CONSUME_COMMIT_MS_MAX,
  CONSUME_COMMIT_MS_MIN,
  CONSUME_WAIT_MS,
} from '../core/limits.ts';
import { checkOptionNames, type OptionNames } from '../core/option-names.ts';
import type { Duration } from '../flow/durations.ts';
import type { Serde } from '../flow/serde.ts';
import type { TopicPort } from '../flow/topic-port.ts';
import { commitIntervalMs } from './commit-interval.ts';
import { ConsumerShare } from '../client/consumer-share.ts';
import type { ConsumedRecord, RecordHeaderField } from './records.ts';
import { partitionsOf } from './topic-admin.ts';

const COMMIT_BOUNDS = { minMs: CONSUME_COMMIT_MS_MIN, maxMs: CONSUME_COMMIT_MS_MAX };

/** Where reading begins: a time is that of the first record that is not older. */
export type ConsumeFrom = 'beginning' | 'latest' | Date | Readonly<Record<number, number>>;

export interface ConsumeOptions {
  /**
   * Reads as a member of this group: its members share the partitions, and what they have taken is committed, so that the next one goes
   * on there. At least once: what was taken since the last commit (a second, at most) is read again after a crash, or when another member
   * takes over.
   */
  readonly group?: string;
  /** Default `beginning`. In a group: where it begins with partitions of which it has committed nothing. Offsets by partition are for
   * readers without a group; partitions that are not named are not read then. */
  readonly from?: ConsumeFrom;
  /** `now`: ends where the topic ends when it begins to read. Default: goes on. */
  readonly until?: 'now';
  /** Also reads what transactions that are open, or were aborted, have written. Default false. */
  readonly uncommitted?: boolean;
  /** Between commits of a group: 10 ms to 1 minute. Default 1 second. */
  readonly commitInterval?: Duration;
  /** Gets records that cannot be decoded, which are left out then. Default: the first one ends the loop with ML_INPUT_MALFORMED. */
  readonly onMalformed?: (error: MillraceError) => void;
  /** Ends the loop, in order. */
  readonly signal?: AbortSignal;
}

const CONSUME_OPTIONS: OptionNames<ConsumeOptions> = {
  group: true,
  from: true,
  until: true,
  uncommitted: true,
  commitInterval: true,
  onMalformed: true,
  signal: true,
};

/** What `consume` returns. It can be gone through once. */
export interface Consumption<Value, Key>
  extends AsyncIterable<ConsumedRecord<Value, Key>>,
    AsyncDisposable {
  /**
   * Commits all records that were handed out, the last one included, for a group. By itself a record counts as taken when the next one is
   * asked for: not when its loop is left by `break` or by an error, unless this was called before.
   * @throws {MillraceError} ML_GROUP_LOST: another member has taken over; ML_USAGE without a group
   */
  commit(): Promise<void>;
  /** Ends the loop, commits what was taken, leaves the group. Idempotent. */
  close(): Promise<void>;
}

type Records = AsyncGenerator<ConsumedRecord<unknown, unknown>, undefined, undefined>;

export class TopicConsumption implements Consumption<unknown, unknown> {
  readonly #log: Log;
  readonly #port: TopicPort;
  readonly #options: ConsumeOptions;
  readonly #reader: LogReader;
  readonly #share: ConsumerShare | undefined;
  readonly #onClosed: () => void;
  /** Of each partition the offset after what was taken. */
  readonly #taken = new Map<number, number>();
  /** Where partitions end for `until`. */
  #ends: ReadonlyMap<number, number> | undefined;
  #last: { readonly partition: number; readonly offset: number } | undefined;
  readonly #commitIntervalMs: number;
  #committedMs = 0;
  #records: Records | undefined;
  #isClosed = false;

  constructor(
    log: Log,
    port: TopicPort,
    parts: { readonly options: ConsumeOptions; readonly onClosed: () => void },
  ) {
    const { options, onClosed } = parts;
    checkOptions(options);
    this.#commitIntervalMs = commitIntervalMs(
      options.commitInterval ?? CONSUME_COMMIT_MS,
      COMMIT_BOUNDS,
    );
    this.#log = log;
    this.#port = port;
    this.#options = options;
    this.#onClosed = onClosed;
    this.#reader = log.reader({ uncommitted: options.uncommitted ?? false });
    if (options.group !== undefined)
      this.#share = new ConsumerShare(log, {
        group: options.group,
        topic: port.name,
        onRebalance: () => {
          this.#reader.wake();
        },
      });
    const end = (): void => {
      this.#end();
    };
    if (options.signal?.aborted === true) end();
    options.signal?.addEventListener('abort', end, { once: true });
  }

  [Symbol.asyncIterator](): Records {
    if (this.#records !== undefined)
      throw new MillraceError('ML_USAGE', 'a consumption can be gone through once', {
        hint: 'Call consume once more',
      });
    this.#records = this.#run();
    return this.#records;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async commit(): Promise<void> {
    if (this.#share === undefined)
      throw new MillraceError('ML_USAGE', 'only what is read in a group is committed', {
        hint: 'Give consume a group',
      });
    if (this.#last !== undefined) this.#taken.set(this.#last.partition, this.#last.offset + 1);
    await this.#share.commit(this.#taken);
  }

  async close(): Promise<void> {
    this.#end();
    if (this.#records === undefined) await this.#release();
    else await this.#records.return(undefined);
  }

  #end(): void {
    this.#isClosed = true;
    this.#share?.callOff();
    this.#reader.wake();
  }

  async *#run(): Records {
    try {
      if (!this.#isClosed) await this.#begin();
      while (!this.#isClosed && !this.#isAtEnd()) {
        if (this.#share?.isRebalancing === true) {
          await this.#join(this.#share);
          continue;
        }
        for (const records of await this.#reader.poll(CONSUME_WAIT_MS)) {
          yield* this.#visible(records);
          if (this.#mustStop) break;
        }
        await this.#commitDue();
      }
    } catch (error) {
      if (!this.#isCalledOff(error)) throw error;
    } finally {
      await this.#release();
    }
    return undefined;
  }

  /** What comes of a wait that is called off. */
  #isCalledOff(error: unknown): boolean {
    return this.#isClosed && error instanceof MillraceError && error.code === 'ML_ABORTED';
  }

  get #mustStop(): boolean {
    return this.#isClosed || this.#share?.isRebalancing === true;
  }

  async #begin(): Promise<void> {
    const { name } = this.#port;
    const { places } = await partitionsOf(this.#log, name);
    if (this.#options.until === 'now') {
      const ends = await this.#log.offsets(places, this.#options.uncommitted ? 'end' : 'stable');
      this.#ends = new Map(places.map(({ partition }, index) => [partition, ends[index] ?? 0]));
    }
    this.#committedMs = this.#log.env.clock.monotonicMs();
    if (this.#share === undefined)
      await this.#assign(await this.#startOf(places.map(({ partition }) => partition)));
    else await this.#join(this.#share);
  }

  /** Commits what was taken, and gets a new share; records of the old one that were not taken come again, here or elsewhere. */
  async #join(share: ConsumerShare): Promise<void> {
    this.#reader.unassign(this.#places([...this.#taken.keys()]));
    const { partitions, committed } = await share.join(this.#taken);
    const news = partitions.filter((partition) => !committed.has(partition));
    const starts = await this.#startOf(news);
    this.#taken.clear();
    await this.#assign(new Map([...committed, ...starts]));
  }

  async #assign(positions: ReadonlyMap<number, number>): Promise<void> {
    const { name: topic } = this.#port;
    for (const [partition, offset] of positions) this.#taken.set(partition, offset);
    this.#reader.assign(
      [...positions]
        .filter(([partition, offset]) => offset < this.#endOf(partition))
        .map(([partition, offset]) => ({ topic, partition, offset })),
    );
  }

  async #startOf(partitions: readonly number[]): Promise<ReadonlyMap<number, number>> {
    const from = this.#options.from ?? 'beginning';
    const places = this.#places(partitions);
    if (typeof from === 'object' && !(from instanceof Date)) {
      const named = Object.entries(from).map(([partition, offset]) => [Number(partition), offset]);
      for (const [partition = -1] of named)
        if (!partitions.includes(partition)) throw noPartition(this.#port.name, partition);
      return new Map(named as [number, number][]);
    }
    const ends = await this.#log.offsets(places, this.#options.uncommitted ? 'end' : 'stable');
    const at = from instanceof Date ? { timestamp: Math.max(0, from.getTime()) } : 'beginning';
    const starts = from === 'latest' ? ends : await this.#log.offsets(places, at);
    return new Map(
      partitions.map((partition, index) => [partition, starts[index] ?? ends[index] ?? 0]),
    );
  }

  async *#visible(records: LogRecords): Records {
    const { partition } = records;
    const end = this.#endOf(partition);
    for (const batch of visibleBatches(records)) {
      while (batch.next()) {
        const { offset } = batch;
        if (offset < records.from) continue;
        if (offset >= end) break;
        const record = this.#decode(partition, batch);
        const whole = record instanceof Promise ? await record : record;
        if (whole !== undefined) {
          this.#last = { partition, offset };
          yield whole;
          this.#last = undefined;
        }
        // Asked for the next one: this one is taken.
        this.#taken.set(partition, offset + 1);
        if (this.#mustStop) return undefined;
        if (this.#isDue()) await this.#commitDue();
      }
    }
    this.#taken.set(partition, Math.min(records.next, end));
    if (records.next >= end) this.#reader.unassign(this.#places([partition]));
    return undefined;
  }

  /** undefined: it is malformed, and was told. */
  #decode(partition: number, batch: Batch): Decoded | Promise<Decoded> {
    const { data, offset, timestamp } = batch;
    const { name: topic, key: keySerde, value: valueSerde } = this.#port;
    const headers = batch.headerCount === 0 ? [] : headersOf(batch);
    try {
      const key = decodeField(keySerde, data, batch.keyStart, batch.keyEnd);
      const value = decodeField(valueSerde, data, batch.valueStart, batch.valueEnd);
      if (!(key instanceof Promise) && !(value instanceof Promise))
        return { topic, partition, offset, key, value, timestamp, headers };
      return Promise.all([key, value]).then(
        ([decodedKey, decoded]) => ({
          topic,
          partition,
          offset,
          key: decodedKey,
          value: decoded,
          timestamp,
          headers,
        }),
        (error: unknown) => this.#malformed(error, partition, offset),
      );
    } catch (error) {
      return this.#malformed(error, partition, offset);
    }
  }

  /** @throws {MillraceError} ML_INPUT_MALFORMED unless somebody wants to hear of it */
  #malformed(cause: unknown, partition: number, offset: number): undefined {
    const { name: topic } = this.#port;
    const reason = cause instanceof Error ? cause.message : String(cause);
    const error = new MillraceError(
      'ML_INPUT_MALFORMED',
      `topic ${topic} partition ${partition} offset ${offset}: the record cannot be decoded: ${reason}`,
      {
        cause,
        fields: { topic, partition, offset },
        hint: 'Correct the serde of the topic, or leave such records out with onMalformed',
      },
    );
    if (this.#options.onMalformed === undefined) throw error;
    this.#options.onMalformed(error);
    return undefined;
  }

  #endOf(partition: number): number {
    return this.#ends === undefined ? Infinity : (this.#ends.get(partition) ?? 0);
  }

  #isAtEnd(): boolean {
    if (this.#ends === undefined || this.#share?.isRebalancing === true) return false;
    for (const [partition, offset] of this.#taken)
      if (offset < this.#endOf(partition)) return false;
    return true;
  }

  #places(partitions: readonly number[]) {
    return partitions.map((partition) => ({ topic: this.#port.name, partition }));
  }

  #isDue(): boolean {
    if (this.#share === undefined) return false;
    return this.#log.env.clock.monotonicMs() - this.#committedMs >= this.#commitIntervalMs;
  }

  async #commitDue(): Promise<void> {
    if (!this.#isDue()) return;
    await this.#share?.commitOrRejoin(this.#taken);
    this.#committedMs = this.#log.env.clock.monotonicMs();
  }

  /** Idempotent. */
  async #release(): Promise<void> {
    this.#isClosed = true;
    this.#reader.close();
    try {
      await this.#share?.leave(this.#taken);
    } finally {
      this.#onClosed();
    }
  }
}

type Batch = ReturnType<typeof visibleBatches> extends Generator<infer Reader> ? Reader : never;
type Decoded = ConsumedRecord<unknown, unknown> | undefined;

function decodeField(serde: Serde<unknown>, data: Buffer, start: number, end: number): unknown {
  return start < 0 ? null : serde.decode(data, start, end);
}

/** The memory of a batch is used again. */
function headersOf(batch: Batch): RecordHeaderField[] {
  return batch
    .headers()
    .map(({ key, value }) => ({ name: key, value: value === null ? null : Buffer.from(value) }));
}

function checkOptions(options: ConsumeOptions): void {
  checkOptionNames('consume', options, CONSUME_OPTIONS);
  const { group, from } = options;
  const isOffsets = typeof from === 'object' && !(from instanceof Date);
  if (group !== undefined && isOffsets)
    throw new MillraceError('ML_USAGE', 'a group goes on where it stands: from takes no offsets', {
      hint: 'Leave out group, or move the group with: millrace group reset',
    });
  if (from instanceof Date && Number.isNaN(from.getTime()))
    throw new MillraceError('ML_USAGE', 'from is a Date that is none', {
      hint: 'Look at what it was made of',
    });
}

function noPartition(topic: string, partition: number): MillraceError {
  return new MillraceError('ML_TOPIC_MISSING', `topic ${topic} has no partition ${partition}`, {
    fields: { topic, partition },
  });
}
