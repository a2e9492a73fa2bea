/** Puts a lane together: which fields are scanned, the vectors of its steps, its memory and kernels. */
import type { ColumnAggregate, Expression } from '../../../flow/columns.ts';
import type { ColumnAggregateNode } from '../../../flow/plan.ts';
import {
  type Accumulator,
  CountAccumulator,
  ExtremeBoolean,
  ExtremeNumber,
  ExtremeText,
  SumAccumulator,
} from './accumulators.ts';
import { ExpressionCompiler, type VectorPlace } from './compile-expression.ts';
import { DistinctValues } from './distinct.ts';
import { KeyTable, reserveKeyTable } from './key-table.ts';
import {
  connectKeyKernels,
  connectScanKernels,
  type KeyKernels,
  type ScanKernels,
} from './kernels.ts';
import {
  type LaneColumn,
  laneColumns,
  type LaneStep,
  type TextLayout,
  usedColumns,
} from './lane-columns.ts';
import { type GroupKey, LaneGroups } from './lane-groups.ts';
import { ComposedKeys } from './lane-keys.ts';
import { LaneMemory, Region } from './lane-memory.ts';
import type { Quoting } from './quoted-row.ts';
import type { ScannedField, ScanShape } from './scan-kernel.ts';
import { Scratch } from './scratch.ts';
import { ConstantNumber } from './value-vectors.ts';
import {
  Batch,
  BATCH_ROWS,
  type BooleanVector,
  GivenText,
  type NumberVector,
  ParsedBoolean,
  ParsedNumber,
  type TextVector,
  type Vector,
} from './vectors.ts';
import type { WordKind } from './words-kernel.ts';

/** What is done with rows of a source. */
export interface LaneSteps {
  readonly layout: TextLayout;
  /** Names of the columns of the file, where it has a header. */
  readonly header: readonly string[] | undefined;
  /** Behind the source, in order. */
  readonly steps: readonly LaneStep[];
}

/** What a lane is for. */
export interface LaneSource extends LaneSteps {
  readonly aggregate: ColumnAggregateNode;
}

/** Rows of one shape: those of the source, or the words that they were exploded into. */
export interface LaneSegment {
  readonly batch: Batch;
  /** Addresses of all ranges that a row is made of. */
  readonly ranges: readonly number[];
  /** Each takes rows away. */
  readonly conditions: readonly BooleanVector[];
  /** The text whose words are the rows of the next segment; undefined: the rows are aggregated. */
  readonly exploded: TextVector | undefined;
}

/** What is known of the rows of the source. */
export interface LaneRows {
  readonly rows: number;
  readonly flags: number;
  readonly fields: readonly ScannedField[];
  /** csv: columns of the file. */
  readonly columnCount: number;
  readonly quoting: Quoting;
  readonly isMultiline: boolean;
  /** Columns whose texts must be of their type. */
  readonly strict: readonly {
    readonly text: TextVector;
    readonly vector: NumberVector | BooleanVector;
  }[];
}

/** What finds rows, and takes some away. */
export interface ScanProgram {
  readonly memory: LaneMemory;
  readonly window: Region;
  readonly scratch: Scratch;
  readonly kernels: ScanKernels;
  /** Address of the number that says how far a kernel has come. */
  readonly next: number;
  readonly source: LaneRows;
  readonly segments: readonly LaneSegment[];
}

export interface LaneProgram extends ScanProgram {
  readonly groups: LaneGroups;
  /** Nothing is wanted but the words of all lines: rows need not be looked at. */
  readonly isTextOnly: boolean;
}

/** Makes rows: there is one segment. */
export interface RowProgram extends ScanProgram {
  /** In the order of the rows. */
  readonly columns: readonly RowColumn[];
}

export interface RowColumn {
  readonly name: string;
  readonly vector: Vector;
  /** Its numbers are those that the source wrote, or the program: -0 is one. What is computed never is -0. */
  readonly isGiven: boolean;
}

/** undefined for what does not run on bytes. */
export function compileLane(source: LaneSource): LaneProgram | undefined {
  const { layout, header, steps, aggregate } = source;
  const columns = laneColumns(layout, header, usedColumns(steps, aggregate));
  return columns === undefined ? undefined : new LaneCompiler(source, columns).compile(aggregate);
}

/** The same for rows that are wanted as such. Explode is not among the steps. */
export function compileRows(source: LaneSteps): RowProgram | undefined {
  const { layout, header, steps } = source;
  const columns = laneColumns(layout, header, usedColumns(steps, undefined));
  return columns === undefined ? undefined : new LaneCompiler(source, columns).compileRows();
}

