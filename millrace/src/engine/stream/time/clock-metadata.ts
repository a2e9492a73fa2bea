/**
 * The clocks of a task as the metadata of its committed offsets: text of at most OFFSET_METADATA_BYTES_MAX bytes, which is what a broker
 * takes. One text for each input.
 *
 *   base64 of  version 01 │ T │ for each reader of the topic: latest timestamp seen │ writers n │ latest time of a writer │
 *                                                            n × (4 × (1 + how far behind that) + counting │ of clocks: until)
 *
 * Numbers have seven bits a byte, least significant first, the high bit set on all but the last byte. A time is 0 for none, else 1 + 2t
 * for t >= 0 and -2t for t < 0. A writer without a time has 0 for (1 + how far behind). counting: 0 counts, 1 absent, 2 clock.
 * NOTE: persistent format, do not change.
 *
 * Writers are as many as the tasks of the stage before; above CLOCK_WRITERS_MAX their times are in a store (`clock-store.ts`).
 */
import { MillraceError } from '../../../core/errors.ts';
import { CLOCK_WRITERS_MAX } from '../../../core/stream-limits.ts';
import type { Counting, InputTime, WriterTime } from './time-tracker.ts';

const VERSION = 1;
const COUNTINGS: readonly Counting[] = ['counts', 'absent', 'clock'];
const COUNTING_CODES = 4;

export interface SavedClock {
  /** T of the task. */
  readonly now: number;
  /** A topic that is read in several ways has a time for each of them. */
  readonly inputs: readonly InputTime[];
}

export function encodeClock({ now, inputs }: SavedClock): string {
  const bytes: number[] = [VERSION];
  writeTime(bytes, now);
  for (const input of inputs) {
    writeTime(bytes, input.seen);
    writeWriters(bytes, input.writers.length > CLOCK_WRITERS_MAX ? [] : input.writers);
  }
  return Buffer.from(bytes).toString('base64');
}

function writeWriters(bytes: number[], writers: readonly WriterTime[]): void {
  writeNumber(bytes, writers.length);
  if (writers.length === 0) return;
  const base = baseOf(writers);
  writeTime(bytes, base);
  for (const { time, counting, until } of writers) {
    const behind = time === Number.NEGATIVE_INFINITY ? 0 : base - time + 1;
    writeNumber(bytes, behind * COUNTING_CODES + COUNTINGS.indexOf(counting));
    if (counting === 'clock') writeUntil(bytes, until);
  }
}

/**
 * @returns undefined for a text without anything: somebody else has set the offset
 * @throws {MillraceError} ML_FLOW_CHANGED when it is not what `encodeClock` writes
 */
export function decodeClock(metadata: string): SavedClock | undefined {
  if (metadata === '') return undefined;
  const cursor = new Cursor(Buffer.from(metadata, 'base64'));
  if (cursor.byte() !== VERSION) throw unreadable();
  const now = cursor.time();
  const inputs: InputTime[] = [];
  while (!cursor.isDone) inputs.push({ seen: cursor.time(), writers: readWriters(cursor) });
  return { now, inputs };
}

function readWriters(cursor: Cursor): readonly WriterTime[] {
  const count = cursor.number();
  if (count > CLOCK_WRITERS_MAX) throw unreadable();
  const writers: WriterTime[] = [];
  if (count === 0) return writers;
  const base = cursor.time();
  for (let index = 0; index < count; index++) {
    const coded = cursor.number();
    const behind = Math.floor(coded / COUNTING_CODES);
    const counting = COUNTINGS[coded % COUNTING_CODES];
    const isPossible = behind === 0 || base !== Number.NEGATIVE_INFINITY;
    if (counting === undefined || !isPossible) throw unreadable();
    const time = behind === 0 ? Number.NEGATIVE_INFINITY : base - behind + 1;
    const until = counting === 'clock' ? cursor.until() : Number.POSITIVE_INFINITY;
    writers.push({ time, counting, until });
  }
  return writers;
}

/** The latest time of a writer: the others are told by how far they are behind. */
function baseOf(writers: readonly WriterTime[]): number {
  let base = Number.NEGATIVE_INFINITY;
  for (const { time } of writers) if (time > base) base = time;
  return base;
}

/** NOTE: as a time, with the other infinity. */
function writeUntil(bytes: number[], until: number): void {
  writeTime(bytes, until === Number.POSITIVE_INFINITY ? Number.NEGATIVE_INFINITY : until);
}

function writeTime(bytes: number[], time: number): void {
  if (time === Number.NEGATIVE_INFINITY) writeNumber(bytes, 0);
  else writeNumber(bytes, 1 + (time >= 0 ? time * 2 : -time * 2 - 1));
}

function writeNumber(bytes: number[], value: number): void {
  let rest = value;
  while (rest >= 128) {
    bytes.push((rest % 128) | 128);
    rest = Math.floor(rest / 128);
  }
  bytes.push(rest);
}

class Cursor {
  private readonly bytes: Buffer;
  private at = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  get isDone(): boolean {
    return this.at === this.bytes.length;
  }

  byte(): number {
    const byte = this.bytes[this.at++];
    if (byte === undefined) throw unreadable();
    return byte;
  }

  number(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.byte();
      value += (byte % 128) * scale;
      if (!Number.isSafeInteger(value)) throw unreadable();
      if (byte < 128) return value;
    }
  }

  until(): number {
    const time = this.time();
    return time === Number.NEGATIVE_INFINITY ? Number.POSITIVE_INFINITY : time;
  }

  time(): number {
    const coded = this.number();
    if (coded === 0) return Number.NEGATIVE_INFINITY;
    const half = coded - 1;
    return half % 2 === 0 ? half / 2 : -(half + 1) / 2;
  }
}

function unreadable(): MillraceError {
  return new MillraceError(
    'ML_FLOW_CHANGED',
    'the metadata of a committed offset are not those of a flow of this version',
  );
}
