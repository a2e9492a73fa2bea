/** Where a stage ends: records go into an exchange. */
import type { ByteWriter } from '../../../core/byte-writer.ts';
import { decodeKey, encodeKey } from '../../../core/key-codec.ts';
import { decodeValue, encodeValue } from '../../../core/value-codec.ts';
import type { ExchangeWriter } from '../exchange.ts';
import type { ExchangeOutput } from '../stage.ts';
import type { Failures } from './failures.ts';
import type { Operator } from './operator.ts';

export interface Exit extends Operator {
  /** Bytes held in memory now, about. */
  readonly heldBytes: number;
  readonly writer: ExchangeWriter;
  /** No more records come. */
  finish(): ExchangeOutput;
}

export interface ExitOptions {
  /** Of the operator that the exchange is for. */
  readonly name: string;
  readonly writer: ExchangeWriter;
  readonly partitions: number;
  /** What may be held besides the writer's buffer. */
  readonly memoryBytes: number;
  readonly failures: Failures;
}

/** Exchanges never wait: they sort and spill on the spot. */
export function neverWaits(): Promise<void> {
  return Promise.resolve();
}

/**
 * A value with the key that it has besides the key of the exchange (sort, top): value, key, and the length of the key in one byte, or in
 * four (little-endian) and ff. A key of undefined has no bytes.
 */
export function encodeKeyed(value: unknown, key: unknown, writer: ByteWriter): void {
  encodeValue(value, writer);
  if (key === undefined) {
    writer.byte(0);
    return;
  }
  const from = writer.length;
  encodeKey(key, writer);
  const bytes = writer.length - from;
  if (bytes < LONG) {
    writer.byte(bytes);
    return;
  }
  writer.reserve(5);
  writer.buffer.writeUInt32LE(bytes, writer.length);
  writer.length += 4;
  writer.byte(LONG);
}

const LONG = 0xff;

/** What `encodeKeyed` has written to buffer[start, end), piece by piece: set `buffer`, `start`, `end` by `set`. */
export class KeyedValue {
  private buffer: Buffer = Buffer.alloc(0);
  private start = 0;
  private valueEnd = 0;
  private keyEnd = 0;

  set(buffer: Buffer, start: number, end: number): this {
    const last = buffer[end - 1] ?? 0;
    const lengthBytes = last === LONG ? 5 : 1;
    const keyBytes = last === LONG ? buffer.readUInt32LE(end - 5) : last;
    this.buffer = buffer;
    this.start = start;
    this.keyEnd = end - lengthBytes;
    this.valueEnd = this.keyEnd - keyBytes;
    return this;
  }

  value(): unknown {
    return decodeValue(this.buffer, this.start, this.valueEnd);
  }

  key(): unknown {
    return this.valueEnd === this.keyEnd
      ? undefined
      : decodeKey(this.buffer, this.valueEnd, this.keyEnd);
  }
}
