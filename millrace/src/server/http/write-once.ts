/**
 * Writes what has an id once to a topic, whatever happens between: the id is part of the record, so it is on the disk when the record is,
 * and when it is not known what is there, the topic is looked through.
 *
 *     known? ─▶ answered as it was ·· under way? ─▶ waits for that ·· else ─▶ appended ─▶ durable ─▶ known
 *
 * A request of several records may have been cut in the middle, by a crash or by a log that refuses: who sends it again has the rest
 * written.
 *
 * Invariants
 * - What is known is on the disk, and what of this topic is on the disk below `#floors` is known, or beyond what is remembered.
 * - Between the look at what is known and the entry in `#pending` nothing waits: of two that are the same one is the first.
 */
import type { GroupedProducer, PlacedAt } from '../../client/grouped-producer.ts';
import type { Log, TopicPartition } from '../../client/log.ts';
import { ONCE_LOOK_RECORDS_MAX, ONCE_STEP_RECORDS } from '../../core/direct-limits.ts';
import { assert } from '../../core/errors.ts';
import type { RecordReader } from '../../wire/kafka/records/record-reader.ts';
import { badRequest } from './http-errors.ts';
import { lookBack } from './look-back.ts';
import { type OnceEntry, OnceFindings, type OnceMark, type OnceTable } from './once-table.ts';

export interface WriteOnceOptions {
  readonly log: Log;
  /** Nobody else writes ids to the topic. */
  readonly producer: GroupedProducer;
  readonly topic: string;
  readonly table: OnceTable;
  /** Goes before ids, where several topics have one table. */
  readonly scope: string;
  /** undefined: it has no id, or that of somebody else. */
  readonly markOf: (record: RecordReader) => OnceMark | undefined;
  /** Of the topic, that are looked through at most. */
  readonly lookBytesMax: number;
}

export interface OnceRequest {
  readonly id: string;
  /** Of its content; the same id with another one is refused. */
  readonly fingerprint: string;
  readonly count: number;
  /** Appends those of its records, and says where they are. @param marks one for each of them, to be written with it */
  readonly append: (marks: readonly OnceMark[]) => Promise<readonly PlacedAt[]>;
}

export interface OnceOutcome {
  /** Of all its records, in their order. */
  readonly places: readonly PlacedAt[];
  /** It was there already, or under way. */
  readonly isKnown: boolean;
}

interface Pending {
  readonly fingerprint: string;
  readonly places: Promise<readonly PlacedAt[]>;
}

export class WriteOnce {
  readonly #options: WriteOnceOptions;
  readonly #pending = new Map<string, Pending>();
  readonly #floors = new Map<number, number>();
  #topicId: string | undefined;
  /** How often it was in doubt what is on the disk, and how many of these times were looked into. */
  #doubts = 0;
  #looked = 0;
  #looking: Promise<void> | undefined;
  #asking = 0;

  constructor(options: WriteOnceOptions) {
    this.#options = options;
  }

  /** Nobody waits for anything. */
  get isIdle(): boolean {
    return this.#asking === 0;
  }

  /**
   * Resolves when all of it is on the disk.
   * @throws {MillraceError} ML_HTTP_REQUEST (422): the id was used for something else; and what the log says: then some of it may be there
   */
  async write(request: OnceRequest): Promise<OnceOutcome> {
    this.#asking++;
    try {
      return await this.#write(request);
    } finally {
      this.#asking--;
    }
  }

