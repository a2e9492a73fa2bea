/**
 * Aggregation before the exchange: one accumulator per key, in memory, until the keys have used up their share; then all go into
 * the exchange and the table begins anew. After it accumulators of a key are merged in the order in which they were begun, which is
 * the order of the stream: with a `merge` that is associative the result is the same however often the table was emptied.
 *
 * When nearly every record has a key of its own the table is no use: then each record goes out as an accumulator of itself.
 *
 * @hot A key that is known costs a look into a Map, and the call of `add`.
 */
import { ByteWriter } from '../../../core/byte-writer.ts';
import { encodeKey } from '../../../core/key-codec.ts';
import { partitionOfKey } from '../../../core/key-partition.ts';
import { COMBINE_PROBE_RECORDS, COMBINE_TABLE_KEYS_MAX } from '../../../core/limits.ts';
import { encodeValue } from '../../../core/value-codec.ts';
import type { ExchangeWriter } from '../exchange.ts';
import type { ExchangeOutput } from '../stage.ts';
import { type Exit, type ExitOptions, neverWaits } from './exit.ts';
import type { Failures } from './failures.ts';
import { HeldSize } from './held-size.ts';
import { KeyTable } from './key-table.ts';
import { preview } from './preview.ts';

/** Combining is given up when there are more keys than this share of the records. */
const POOR_RATIO = 0.8;

/** What there is of an aggregation before its exchange. */
export interface Aggregation {
  readonly init: () => unknown;
  readonly add: (accumulator: unknown, value: unknown, key: unknown) => unknown;
}

abstract class CombiningExit implements Exit {
  readonly writer: ExchangeWriter;
  protected readonly name: string;
  protected readonly failures: Failures;
  protected readonly table = new KeyTable();
  protected readonly valueBytes = new ByteWriter(64);
  /** Combining was given up. */
  protected isPassing = false;
  private readonly partitions: number;
  private readonly memoryBytes: number;
  private readonly keyBytes = new ByteWriter(64);
  /** Since the table was empty. */
  private records = 0;

  constructor({ name, writer, partitions, memoryBytes, failures }: ExitOptions) {
    this.name = name;
    this.writer = writer;
    this.partitions = partitions;
    this.memoryBytes = memoryBytes;
    this.failures = failures;
  }

  get heldBytes(): number {
    return this.writer.heldBytes + this.table.heldBytes + this.accumulatorBytes();
  }

  abstract push(value: unknown, key: unknown): boolean;

  drain(): Promise<void> {
    return neverWaits();
  }

  finish(): ExchangeOutput {
    this.flush();
    return this.writer.finish();
  }

  protected abstract accumulatorBytes(): number;
  /** Writes accumulator `index` into `valueBytes`; false: there is none. */
  protected abstract encode(index: number): boolean;
  /** Forgets all accumulators. */
  protected abstract clear(): void;

  /** After each record that went into the table. */
  protected counted(): void {
    const records = ++this.records;
    if (records === COMBINE_PROBE_RECORDS && this.table.size > records * POOR_RATIO) this.flush();
  }

  /** After each new key, and after what else makes the table larger. */
  protected grown(): void {
    const { table } = this;
    const heldBytes = table.heldBytes + this.accumulatorBytes();
    if (heldBytes > this.memoryBytes || table.size >= COMBINE_TABLE_KEYS_MAX) this.flush();
  }

  /** One record as an accumulator of itself, which is in `valueBytes`. */
  protected pass(key: unknown): void {
    const { keyBytes, valueBytes } = this;
    keyBytes.clear();
    encodeKey(key, keyBytes);
    this.append(keyBytes, 0, keyBytes.length, valueBytes);
  }

  private flush(): void {
    const { table, valueBytes } = this;
    if (table.size > this.records * POOR_RATIO && this.records >= COMBINE_PROBE_RECORDS)
      this.isPassing = true;
    for (let index = 0; index < table.size; index++) {
      valueBytes.clear();
      if (this.encodeOf(index))
        this.append(table.bytes, table.start(index), table.end(index), valueBytes);
    }
    table.clear();
    this.clear();
    this.records = 0;
  }

  /** As `encode`; an accumulator that cannot be encoded fails as a record would, and is left out. */
  private encodeOf(index: number): boolean {
    try {
      return this.encode(index);
    } catch (error) {
      const { failures } = this;
      const key = this.table.key(index);
      const outer = failures.waiting;
      failures.waiting = `key ${preview(key)}`;
      failures.inRecord(this.name, error, key);
      failures.waiting = outer;
      return false;
    }
  }

  private append(keys: ByteWriter, start: number, end: number, value: ByteWriter): void {
    const partition = partitionOfKey(keys.buffer, start, end, this.partitions);
    this.writer.append(partition, keys.buffer, start, end, value.buffer, 0, value.length);
  }
}

