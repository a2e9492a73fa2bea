/**
 * Topics written by a run that has an end. A task writes its records into a part, as bytes of the topic's serdes; the parts of the attempts that won
 * are appended by the driver, those of all topics in one transaction.
 *
 * A record of a part: time (double), length of the key (int32; -1: none), length of the value (the same), length of the headers, key, value,
 * headers (of each the length of its name, the length of its value, both). Little-endian; parts live as long as the job.
 */
import { SINK_BUFFER_BYTES } from '../../core/limits.ts';
import { MillraceError } from '../../core/errors.ts';
import type { Env, File } from '../../core/env.ts';
import { readFully, writeFully } from '../../core/files.ts';
import { ByteWriter } from '../../core/byte-writer.ts';
import { partitionOf } from '../../core/murmur2.ts';
import type { Serde } from '../../flow/serde.ts';
import type { Part, PublishContext, SinkWriter, WriteContext } from '../../flow/sink.ts';
import type { Envelope, TopicPort } from '../../flow/topic-port.ts';

const HEADER_BYTES = 20;
const LENGTH_BYTES = 4;
const NO_HEADERS: Envelope['headers'] = [];

/** Takes records that have no time: they get that of their writing. */
export function openTopicPart(port: TopicPort, context: WriteContext): SinkWriter {
  const writer = new PartWriter(port, context);
  const { clock } = context.env;
  return writer.taking((value, key) => writer.append(clock.nowMs(), value, key));
}

/** Takes records as `engine/bounded/timed.ts` has them. */
export function openTimedTopicPart(port: TopicPort, context: WriteContext): SinkWriter {
  const writer = new PartWriter(port, context);
  const { clock } = context.env;
  return writer.taking((record, key) => {
    const { t, v } = record as { readonly t: number; readonly v: unknown };
    writer.append(t >= 0 ? t : clock.nowMs(), v, key);
  });
}

class PartWriter {
  private readonly port: TopicPort;
  private readonly file: File;
  private readonly out = new ByteWriter(SINK_BUFFER_BYTES);
  private bytes = 0;
  private records = 0;

  constructor(port: TopicPort, context: WriteContext) {
    this.port = port;
    this.file = context.env.fs.open(`${context.directory}/part`, 'create');
  }

  taking(write: SinkWriter<unknown, unknown>['write']): SinkWriter {
    return {
      write,
      isBusy: false,
      drain: () => Promise.resolve(),
      finish: () => Promise.resolve(this.finish()),
      abort: () => {
        this.file.close();
        return Promise.resolve();
      },
    };
  }

  append(time: number, value: unknown, key: unknown): void {
    const { out } = this;
    const from = out.length;
    out.reserve(HEADER_BYTES);
    out.length += HEADER_BYTES;
    const wrapped = this.wrap(value, key);
    const keyBytes = this.field(this.port.key, wrapped.key, 'key');
    const valueBytes = this.field(this.port.value, value, 'value');
    const headersFrom = out.length;
    for (const header of wrapped.headers) {
      this.text(header.key);
      this.text(header.value);
    }
    out.buffer.writeDoubleLE(time, from);
    out.buffer.writeInt32LE(keyBytes, from + 8);
    out.buffer.writeInt32LE(valueBytes, from + 12);
    out.buffer.writeInt32LE(out.length - headersFrom, from + 16);
    this.records++;
    if (out.length >= SINK_BUFFER_BYTES) this.spill();
  }

  /** @returns its length, -1 for none */
  private field(serde: Serde<unknown>, value: unknown, what: string): number {
    if (value === undefined || value === null) return -1;
    let encoded: Uint8Array | string;
    try {
      encoded = serde.encode(value);
    } catch (cause) {
      throw this.invalid(`the ${what} cannot be written as ${serde.name}`, cause);
    }
    return this.put(encoded);
  }

  private wrap(value: unknown, key: unknown): Envelope {
    const { envelope } = this.port;
    if (envelope === undefined) return { key, headers: NO_HEADERS };
    try {
      return envelope(value, key);
    } catch (cause) {
      throw this.invalid('the record cannot be written', cause);
    }
  }