  async #write(request: OnceRequest): Promise<OnceOutcome> {
    const { id, fingerprint, count } = request;
    const partitions = await this.#topic();
    while (this.#looked !== this.#doubts)
      await (this.#looking ??= this.#lookBack(partitions).finally(() => {
        this.#looking = undefined;
      }));
    const same = this.#pending.get(id);
    if (same !== undefined) {
      checkSame(id, fingerprint, same.fingerprint);
      // When it fails, so does this one, and both come again.
      return { places: await same.places, isKnown: true };
    }
    const entry = this.#find(id);
    if (entry !== undefined) checkSame(id, fingerprint, entry.fingerprint);
    const places = entry?.places ?? Array.from<PlacedAt | undefined>({ length: count });
    if (isWhole(places)) return { places, isKnown: true };
    const writing = this.#append(request, places);
    this.#pending.set(id, { fingerprint, places: writing });
    try {
      return { places: await writing, isKnown: false };
    } finally {
      this.#pending.delete(id);
    }
  }

  #find(id: string): OnceEntry | undefined {
    const { log, scope, table } = this.#options;
    return table.find(scope + id, log.env.clock.nowMs());
  }

  /** Those that are not there. */
  async #append(
    { id, fingerprint, count, append }: OnceRequest,
    known: readonly (PlacedAt | undefined)[],
  ): Promise<readonly PlacedAt[]> {
    const { log, scope, table } = this.#options;
    const atMs = log.env.clock.nowMs();
    const marks: OnceMark[] = [];
    for (const [index, place] of known.entries())
      if (place === undefined) marks.push({ id, fingerprint, index, count, atMs });
    let written: readonly PlacedAt[];
    try {
      written = await append(marks);
    } catch (error) {
      // It may be on the disk all the same, in parts.
      this.#doubts++;
      throw error;
    }
    const places = known.slice();
    for (const [at, mark] of marks.entries()) {
      const place = written[at];
      assert(place !== undefined, 'each record that was appended has a place');
      places[mark.index] = place;
      table.add({ ...mark, id: scope + id }, place);
    }
    this.#raise(written);
    assert(isWhole(places), 'what was not there has been appended');
    return places;
  }

  /** Only where nothing else is under way, which may be on the disk before it, and fail. */
  #raise(written: readonly PlacedAt[]): void {
    if (this.#looked !== this.#doubts || this.#pending.size > 1) return;
    for (const { partition, offset } of written)
      if (offset >= (this.#floors.get(partition) ?? 0)) this.#floors.set(partition, offset + 1);
  }

  /** Which topic it is: one that was made anew under its name has nothing of the one before. @returns how many partitions it has */
  async #topic(): Promise<number> {
    const { producer, scope, table, topic } = this.#options;
    const { id, partitions } = await producer.topicOf({
      name: topic,
      partitions: undefined,
      configs: {},
    });
    if (id !== this.#topicId) {
      this.#topicId = id;
      table.forget(scope);
      this.#floors.clear();
      this.#doubts++;
    }
    return partitions;
  }

  async #lookBack(partitions: number): Promise<void> {
    const { log, producer, topic, table, scope, markOf, lookBytesMax } = this.#options;
    const doubts = this.#doubts;
    // What has failed may be on its way to the disk.
    await producer.settled();
    const nowMs = log.env.clock.nowMs();
    const findings = new OnceFindings(table.recordsMax);
    const left = Array.from({ length: partitions }, () => table.recordsMax);
    const visit = (record: RecordReader, { partition }: TopicPartition): boolean => {
      const mark = markOf(record);
      // An old one does not end it: it may be a copy that somebody has put there.
      if (mark === undefined || mark.atMs < nowMs - table.windowMs) return true;
      const atMs = Math.min(mark.atMs, nowMs);
      const place = { topic, partition, offset: record.offset };
      findings.add({ ...mark, id: scope + mark.id, atMs }, place);
      left[partition] = (left[partition] ?? 0) - 1;
      return (left[partition] ?? 0) > 0;
    };
    const ends = await lookBack({
      log,
      topic,
      partitions,
      floors: this.#floors,
      visit,
      recordsMax: ONCE_LOOK_RECORDS_MAX,
      bytesMax: lookBytesMax,
      stepRecords: ONCE_STEP_RECORDS,
    });
    table.merge(findings);
    for (const [partition, end] of ends) this.#floors.set(partition, end);
    this.#looked = doubts;
  }
}

function isWhole(places: readonly (PlacedAt | undefined)[]): places is readonly PlacedAt[] {
  return places.every((place) => place !== undefined);
}

function checkSame(id: string, fingerprint: string, known: string): void {
  if (fingerprint === known) return;
  throw badRequest(
    422,
    `the key '${id}' was used for other records`,
    'Take a new key for each request, and the same one only to send the same again',
  );
}
