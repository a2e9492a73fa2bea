/**
 * Expressions as vectors. What an expression means is defined by `flow/evaluate.ts`; here is the part of it that runs on bytes. For
 * everything else `compile` gives undefined, and the flow runs on rows.
 */
import type { ColumnValue, Expression } from '../../../flow/columns.ts';
import {
  And,
  BooleanIsIn,
  CompareBooleans,
  CompareNumber,
  CompareNumbers,
  CompareText,
  CompareTexts,
  type Comparison,
  Constant,
  EXCHANGED,
  IsNull,
  Not,
  NumberIsIn,
  Or,
  TextContains,
  TextEdge,
  TextIsIn,
} from './condition-vectors.ts';
import type { LaneMemory } from './lane-memory.ts';
import type { KeyKernels } from './kernels.ts';
import type { Scratch } from './scratch.ts';
import { TextPlaces } from './text-places.ts';
import { Arithmetic, ConstantNumber, LowerText, TextBefore } from './value-vectors.ts';
import {
  type Batch,
  type BooleanVector,
  type NumberVector,
  ParsedNumber,
  type Vector,
} from './vectors.ts';

/** Where vectors are, and what computes them. */
export interface VectorPlace {
  readonly memory: LaneMemory;
  readonly scratch: Scratch;
  readonly kernels: KeyKernels;
}

/** Before the memory has regions: vectors take their place in it. */
export class ExpressionCompiler {
  private readonly batch: Batch;
  private readonly memory: LaneMemory;
  private readonly scratch: Scratch;
  private readonly kernels: KeyKernels;
  /** In the order of the rows, where `select` made them. */
  readonly columns: ReadonlyMap<string, Vector>;

  constructor(batch: Batch, place: VectorPlace, columns: ReadonlyMap<string, Vector>) {
    this.batch = batch;
    this.memory = place.memory;
    this.scratch = place.scratch;
    this.kernels = place.kernels;
    this.columns = columns;
  }

  compile(expression: Expression): Vector | undefined {
    switch (expression.kind) {
      case 'column':
        return this.columns.get(expression.name);
      case 'literal':
        return this.literal(expression.value);
      case 'compare':
        return this.compare(expression.operator, expression.left, expression.right);
      case 'text':
        return this.search(expression);
      case 'in':
        return this.isIn(expression.value, expression.set);
      case 'and':
      case 'or':
        return this.combine(expression.kind, expression.terms);
      case 'not': {
        const term = this.condition(expression.term);
        return term === undefined ? undefined : new Not(this.batch, term);
      }
      case 'isNull': {
        const value = this.compile(expression.value);
        return value === undefined ? undefined : new IsNull(this.batch, this.memory, value);
      }
      case 'arithmetic': {
        const left = this.number(expression.left);
        const right = this.number(expression.right);
        if (left === undefined || right === undefined) return undefined;
        return new Arithmetic(this.batch, expression.operator, left, right);
      }
      case 'number': {
        const text = this.compile(expression.text);
        if (text?.kind === 'number') return text;
        return text?.kind === 'text' ? new ParsedNumber(this.batch, this.memory, text) : undefined;
      }
      case 'lower': {
        const text = this.compile(expression.text);
        if (text?.kind !== 'text') return undefined;
        return new LowerText(this.batch, this.memory, text, this.scratch);
      }
      case 'before': {
        const text = this.compile(expression.text);
        const separator = bytesOf(expression.separator);
        if (text?.kind !== 'text' || separator === undefined) return undefined;
        const places = new TextPlaces(this.memory, this.kernels, separator);
        return new TextBefore(this.batch, this.memory, text, places);
      }
      case 'words':
        return undefined;
    }
  }

  /** Whether the expression is true. */
  condition(expression: Expression): BooleanVector | undefined {
    const vector = this.compile(expression);
    return vector?.kind === 'boolean' ? vector : undefined;
  }

  private number(expression: Expression): NumberVector | undefined {
    const vector = this.compile(expression);
    return vector?.kind === 'number' ? vector : undefined;
  }

  /** Texts are literals only where something is compared with them. */
  private literal(value: ColumnValue): Vector | undefined {
    if (typeof value === 'number') return new ConstantNumber(this.batch, value);
    if (typeof value === 'boolean') return new Constant(this.batch, value ? 1 : 0);
    return undefined;
  }

  private compare(
    operator: Comparison,
    left: Expression,
    right: Expression,
  ): BooleanVector | undefined {
    if (left.kind === 'literal' && right.kind !== 'literal')
      return this.compare(EXCHANGED[operator], right, left);
    const { batch, memory } = this;
    const a = this.compile(left);
    if (a === undefined) return undefined;
    if (right.kind === 'literal' && typeof right.value === 'string') {
      if (a.kind !== 'text') return new Constant(batch, 0);
      const bytes = bytesOf(right.value);
      if (bytes === undefined) return undefined;
      return new CompareText(batch, memory, operator, { left: a, right: bytes });
    }
    if (right.kind === 'literal' && typeof right.value === 'number') {
      if (a.kind !== 'number') return new Constant(batch, 0);
      return new CompareNumber(batch, operator, a, right.value);
    }
    const b = this.compile(right);
    if (b === undefined) return undefined;
    if (a.kind === 'number' && b.kind === 'number')
      return new CompareNumbers(batch, operator, a, b);
    if (a.kind === 'boolean' && b.kind === 'boolean')
      return new CompareBooleans(batch, operator, a, b);
    if (a.kind === 'text' && b.kind === 'text')
      return new CompareTexts(batch, memory, operator, { left: a, right: b });
    return new Constant(batch, 0);
  }

  private search({
    operator,
    text: expression,
    part,
  }: Extract<Expression, { kind: 'text' }>): BooleanVector | undefined {
    const text = this.compile(expression);
    const bytes = bytesOf(part);
    if (text === undefined || bytes === undefined) return undefined;
    const { batch, kernels, memory } = this;
    if (text.kind !== 'text') return new Constant(batch, 0);
    if (operator === 'contains')
      return new TextContains(batch, memory, text, new TextPlaces(memory, kernels, bytes));
    return new TextEdge(batch, memory, text, { part: bytes, isStart: operator === 'startsWith' });
  }

  private isIn(expression: Expression, set: readonly ColumnValue[]): BooleanVector | undefined {
    const { batch, memory } = this;
    const value = this.compile(expression);
    if (value === undefined) return undefined;
    if (value.kind === 'number')
      return new NumberIsIn(batch, value, new Set(set.filter((each) => typeof each === 'number')));
    if (value.kind === 'boolean') {
      const bits = (set.includes(false) ? 1 : 0) | (set.includes(true) ? 2 : 0);
      return new BooleanIsIn(batch, value, bits);
    }
    const texts = set.filter((each) => typeof each === 'string').map(bytesOf);
    const known = texts.filter((each) => each !== undefined);
    return known.length < texts.length ? undefined : new TextIsIn(batch, memory, value, known);
  }

  private combine(
    kind: 'and' | 'or',
    expressions: readonly Expression[],
  ): BooleanVector | undefined {
    const terms: BooleanVector[] = [];
    for (const expression of expressions) {
      const term = this.condition(expression);
      if (term === undefined) return undefined;
      terms.push(term);
    }
    return kind === 'and' ? new And(this.batch, terms) : new Or(this.batch, terms);
  }
}

/** The bytes of a text of the program; undefined for one that could be equal to invalid UTF-8, or to no bytes at all. */
function bytesOf(text: string): Buffer | undefined {
  return text.isWellFormed() ? Buffer.from(text) : undefined;
}
