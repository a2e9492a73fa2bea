/**
 * Conditions on vectors: comparisons, searches in text, and what combines them. They are 0 or 1: a comparison with null, or of
 * different types, is 0.
 *
 * @hot
 */
import type { Expression } from '../../../flow/columns.ts';
import { compareBytes, hasPartAt, isPart } from './byte-text.ts';
import type { LaneMemory } from './lane-memory.ts';
import type { TextPlaces } from './text-places.ts';
import {
  type Batch,
  type BooleanVector,
  LazyBoolean,
  NULL_BOOLEAN,
  type NumberVector,
  type TextVector,
  type Vector,
} from './vectors.ts';

export type Comparison = Extract<Expression, { kind: 'compare' }>['operator'];

/** Which outcomes of a comparison hold: bit 0 less, bit 1 equal, bit 2 greater. */
const HOLDS: Readonly<Record<Comparison, number>> = {
  '<': 1,
  '=': 2,
  '<=': 3,
  '>': 4,
  '!=': 5,
  '>=': 6,
};

/** The same comparison with its sides exchanged. */
export const EXCHANGED: Readonly<Record<Comparison, Comparison>> = {
  '<': '>',
  '=': '=',
  '<=': '>=',
  '>': '<',
  '!=': '!=',
  '>=': '<=',
};

/** The same for all rows. */
export class Constant extends LazyBoolean {
  private readonly value: number;

  constructor(batch: Batch, value: number) {
    super(batch);
    this.value = value;
  }

  protected compute(rows: number): void {
    this.values.fill(this.value, 0, rows);
  }
}

export class CompareNumbers extends LazyBoolean {
  private readonly holds: number;
  private readonly left: NumberVector;
  private readonly right: NumberVector;

  constructor(batch: Batch, operator: Comparison, left: NumberVector, right: NumberVector) {
    super(batch);
    this.holds = HOLDS[operator];
    this.left = left;
    this.right = right;
  }

  protected compute(rows: number): void {
    this.left.prepare();
    this.right.prepare();
    const { holds, values } = this;
    const left = this.left.values;
    const right = this.right.values;
    for (let row = 0; row < rows; row++)
      values[row] = holdsFor(holds, left[row] as number, right[row] as number);
  }
}

export class CompareNumber extends LazyBoolean {
  private readonly holds: number;
  private readonly left: NumberVector;
  private readonly right: number;

  constructor(batch: Batch, operator: Comparison, left: NumberVector, right: number) {
    super(batch);
    this.holds = HOLDS[operator];
    this.left = left;
    this.right = right;
  }

  protected compute(rows: number): void {
    this.left.prepare();
    const { holds, right, values } = this;
    const left = this.left.values;
    for (let row = 0; row < rows; row++) values[row] = holdsFor(holds, left[row] as number, right);
  }
}

/** NaN, which is null, is neither less nor equal nor greater. */
function holdsFor(holds: number, left: number, right: number): number {
  if (left < right) return holds & 1;
  if (left === right) return (holds >> 1) & 1;
  return left > right ? holds >> 2 : 0;
}

export class CompareBooleans extends LazyBoolean {
  private readonly holds: number;
  private readonly left: BooleanVector;
  private readonly right: BooleanVector;

  constructor(batch: Batch, operator: Comparison, left: BooleanVector, right: BooleanVector) {
    super(batch);
    this.holds = HOLDS[operator];
    this.left = left;
    this.right = right;
  }

  protected compute(rows: number): void {
    this.left.prepare();
    this.right.prepare();
    const { holds, values } = this;
    for (let row = 0; row < rows; row++) {
      const left = this.left.values[row] as number;
      const right = this.right.values[row] as number;
      const isNull = left === NULL_BOOLEAN || right === NULL_BOOLEAN;
      values[row] = isNull ? 0 : holdsFor(holds, left, right);
    }
  }
}

export class CompareTexts extends LazyBoolean {
  private readonly holds: number;
  private readonly memory: LaneMemory;
  private readonly left: TextVector;
  private readonly right: TextVector;

