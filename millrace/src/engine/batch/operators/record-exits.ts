/**
 * Exits that write each record as it comes. The law of order: an exchange keeps the order in which records are appended, among equal
 * keys where it is sorted, and as a whole where it is not.
 *
 * @hot
 */
import { ByteWriter } from '../../../core/byte-writer.ts';
import { encodeKey } from '../../../core/key-codec.ts';
import { partitionOfKey } from '../../../core/key-partition.ts';
import { encodeValue } from '../../../core/value-codec.ts';
import type { SortOrder } from '../../../flow/plan.ts';
import type { ExchangeWriter } from '../exchange.ts';
import type { ExchangeOutput } from '../stage.ts';
import { encodeKeyed, type Exit, type ExitOptions, neverWaits } from './exit.ts';
import type { Failures } from './failures.ts';

abstract class RecordExit implements Exit {
  readonly writer: ExchangeWriter;
  protected readonly name: string;
  protected readonly partitions: number;
  protected readonly failures: Failures;
  protected readonly keyBytes = new ByteWriter();
  protected readonly valueBytes = new ByteWriter();

  constructor({ name, writer, partitions, failures }: ExitOptions) {
    this.name = name;
    this.writer = writer;
    this.partitions = partitions;
    this.failures = failures;
  }

  get heldBytes(): number {
    return this.writer.heldBytes;
  }

  abstract push(value: unknown, key: unknown): boolean;

  drain(): Promise<void> {
    return neverWaits();
  }

  finish(): ExchangeOutput {
    return this.writer.finish();
  }

  protected append(partition: number): void {
    const { keyBytes, valueBytes } = this;
    this.writer.append(
      partition,
      keyBytes.buffer,
      0,
      keyBytes.length,
      valueBytes.buffer,
      0,
      valueBytes.length,
    );
  }
}

/** Key and value as they are: for joins, groups, aggregates without `merge`, tables, gathers and broadcasts. */
export class KeyExit extends RecordExit {
  push(value: unknown, key: unknown): boolean {
    const { keyBytes, valueBytes } = this;
    try {
      keyBytes.clear();
      encodeKey(key, keyBytes);
      valueBytes.clear();
      encodeValue(value, valueBytes);
      this.append(partitionOfKey(keyBytes.buffer, 0, keyBytes.length, this.partitions));
    } catch (error) {
      this.failures.inRecord(this.name, error, value);
    }
    return true;
  }
}

/**
 * By `order`, as one sequence; equal ones in stream order. Values are written as `encodeKeyed` does, but a text without a key that is sorted by
 * itself is written once: its value is the key of the exchange (valueStart -1).
 */
export class SortExit extends RecordExit {
  private readonly order: SortOrder;

  constructor(options: ExitOptions, order: SortOrder) {
    super(options);
    this.order = order;
  }

  push(value: unknown, key: unknown): boolean {
    const { order, keyBytes, valueBytes } = this;
    let by: unknown;
    try {
      by = order.by(value, key);
    } catch (error) {
      this.failures.inFunction(this.name, error, value);
      return true;
    }
    try {
      keyBytes.clear();
      encodeKey(by, keyBytes, order.descending);
      if (by === value && key === undefined && typeof by === 'string' && !order.descending) {
        this.writer.append(0, keyBytes.buffer, 0, keyBytes.length, keyBytes.buffer, -1, -1);
        return true;
      }
      valueBytes.clear();
      encodeKeyed(value, key, valueBytes);
      this.append(0);
    } catch (error) {
      this.failures.inRecord(this.name, error, value);
    }
    return true;
  }
}

/**
 * For groups whose values are sorted: the key of the exchange is [key] without its end, then [what to sort by]. The partition is that
 * of the key alone. Before the value stand 4 bytes (little-endian): the length of the first part.
 */
export class SortedGroupExit extends RecordExit {
  private readonly order: SortOrder;

  constructor(options: ExitOptions, order: SortOrder) {
    super(options);
    this.order = order;
  }

  push(value: unknown, key: unknown): boolean {
    const { order, keyBytes, valueBytes } = this;
    let by: unknown;
    try {
      by = order.by(value, key);
    } catch (error) {
      this.failures.inFunction(this.name, error, value);
      return true;
    }
    try {
      keyBytes.clear();
      encodeKey(key, keyBytes);
      const partition = partitionOfKey(keyBytes.buffer, 0, keyBytes.length, this.partitions);
      keyBytes.clear();
      encodeKey([key], keyBytes);
      const keyEnd = --keyBytes.length;
      encodeKey([by], keyBytes, order.descending);
      valueBytes.clear();
      valueBytes.reserve(4);
      valueBytes.buffer.writeUInt32LE(keyEnd, 0);
      valueBytes.length = 4;
      encodeValue(value, valueBytes);
      this.append(partition);
    } catch (error) {
      this.failures.inRecord(this.name, error, value);
    }
    return true;
  }
}