  private invalid(what: string, cause: unknown): MillraceError {
    const reason = cause instanceof Error ? cause.message : String(cause);
    return new MillraceError(
      'ML_SINK_VALUE_INVALID',
      `topic ${this.port.name}: ${what}: ${reason}`,
      {
        cause,
        fields: { topic: this.port.name },
        hint: 'Map the record to what the serde of the topic takes, or give the topic another one',
      },
    );
  }

  /** With its length in front; none: -1. */
  private text(data: Uint8Array | string | null): void {
    const { out } = this;
    const from = out.length;
    out.reserve(LENGTH_BYTES);
    out.length += LENGTH_BYTES;
    const bytes = data === null ? -1 : this.put(data);
    out.buffer.writeInt32LE(bytes, from);
  }

  private put(encoded: Uint8Array | string): number {
    const { out } = this;
    if (typeof encoded === 'string') {
      out.reserve(encoded.length * 3);
      const written = out.buffer.utf8Write(encoded, out.length);
      out.length += written;
      return written;
    }
    out.bytes(encoded, 0, encoded.length);
    return encoded.length;
  }

  private spill(): void {
    const { out } = this;
    writeFully(this.file, out.buffer, 0, out.length, this.bytes);
    this.bytes += out.length;
    out.clear();
  }

  private finish(): readonly Part[] {
    this.spill();
    this.file.close();
    const { path } = this.file;
    return this.records === 0 ? [] : [{ path, bytes: this.bytes, records: this.records }];
  }
}

/** Appends the records of all parts, in their order. Records without a key stay together by parts. */
export async function publishParts(env: Env, context: PublishContext): Promise<void> {
  const { parts, partitions } = context;
  for (const [index, part] of parts.entries()) {
    const file = env.fs.open(part.path, 'read');
    try {
      await publishPart(file, part, index % partitions, context);
    } finally {
      file.close();
    }
  }
}

async function publishPart(
  file: File,
  part: Part,
  keyless: number,
  context: PublishContext,
): Promise<void> {
  let buffer = Buffer.allocUnsafe(SINK_BUFFER_BYTES);
  let [start, end] = [0, 0];
  /** Where in the file the buffer goes on. */
  let position = 0;
  const fill = (bytes: number): void => {
    if (end - start >= bytes) return;
    const rest = buffer.subarray(start, end);
    const target = bytes > buffer.length ? Buffer.allocUnsafe(bytes) : buffer;
    target.set(rest, 0);
    end = rest.length;
    start = 0;
    buffer = target;
    const wanted = Math.min(buffer.length - end, part.bytes - position);
    readFully(file, buffer, end, end + wanted, position);
    position += wanted;
    end += wanted;
  };
  for (let record = 0; record < part.records; record++) {
    fill(HEADER_BYTES);
    const time = buffer.readDoubleLE(start);
    const keyBytes = buffer.readInt32LE(start + 8);
    const valueBytes = buffer.readInt32LE(start + 12);
    const headersBytes = buffer.readInt32LE(start + 16);
    start += HEADER_BYTES;
    fill(Math.max(keyBytes, 0) + Math.max(valueBytes, 0) + headersBytes);
    const key = keyBytes < 0 ? null : buffer.subarray(start, (start += keyBytes));
    const value = valueBytes < 0 ? null : buffer.subarray(start, (start += valueBytes));
    const partition = key === null ? keyless : partitionOf(key, context.partitions);
    const headers = headersOf(buffer, start, start + headersBytes);
    start += headersBytes;
    context.append(partition, time, key, value, headers);
    const waiting = context.drained();
    if (waiting !== undefined) await waiting;
  }
}

function headersOf(buffer: Buffer, start: number, end: number): Envelope['headers'] {
  if (start === end) return NO_HEADERS;
  const headers: { key: string; value: Buffer | null }[] = [];
  for (let at = start; at < end; ) {
    const key = fieldAt(buffer, at);
    at += LENGTH_BYTES + (key?.length ?? 0);
    const value = fieldAt(buffer, at);
    at += LENGTH_BYTES + (value?.length ?? 0);
    headers.push({ key: key?.toString() ?? '', value });
  }
  return headers;
}

function fieldAt(buffer: Buffer, at: number): Buffer | null {
  const bytes = buffer.readInt32LE(at);
  return bytes < 0 ? null : buffer.subarray(at + LENGTH_BYTES, at + LENGTH_BYTES + bytes);
}