  constructor(
    batch: Batch,
    memory: LaneMemory,
    operator: Comparison,
    sides: { readonly left: TextVector; readonly right: TextVector },
  ) {
    super(batch);
    this.holds = HOLDS[operator];
    this.memory = memory;
    this.left = sides.left;
    this.right = sides.right;
  }

  protected compute(rows: number): void {
    this.left.prepare();
    this.right.prepare();
    const { holds, values } = this;
    const { buffer, i32 } = this.memory;
    const left = this.left.ranges >> 2;
    const right = this.right.ranges >> 2;
    for (let row = 0; row < rows; row++) {
      const leftEnd = i32[left + row * 2 + 1] as number;
      const rightEnd = i32[right + row * 2 + 1] as number;
      const isNull = leftEnd === 0 || rightEnd === 0;
      const leftStart = i32[left + row * 2] as number;
      const rightStart = i32[right + row * 2] as number;
      values[row] = isNull
        ? 0
        : holdsFor(
            holds,
            compareBytes(buffer, leftStart, leftEnd, buffer, rightStart, rightEnd),
            0,
          );
    }
  }
}

/** Conditions on one text: a loop over ranges that calls `test` for those that are not null. */
abstract class TextCondition extends LazyBoolean {
  private readonly memory: LaneMemory;
  private readonly text: TextVector;

  constructor(batch: Batch, memory: LaneMemory, text: TextVector) {
    super(batch);
    this.memory = memory;
    this.text = text;
  }

  protected compute(rows: number): void {
    this.text.prepare();
    const { values } = this;
    const { buffer, i32 } = this.memory;
    const at = this.text.ranges >> 2;
    for (let row = 0; row < rows; row++) {
      const end = i32[at + row * 2 + 1] as number;
      values[row] = end === 0 ? 0 : this.test(buffer, i32[at + row * 2] as number, end);
    }
  }

  protected abstract test(buffer: Buffer, start: number, end: number): number;
}

export class CompareText extends TextCondition {
  private readonly holds: number;
  private readonly right: Buffer;

  constructor(
    batch: Batch,
    memory: LaneMemory,
    operator: Comparison,
    sides: { readonly left: TextVector; readonly right: Buffer },
  ) {
    super(batch, memory, sides.left);
    this.holds = HOLDS[operator];
    this.right = sides.right;
  }

  protected test(buffer: Buffer, start: number, end: number): number {
    const { holds, right } = this;
    if (holds === 2) return isPart(buffer, start, end, right) ? 1 : 0;
    if (holds === 5) return isPart(buffer, start, end, right) ? 0 : 1;
    return holdsFor(holds, compareBytes(buffer, start, end, right, 0, right.length), 0);
  }
}

/** startsWith and endsWith. */
export class TextEdge extends TextCondition {
  private readonly isStart: boolean;
  private readonly part: Buffer;

  constructor(batch: Batch, memory: LaneMemory, text: TextVector, edge: Edge) {
    super(batch, memory, text);
    this.isStart = edge.isStart;
    this.part = edge.part;
  }

  protected test(buffer: Buffer, start: number, end: number): number {
    const { isStart, part } = this;
    const { length } = part;
    if (end - start < length) return 0;
    return hasPartAt(buffer, isStart ? start : end - length, part, length) ? 1 : 0;
  }
}

export interface Edge {
  readonly part: Buffer;
  /** At the start; otherwise at the end. */
  readonly isStart: boolean;
}

export class TextContains extends LazyBoolean {
  private readonly memory: LaneMemory;
  private readonly text: TextVector;
  private readonly part: TextPlaces;

  constructor(batch: Batch, memory: LaneMemory, text: TextVector, part: TextPlaces) {
    super(batch);
    this.memory = memory;
    this.text = text;
    this.part = part;
  }