class LaneCompiler implements VectorPlace {
  private readonly source: LaneSteps;
  private readonly columns: readonly LaneColumn[];
  readonly memory = new LaneMemory();
  private readonly scratchRegion = new Region();
  readonly scratch = new Scratch(this.memory, this.scratchRegion);
  readonly kernels: KeyKernels = connectKeyKernels(this.memory);
  private readonly next = this.memory.reserve(8);
  private readonly rows = this.memory.reserve(BATCH_ROWS * 8);
  private readonly fields: ScannedField[] = [];
  private readonly strict: LaneRows['strict'][number][] = [];
  private readonly segments: LaneSegment[] = [];
  private readonly given = new Set<Vector>();
  private words: WordKind | undefined;
  private readonly wordRanges = this.memory.reserve(BATCH_ROWS * 8);

  constructor(source: LaneSteps, columns: readonly LaneColumn[]) {
    this.source = source;
    this.columns = columns;
  }

  compile(aggregate: ColumnAggregateNode): LaneProgram | undefined {
    const compiler = this.compileSteps();
    return compiler === undefined ? undefined : this.finish(compiler, aggregate);
  }

  compileRows(): RowProgram | undefined {
    const compiler = this.compileSteps();
    if (compiler === undefined) return undefined;
    const isSelected = this.source.steps.some(({ kind }) => kind === 'select');
    const names = isSelected ? [...compiler.columns.keys()] : this.columns.map(({ name }) => name);
    const columns = names.flatMap((name) => {
      const vector = compiler.columns.get(name);
      if (vector === undefined) return [];
      const isGiven = this.given.has(vector) || vector instanceof ConstantNumber;
      return [{ name, vector, isGiven }];
    });
    return { ...this.finishScan(), columns };
  }

  /** What compiles expressions on the rows behind all steps. */
  private compileSteps(): ExpressionCompiler | undefined {
    let batch = new Batch();
    const given = this.sourceVectors(batch);
    for (const vector of given.values()) this.given.add(vector);
    let compiler = new ExpressionCompiler(batch, this, given);
    let ranges = [this.rows, ...this.fields.map((field) => field.ranges)];
    let conditions: BooleanVector[] = [];
    for (const step of this.source.steps) {
      switch (step.kind) {
        case 'where': {
          const condition = compiler.condition(step.condition);
          if (condition === undefined) return undefined;
          conditions.push(condition);
          break;
        }
        case 'select': {
          const selected = new Map<string, Vector>();
          for (const [name, expression] of Object.entries(step.columns)) {
            const vector = compiler.compile(expression);
            if (vector === undefined) return undefined;
            selected.set(name, vector);
          }
          compiler = new ExpressionCompiler(batch, this, selected);
          break;
        }
        case 'explode': {
          const text = this.explodedText(compiler, step.expression);
          if (text === undefined) return undefined;
          this.segments.push({ batch, ranges, conditions, exploded: text });
          batch = new Batch();
          ranges = [this.wordRanges];
          conditions = [];
          const words = new Map([[step.column, new GivenText(this.wordRanges)]]);
          compiler = new ExpressionCompiler(batch, this, words);
          break;
        }
      }
    }
    this.segments.push({ batch, ranges, conditions, exploded: undefined });
    return compiler;
  }

  private sourceVectors(batch: Batch): Map<string, Vector> {
    const { memory } = this;
    const vectors = new Map<string, Vector>();
    const texts = new Map<number, TextVector>([[-1, new GivenText(this.rows)]]);
    const byPosition = this.columns.toSorted((a, b) => a.position - b.position);
    for (const { name, type, position, isStrict } of byPosition) {
      let text = texts.get(position);
      if (text === undefined) {
        const ranges = memory.reserve(BATCH_ROWS * 8);
        this.fields.push({ position, ranges });
        text = new GivenText(ranges);
        texts.set(position, text);
      }
      if (type === 'string') {
        vectors.set(name, text);
        continue;
      }
      const vector =
        type === 'number'
          ? new ParsedNumber(batch, memory, text)
          : new ParsedBoolean(batch, memory, text);
      vectors.set(name, vector);
      if (isStrict) this.strict.push({ text, vector });
    }
    return vectors;
  }

  /** Words of words are not computed on bytes. */
  private explodedText(
    compiler: ExpressionCompiler,
    expression: Expression,
  ): TextVector | undefined {
    if (expression.kind !== 'words' || this.words !== undefined) return undefined;
    const text = compiler.compile(expression.text);
    if (text?.kind !== 'text') return undefined;
    this.words = expression.of;
    return text;
  }

