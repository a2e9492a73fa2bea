/**
 * Values computed from vectors: arithmetic, and functions of text.
 *
 * @hot
 */
import { decodeText, encodeText } from '../../../core/text-escape.ts';
import { ByteWriter } from '../../../core/byte-writer.ts';
import { type LaneMemory, NULL_END, NULL_START } from './lane-memory.ts';
import type { Scratch } from './scratch.ts';
import type { TextPlaces } from './text-places.ts';
import { type Batch, LazyNumber, LazyText, type NumberVector, type TextVector } from './vectors.ts';

type ArithmeticOperator = '+' | '-' | '*' | '/';

export class ConstantNumber extends LazyNumber {
  private readonly value: number;

  constructor(batch: Batch, value: number) {
    super(batch);
    this.value = value;
  }

  protected compute(rows: number): void {
    this.values.fill(this.value, 0, rows);
  }
}

/** NaN, which is null, for results that are not finite. */
export class Arithmetic extends LazyNumber {
  private readonly operator: ArithmeticOperator;
  private readonly left: NumberVector;
  private readonly right: NumberVector;

  constructor(batch: Batch, operator: ArithmeticOperator, left: NumberVector, right: NumberVector) {
    super(batch);
    this.operator = operator;
    this.left = left;
    this.right = right;
  }

  protected compute(rows: number): void {
    this.left.prepare();
    this.right.prepare();
    const { values } = this;
    combine(this.operator, this.left.values, this.right.values, values, rows);
    for (let row = 0; row < rows; row++)
      if (!Number.isFinite(values[row])) values[row] = Number.NaN;
  }
}

function combine(
  operator: ArithmeticOperator,
  left: Float64Array,
  right: Float64Array,
  values: Float64Array,
  rows: number,
): void {
  for (let row = 0; row < rows; row++) {
    const a = left[row] as number;
    const b = right[row] as number;
    switch (operator) {
      case '+':
        values[row] = a + b;
        break;
      case '-':
        values[row] = a - b;
        break;
      case '*':
        values[row] = a * b;
        break;
      case '/':
        values[row] = a / b;
        break;
    }
  }
}

/** Up to the first occurrence of a part: the same bytes, fewer of them. */
export class TextBefore extends LazyText {
  private readonly text: TextVector;
  private readonly separator: TextPlaces;

  constructor(batch: Batch, memory: LaneMemory, text: TextVector, separator: TextPlaces) {
    super(batch, memory);
    this.text = text;
    this.separator = separator;
  }

  protected compute(rows: number): void {
    this.text.prepare();
    this.separator.find(this.text, rows);
    const { i32 } = this.memory;
    const from = this.text.ranges >> 2;
    const to = this.ranges >> 2;
    const places = this.separator.places >> 2;
    for (let row = 0; row < rows; row++) {
      i32[to + row * 2] = i32[from + row * 2] as number;
      const place = i32[places + row] as number;
      i32[to + row * 2 + 1] = place === 0 ? (i32[from + row * 2 + 1] as number) : place;
    }
  }
}

/** A copy in lower case. */
export class LowerText extends LazyText {
  private readonly text: TextVector;
  private readonly scratch: Scratch;
  private readonly bytes = new ByteWriter();

  constructor(batch: Batch, memory: LaneMemory, text: TextVector, scratch: Scratch) {
    super(batch, memory);
    this.text = text;
    this.scratch = scratch;
  }

  protected compute(rows: number): void {
    this.text.prepare();
    const from = this.text.ranges >> 2;
    const to = this.ranges >> 2;
    for (let row = 0; row < rows; row++) {
      const start = this.memory.i32[from + row * 2] as number;
      const end = this.memory.i32[from + row * 2 + 1] as number;
      if (end === NULL_END) {
        this.memory.i32[to + row * 2] = NULL_START;
        this.memory.i32[to + row * 2 + 1] = NULL_END;
        continue;
      }
      this.scratch.reserve(end - start);
      const { buffer } = this.memory;
      const at = this.scratch.end;
      let copied = start;
      for (; copied < end; copied++) {
        const byte = buffer[copied] as number;
        if (byte >= 0x80) break;
        buffer[at + copied - start] = byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte;
      }
      if (copied === end) this.scratch.end += end - start;
      else this.lowerText(start, end);
      this.memory.i32[to + row * 2] = at;
      this.memory.i32[to + row * 2 + 1] = this.scratch.end;
    }
  }

  private lowerText(start: number, end: number): void {
    const { bytes, memory } = this;
    bytes.clear();
    encodeText(decodeText(memory.buffer, start, end).toLowerCase(), bytes);
    this.scratch.write(bytes.buffer, bytes.length);
  }
}
