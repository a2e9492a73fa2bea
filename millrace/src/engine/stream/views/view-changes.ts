/**
 * Follows a view: a snapshot of its rows, and from there on what changes, which is what its changelog says. The log is the buffer: who is slow
 * reads later.
 *
 *     snapshot ─▶ what was committed while it was read ─▶ ready ─▶ change, change, …
 *        ▲                                                             │ what it would read next is not there any more
 *        └──────────────────────────── reset ◀─────────────────────────┘
 *
 * A position is an offset in each partition of the changelog. Every change carries the position behind it: who goes on from there gets
 * each later change once, in the order of its partition. Compaction takes changes out that were overtaken, and deletions after a day: where
 * that has happened behind a position, what has changed since cannot be told, and a reset says so.
 *
 * A snapshot is read page by page while the flow goes on: each page is of its own offset. So from the lowest of them on the changelog is read,
 * and what a page holds already is left out.
 */
import { firstGap } from '../../../client/kafka/offset-gaps.ts';
import { visibleBatches } from '../../../client/kafka/fetched-records.ts';
import type { Log, LogReader, LogRecords } from '../../../client/log.ts';
import { MillraceError } from '../../../core/errors.ts';
import { VIEW_CHANGES_BYTES, VIEW_CHANGES_WAIT_MS } from '../../../core/http-limits.ts';
import { decodeEntryKey, orderOf } from '../state/entry-key.ts';
import { changelogOf } from '../task/open-task.ts';
import { decodePosition, encodePosition } from './change-position.ts';
import { changeOf } from './entry-change.ts';
import type { TaskViewAnswer } from './http-peers.ts';
import { isWithin, type OrderRange } from './key-range.ts';
import { rowsOf } from './merge-pages.ts';
import type { PagePosition, ViewChange, ViewQuestion, ViewRow } from './view-row.ts';
import type { ViewSpec } from './view-spec.ts';

export type ViewEvent =
  /** Everything that came before is void: a snapshot follows. */
  | { readonly kind: 'reset'; readonly reason: string }
  /** Of the snapshot. */
  | { readonly kind: 'row'; readonly row: ViewRow }
  /** The snapshot is whole. */
  | { readonly kind: 'ready'; readonly id: string }
  | { readonly kind: 'change'; readonly change: ViewChange; readonly id: string }
  /** Nothing that is wanted has changed; the id may be another one. */
  | { readonly kind: 'idle'; readonly id: string };

export interface FollowOptions {
  readonly log: Log;
  readonly flow: string;
  readonly spec: ViewSpec;
  /** Those that are followed. */
  readonly partitions: readonly number[];
  readonly range: OrderRange;
  /** Rows of one step of a snapshot. */
  readonly snapshotRows: number;
  /** Id of the event behind which it goes on. */
  readonly after: string | undefined;
  readonly signal: AbortSignal | undefined;
  readonly ask: (partition: number, question: ViewQuestion) => Promise<TaskViewAnswer>;
}

/** @throws {MillraceError} ML_VIEW_REQUEST, ML_VIEW_MOVING, ML_VIEW_UNREACHABLE, what the functions of the view throw */
export async function* followView(options: FollowOptions): AsyncGenerator<ViewEvent, undefined> {
  const { log, flow, spec, partitions, after, signal } = options;
  const topic = changelogOf(flow, spec.store);
  let reason: string | undefined;
  let offsets: number[] | undefined;
  let topicId = await idOf(log, topic);
  if (after !== undefined) {
    offsets = decodePosition(after, topicId, partitions.length);
    if (offsets === undefined) reason = 'the id of the last event is of another life of the flow';
  }
  while (!isAborted(signal)) {
    const following = new Following(options, topic);
    try {
      if (offsets === undefined) {
        if (reason !== undefined) yield { kind: 'reset', reason };
        yield* following.snapshot();
        topicId = await idOf(log, topic);
      } else following.begin(offsets);
      yield* following.changes(topicId);
      return undefined;
    } catch (error) {
      if (!(error instanceof PositionGone)) throw error;
      reason = error.message;
      offsets = undefined;
    } finally {
      following.close();
    }
  }
  return undefined;
}

/** Empty: there is no changelog yet. */
async function idOf(log: Log, topic: string): Promise<string> {
  return (await log.topics([topic])).get(topic)?.id ?? '';
}

class PositionGone extends Error {}

/** A part of a snapshot: everything up to `until`, as of `position`. */
interface PageEnd {
  readonly until: PagePosition | undefined;
  readonly position: number;
}

interface Lane {
  readonly partition: number;
  /** Of the next record. */
  offset: number;
  /** While something of the snapshot may be newer than what is read. */
  pages: PageEnd[];
}

class Following {
  readonly #options: FollowOptions;
  readonly #topic: string;
  #lanes: readonly Lane[] = [];
  #reader: LogReader | undefined;

  constructor(options: FollowOptions, topic: string) {
    this.#options = options;
    this.#topic = topic;
  }

