/**
 * The records of `__queue_state`: what a queue has settled of a partition, on disk. docs/formats/queue-state.md draws them.
 *
 * Keys begin with a version and a kind, values with a version; numbers are big-endian, varints as in Kafka's records without zigzag.
 *
 * NOTE: persistent format, do not renumber.
 */
import { ByteWriter } from '../../../core/byte-writer.ts';
import { MillraceError } from '../../../core/errors.ts';
import { QUEUE_CHUNK_OFFSETS } from '../../../core/queue-limits.ts';
import { ChunkSet } from './chunk-set.ts';
import type { QueueStateId } from './queue-state.ts';
import { OffsetChunk } from './offset-chunk.ts';

const KEY_VERSION = 0;
const VALUE_VERSION = 0;
/** Of chunks in which messages are due at a time. */
const DUES_VERSION = 1;
const DUE_BYTES = 6;
const DUE_MS_MAX = 2 ** 48 - 1;
const KIND_HEAD = 0;
const KIND_CHUNK = 1;
const KIND_DEDUPE = 2;
const SET_EMPTY = 0;
const SET_FULL = 1;
const SET_RUNS = 2;
const SET_BITS = 3;
const BITS_BYTES = QUEUE_CHUNK_OFFSETS / 8;

/** Where a queue is in a partition, and what it knew of the log when that was written. */
export interface StateHead {
  readonly floor: number;
  readonly next: number;
  readonly bytes: number;
  readonly countedTo: number;
  /** The state speaks of no offset at or above. */
  readonly logEndOffset: number;
  /** Under which it was written; -1 = unknown. */
  readonly leaderEpoch: number;
}

export type StateKey =
  | { readonly kind: 'head'; readonly id: QueueStateId }
  | { readonly kind: 'chunk'; readonly id: QueueStateId; readonly number: number }
  | { readonly kind: 'dedupe'; readonly id: QueueStateId; readonly key: string };

export function encodeKey(key: StateKey): Buffer {
  const queueId = Buffer.from(key.id.queueId);
  const name = key.kind === 'dedupe' ? Buffer.from(key.key) : undefined;
  const rest = key.kind === 'chunk' ? 8 : (name?.length ?? 0);
  const bytes = Buffer.alloc(8 + queueId.length + rest);
  bytes[0] = KEY_VERSION;
  bytes[1] = key.kind === 'head' ? KIND_HEAD : key.kind === 'chunk' ? KIND_CHUNK : KIND_DEDUPE;
  bytes.writeUInt16BE(queueId.length, 2);
  queueId.copy(bytes, 4);
  const at = 4 + queueId.length;
  bytes.writeUInt32BE(key.id.partition, at);
  if (key.kind === 'chunk') writeNumber(bytes, at + 4, key.number);
  name?.copy(bytes, at + 4);
  return bytes;
}

/** @throws {MillraceError} ML_WIRE_MALFORMED, ML_DATA_NEWER */
export function decodeKey(bytes: Buffer): StateKey {
  const reader = new StateReader(bytes);
  reader.version(KEY_VERSION);
  const kind = reader.byte();
  const queueId = reader.text(reader.number(2));
  const id = { queueId, partition: reader.number(4) };
  if (kind === KIND_DEDUPE) return { kind: 'dedupe', id, key: reader.text(reader.left) };
  const key: StateKey =
    kind === KIND_HEAD ? { kind: 'head', id } : { kind: 'chunk', id, number: reader.offset() };
  if (kind !== KIND_HEAD && kind !== KIND_CHUNK) throw malformed(`kind ${kind}`);
  reader.end();
  return key;
}

export function encodeHead(head: StateHead): Buffer {
  const bytes = Buffer.alloc(45);
  bytes[0] = VALUE_VERSION;
  writeNumber(bytes, 1, head.floor);
  writeNumber(bytes, 9, head.next);
  writeNumber(bytes, 17, head.bytes);
  writeNumber(bytes, 25, head.countedTo);
  writeNumber(bytes, 33, head.logEndOffset);
  bytes.writeInt32BE(head.leaderEpoch, 41);
  return bytes;
}