  protected compute(rows: number): void {
    const { memory, part, text, values } = this;
    text.prepare();
    part.find(text, rows);
    const at = part.places >> 2;
    for (let row = 0; row < rows; row++) values[row] = memory.i32[at + row] === 0 ? 0 : 1;
  }
}

/** Equal to one of some texts. */
export class TextIsIn extends TextCondition {
  private readonly set: readonly Buffer[];

  constructor(batch: Batch, memory: LaneMemory, text: TextVector, set: readonly Buffer[]) {
    super(batch, memory, text);
    this.set = set;
  }

  protected test(buffer: Buffer, start: number, end: number): number {
    for (const part of this.set) if (isPart(buffer, start, end, part)) return 1;
    return 0;
  }
}

export class NumberIsIn extends LazyBoolean {
  private readonly value: NumberVector;
  private readonly set: ReadonlySet<number>;

  constructor(batch: Batch, value: NumberVector, set: ReadonlySet<number>) {
    super(batch);
    this.value = value;
    this.set = set;
  }

  protected compute(rows: number): void {
    this.value.prepare();
    const { set, values } = this;
    // A Set finds NaN, but no literal is one.
    for (let row = 0; row < rows; row++)
      values[row] = set.has(this.value.values[row] as number) ? 1 : 0;
  }
}

/** Equal to one of some booleans: bit 0 for false, bit 1 for true. */
export class BooleanIsIn extends LazyBoolean {
  private readonly value: BooleanVector;
  private readonly bits: number;

  constructor(batch: Batch, value: BooleanVector, bits: number) {
    super(batch);
    this.value = value;
    this.bits = bits;
  }

  protected compute(rows: number): void {
    this.value.prepare();
    const { bits, values } = this;
    for (let row = 0; row < rows; row++)
      values[row] = (bits >> (this.value.values[row] as number)) & 1;
  }
}

export class And extends LazyBoolean {
  private readonly terms: readonly BooleanVector[];

  constructor(batch: Batch, terms: readonly BooleanVector[]) {
    super(batch);
    this.terms = terms;
  }

  protected compute(rows: number): void {
    const { values } = this;
    values.fill(1, 0, rows);
    for (const term of this.terms) {
      term.prepare();
      const others = term.values;
      for (let row = 0; row < rows; row++) if (others[row] !== 1) values[row] = 0;
    }
  }
}

export class Or extends LazyBoolean {
  private readonly terms: readonly BooleanVector[];

  constructor(batch: Batch, terms: readonly BooleanVector[]) {
    super(batch);
    this.terms = terms;
  }

  protected compute(rows: number): void {
    const { values } = this;
    values.fill(0, 0, rows);
    for (const term of this.terms) {
      term.prepare();
      const others = term.values;
      for (let row = 0; row < rows; row++) if (others[row] === 1) values[row] = 1;
    }
  }
}

export class Not extends LazyBoolean {
  private readonly term: BooleanVector;

  constructor(batch: Batch, term: BooleanVector) {
    super(batch);
    this.term = term;
  }

  protected compute(rows: number): void {
    this.term.prepare();
    const { values } = this;
    for (let row = 0; row < rows; row++) values[row] = this.term.values[row] === 1 ? 0 : 1;
  }
}

export class IsNull extends LazyBoolean {
  private readonly memory: LaneMemory;
  private readonly value: Vector;

  constructor(batch: Batch, memory: LaneMemory, value: Vector) {
    super(batch);
    this.memory = memory;
    this.value = value;
  }

  protected compute(rows: number): void {
    const { memory, value, values } = this;
    value.prepare();
    for (let row = 0; row < rows; row++) values[row] = isNullAt(memory, value, row) ? 1 : 0;
  }
}

function isNullAt(memory: LaneMemory, vector: Vector, row: number): boolean {
  switch (vector.kind) {
    case 'text':
      return memory.i32[(vector.ranges >> 2) + row * 2 + 1] === 0;
    case 'number':
      return Number.isNaN(vector.values[row]);
    case 'boolean':
      return vector.values[row] === NULL_BOOLEAN;
  }
}
