/**
 * The first `count` records of a task under an order, in a bounded heap: the worst of them is at the root, so that a record that is no
 * better is refused by one comparison. Among equals those that came first stay. What is held is `count` records, whatever they are.
 *
 * @hot A record that is refused costs the encoding of what it is sorted by, and a comparison of bytes.
 */
import { ByteWriter } from '../../../core/byte-writer.ts';
import { compareKeys, encodeKey } from '../../../core/key-codec.ts';
import type { SortOrder } from '../../../flow/plan.ts';
import type { ExchangeWriter } from '../exchange.ts';
import type { ExchangeOutput } from '../stage.ts';
import { encodeKeyed, type Exit, type ExitOptions, neverWaits } from './exit.ts';
import type { Failures } from './failures.ts';

/** What a record of the heap takes besides its bytes. */
const ENTRY_BYTES = 300;

interface Entry {
  readonly by: Buffer;
  readonly record: Buffer;
  /** Number of the record in the order of arrival. */
  readonly arrival: number;
}

export class TopExit implements Exit {
  readonly writer: ExchangeWriter;
  private readonly name: string;
  private readonly failures: Failures;
  private readonly count: number;
  private readonly order: SortOrder;
  private readonly heap: Entry[] = [];
  private readonly byBytes = new ByteWriter(64);
  private readonly recordBytes = new ByteWriter(256);
  private arrivals = 0;
  private bytes = 0;

  constructor({ name, writer, failures }: ExitOptions, count: number, order: SortOrder) {
    this.name = name;
    this.writer = writer;
    this.failures = failures;
    this.count = count;
    this.order = order;
  }

  get heldBytes(): number {
    return this.writer.heldBytes + this.bytes;
  }

  push(value: unknown, key: unknown): boolean {
    const { order, byBytes } = this;
    let by: unknown;
    try {
      by = order.by(value, key);
    } catch (error) {
      this.failures.inFunction(this.name, error, value);
      return true;
    }
    try {
      byBytes.clear();
      encodeKey(by, byBytes, order.descending);
      if (this.isTaken()) this.take(value, key);
    } catch (error) {
      this.failures.inRecord(this.name, error, value);
    }
    return true;
  }

  drain(): Promise<void> {
    return neverWaits();
  }

  finish(): ExchangeOutput {
    // The exchange sorts; it keeps the order of arrival among equals, so records arrive there as they did here.
    for (const { by, record } of this.heap.toSorted((a, b) => a.arrival - b.arrival))
      this.writer.append(0, by, 0, by.length, record, 0, record.length);
    this.heap.length = 0;
    this.bytes = 0;
    return this.writer.finish();
  }

  /** Whether the record at hand, by `byBytes`, is among the first ones so far. */
  private isTaken(): boolean {
    const { heap, byBytes } = this;
    if (heap.length < this.count) return true;
    const worst = heap[0];
    if (worst === undefined) return false;
    const { by } = worst;
    return compareKeys(byBytes.buffer, 0, byBytes.length, by, 0, by.length) < 0;
  }

  private take(value: unknown, key: unknown): void {
    const { heap, byBytes, recordBytes } = this;
    recordBytes.clear();
    encodeKeyed(value, key, recordBytes);
    const entry: Entry = {
      by: Buffer.from(byBytes.buffer.subarray(0, byBytes.length)),
      record: Buffer.from(recordBytes.buffer.subarray(0, recordBytes.length)),
      arrival: this.arrivals++,
    };
    this.bytes += entry.by.length + entry.record.length + ENTRY_BYTES;
    if (heap.length < this.count) {
      heap.push(entry);
      this.rise(heap.length - 1);
      return;
    }
    const worst = heap[0];
    if (worst !== undefined) this.bytes -= worst.by.length + worst.record.length + ENTRY_BYTES;
    heap[0] = entry;
    this.sink();
  }

  private rise(from: number): void {
    const { heap } = this;
    let at = from;
    const entry = heap[at] as Entry;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent] as Entry;
      if (!isWorse(entry, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = entry;
  }

  private sink(): void {
    const { heap } = this;
    const entry = heap[0] as Entry;
    const { length } = heap;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= length) break;
      if (child + 1 < length && isWorse(heap[child + 1] as Entry, heap[child] as Entry)) child++;
      const below = heap[child] as Entry;
      if (!isWorse(below, entry)) break;
      heap[at] = below;
      at = child;
    }
    heap[at] = entry;
  }
}

/** Comes later: by the order, then by arrival. */
function isWorse(a: Entry, b: Entry): boolean {
  const order = compareKeys(a.by, 0, a.by.length, b.by, 0, b.by.length);
  return order > 0 || (order === 0 && a.arrival > b.arrival);
}