  begin(offsets: readonly number[]): void {
    this.#lanes = this.#options.partitions.map((partition, index) => ({
      partition,
      offset: offsets[index] ?? 0,
      pages: [],
    }));
  }

  async *snapshot(): AsyncGenerator<ViewEvent> {
    const lanes: Lane[] = [];
    this.#lanes = lanes;
    for (const partition of this.#options.partitions) {
      const lane: Lane = { partition, offset: Number.POSITIVE_INFINITY, pages: [] };
      for await (const row of this.#pages(lane)) yield { kind: 'row', row };
      lanes.push(lane);
    }
    await this.#skipDeleted(lanes);
    for (const lane of lanes) dropPages(lane);
  }

  /** What retention has taken out is older than the snapshot: by hours, at least, and the snapshot by less. */
  async #skipDeleted(lanes: readonly Lane[]): Promise<void> {
    const topic = this.#topic;
    const beginnings = await this.#options.log.offsets(
      lanes.map(({ partition }) => ({ topic, partition })),
      'beginning',
    );
    for (const [index, lane] of lanes.entries())
      lane.offset = Math.max(lane.offset, beginnings[index] ?? 0);
  }

  async *#pages(lane: Lane): AsyncGenerator<ViewRow> {
    const { spec, range, snapshotRows, ask } = this.#options;
    let next: PagePosition | undefined = { order: range.from, after: Number.NEGATIVE_INFINITY };
    while (next !== undefined) {
      const answer = await ask(lane.partition, {
        kind: 'view',
        view: spec.name,
        limit: snapshotRows,
        by: 'range',
        from: next.order,
        to: range.to,
        after: next.after,
      });
      const { position, next: until }: TaskViewAnswer['page'] = answer.page;
      lane.offset = Math.min(lane.offset, position);
      // Most pages of a snapshot are of one offset.
      if (lane.pages.at(-1)?.position === position) lane.pages.pop();
      lane.pages.push({ until, position });
      next = until;
      yield* rowsOf(answer);
    }
  }

  /** Without end. @throws {PositionGone} */
  async *changes(topicId: string): AsyncGenerator<ViewEvent> {
    const { log, signal } = this.#options;
    const lanes = new Map(this.#lanes.map((lane) => [lane.partition, lane]));
    const reader = log.reader({ uncommitted: false, partitionBytesMax: VIEW_CHANGES_BYTES });
    this.#reader = reader;
    const stop = (): void => reader.wake();
    signal?.addEventListener('abort', stop);
    try {
      reader.assign(
        this.#lanes.map(({ partition, offset }) => ({ topic: this.#topic, partition, offset })),
      );
      let isReady = false;
      for (;;) {
        if (isAborted(signal)) return;
        if (!isReady && this.#lanes.every(({ pages }) => pages.length === 0)) {
          isReady = true;
          yield { kind: 'ready', id: this.#id(topicId) };
        }
        for (const records of await poll(reader)) {
          const lane = lanes.get(records.partition);
          if (lane === undefined) continue;
          for (const change of this.#read(lane, records))
            yield { kind: 'change', change, id: isReady ? this.#id(topicId) : '' };
        }
        if (isReady) yield { kind: 'idle', id: this.#id(topicId) };
      }
    } finally {
      signal?.removeEventListener('abort', stop);
    }
  }

  close(): void {
    this.#reader?.close();
  }

  #id(topicId: string): string {
    return encodePosition(
      topicId,
      this.#lanes.map(({ offset }) => offset),
    );
  }

  *#read(lane: Lane, records: LogRecords): Generator<ViewChange> {
    const gap = firstGap(records, lane.offset);
    if (gap !== undefined)
      throw new PositionGone(
        `changes from offset ${gap} on of ${this.#topic} partition ${lane.partition} are not there any more: others have overtaken them`,
      );
    for (const reader of visibleBatches(records)) {
      while (reader.next()) {
        const { offset } = reader;
        if (offset < lane.offset) continue;
        lane.offset = offset + 1;
        const { data, keyStart, keyEnd, valueStart, valueEnd } = reader;
        if (keyStart < 0) continue;
        const { key, sub } = decodeEntryKey(data, keyStart, keyEnd);
        const order = orderOf(key);
        if (!isWithin(this.#options.range, order) || isShown(lane, order, sub, offset)) continue;
        const value = valueStart < 0 ? undefined : data.subarray(valueStart, valueEnd);
        const change = changeOf(this.#options.spec, key, sub, value);
        if (change !== undefined) yield change;
      }
    }
    lane.offset = Math.max(lane.offset, records.next);
    dropPages(lane);
  }
}

function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}

/** Whether the snapshot has it already. */
function isShown({ pages }: Lane, order: string, sub: number, offset: number): boolean {
  const page = pages.find(
    ({ until }) =>
      until === undefined || order < until.order || (order === until.order && sub <= until.after),
  );
  return page !== undefined && offset < page.position;
}

/** What is read is behind all pages of the snapshot. */
function dropPages(lane: Lane): void {
  if (lane.pages.every(({ position }) => position <= lane.offset)) lane.pages = [];
}

/** @throws {PositionGone} when what is read next is not there any more */
async function poll(reader: LogReader): Promise<readonly LogRecords[]> {
  try {
    return await reader.poll(VIEW_CHANGES_WAIT_MS);
  } catch (error) {
    const isGone =
      error instanceof MillraceError &&
      (error.code === 'ML_OFFSET_OUT_OF_RANGE' || error.code === 'ML_TOPIC_MISSING');
    throw isGone ? new PositionGone(error.message, { cause: error }) : error;
  }
}