/** @throws {MillraceError} ML_WIRE_MALFORMED, ML_DATA_NEWER */
export function decodeHead(bytes: Buffer): StateHead {
  const reader = new StateReader(bytes);
  reader.version(VALUE_VERSION);
  const head = {
    floor: reader.offset(),
    next: reader.offset(),
    bytes: reader.offset(),
    countedTo: reader.offset(),
    logEndOffset: reader.offset(),
    leaderEpoch: reader.number(4) | 0,
  };
  reader.end();
  return head;
}

export function encodeDedupe(untilMs: number): Buffer {
  const bytes = Buffer.alloc(9);
  bytes[0] = VALUE_VERSION;
  writeNumber(bytes, 1, untilMs);
  return bytes;
}

/** @throws {MillraceError} ML_WIRE_MALFORMED, ML_DATA_NEWER */
export function decodeDedupe(bytes: Buffer): number {
  const reader = new StateReader(bytes);
  reader.version(VALUE_VERSION);
  const untilMs = reader.offset();
  reader.end();
  return untilMs;
}

export function encodeChunk(chunk: OffsetChunk | 'full'): Buffer {
  const writer = new ByteWriter(64);
  const dues = chunk === 'full' ? undefined : chunk.dues;
  writer.byte(dues === undefined ? VALUE_VERSION : DUES_VERSION);
  if (chunk === 'full') {
    writer.byte(SET_FULL);
    writer.byte(SET_EMPTY);
    writeVarint(writer, 0);
  } else {
    writeSet(writer, chunk.settled);
    writeSet(writer, chunk.marks);
    writeCounts(writer, chunk.counts);
    if (dues !== undefined) writeDues(writer, dues);
  }
  return Buffer.from(writer.buffer.subarray(0, writer.length));
}

/** @throws {MillraceError} ML_WIRE_MALFORMED, ML_DATA_NEWER */
export function decodeChunk(number: number, bytes: Buffer): OffsetChunk | 'full' {
  const reader = new StateReader(bytes);
  const version = reader.version(DUES_VERSION);
  const settled = readSet(reader);
  const marks = readSet(reader);
  const counts = readCounts(reader);
  const dues = version < DUES_VERSION ? undefined : readDues(reader);
  reader.end();
  if (settled.size === QUEUE_CHUNK_OFFSETS) return 'full';
  const chunk = new OffsetChunk(number);
  chunk.settled = settled;
  if (marks.size > 0) chunk.marks = marks;
  if (counts.size > 0) chunk.counts = counts;
  if (dues !== undefined && dues.size > 0) chunk.dues = dues;
  return chunk;
}

// ---- Sets -----------------------------------------------------------------------------------------------------------

function writeSet(writer: ByteWriter, set: ChunkSet | undefined): void {
  if (set === undefined || set.size === 0) {
    writer.byte(SET_EMPTY);
    return;
  }
  const runs = set.runsNow;
  // A run takes at least two bytes.
  if (runs * 2 < BITS_BYTES && writeRuns(writer, set, runs)) return;
  writer.byte(SET_BITS);
  writer.reserve(BITS_BYTES);
  const { buffer } = writer;
  for (const word of set.asBits()) {
    buffer.writeUInt32LE(word, writer.length);
    writer.length += 4;
  }
}

/** @returns false, and has written nothing, when that is no shorter than bits */
function writeRuns(writer: ByteWriter, set: ChunkSet, runs: number): boolean {
  const start = writer.length;
  writer.byte(SET_RUNS);
  writeVarint(writer, runs);
  let next = 0;
  set.forEachRun((first, last) => {
    writeVarint(writer, first - next);
    writeVarint(writer, last - first);
    next = last + 1;
  });
  if (writer.length - start <= BITS_BYTES) return true;
  writer.length = start;
  return false;
}

function readSet(reader: StateReader): ChunkSet {
  const form = reader.byte();
  const set = new ChunkSet();
  switch (form) {
    case SET_EMPTY:
      return set;
    case SET_FULL:
      set.addRange(0, QUEUE_CHUNK_OFFSETS);
      return set;
    case SET_RUNS:
      readRuns(reader, set);
      return set;
    case SET_BITS:
      return readBits(reader);
    default:
      throw malformed(`a set in form ${form}`);
  }
}

