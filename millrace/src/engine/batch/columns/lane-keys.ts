/**
 * Keys of groups that are more than one text: the values of some vectors, one after the other in the scratch memory.
 *
 *   null 00 · text 01 u32 length, bytes · number 02 double · false 03 · true 04
 *
 * Each value has one encoding, so that equal keys are equal bytes.
 */
import { decodeText } from '../../../core/text-escape.ts';
import type { ColumnValue } from '../../../flow/columns.ts';
import type { LaneMemory } from './lane-memory.ts';
import type { Scratch } from './scratch.ts';
import { NULL_BOOLEAN, type Vector } from './vectors.ts';

const NULL = 0;
const TEXT = 1;
const NUMBER = 2;
const FALSE = 3;
const TRUE = 4;
const HEAD_BYTES_MAX = 9;

const double = new Float64Array(1);
const doubleBytes = new Uint8Array(double.buffer);

export class ComposedKeys {
  /** Address of the ranges of keys. */
  readonly ranges: number;
  private readonly memory: LaneMemory;
  private readonly scratch: Scratch;
  private readonly vectors: readonly Vector[];
  /** Groups that the key begins with, as a number: of the aggregate that a distinct value belongs to. */
  private readonly hasGroup: boolean;

  constructor(
    memory: LaneMemory,
    scratch: Scratch,
    vectors: readonly Vector[],
    place: { readonly ranges: number; readonly hasGroup: boolean },
  ) {
    this.memory = memory;
    this.scratch = scratch;
    this.vectors = vectors;
    this.ranges = place.ranges;
    this.hasGroup = place.hasGroup;
  }

  /** Writes the keys of rows [from, to). @param groups address of the group of row 0, where keys begin with it */
  compose(from: number, to: number, groups: number): void {
    const { memory, scratch, vectors, hasGroup } = this;
    for (const vector of vectors) vector.prepare();
    for (let row = from; row < to; row++) {
      const start = scratch.end;
      if (hasGroup) {
        scratch.reserve(HEAD_BYTES_MAX);
        writeInt32(memory.buffer, scratch.end, memory.i32[(groups >> 2) + row] as number);
        scratch.end += 4;
      }
      for (const vector of vectors) this.append(vector, row);
      const { i32 } = memory;
      i32[(this.ranges >> 2) + row * 2] = start;
      i32[(this.ranges >> 2) + row * 2 + 1] = scratch.end;
    }
  }

  private append(vector: Vector, row: number): void {
    const { memory, scratch } = this;
    scratch.reserve(HEAD_BYTES_MAX);
    if (vector.kind === 'number') {
      this.appendNumber(vector.values[row] as number);
      return;
    }
    if (vector.kind === 'boolean') {
      const value = vector.values[row] as number;
      memory.buffer[scratch.end++] = value === NULL_BOOLEAN ? NULL : value === 1 ? TRUE : FALSE;
      return;
    }
    const at = (vector.ranges >> 2) + row * 2;
    const start = memory.i32[at] as number;
    const length = (memory.i32[at + 1] as number) - start;
    if (length < 0) {
      memory.buffer[scratch.end++] = NULL;
      return;
    }
    scratch.reserve(HEAD_BYTES_MAX + length);
    const { buffer } = memory;
    buffer[scratch.end] = TEXT;
    writeInt32(buffer, scratch.end + 1, length);
    scratch.end += 5;
    copyBytes(buffer, start, length, scratch.end);
    scratch.end += length;
  }

  private appendNumber(value: number): void {
    const { memory, scratch } = this;
    if (value !== value) {
      memory.buffer[scratch.end++] = NULL;
      return;
    }
    // Adding 0 makes 0 of -0.
    double[0] = value + 0;
    memory.buffer[scratch.end] = NUMBER;
    for (let index = 0; index < 8; index++)
      memory.buffer[scratch.end + 1 + index] = doubleBytes[index] as number;
    scratch.end += 9;
  }
}

/** The values of a key that `compose` has written to buffer[start, end), behind its group. */
export function decomposeKey(buffer: Buffer, start: number, end: number): ColumnValue[] {
  const values: ColumnValue[] = [];
  for (let at = start; at < end; ) {
    const tag = buffer[at++] ?? NULL;
    switch (tag) {
      case TEXT: {
        const length = buffer.readInt32LE(at);
        values.push(decodeText(buffer, at + 4, at + 4 + length));
        at += 4 + length;
        break;
      }
      case NUMBER:
        for (let index = 0; index < 8; index++) doubleBytes[index] = buffer[at + index] as number;
        values.push(double[0] as number);
        at += 8;
        break;
      case FALSE:
        values.push(false);
        break;
      case TRUE:
        values.push(true);
        break;
      default:
        values.push(null);
    }
  }
  return values;
}

function writeInt32(buffer: Buffer, at: number, value: number): void {
  buffer[at] = value;
  buffer[at + 1] = value >> 8;
  buffer[at + 2] = value >> 16;
  buffer[at + 3] = value >> 24;
}

/** Long texts by one native call. */
const LOOP_BYTES_MAX = 64;

function copyBytes(buffer: Buffer, from: number, length: number, to: number): void {
  if (length > LOOP_BYTES_MAX) buffer.copyWithin(to, from, from + length);
  else
    for (let index = 0; index < length; index++)
      buffer[to + index] = buffer[from + index] as number;
}
