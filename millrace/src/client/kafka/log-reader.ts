/**
 * Reads partitions of many topics, each from where it stands. Owns: the position of each partition, and the Fetch requests that are
 * under way: as a rule one at each broker. While that one waits for records, one more asks, over a connection of its own, for
 * partitions that were assigned or resumed since.
 *
 * Invariants
 * - A partition is in at most one request, and is not asked for again before `poll` has handed out what came of it: what is held is
 *   bounded by LOG_FETCHES_MAX answers of each broker, and as many that are under way.
 * - What was asked for before an `assign` of the same partition, or an `unassign`, is never handed out.
 */
import { MillraceError } from '../../core/errors.ts';
import {
  LOG_REQUEST_MS,
  LOG_RETRY_MS,
  LOG_FETCH_BYTES,
  LOG_FETCH_PARTITION_BYTES,
  LOG_FETCHES_MAX,
  LOG_TOPIC_MISSING_MS,
} from '../../core/limits.ts';
import { errorName } from '../../wire/kafka/error-codes.ts';
import { messages } from '../../wire/kafka/registry.ts';
import type { Infer } from '../../wire/kafka/schema.ts';
import type { LogReader, LogRecords, ReaderOptions, TopicPartition } from '../log.ts';
import type { Cluster } from './cluster.ts';
import { nextOffset } from './fetched-records.ts';
import { byTopic, PartitionLeaders } from './partition-leaders.ts';
import { accept, refusal, topicMissing } from './refusal.ts';

/** How long a broker waits for records before it answers with none. */
const WAIT_MS = 500;
/** The same for a request beside that one, so that soon one request asks for all again. */
const SHORT_WAIT_MS = 20;
const RETRY_MS = 100;
const READ_UNCOMMITTED = 0;
const READ_COMMITTED = 1;
const NOTHING = Buffer.alloc(0);

type PartitionAnswer = Infer<
  (typeof messages)[1]['response']
>['responses'][number]['partitions'][number];

/** A partition from an `assign` to the next, or to its `unassign`. */
interface Assigned extends TopicPartition {
  position: number;
  isPaused: boolean;
  isUnderWay: boolean;
  /** No broker has said yet where it ends. */
  isNew: boolean;
  /** There was nothing more of it. */
  isIdle: boolean;
  /** Since when the brokers say that it does not exist. */
  missingSinceMs: number | undefined;
  /** Why it cannot be read. */
  failure: MillraceError | undefined;
}

interface Arrived {
  readonly of: Assigned;
  readonly records: LogRecords | undefined;
}

export class KafkaLogReader implements LogReader {
  /** Requests of one lane wait for one another. */
  readonly #lanes: readonly Cluster[];
  readonly #leaders: PartitionLeaders;
  readonly #options: ReaderOptions;
  readonly #onClose: () => void;
  readonly #assigned = new Map<string, Map<number, Assigned>>();
  /** Lanes that are in use, by broker. */
  readonly #busy = new Map<number, Set<number>>();
  #arrived: Arrived[] = [];
  #failure: unknown;
  #failingSinceMs: number | undefined;
  #isRefreshing = false;
  /** A broker has refused: a pause comes before the next question. */
  #isCautious = false;
  #isAwake = false;
  #isClosed = false;
  #onArrival: () => void = () => {};

  constructor(cluster: Cluster, options: ReaderOptions, onClose: () => void = () => {}) {
    this.#lanes = Array.from({ length: LOG_FETCHES_MAX }, () => cluster.another());
    this.#leaders = new PartitionLeaders(this.#lane(0));
    this.#options = options;
    this.#onClose = onClose;
  }

  assign(positions: readonly (TopicPartition & { readonly offset: number })[]): void {
    for (const { topic, partition, offset } of positions) {
      let partitions = this.#assigned.get(topic);
      if (partitions === undefined) this.#assigned.set(topic, (partitions = new Map()));
      partitions.set(partition, {
        topic,
        partition,
        position: offset,
        isPaused: partitions.get(partition)?.isPaused ?? false,
        isUnderWay: false,
        isNew: true,
        isIdle: false,
        missingSinceMs: undefined,
        failure: undefined,
      });
    }
    this.#ask();
  }

  unassign(partitions: readonly TopicPartition[]): void {
    for (const { topic, partition } of partitions) {
      const some = this.#assigned.get(topic);
      some?.delete(partition);
      if (some?.size === 0) this.#assigned.delete(topic);
    }
  }

  pause(partitions: readonly TopicPartition[]): void {
    for (const each of partitions) {
      const assigned = this.#find(each);
      if (assigned !== undefined) assigned.isPaused = true;
    }
  }

  resume(partitions: readonly TopicPartition[]): void {
    for (const each of partitions) {
      const assigned = this.#find(each);
      if (assigned !== undefined) assigned.isPaused = false;
    }
    this.#ask();
  }

