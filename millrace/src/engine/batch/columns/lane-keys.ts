/**
 * Keys of groups that are more than one text: the values of some vectors, one after the other in the scratch memory.
 *
 *   null 00 · text 01 u32 length, bytes · number 02 double · false 03 · true 04
 *
 * Each value has one encoding, so that equal keys are equal bytes. Values are appended column by column.
 *
 * @hot
 */
import { decodeText } from '../../../core/text-escape.ts';
import type { ColumnValue } from '../../../flow/columns.ts';
import type { KeyKernels } from './kernels.ts';
import type { LaneMemory } from './lane-memory.ts';
import type { Scratch } from './scratch.ts';
import { NULL_TAG, OVERSHOOT_BYTES, TEXT_HEAD_BYTES, TEXT_TAG } from './text-kernels.ts';
import { BATCH_ROWS, NULL_BOOLEAN, type Vector } from './vectors.ts';

const NUMBER = 2;
const FALSE = 3;
const TRUE = 4;
const GROUP_BYTES = 4;
const NUMBER_BYTES = 9;

export interface ComposedKeysOptions {
  readonly memory: LaneMemory;
  readonly scratch: Scratch;
  readonly kernels: KeyKernels;
  readonly vectors: readonly Vector[];
  /** A key begins with a group, as a number: that which a distinct value belongs to. */
  readonly hasGroup: boolean;
}

export class ComposedKeys {
  /** Address of the ranges of keys. */
  readonly ranges: number;
  private readonly options: ComposedKeysOptions;
  /** Address of where the next value of each row goes. */
  private readonly cursors: number;

  constructor(options: ComposedKeysOptions) {
    this.options = options;
    this.ranges = options.memory.reserve(BATCH_ROWS * 8);
    this.cursors = options.memory.reserve(BATCH_ROWS * 4);
  }

  /** Writes the keys of rows [from, to). @param groups address of the group of row 0, where keys begin with it */
  compose(from: number, to: number, groups: number): void {
    const { memory, kernels, vectors, hasGroup } = this.options;
    for (const vector of vectors) vector.prepare();
    this.makeRoom(from, to);
    const { i32 } = memory;
    // The memory does not grow any more.
    const view = new DataView(memory.memory.buffer);
    const cursors = this.cursors >> 2;
    if (hasGroup) appendGroups(view, i32, cursors, { groups: groups >> 2, from, to });
    for (const vector of vectors) {
      if (vector.kind === 'text')
        kernels.append(to - from, vector.ranges + from * 8, this.cursors + from * 4);
      else if (vector.kind === 'number')
        appendNumbers(view, i32, cursors, { values: vector.values, from, to });
      else appendBooleans(view, i32, cursors, { values: vector.values, from, to });
    }
    const ranges = this.ranges >> 2;
    for (let row = from; row < to; row++) i32[ranges + row * 2 + 1] = i32[cursors + row] as number;
  }

  /** Gives each row a place for its key, large enough whatever its values are. */
  private makeRoom(from: number, to: number): void {
    const { memory, scratch, vectors, hasGroup } = this.options;
    let fixedBytes = OVERSHOOT_BYTES + (hasGroup ? GROUP_BYTES : 0);
    for (const { kind } of vectors)
      fixedBytes += kind === 'text' ? TEXT_HEAD_BYTES : kind === 'number' ? NUMBER_BYTES : 1;
    const { i32 } = memory;
    const cursors = this.cursors >> 2;
    i32.fill(fixedBytes, cursors + from, cursors + to);
    for (const vector of vectors) {
      if (vector.kind !== 'text') continue;
      const at = vector.ranges >> 2;
      for (let row = from; row < to; row++)
        (i32[cursors + row] as number) +=
          (i32[at + row * 2 + 1] as number) - (i32[at + row * 2] as number);
    }
    const start = scratch.end;
    let end = start;
    const ranges = this.ranges >> 2;
    for (let row = from; row < to; row++) {
      const bytes = i32[cursors + row] as number;
      i32[ranges + row * 2] = end;
      i32[cursors + row] = end;
      end += bytes;
    }
    scratch.reserve(end - start);
    scratch.end = end;
  }
}

interface Rows {
  readonly from: number;
  readonly to: number;
}

function appendGroups(
  view: DataView,
  i32: Int32Array,
  cursors: number,
  { groups, from, to }: Rows & { readonly groups: number },
): void {
  for (let row = from; row < to; row++) {
    const at = i32[cursors + row] as number;
    view.setInt32(at, i32[groups + row] as number, true);
    i32[cursors + row] = at + GROUP_BYTES;
  }
}

function appendNumbers(
  view: DataView,
  i32: Int32Array,
  cursors: number,
  { values, from, to }: Rows & { readonly values: Float64Array },
): void {
  for (let row = from; row < to; row++) {
    const value = values[row] as number;
    const at = i32[cursors + row] as number;
    const isNull = value !== value;
    view.setUint8(at, isNull ? NULL_TAG : NUMBER);
    // Adding 0 makes 0 of -0.
    if (!isNull) view.setFloat64(at + 1, value + 0, true);
    i32[cursors + row] = at + (isNull ? 1 : NUMBER_BYTES);
  }
}

function appendBooleans(
  view: DataView,
  i32: Int32Array,
  cursors: number,
  { values, from, to }: Rows & { readonly values: Uint8Array },
): void {
  for (let row = from; row < to; row++) {
    const value = values[row] as number;
    const at = i32[cursors + row] as number;
    view.setUint8(at, value === NULL_BOOLEAN ? NULL_TAG : value === 1 ? TRUE : FALSE);
    i32[cursors + row] = at + 1;
  }
}

/** The values of a key that `compose` has written to buffer[start, end), behind its group. */
export function decomposeKey(buffer: Buffer, start: number, end: number): ColumnValue[] {
  const values: ColumnValue[] = [];
  for (let at = start; at < end; ) {
    const tag = buffer[at++] ?? NULL_TAG;
    switch (tag) {
      case TEXT_TAG: {
        const length = buffer.readInt32LE(at);
        values.push(decodeText(buffer, at + 4, at + 4 + length));
        at += 4 + length;
        break;
      }
      case NUMBER:
        values.push(buffer.readDoubleLE(at));
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