/** Stands where a key has no accumulator: its first record has failed. */
const NONE = Symbol('none');

export class AggregateExit extends CombiningExit {
  private readonly aggregation: Aggregation;
  private accumulators: unknown[] = [];
  private readonly size = new HeldSize();

  constructor(options: ExitOptions, aggregation: Aggregation) {
    super(options);
    this.aggregation = aggregation;
  }

  push(value: unknown, key: unknown): boolean {
    if (this.isPassing) return this.passOne(value, key);
    let index: number;
    try {
      index = this.table.indexOf(key);
    } catch (error) {
      this.failures.inRecord(this.name, error, value);
      return true;
    }
    const { accumulators, size } = this;
    const isNew = index === accumulators.length;
    if (isNew) accumulators.push(NONE);
    const isDue = size.isDue();
    let after: unknown;
    let beforeBytes = 0;
    try {
      let before = accumulators[index];
      if (before === NONE) before = this.aggregation.init();
      else if (isDue) beforeBytes = size.measure(before);
      after = this.aggregation.add(before, value, key);
    } catch (error) {
      this.failures.inFunction(this.name, error, value);
      return true;
    }
    accumulators[index] = after;
    if (isDue) size.changed(beforeBytes, size.measure(after));
    if (isNew || isDue) this.grown();
    this.counted();
    return true;
  }

  protected accumulatorBytes(): number {
    return this.size.heldBytes;
  }

  protected encode(index: number): boolean {
    const accumulator = this.accumulators[index];
    if (accumulator === NONE) return false;
    encodeValue(accumulator, this.valueBytes);
    return true;
  }

  protected clear(): void {
    this.accumulators = [];
    this.size.clear();
  }

  private passOne(value: unknown, key: unknown): boolean {
    let accumulator: unknown;
    try {
      accumulator = this.aggregation.add(this.aggregation.init(), value, key);
    } catch (error) {
      this.failures.inFunction(this.name, error, value);
      return true;
    }
    try {
      this.valueBytes.clear();
      encodeValue(accumulator, this.valueBytes);
      this.pass(key);
    } catch (error) {
      this.failures.inRecord(this.name, error, value);
    }
    return true;
  }
}

/** `count`: the accumulator is a number. */
export class CountExit extends CombiningExit {
  private counts = new Float64Array(64);

  push(value: unknown, key: unknown): boolean {
    try {
      if (this.isPassing) {
        this.valueBytes.clear();
        encodeValue(1, this.valueBytes);
        this.pass(key);
        return true;
      }
      const { table } = this;
      const known = table.size;
      const index = table.indexOf(key);
      if (index < known) (this.counts[index] as number)++;
      else this.add(index);
    } catch (error) {
      this.failures.inRecord(this.name, error, value);
    }
    this.counted();
    return true;
  }

  protected accumulatorBytes(): number {
    return 0;
  }

  protected encode(index: number): boolean {
    encodeValue(this.counts[index], this.valueBytes);
    return true;
  }

  protected clear(): void {}

  private add(index: number): void {
    if (index === this.counts.length) {
      const grown = new Float64Array(index * 2);
      grown.set(this.counts);
      this.counts = grown;
    }
    this.counts[index] = 1;
    this.grown();
  }
}

/** Over the whole stream: one accumulator, which goes into a gather at the end; none when no record came. */
export class FoldExit implements Exit {
  readonly writer: ExchangeWriter;
  private readonly name: string;
  private readonly failures: Failures;
  private readonly aggregation: Aggregation;
  private accumulator: unknown = NONE;

  constructor({ name, writer, failures }: ExitOptions, aggregation: Aggregation) {
    this.name = name;
    this.writer = writer;
    this.failures = failures;
    this.aggregation = aggregation;
  }

  get heldBytes(): number {
    return this.writer.heldBytes;
  }

  push(value: unknown, key: unknown): boolean {
    const { accumulator, aggregation } = this;
    try {
      const before = accumulator === NONE ? aggregation.init() : accumulator;
      this.accumulator = aggregation.add(before, value, key);
    } catch (error) {
      this.failures.inFunction(this.name, error, value);
    }
    return true;
  }

  drain(): Promise<void> {
    return neverWaits();
  }

  finish(): ExchangeOutput {
    if (this.accumulator !== NONE) {
      const bytes = new ByteWriter();
      encodeKey(undefined, bytes);
      const keyEnd = bytes.length;
      encodeValue(this.accumulator, bytes);
      this.writer.append(0, bytes.buffer, 0, keyEnd, bytes.buffer, keyEnd, bytes.length);
    }
    return this.writer.finish();
  }
}
