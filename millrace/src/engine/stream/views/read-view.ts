/**
 * Rows of a view in one task, from what is committed of its store. Bounded: so many rows, so many bytes, and so many entries that are looked at
 * before it says where it goes on, because the task processes nothing meanwhile.
 */
import { ByteWriter } from '../../../core/byte-writer.ts';
import { VIEW_PAGE_BYTES_MAX, VIEW_SCAN_ENTRIES_MAX } from '../../../core/http-limits.ts';
import { encodeValue } from '../../../core/value-codec.ts';
import { orderOf } from '../state/entry-key.ts';
import type { ReadableStore, StoredEntry } from '../state/store.ts';
import type { PagePosition, ViewQuestion, ViewRow } from './view-row.ts';
import type { ViewSpec } from './view-spec.ts';

/** Entries that are decoded at a time: not many more than are asked for, since most are rows. */
const BATCH_ENTRIES_MIN = 16;
const BATCH_ENTRIES_MAX = 256;
const { NEGATIVE_INFINITY } = Number;

export interface FoundRows {
  readonly rows: Uint8Array;
  readonly next: PagePosition | undefined;
}

/** @throws {MillraceError} ML_KEY_INVALID, ML_VALUE_INVALID, ML_USER_FUNCTION… what the functions of the view throw */
export function readView(spec: ViewSpec, store: ReadableStore, question: ViewQuestion): FoundRows {
  const page = new Page(question.limit);
  if (question.by === 'range') {
    const next = readRange(spec, store, question, page);
    return { rows: page.encoded(), next };
  }
  const { key, start, at } = question;
  const isSingle = spec.rows.by === 'entry' && spec.kind !== 'history';
  const sub = spec.kind === 'table' ? 0 : start;
  if (isSingle && sub !== undefined) {
    const value = store.get(key, sub);
    if (value !== undefined) showEntry(spec, { key, sub, value }, page);
  } else if (at !== undefined) {
    showVersion(store.ofKey(key), at, page);
  } else {
    showKey(
      spec,
      store.ofKey(key),
      start === undefined ? NEGATIVE_INFINITY : start - 1,
      page,
      start,
    );
  }
  return { rows: page.encoded(), next: page.stopped };
}

/** What was true at a time. */
function showVersion(versions: readonly StoredEntry[], at: number, page: Page): void {
  const version = versions.findLast(({ sub }) => sub <= at);
  if (version === undefined) return;
  const [value] = version.value as readonly [unknown, number];
  if (value !== null) page.show({ key: version.key, value, time: version.sub }, version.sub);
}

function showEntry({ rows }: ViewSpec, { key, sub, value }: StoredEntry, page: Page): boolean {
  const row = rows.by === 'entry' ? rows.row(key, sub, value) : undefined;
  return row === undefined || page.show(row, sub);
}

/** Rows of one key behind `after`. @param only the start of the only one that is wanted @returns whether there is room for more */
function showKey(
  spec: ViewSpec,
  entries: readonly StoredEntry[],
  after: number,
  page: Page,
  only?: number,
): boolean {
  const { rows } = spec;
  if (rows.by === 'entry') {
    for (const entry of entries) {
      if (entry.sub <= after || (only !== undefined && entry.sub !== only)) continue;
      if (!showEntry(spec, entry, page)) return false;
    }
    return true;
  }
  let isGoingOn = true;
  rows.rows(entries, after, (row, cost) => {
    const start = row.start ?? 0;
    if (only !== undefined && start !== only) return start < only;
    isGoingOn = page.show(row, start, cost);
    return isGoingOn;
  });
  return isGoingOn;
}

function readRange(
  spec: ViewSpec,
  store: ReadableStore,
  { from, to, after, limit }: Extract<ViewQuestion, { readonly by: 'range' }>,
  page: Page,
): PagePosition | undefined {
  const batch = Math.min(BATCH_ENTRIES_MAX, Math.max(BATCH_ENTRIES_MIN, limit));
  let position: PagePosition = { order: from, after };
  for (;;) {
    const entries = store.page(position.order, position.after, to, batch);
    const isLast = entries.length < batch;
    if (spec.rows.by === 'entry') {
      for (const entry of entries) {
        if (page.isSpent || !showEntry(spec, entry, page)) return page.stopped ?? position;
        position = positionOf(entry);
        page.spend(1);
      }
    } else {
      const next = readKeys(spec, store, entries, position, page);
      if (next.isFull) return next.position;
      position = next.position;
    }
    if (isLast) return undefined;
  }
}

/** Key by key: of the last one there may be more entries than were read. */
function readKeys(
  spec: ViewSpec,
  store: ReadableStore,
  entries: readonly StoredEntry[],
  from: PagePosition,
  page: Page,
): { readonly position: PagePosition; readonly isFull: boolean } {
  let position = from;
  let done: string | undefined;
  for (const { key } of entries) {
    const order = orderOf(key);
    if (order === done) continue;
    if (page.isSpent) return { position, isFull: true };
    const all = store.ofKey(key);
    page.spend(all.length);
    const after = order === from.order ? from.after : NEGATIVE_INFINITY;
    if (!showKey(spec, all, after, page))
      return { position: page.stopped ?? position, isFull: true };
    done = order;
    position = { order: `${order}\0`, after: NEGATIVE_INFINITY };
  }
  return { position, isFull: false };
}

function positionOf({ key, sub }: StoredEntry): PagePosition {
  return { order: orderOf(key), after: sub };
}

/** The rows that are found, encoded. */
class Page {
  /** Behind the last row, when it is full. */
  stopped: PagePosition | undefined;
  private readonly limit: number;
  private readonly found: ViewRow[] = [];
  private readonly writer = new ByteWriter(1024);
  private bytes = 0;
  private spent = 0;

  constructor(limit: number) {
    this.limit = limit;
  }

  /** So much was looked at that others should have their turn. */
  get isSpent(): boolean {
    return this.spent >= VIEW_SCAN_ENTRIES_MAX;
  }

  spend(entries: number): void {
    this.spent += entries;
  }

  /** @returns whether there is room for more */
  show(row: ViewRow, sub: number, cost = 0): boolean {
    this.writer.length = 0;
    encodeValue(row, this.writer);
    this.bytes += this.writer.length;
    this.found.push(row);
    this.spent += cost;
    const isFull =
      this.found.length >= this.limit ||
      this.bytes >= VIEW_PAGE_BYTES_MAX ||
      (cost > 0 && this.isSpent);
    if (isFull) this.stopped = { order: orderOf(row.key), after: sub };
    return !isFull;
  }

  encoded(): Uint8Array {
    const writer = new ByteWriter(Math.max(64, this.bytes + 64));
    encodeValue(this.found, writer);
    return writer.buffer.subarray(0, writer.length);
  }
}
