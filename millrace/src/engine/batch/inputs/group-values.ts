/**
 * A sorted exchange as groups: goes from group to group, and is the iterable, and the iterator, of the values of the current one. What
 * was not asked for is passed over.
 *
 * @hot
 */
import { compareKeys, decodeKey } from '../../../core/key-codec.ts';
import { decodeValue } from '../../../core/value-codec.ts';
import type { MergeReader } from '../exchange.ts';

/** Ends an array in the encoding of keys. */
const ARRAY_END = 0x01;
/** Before the values of sorted groups: the length of the part of the key that is the key of the group. */
const LENGTH_BYTES = 4;

export class GroupValues implements IterableIterator<unknown> {
  /** What reading the values has failed with. */
  readError: unknown;
  private readonly reader: MergeReader;
  /** Values are sorted within a group: the group is the first part of the key (see `SortedGroupExit`). */
  private readonly isSorted: boolean;
  /** That part of the current group, and the end of an array behind it. */
  private prefix = Buffer.alloc(64);
  private prefixBytes = 0;
  private groupKey: unknown;
  /** The reader stands on a record. */
  private isLive = false;
  private hasStarted = false;
  private isInGroup = false;
  /** The record that the reader stands on was not given yet. */
  private isFresh = false;

  constructor(reader: MergeReader, isSorted: boolean) {
    this.reader = reader;
    this.isSorted = isSorted;
  }

  /** The key of the current group. */
  key(): unknown {
    return this.groupKey;
  }

  /** To the next group; false at the end. */
  nextGroup(): boolean {
    if (!this.hasStarted) {
      this.hasStarted = true;
      this.isLive = this.reader.next();
    }
    while (this.isInGroup) this.advance();
    if (!this.isLive) return false;
    this.isInGroup = true;
    this.isFresh = true;
    this.groupKey = this.readKey();
    return true;
  }

  [Symbol.iterator](): this {
    return this;
  }

  next(): IteratorResult<unknown> {
    try {
      if (!this.isFresh && this.isInGroup) this.advance();
      this.isFresh = false;
      if (!this.isInGroup) return { done: true, value: undefined };
      const { buffer, valueStart, valueEnd } = this.reader;
      const start = this.isSorted ? valueStart + LENGTH_BYTES : valueStart;
      return { done: false, value: decodeValue(buffer, start, valueEnd) };
    } catch (error) {
      this.readError = error;
      throw error;
    }
  }

  private advance(): void {
    const { reader } = this;
    this.isLive = reader.next();
    this.isInGroup = this.isLive && (reader.isSameKey || (this.isSorted && this.hasSamePrefix()));
  }

  private hasSamePrefix(): boolean {
    const { reader, prefix, prefixBytes } = this;
    const { buffer, keyStart } = reader;
    return (
      buffer.readUInt32LE(reader.valueStart) === prefixBytes &&
      compareKeys(buffer, keyStart, keyStart + prefixBytes, prefix, 0, prefixBytes) === 0
    );
  }

  private readKey(): unknown {
    const { buffer, keyStart, keyEnd, valueStart } = this.reader;
    if (!this.isSorted) return decodeKey(buffer, keyStart, keyEnd);
    const bytes = buffer.readUInt32LE(valueStart);
    if (this.prefix.length <= bytes) this.prefix = Buffer.alloc(bytes * 2);
    buffer.copy(this.prefix, 0, keyStart, keyStart + bytes);
    this.prefix[bytes] = ARRAY_END;
    this.prefixBytes = bytes;
    const [key] = decodeKey(this.prefix, 0, bytes + 1) as readonly unknown[];
    return key;
  }
}
