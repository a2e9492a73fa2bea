/**
 * Columns of a batch of rows: what expressions compute on. Text is ranges of bytes in the lane's memory; numbers and booleans are typed
 * arrays. A vector is computed when something asks for it, once per batch.
 *
 * @hot Loops over rows; nothing is allocated per row.
 */
import { LANE_BATCH_ROWS } from '../../../core/limits.ts';
import { parseBoolean, parseNumber } from '../../../flow/column-text.ts';
import type { LaneMemory } from './lane-memory.ts';

/** Most rows of a batch. */
export const BATCH_ROWS: number = LANE_BATCH_ROWS;

/** The rows that are worked on. `stamp` changes whenever they do. */
export class Batch {
  rows = 0;
  stamp = 0;

  set(rows: number): void {
    this.rows = rows;
    this.stamp++;
  }
}

export type Vector = TextVector | NumberVector | BooleanVector;

/** Ranges in the lane's memory, at `ranges`: see `lane-memory.ts`. */
export interface TextVector {
  readonly kind: 'text';
  readonly ranges: number;
  prepare(): void;
}

/** null is NaN, which is no value of a column. */
export interface NumberVector {
  readonly kind: 'number';
  readonly values: Float64Array;
  prepare(): void;
}

/** 0, 1, or NULL_BOOLEAN. */
export interface BooleanVector {
  readonly kind: 'boolean';
  readonly values: Uint8Array;
  prepare(): void;
}

export const NULL_BOOLEAN = 2;

abstract class Lazy {
  private readonly batch: Batch;
  private stamp = -1;

  constructor(batch: Batch) {
    this.batch = batch;
  }

  prepare(): void {
    if (this.stamp === this.batch.stamp) return;
    this.stamp = this.batch.stamp;
    this.compute(this.batch.rows);
  }

  protected abstract compute(rows: number): void;
}

/** Is given its ranges by a kernel, or once and for all. */
export class GivenText implements TextVector {
  readonly kind = 'text';
  readonly ranges: number;

  constructor(ranges: number) {
    this.ranges = ranges;
  }

  prepare(): void {}
}

export abstract class LazyText extends Lazy implements TextVector {
  readonly kind = 'text';
  readonly ranges: number;
  protected readonly memory: LaneMemory;

  constructor(batch: Batch, memory: LaneMemory) {
    super(batch);
    this.memory = memory;
    this.ranges = memory.reserve(BATCH_ROWS * 8);
  }
}

export abstract class LazyNumber extends Lazy implements NumberVector {
  readonly kind = 'number';
  readonly values = new Float64Array(BATCH_ROWS);
}

export abstract class LazyBoolean extends Lazy implements BooleanVector {
  readonly kind = 'boolean';
  readonly values = new Uint8Array(BATCH_ROWS);
}

/** The numbers that texts write: NaN where they write none. */
export class ParsedNumber extends LazyNumber {
  private readonly memory: LaneMemory;
  private readonly text: TextVector;

  constructor(batch: Batch, memory: LaneMemory, text: TextVector) {
    super(batch);
    this.memory = memory;
    this.text = text;
  }

  protected compute(rows: number): void {
    this.text.prepare();
    parseNumbers(this.memory.buffer, this.memory.i32, this.text.ranges >> 2, rows, this.values);
  }
}

export class ParsedBoolean extends LazyBoolean {
  private readonly memory: LaneMemory;
  private readonly text: TextVector;

  constructor(batch: Batch, memory: LaneMemory, text: TextVector) {
    super(batch);
    this.memory = memory;
    this.text = text;
  }

  protected compute(rows: number): void {
    const { memory, text, values } = this;
    text.prepare();
    const { buffer, i32 } = memory;
    const at = text.ranges >> 2;
    for (let row = 0; row < rows; row++) {
      const start = i32[at + row * 2] as number;
      const parsed = parseBoolean(buffer, start, i32[at + row * 2 + 1] as number);
      values[row] = parsed < 0 ? NULL_BOOLEAN : parsed;
    }
  }
}

/** Digits that are exact in 32 bits. */
const SHORT_DIGITS = 9;

function parseNumbers(
  buffer: Buffer,
  i32: Int32Array,
  ranges: number,
  rows: number,
  values: Float64Array,
): void {
  for (let row = 0; row < rows; row++) {
    const start = i32[ranges + row * 2] as number;
    const end = i32[ranges + row * 2 + 1] as number;
    let at = start;
    if (end - start <= SHORT_DIGITS && start < end) {
      let value = 0;
      for (; at < end; at++) {
        const digit = (buffer[at] as number) - 0x30;
        if (digit < 0 || digit > 9) break;
        value = (value * 10 + digit) | 0;
      }
      values[row] = value;
    }
    if (at < end || end <= start)
      values[row] = end <= start ? Number.NaN : parseNumber(buffer, start, end);
  }
}