  private finish(
    compiler: ExpressionCompiler,
    { by, aggregates }: ColumnAggregateNode,
  ): LaneProgram | undefined {
    const { memory, source } = this;
    const keys = by.map((name) => compiler.compile({ kind: 'column', name }));
    const vectors = keys.filter((vector) => vector !== undefined);
    if (vectors.length < keys.length) return undefined;
    const key = this.groupKey(vectors);
    const groups = memory.reserve(BATCH_ROWS * 4);
    const values: (Aggregated | undefined)[] = Object.values(aggregates).map((aggregate) =>
      this.aggregated(compiler, aggregate),
    );
    const known = values.filter((value) => value !== undefined);
    if (known.length < values.length) return undefined;
    const table = reserveKeyTable(memory, BATCH_ROWS);
    const scan = this.finishScan();
    const [first] = this.segments;
    const isTextOnly =
      source.layout.kind === 'line' &&
      first?.conditions.length === 0 &&
      first.exploded?.ranges === this.rows;
    const made = known.map((make) => make());
    const bytesPerGroup = made.reduce(
      (sum, each) => sum + ('bytesPerGroup' in each ? each.bytesPerGroup : 0),
      0,
    );
    return {
      ...scan,
      groups: new LaneGroups({
        memory,
        table: new KeyTable(memory, this.kernels, table, bytesPerGroup),
        key,
        groups,
        aggregates: made,
      }),
      isTextOnly,
    };
  }

  /** When all vectors have their place: the regions come behind them. */
  private finishScan(): ScanProgram {
    const { memory, next, scratch, segments, words } = this;
    const rows = this.rowsOfSource();
    const kernels = connectScanKernels(
      memory,
      this.scanShape(rows),
      words === undefined ? undefined : { of: words, ranges: this.wordRanges, next },
    );
    const window = memory.region();
    memory.region(this.scratchRegion);
    return { memory, window, scratch, kernels, next, source: rows, segments };
  }

  private groupKey(vectors: readonly Vector[]): GroupKey {
    const { memory, scratch, kernels } = this;
    const [first] = vectors;
    if (first === undefined) return { kind: 'none' };
    if (vectors.length === 1 && first.kind === 'text') return { kind: 'text', text: first };
    const keys = new ComposedKeys({ memory, scratch, kernels, vectors, hasGroup: false });
    return { kind: 'composed', keys };
  }

  /** An aggregate, to be made when all vectors have their place in memory. */
  private aggregated(
    compiler: ExpressionCompiler,
    aggregate: ColumnAggregate,
  ): Aggregated | undefined {
    const { memory } = this;
    if (aggregate.kind === 'count') return () => new CountAccumulator();
    const value = compiler.compile(aggregate.value);
    if (value === undefined) return undefined;
    switch (aggregate.kind) {
      case 'sum':
      case 'avg':
        return value.kind === 'number' ? () => new SumAccumulator(value) : undefined;
      case 'min':
      case 'max': {
        const isMin = aggregate.kind === 'min';
        if (value.kind === 'number') return () => new ExtremeNumber(value, isMin);
        if (value.kind === 'boolean') return () => new ExtremeBoolean(value, isMin);
        return () => new ExtremeText(memory, value, isMin);
      }
      case 'countDistinct':
        return this.distinct(value);
    }
  }

  private distinct(value: Vector): Aggregated {
    const { memory, scratch, kernels } = this;
    const keys = new ComposedKeys({ memory, scratch, kernels, vectors: [value], hasGroup: true });
    const pairs = memory.reserve(BATCH_ROWS * 4);
    const fixed = reserveKeyTable(memory, BATCH_ROWS);
    return () => new DistinctValues(memory, new KeyTable(memory, kernels, fixed, 0), keys, pairs);
  }

  private rowsOfSource(): LaneRows {
    const { layout, header } = this.source;
    const isCsv = layout.kind === 'csv';
    return {
      rows: this.rows,
      flags: isCsv ? this.memory.reserve(BATCH_ROWS * 4) : 0,
      fields: this.fields,
      columnCount: isCsv ? (header ?? layout.fields ?? []).length : 0,
      quoting: {
        separator: layout.kind === 'line' ? 0 : layout.separator,
        quote: isCsv ? layout.quote : -1,
      },
      isMultiline: isCsv && layout.isMultiline,
      strict: this.strict,
    };
  }

  private scanShape({ rows, flags, fields, quoting }: LaneRows): ScanShape {
    const { layout } = this.source;
    const isRepeatable = layout.kind === 'delimited' && layout.isRepeatable;
    return { ...quoting, isRepeatable, rows, flags, next: this.next, fields };
  }
}

/** Makes an aggregate when all vectors have their place. */
type Aggregated = () => Accumulator | DistinctValues;