function readRuns(reader: StateReader, set: ChunkSet): void {
  const runs = reader.varint();
  let next = 0;
  for (let run = 0; run < runs; run++) {
    const skipped = reader.varint();
    const first = next + skipped;
    const end = first + reader.varint() + 1;
    if (end > QUEUE_CHUNK_OFFSETS) throw malformed('a run beyond the end of its chunk');
    if (skipped === 0 && run > 0) throw malformed('two runs that are one');
    set.append(first, end);
    next = end;
  }
}

function readBits(reader: StateReader): ChunkSet {
  const set = ChunkSet.fromBits(reader.wordsLE(BITS_BYTES / 4));
  // In the simplest form that there is.
  set.simplify();
  return set;
}

function writeCounts(writer: ByteWriter, counts: ReadonlyMap<number, number> = new Map()): void {
  writeByPosition(writer, counts, (count) => {
    writeVarint(writer, count);
  });
}

function readCounts(reader: StateReader): Map<number, number> {
  return readByPosition(reader, () => reader.varint());
}

function writeDues(writer: ByteWriter, dues: ReadonlyMap<number, number>): void {
  writeByPosition(writer, dues, (dueMs) => {
    writer.reserve(DUE_BYTES);
    writer.buffer.writeUIntBE(Math.min(Math.ceil(dueMs), DUE_MS_MAX), writer.length, DUE_BYTES);
    writer.length += DUE_BYTES;
  });
}

function readDues(reader: StateReader): Map<number, number> {
  return readByPosition(reader, () => reader.number(DUE_BYTES));
}

function writeByPosition(
  writer: ByteWriter,
  values: ReadonlyMap<number, number>,
  write: (value: number) => void,
): void {
  writeVarint(writer, values.size);
  let next = 0;
  for (const [position, value] of [...values].sort(([a], [b]) => a - b)) {
    writeVarint(writer, position - next);
    write(value);
    next = position + 1;
  }
}

function readByPosition(reader: StateReader, read: () => number): Map<number, number> {
  const values = new Map<number, number>();
  const size = reader.varint();
  let next = 0;
  for (let index = 0; index < size; index++) {
    const position = next + reader.varint();
    if (position >= QUEUE_CHUNK_OFFSETS) throw malformed('a message beyond the end of its chunk');
    values.set(position, read());
    next = position + 1;
  }
  return values;
}

// ---- Bytes ----------------------------------------------------------------------------------------------------------

function writeNumber(bytes: Buffer, at: number, value: number): void {
  bytes.writeUInt32BE(Math.floor(value / 2 ** 32), at);
  bytes.writeUInt32BE(value % 2 ** 32, at + 4);
}

function writeVarint(writer: ByteWriter, value: number): void {
  let rest = value;
  while (rest > 0x7f) {
    writer.byte((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  writer.byte(rest);
}

class StateReader {
  private readonly bytes: Buffer;
  private at = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  get left(): number {
    return this.bytes.length - this.at;
  }

  byte(): number {
    return this.number(1);
  }

  /** @param size 1 to 6 */
  number(size: number): number {
    const at = this.take(size);
    return this.bytes.readUIntBE(at, size);
  }

  offset(): number {
    const value = this.number(4) * 2 ** 32 + this.number(4);
    if (!Number.isSafeInteger(value)) throw malformed(`the number ${value}`);
    return value;
  }

  wordsLE(count: number): Uint32Array {
    const words = new Uint32Array(count);
    let at = this.take(count * 4);
    for (let index = 0; index < count; index++, at += 4) words[index] = this.bytes.readUInt32LE(at);
    return words;
  }

  varint(): number {
    let value = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.byte();
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw malformed('a varint that does not end');
  }

  text(length: number): string {
    const at = this.take(length);
    return this.bytes.toString('utf8', at, at + length);
  }

  version(known: number): number {
    const version = this.byte();
    if (version > known)
      throw new MillraceError(
        'ML_DATA_NEWER',
        `the state of a queue has version ${version}; this Millrace reads ${known}`,
        { fields: { version } },
      );
    return version;
  }

  end(): void {
    if (this.left > 0) throw malformed(`${this.left} bytes too many`);
  }

  private take(size: number): number {
    const { at } = this;
    if (size > this.left) throw malformed('an end too soon');
    this.at += size;
    return at;
  }
}

function malformed(what: string): MillraceError {
  return new MillraceError('ML_WIRE_MALFORMED', `a record of the state of queues has ${what}`, {
    hint: 'Look for disk errors with `dmesg`',
  });
}