  async poll(waitMs: number): Promise<readonly LogRecords[]> {
    this.#check();
    this.#ask();
    if (!this.#isAwake && !this.#hasNews) await this.#wait(waitMs);
    this.#isAwake = false;
    this.#check();
    const taken = this.#take();
    this.#ask();
    return taken;
  }

  wake(): void {
    this.#isAwake = true;
    this.#onArrival();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#assigned.clear();
    this.#arrived = [];
    this.#onArrival();
    // Closing ends what is under way; nobody waits for it.
    for (const lane of this.#lanes) lane.close().catch(() => {});
    this.#onClose();
  }

  get #hasNews(): boolean {
    return (
      this.#arrived.length > 0 || this.#failure !== undefined || this.#unreadable() !== undefined
    );
  }

  async #wait(waitMs: number): Promise<void> {
    const { timers } = this.#lane(0).env;
    await new Promise<void>((resolve) => {
      this.#onArrival = resolve;
      // Without a wait, what lies ready in the sockets still comes.
      if (waitMs <= 0) {
        timers.immediate(resolve);
        return;
      }
      const timer = timers.after(waitMs, resolve);
      this.#onArrival = () => {
        timer.cancel();
        resolve();
      };
    });
    this.#onArrival = () => {};
  }

  #check(): void {
    if (this.#isClosed) throw new MillraceError('ML_ABORTED', 'the reader is closed');
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) throw failure;
  }

  /** What has arrived and still counts. @throws {MillraceError} what is wrong with a partition */
  #take(): LogRecords[] {
    const taken: LogRecords[] = [];
    for (const { of, records } of this.#arrived) {
      of.isUnderWay = false;
      if (records === undefined || this.#find(of) !== of) continue;
      of.position = records.next;
      taken.push(records);
    }
    this.#arrived = [];
    const failure = taken.length > 0 ? undefined : this.#unreadable();
    if (failure !== undefined) throw failure;
    return taken;
  }

  /** Why one of the partitions cannot be read. */
  #unreadable(): MillraceError | undefined {
    for (const partitions of this.#assigned.values())
      for (const { failure } of partitions.values()) if (failure !== undefined) return failure;
    return undefined;
  }

  #find({ topic, partition }: TopicPartition): Assigned | undefined {
    return this.#assigned.get(topic)?.get(partition);
  }

  #lane(index: number): Cluster {
    const lane = this.#lanes[index];
    if (lane === undefined) throw new MillraceError('ML_ASSERT', `a reader has no lane ${index}`);
    return lane;
  }

  /** Sends a request for all that is not asked for yet, where there is a lane for it. */
  #ask(): void {
    if (this.#isClosed) return;
    const byLeader = new Map<number, Assigned[]>();
    const unknown: Assigned[] = [];
    for (const [topic, partitions] of this.#assigned) {
      for (const [partition, assigned] of partitions) {
        if (assigned.isPaused || assigned.isUnderWay || assigned.failure !== undefined) continue;
        const leader = this.#leaders.leaderOf(topic, partition);
        if (leader === undefined) {
          unknown.push(assigned);
          continue;
        }
        const some = byLeader.get(leader);
        if (some === undefined) byLeader.set(leader, [assigned]);
        else some.push(assigned);
      }
    }
    for (const [leader, some] of byLeader) this.#askAt(leader, some);
    if (unknown.length > 0) this.#refresh(unknown);
  }

  #askAt(node: number, partitions: readonly Assigned[]): void {
    const busy = this.#busy.get(node) ?? new Set<number>();
    this.#busy.set(node, busy);
    const free = this.#lanes.findIndex((_, lane) => !busy.has(lane));
    if (free < 0) return;
    // A short request is under way: when it comes back, one asks for all of them.
    if (free === 0 && busy.size > 0 && partitions.every(({ isIdle }) => isIdle)) return;
    busy.add(free);
    for (const each of partitions) each.isUnderWay = true;
    const lane = this.#lane(free);
    const waitMs = free === 0 ? WAIT_MS : SHORT_WAIT_MS;
    this.#fetch(lane, node, { partitions, waitMs }).then(
      (arrived) => {
        busy.delete(free);
        this.#arrive(arrived);
      },
      (error: unknown) => {
        busy.delete(free);
        for (const each of partitions) each.isUnderWay = false;
        this.#failed(error, partitions);
      },
    );
  }

  #arrive(arrived: readonly Arrived[]): void {
    this.#failingSinceMs = undefined;
    for (const each of arrived) {
      if (each.records === undefined) each.of.isUnderWay = false;
      else this.#arrived.push(each);
    }
    const hasFailed = arrived.some(({ of }) => of.failure !== undefined);
    if (this.#arrived.length > 0 || hasFailed) this.#onArrival();
    // What had nothing to tell is asked for at once.
    this.#ask();
  }

  /** A broker is gone, or others lead by now: asks who, and goes on, for a while. */
  #failed(error: unknown, partitions: readonly Assigned[]): void {
    if (this.#isClosed) return;
    const { clock } = this.#lane(0).env;
    this.#failingSinceMs ??= clock.monotonicMs();
    this.#isCautious = true;
    const isPassing = error instanceof MillraceError && error.retriable;
    if (!isPassing || clock.monotonicMs() - this.#failingSinceMs > LOG_RETRY_MS) {
      this.#failingSinceMs = undefined;
      this.#failure = error;
      this.#onArrival();
      return;
    }
    this.#refresh(partitions);
  }

  /** Asks who leads, after a pause when that was asked before; then for records. */
  #refresh(partitions: readonly Assigned[]): void {
    if (this.#isRefreshing || this.#isClosed) return;
    this.#isRefreshing = true;
    this.#findLeaders(partitions).then(
      () => {
        this.#isRefreshing = false;
        this.#ask();
      },
      (error: unknown) => {
        this.#isRefreshing = false;
        this.#failed(error, partitions);
      },
    );
  }

  async #findLeaders(partitions: readonly Assigned[]): Promise<void> {
    const { timers, clock } = this.#lane(0).env;
    // It keeps the process alive, which a connection that is lost does not.
    if (this.#isCautious) await timers.sleep(RETRY_MS);
    if (this.#isClosed) return;
    this.#isCautious = false;
    await this.#leaders.refresh(partitions.map(({ topic }) => topic));
    const nowMs = clock.monotonicMs();
    for (const each of partitions) {
      if (this.#leaders.leaderOf(each.topic, each.partition) === undefined)
        this.#missing(each, nowMs);
    }
  }

  #missing(assigned: Assigned, nowMs: number): void {
    assigned.missingSinceMs ??= nowMs;
    this.#isCautious = true;
    if (nowMs - assigned.missingSinceMs < LOG_TOPIC_MISSING_MS) return;
    assigned.failure = topicMissing(assigned.topic, assigned.partition);
    this.#onArrival();
  }

  async #fetch(
    lane: Cluster,
    node: number,
    { partitions, waitMs }: { readonly partitions: readonly Assigned[]; readonly waitMs: number },
  ): Promise<Arrived[]> {
    const { uncommitted, bytesMax, partitionBytesMax } = this.#options;
    // Where a partition ends is told at once; only then is waited for more.
    const maxWaitMs = partitions.some(({ isNew }) => isNew) ? 0 : waitMs;
    const answer = await lane.callOn(
      node,
      messages[1],
      {
        maxWaitMs,
        minBytes: 1,
        maxBytes: bytesMax ?? LOG_FETCH_BYTES,
        isolationLevel: uncommitted ? READ_UNCOMMITTED : READ_COMMITTED,
        topics: [...byTopic(partitions)].map(([topic, some]) => ({
          topic,
          partitions: some.map(({ partition, position }) => ({
            partition,
            fetchOffset: position,
            partitionMaxBytes: partitionBytesMax ?? LOG_FETCH_PARTITION_BYTES,
          })),
        })),
      },
      { timeoutMs: WAIT_MS + LOG_REQUEST_MS },
    );
    accept(answer.errorCode);
    const byPlace = new Map<string, PartitionAnswer>();
    for (const { topic, partitions: some } of answer.responses)
      for (const each of some) byPlace.set(`${topic} ${each.partitionIndex}`, each);
    return partitions.map((of) => {
      const found = byPlace.get(`${of.topic} ${of.partition}`);
      return { of, records: found === undefined ? undefined : this.#recordsOf(of, found) };
    });
  }

  /** undefined: nothing to tell. */
  #recordsOf(of: Assigned, answer: PartitionAnswer): LogRecords | undefined {
    if (answer.errorCode !== 0) {
      this.#refused(of, answer);
      return undefined;
    }
    of.missingSinceMs = undefined;
    of.isNew = false;
    const bytes = answer.records ?? NOTHING;
    const from = of.position;
    const next = nextOffset(bytes, from);
    const end = this.#options.uncommitted ? answer.highWatermark : answer.lastStableOffset;
    of.isIdle = next === from && end <= from;
    if (next === from && end > from) return undefined;
    const aborted = (answer.abortedTransactions ?? []).toSorted(
      (a, b) => a.firstOffset - b.firstOffset,
    );
    return { topic: of.topic, partition: of.partition, from, next, bytes, aborted, end };
  }

  #refused(of: Assigned, { errorCode, logStartOffset, highWatermark }: PartitionAnswer): void {
    const name = errorName(errorCode);
    const { topic, partition, position } = of;
    if (name === 'OFFSET_OUT_OF_RANGE') {
      of.failure = new MillraceError(
        'ML_OFFSET_OUT_OF_RANGE',
        `partition ${partition} of topic ${topic} does not have offset ${position}`,
        {
          hint: 'Records were deleted before they were read, or the topic was made anew: read from an offset that it has',
          fields: { topic, partition, offset: position, logStartOffset, highWatermark },
        },
      );
      return;
    }
    const error = refusal(errorCode, `topic ${topic} partition ${partition} offset ${position}`);
    if (!error.retriable) {
      of.failure = error;
      return;
    }
    // Another broker leads it, or it is gone: who does is asked before it is asked for again.
    this.#leaders.forget(topic);
    this.#isCautious = true;
    if (name === 'UNKNOWN_TOPIC_OR_PARTITION')
      this.#missing(of, this.#lane(0).env.clock.monotonicMs());
  }
}
