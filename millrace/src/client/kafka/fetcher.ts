/**
 * Reads partitions of one topic from where each stands. Owns: the position of each partition, and one Fetch request per broker
 * that is under way while the answer before it is worked on.
 */
import type { Infer } from '../../wire/kafka/schema.ts';
import { MillraceError } from '../../core/errors.ts';
import {
  CLI_FETCH_BYTES,
  CLI_FETCH_PARTITION_BYTES,
  CLI_REQUEST_MS,
  CLI_RETRY_MS,
} from '../../core/limits.ts';
import { messages } from '../../wire/kafka/registry.ts';
import type { Cluster, Topic } from './cluster.ts';
import { nextOffset, type FetchedRecords } from './fetched-records.ts';
import { accept, refusedWith } from './refusal.ts';

export interface FetcherOptions {
  readonly topic: string;
  /** Also what transactions that are open, or were aborted, have written. */
  readonly uncommitted: boolean;
  /** Bytes of one answer, and of one partition in it. Default CLI_FETCH_BYTES and CLI_FETCH_PARTITION_BYTES. */
  readonly bytesMax?: number;
}

/** How long a broker waits for records before it answers with none. */
const WAIT_MS = 1000;
const RETRY_MS = 200;
const READ_UNCOMMITTED = 0;
const READ_COMMITTED = 1;

interface Answer {
  readonly node: number;
  readonly fetched: FetchedRecords[];
}

type FetchAnswer = Infer<(typeof messages)[1]['response']>;

export class Fetcher {
  readonly #cluster: Cluster;
  readonly #options: FetcherOptions;
  readonly #positions: Map<number, number>;
  readonly #underWay = new Map<number, Promise<Answer>>();
  #topic: Topic;
  #failingSinceMs: number | undefined;
  #wake: () => void = () => {};

  /** @param positions the offset to begin with, by partition */
  constructor(
    cluster: Cluster,
    topic: Topic,
    positions: ReadonlyMap<number, number>,
    options: FetcherOptions,
  ) {
    this.#cluster = cluster;
    this.#topic = topic;
    this.#positions = new Map(positions);
    this.#options = options;
  }

  /** Reads that partition no further. */
  drop(partition: number): void {
    this.#positions.delete(partition);
  }

  /**
   * What arrives next, of any partition; nothing after a while without records, or at `wake`, which is all that ends a poll
   * without partitions.
   * @throws {MillraceError} when a broker remains unreachable or refuses; ML_OFFSET_OUT_OF_RANGE, with `partition`, when what is
   * to be read next has been deleted
   */
  async poll(): Promise<FetchedRecords[]> {
    this.#ask();
    const first = await Promise.race([
      ...this.#underWay.values(),
      new Promise<undefined>((resolve) => {
        this.#wake = () => resolve(undefined);
      }),
    ]);
    if (first === undefined) return [];
    this.#underWay.delete(first.node);
    // Asked for already while the caller works on what has come.
    this.#ask();
    return first.fetched.filter(({ partition }) => this.#positions.has(partition));
  }

  /** Makes a `poll` that waits return. */
  wake(): void {
    this.#wake();
  }

  #ask(): void {
    for (const [node, partitions] of this.#partitionsByLeader()) {
      if (this.#underWay.has(node)) continue;
      const answer = this.#fetch(node, partitions).then((fetched) => ({ node, fetched }));
      // Who stops reading does not wait for it any more.
      answer.catch(() => {});
      this.#underWay.set(node, answer);
    }
  }

  #partitionsByLeader(): Map<number, number[]> {
    const byLeader = new Map<number, number[]>();
    for (const partition of this.#positions.keys()) {
      const leader = this.#topic.leaders[partition] ?? -1;
      const partitions = byLeader.get(leader);
      if (partitions === undefined) byLeader.set(leader, [partition]);
      else partitions.push(partition);
    }
    return byLeader;
  }

  async #fetch(node: number, partitions: readonly number[]): Promise<FetchedRecords[]> {
    try {
      const fetched = this.#take(await this.#request(node, partitions));
      this.#failingSinceMs = undefined;
      return fetched;
    } catch (error) {
      if (!(error instanceof MillraceError && error.retriable)) throw error;
      const { clock, timers } = this.#cluster.env;
      this.#failingSinceMs ??= clock.monotonicMs();
      if (clock.monotonicMs() - this.#failingSinceMs > CLI_RETRY_MS) throw error;
      await timers.sleep(RETRY_MS);
      // Other brokers may lead the partitions by now: the next round asks them.
      this.#topic = await this.#cluster.topic(this.#options.topic);
      return [];
    }
  }

  #request(node: number, partitions: readonly number[]): Promise<FetchAnswer> {
    const { topic, uncommitted, bytesMax } = this.#options;
    return this.#cluster.callOn(
      node,
      messages[1],
      {
        maxWaitMs: WAIT_MS,
        minBytes: 1,
        maxBytes: bytesMax ?? CLI_FETCH_BYTES,
        isolationLevel: uncommitted ? READ_UNCOMMITTED : READ_COMMITTED,
        topics: [
          {
            topic,
            partitions: partitions.map((partition) => ({
              partition,
              fetchOffset: this.#positions.get(partition) ?? 0,
              partitionMaxBytes: bytesMax ?? CLI_FETCH_PARTITION_BYTES,
            })),
          },
        ],
      },
      { timeoutMs: WAIT_MS + CLI_REQUEST_MS },
    );
  }

  #take(answer: FetchAnswer): FetchedRecords[] {
    accept(answer.errorCode);
    const taken: FetchedRecords[] = [];
    for (const { partitions } of answer.responses) {
      for (const each of partitions) {
        const from = this.#positions.get(each.partitionIndex);
        if (from === undefined) continue;
        this.#acceptPartition(each.partitionIndex, from, each.errorCode);
        const bytes = each.records ?? Buffer.alloc(0);
        const next = nextOffset(bytes, from);
        if (next === from) continue;
        this.#positions.set(each.partitionIndex, next);
        const aborted = (each.abortedTransactions ?? []).toSorted(
          (a, b) => a.firstOffset - b.firstOffset,
        );
        taken.push({ partition: each.partitionIndex, from, next, bytes, aborted });
      }
    }
    return taken;
  }

  #acceptPartition(partition: number, offset: number, code: number): void {
    try {
      accept(code);
    } catch (error) {
      if (refusedWith(error) !== 'OFFSET_OUT_OF_RANGE') throw error;
      throw new MillraceError(
        'ML_OFFSET_OUT_OF_RANGE',
        `partition ${partition} of topic ${this.#options.topic} does not have offset ${offset} any more`,
        {
          hint: 'Records were deleted while they were read: read again, from the beginning or from a later offset',
          fields: { partition, offset },
        },
      );
    }
  }
}
