/**
 * What a delivery has to do: records that were read and not attempted yet, those that wait for another attempt, and how far each partition
 * is done with.
 *
 *   read → waiting ──────────────→ attempted → delivered │ given up
 *             ↑ (order: 'key')        ↓    ↑
 *           held: its key is busy   retries, by due time, written down
 *
 * Invariants
 * - A partition is done up to its first record that is neither settled nor written down as a retry.
 * - With `isOrdered` one record of a key is attempted, or waits for another attempt; later ones of the key are held.
 */
import {
  WEBHOOK_INTAKE_BYTES_MAX,
  WEBHOOK_INTAKE_RECORDS_MAX,
  WEBHOOK_RETRIES_BYTES_MAX,
  WEBHOOK_RETRIES_MAX,
} from '../../core/direct-limits.ts';
import { RetryHeap } from './retry-heap.ts';
import type { Retry, WebhookRecord } from './webhook-retries.ts';

/** A record on its way. */
export interface Item {
  readonly record: WebhookRecord;
  readonly bytes: number;
  /** undefined: it waits for nobody. */
  readonly keyText: string | undefined;
  attempts: number;
  dueMs: number;
  /** It is written down as a retry. */
  isStored: boolean;
}

interface Progress {
  /** One past what was read. */
  position: number;
  /** Offsets that were read and are not done with, in their order. */
  readonly open: Set<number>;
}

/** What a record takes besides its bytes. */
const ITEM_BYTES = 256;

export class WebhookWork {
  readonly #isOrdered: boolean;
  readonly #progress = new Map<number, Progress>();
  readonly #retries = new RetryHeap<Item>();
  /** Keys with a record that is attempted, or will be again; and the records behind it. */
  readonly #busy = new Map<string, Item[]>();
  /** Held before, and first in line now. */
  #released: Item[] = [];
  #waiting: Item[] = [];
  #waitingAt = 0;
  #intakeRecords = 0;
  #intakeBytes = 0;
  #stored = 0;
  #storedBytes = 0;

  constructor(isOrdered: boolean) {
    this.#isOrdered = isOrdered;
  }

  /** Begins anew, with these partitions at these offsets. */
  begin(positions: ReadonlyMap<number, number>, retries: readonly Retry[]): void {
    this.#progress.clear();
    this.#retries.clear();
    this.#busy.clear();
    this.#released = [];
    this.#waiting = [];
    this.#waitingAt = this.#intakeRecords = this.#intakeBytes = 0;
    this.#stored = this.#storedBytes = 0;
    for (const [partition, position] of positions)
      this.#progress.set(partition, { position, open: new Set() });
    for (const { attempts, dueMs, error: _error, ...record } of retries) {
      const item = { ...this.#itemOf(record), attempts, dueMs, isStored: true };
      if (item.keyText !== undefined && !this.#busy.has(item.keyText))
        this.#busy.set(item.keyText, []);
      this.#count(item, 1);
      this.#retries.push(item);
    }
  }

  /** Takes a record that was read. */
  add(record: WebhookRecord): void {
    const progress = this.#progress.get(record.partition);
    if (progress === undefined || record.offset < progress.position) return;
    progress.position = record.offset + 1;
    progress.open.add(record.offset);
    const item = this.#itemOf(record);
    this.#intakeRecords++;
    this.#intakeBytes += item.bytes;
    this.#waiting.push(item);
  }

  /** Read up to there: what is between is for nobody. */
  reach(partition: number, offset: number): void {
    const progress = this.#progress.get(partition);
    if (progress !== undefined) progress.position = Math.max(progress.position, offset);
  }

  /** No more is to be read for now. */
  get isFull(): boolean {
    return (
      this.#intakeRecords >= WEBHOOK_INTAKE_RECORDS_MAX ||
      this.#intakeBytes >= WEBHOOK_INTAKE_BYTES_MAX
    );
  }

  /** Waiting for another attempt, or making it. */
  get retrying(): number {
    return this.#stored;
  }

  /** When the next retry is due; undefined: there is none. */
  get nextDueMs(): number | undefined {
    return this.#retries.first?.dueMs;
  }

  /** What to attempt next: retries that are due go first. undefined: nothing now. */
  next(nowMs: number): Item | undefined {
    const due = this.#retries.first;
    if (due !== undefined && due.dueMs <= nowMs) return this.#retries.pop();
    // While as many wait as may, no first attempt makes more of them.
    if (this.#stored >= WEBHOOK_RETRIES_MAX || this.#storedBytes >= WEBHOOK_RETRIES_BYTES_MAX)
      return undefined;
    const released = this.#released.pop();
    if (released !== undefined) return this.#taken(released);
    for (;;) {
      const item = this.#shift();
      if (item === undefined) return undefined;
      if (item.keyText === undefined) return this.#taken(item);
      const held = this.#busy.get(item.keyText);
      if (held === undefined) {
        this.#busy.set(item.keyText, []);
        return this.#taken(item);
      }
      held.push(item);
    }
  }

  /** It is done with: delivered, or given up. */
  settle(item: Item): void {
    if (item.isStored) this.#count(item, -1);
    else this.#progress.get(item.record.partition)?.open.delete(item.record.offset);
    const { keyText } = item;
    if (keyText === undefined) return;
    const [next, ...others] = this.#busy.get(keyText) ?? [];
    if (next === undefined) this.#busy.delete(keyText);
    else {
      this.#busy.set(keyText, others);
      this.#released.unshift(next);
    }
  }

  /** It is written down, and is attempted again when it is due. */
  retry(item: Item): void {
    if (!item.isStored) {
      item.isStored = true;
      this.#count(item, 1);
      this.#progress.get(item.record.partition)?.open.delete(item.record.offset);
    }
    this.#retries.push(item);
  }

  /** Of each partition the offset up to which it is done with. */
  done(): Map<number, number> {
    const done = new Map<number, number>();
    for (const [partition, { position, open }] of this.#progress) {
      const [first = position] = open;
      done.set(partition, first);
    }
    return done;
  }

  #itemOf(record: WebhookRecord): Item {
    const { key, value } = record;
    return {
      record,
      bytes: ITEM_BYTES + value.length + (key?.length ?? 0),
      keyText: this.#isOrdered && key !== null ? key.toString('latin1') : undefined,
      attempts: 0,
      dueMs: 0,
      isStored: false,
    };
  }

  #shift(): Item | undefined {
    const item = this.#waiting[this.#waitingAt];
    if (item === undefined) {
      this.#waiting = [];
      this.#waitingAt = 0;
      return undefined;
    }
    this.#waitingAt++;
    return item;
  }

  #taken(item: Item): Item {
    this.#intakeRecords--;
    this.#intakeBytes -= item.bytes;
    return item;
  }

  #count(item: Item, by: 1 | -1): void {
    this.#stored += by;
    this.#storedBytes += by * item.bytes;
  }
}
