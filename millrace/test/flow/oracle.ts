/**
 * What a flow gives, computed the simplest way there is: every stream is an array, every node is evaluated once, from the arrays of
 * its inputs. Slow and without any bound on memory, so that it can be checked by reading it. Shares no code with the engine: what
 * it takes from the product are the types of the plan, the functions of the user, and two definitions that are formats rather than
 * algorithms, the bytes of a key and the hash that assigns bytes to a partition.
 *
 * Follows the law of order (`flow/plan.ts`, and `engine/batch/joins/join-options.ts` for joins): what it returns is compared
 * element by element.
 */
import { batchNode } from '../../src/engine/batch/planning/batch-node.ts';
import { isDeepStrictEqual } from 'node:util';
import { ByteWriter } from '../../src/core/byte-writer.ts';
import { encodeKey } from '../../src/core/key-codec.ts';
import { partitionOfKey } from '../../src/core/key-partition.ts';
import type {
  AggregateNode,
  BatchNode,
  ColumnAggregateNode,
  ExplodeNode,
  GroupNode,
  IterateNode,
  JoinNode,
  JoinStrategy,
  JoinType,
  Plan,
  PlanNode,
  SampleNode,
  SelectNode,
  SortOrder,
  SourceNode,
  WhereNode,
  WithNode,
  WriteNode,
} from '../../src/flow/plan.ts';
import {
  aggregateColumns,
  evaluateExpression,
  explodedWords,
  type OracleRow,
} from './oracle-columns.ts';
import { compareOracleKeys } from './oracle-order.ts';

/** A record: its key is undefined where the stream has none. */
export interface OracleRecord {
  readonly key: unknown;
  readonly value: unknown;
}

export interface OracleOptions {
  /** The records of a source, in order. */
  records(node: SourceNode): readonly OracleRecord[];
  /** Partitions of the hash exchange before a node. */
  partitions(node: PlanNode): number;
  /** How the planner does a join: the order of the output depends on it. */
  strategy(node: JoinNode): JoinStrategy;
  /** Which records a sample keeps: a hash that is defined by the engine alone. */
  isSampled(node: SampleNode, record: OracleRecord): boolean;
  /** Streams that grow larger end the evaluation: it is slow. Default: none does. */
  readonly recordsMax?: number;
}

/** A stream has become larger than the oracle was allowed to make it. */
export class OracleLimit extends Error {}

export interface OracleResult {
  /** What arrives at each write node, in order. */
  readonly outputs: ReadonlyMap<number, readonly OracleRecord[]>;
  readonly counters: Readonly<Record<string, number>>;
  /** Rounds of each iterate node. */
  readonly rounds: ReadonlyMap<number, number>;
}

type Stream = readonly OracleRecord[];

export async function evaluate(plan: Plan, options: OracleOptions): Promise<OracleResult> {
  for (const counter of plan.counters) counter.value = 0;
  const rounds = new Map<number, number>();
  const live = liveNodes(plan.nodes);
  const { outputs } = await evaluateNodes(
    plan.nodes.filter((node) => live.has(node.id)),
    [],
    options,
    rounds,
  );
  const counters = Object.fromEntries(plan.counters.map(({ name, value }) => [name, value]));
  for (const counter of plan.counters) counter.value = 0;
  return { outputs, counters, rounds };
}

/** What leads to no sink and to no tap does not run. */
function liveNodes(nodes: readonly PlanNode[]): ReadonlySet<number> {
  const live = new Set<number>();
  for (const node of nodes.toReversed())
    if (node.kind === 'write' || node.kind === 'tap' || live.has(node.id))
      for (const id of [node.id, ...node.inputs]) live.add(id);
  return live;
}

/** What comes in from around the body of an iteration. A broadcast comes in as its records. */
interface IterationInput {
  readonly stream: Stream;
  readonly isMap: boolean;
}

async function evaluateNodes(
  nodes: readonly PlanNode[],
  iterationInputs: readonly IterationInput[],
  options: OracleOptions,
  rounds: Map<number, number>,
): Promise<{ readonly streams: Map<number, Stream>; readonly outputs: Map<number, Stream> }> {
  const streams = new Map<number, Stream>();
  const outputs = new Map<number, Stream>();
  /** Nodes whose records become a Map as side data. */
  const maps = new Set<number>();
  for (const given of nodes) {
    const node = batchNode(given);
    const inputs = node.inputs.map((id) => streams.get(id) ?? []);
    for (const input of inputs)
      if (input.length > (options.recordsMax ?? Number.POSITIVE_INFINITY)) throw new OracleLimit();
    const [first = [], second = []] = inputs;
    if (node.kind === 'broadcast' && node.form === 'map') maps.add(node.id);
    if (node.kind === 'iterationInput') {
      streams.set(node.id, iterationInputs[node.index]?.stream ?? []);
      if (iterationInputs[node.index]?.isMap === true) maps.add(node.id);
    } else if (node.kind === 'write') outputs.set(node.id, arranged(node, first, options));
    else if (node.kind === 'iterate') {
      const sides = inputs.map((stream, at) => ({
        stream,
        isMap: maps.has(node.inputs[at] ?? -1),
      }));
      streams.set(node.id, await iterate(node, sides, options, rounds));
    } else if (node.kind === 'with') {
      const side = sideOf(second, maps.has(node.inputs[1] ?? -1));
      streams.set(node.id, await withSide(node, first, side));
    } else streams.set(node.id, await evaluateNode(node, inputs, options));
  }
  return { streams, outputs };
}

type SimpleNode = Exclude<BatchNode, { kind: 'iterationInput' | 'write' | 'iterate' | 'with' }>;

async function evaluateNode(
  node: SimpleNode,
  inputs: readonly Stream[],
  options: OracleOptions,
): Promise<Stream> {
  const input = inputs[0] ?? [];
  const out: OracleRecord[] = [];
  switch (node.kind) {
    case 'source':
      return options.records(node);
    case 'map':
      for (const { value, key } of input)
        out.push({ value: await node.fn(value, key), key: node.keepsKey ? key : undefined });
      return out;
    case 'flatMap':
      for (const { value, key } of input)
        for (const each of (await node.fn(value, key)) as Iterable<unknown>)
          out.push({ value: each, key: node.keepsKey ? key : undefined });
      return out;
    case 'filter':
      for (const record of input) if (await node.fn(record.value, record.key)) out.push(record);
      return out;
    case 'tap':
      for (const { value, key } of input) await node.fn(value, key);
      return input;
    case 'keyBy':
      for (const { value, key } of input) out.push({ value, key: await node.fn(value, key) });
      return out;
    case 'union':
      return inputs.flat();
    case 'sample':
      return input.filter((record) => options.isSampled(node, record));
    case 'aggregate':
      return aggregate(node, input, options);
    case 'group':
      return group(node, input, options);
    case 'join':
      return join(node, input, inputs[1] ?? [], options);
    case 'sort':
      return sorted(input, node.order);
    case 'top':
      return sorted(input, node.order).slice(0, node.count);
    case 'broadcast':
      return input;
    case 'where':
    case 'select':
    case 'explode':
      return evaluateColumns(node, input);
    case 'columnAggregate':
      return columnAggregate(node, input, options);
  }
}

async function withSide(node: WithNode, input: Stream, side: unknown): Promise<Stream> {
  const out: OracleRecord[] = [];
  for (const { value, key } of input)
    out.push({ value: await node.fn(value, side, key), key: node.keepsKey ? key : undefined });
  return out;
}

/** Of equal keys the last value wins, at the place of the first. */
function sideOf(input: Stream, isMap: boolean): unknown {
  if (!isMap) return input.map(({ value }) => value);
  const side = new Map<unknown, unknown>();
  for (const { key, value } of input) {
    const known = [...side.keys()].find((other) => compareOracleKeys(other, key) === 0);
    side.set(known ?? key, value);
  }
  return side;
}

// Arrangement -----------------------------------------------------------------------------------------------------

/** After a hash exchange: by partition; within one by key, or as the stream was. */
export function exchanged(input: Stream, partitions: number, isSorted: boolean): Stream[] {
  const parts = Array.from({ length: partitions }, (): OracleRecord[] => []);
  for (const record of input) parts[oraclePartition(record.key, partitions)]?.push(record);
  if (!isSorted) return parts;
  return parts.map((part) => part.toSorted((a, b) => compareOracleKeys(a.key, b.key)));
}

export function oraclePartition(key: unknown, partitions: number): number {
  const writer = new ByteWriter();
  encodeKey(key, writer);
  return partitionOfKey(writer.buffer, 0, writer.length, partitions);
}

interface OracleGroup {
  readonly key: unknown;
  readonly values: unknown[];
}

function groupsOf(input: Stream, partitions: number): OracleGroup[] {
  return exchanged(input, partitions, true).flatMap((part) => runsOf(part));
}

/** Neighbours of equal key put together. */
function runsOf(part: Stream): OracleGroup[] {
  const groups: OracleGroup[] = [];
  for (const { key, value } of part) {
    const last = groups.at(-1);
    if (last !== undefined && compareOracleKeys(last.key, key) === 0) last.values.push(value);
    else groups.push({ key, values: [value] });
  }
  return groups;
}

function arranged(node: WriteNode, input: Stream, options: OracleOptions): Stream {
  if (node.sink.arrangement !== 'by-key') return input;
  return exchanged(input, options.partitions(node), true).flat();
}

function sorted(input: Stream, order: SortOrder): Stream {
  const sign = order.descending ? -1 : 1;
  return input
    .map((record) => ({ record, by: order.by(record.value, record.key) }))
    .toSorted((a, b) => sign * compareOracleKeys(a.by, b.by))
    .map(({ record }) => record);
}

// Stateful nodes --------------------------------------------------------------------------------------------------

async function aggregate(
  node: AggregateNode,
  input: Stream,
  options: OracleOptions,
): Promise<Stream> {
  const groups = node.isKeyed
    ? groupsOf(input, options.partitions(node))
    : [{ key: undefined, values: input.map(({ value }) => value) }];
  const keys = node.isKeyed ? undefined : input.map(({ key }) => key);
  const out: OracleRecord[] = [];
  for (const { key, values } of groups) {
    let accumulator = node.init();
    for (const [at, value] of values.entries())
      accumulator = node.add(accumulator, value, keys === undefined ? key : keys[at]);
    const value = node.finish === undefined ? accumulator : node.finish(accumulator, key);
    out.push({ key, value });
  }
  return out;
}

async function group(node: GroupNode, input: Stream, options: OracleOptions): Promise<Stream> {
  const out: OracleRecord[] = [];
  for (const { key, values } of groupsOf(input, options.partitions(node))) {
    const inOrder =
      node.sortValuesBy === undefined
        ? values
        : sorted(
            values.map((value) => ({ key, value })),
            node.sortValuesBy,
          ).map(({ value }) => value);
    await node.fn(key, inOrder, (value) => out.push({ value, key: undefined }));
  }
  return out;
}

// Joins -----------------------------------------------------------------------------------------------------------

/** A pair before the function of the join has seen it. */
export interface OraclePair {
  readonly left: unknown;
  readonly right: unknown;
  readonly key: unknown;
}

async function join(
  node: JoinNode,
  left: Stream,
  right: Stream,
  options: OracleOptions,
): Promise<Stream> {
  const strategy = options.strategy(node);
  const partitions = options.partitions(node);
  const isSorted = strategy === 'sort-merge';
  const whole = strategy === 'broadcast-hash';
  const lefts = whole ? [left] : exchanged(left, partitions, isSorted);
  const rights = whole ? [right] : exchanged(right, partitions, isSorted);
  const pairs = lefts.flatMap((part, at) => joinPairs(node.type, strategy, part, rights[at] ?? []));
  if (pairs.length > (options.recordsMax ?? Number.POSITIVE_INFINITY)) throw new OracleLimit();
  const isFilter = node.type === 'semi' || node.type === 'anti';
  const out: OracleRecord[] = [];
  for (const pair of pairs)
    out.push({
      key: pair.key,
      value: isFilter ? pair.left : await node.fn(pair.left, pair.right, pair.key),
    });
  return out;
}

/** The pairs of one partition in the order that the strategy has, by comparing every left row with every right row. */
export function joinPairs(
  type: JoinType,
  strategy: JoinStrategy,
  left: Stream,
  right: Stream,
): OraclePair[] {
  const rows: (OraclePair & { readonly side: number })[] = [];
  const keepsLeft = type === 'left' || type === 'outer' || type === 'anti';
  const keepsRight = type === 'right' || type === 'outer';
  const matched = new Set<OracleRecord>();
  for (const row of left) {
    const matches = right.filter((other) => isMatch(row.key, other.key));
    for (const match of matches) matched.add(match);
    const alone = { left: row.value, right: undefined, key: row.key, side: 0 };
    if (matches.length === 0) {
      if (keepsLeft) rows.push(alone);
    } else if (type === 'semi') rows.push(alone);
    else if (type !== 'anti')
      for (const match of matches)
        rows.push({ left: row.value, right: match.value, key: row.key, side: 0 });
  }
  if (keepsRight)
    for (const row of right)
      if (!matched.has(row))
        rows.push({ left: undefined, right: row.value, key: row.key, side: 1 });
  const inOrder =
    strategy === 'sort-merge'
      ? rows.toSorted((a, b) => compareOracleKeys(a.key, b.key) || a.side - b.side)
      : rows;
  return inOrder.map((row) => ({ left: row.left, right: row.right, key: row.key }));
}

function isMatch(left: unknown, right: unknown): boolean {
  const isNull = left === null || left === undefined || right === null || right === undefined;
  return !isNull && compareOracleKeys(left, right) === 0;
}

// Iterate ---------------------------------------------------------------------------------------------------------

async function iterate(
  node: IterateNode,
  inputs: readonly IterationInput[],
  options: OracleOptions,
  rounds: Map<number, number>,
): Promise<Stream> {
  let current = inputs[0]?.stream ?? [];
  for (let round = 1; round <= node.rounds; round++) {
    const { streams } = await evaluateNodes(
      node.body,
      [{ stream: current, isMap: false }, ...inputs.slice(1)],
      options,
      rounds,
    );
    const previous = current;
    current = streams.get(node.result) ?? [];
    rounds.set(node.id, round);
    if (node.isFixpoint && isDeepStrictEqual(previous, current)) break;
    if (
      node.until?.(
        previous.map(({ value }) => value),
        current.map(({ value }) => value),
        round,
      ) === true
    )
      break;
  }
  return current;
}

// Columns ---------------------------------------------------------------------------------------------------------

function evaluateColumns(node: WhereNode | SelectNode | ExplodeNode, input: Stream): Stream {
  const rows = input.map(({ value }) => value as OracleRow);
  if (node.kind === 'where')
    return input.filter((_, at) => evaluateExpression(node.condition, rows[at] ?? {}) === true);
  if (node.kind === 'explode')
    return rows.flatMap((row) =>
      explodedWords(node.expression, row).map((word) => ({
        value: { [node.column]: word },
        key: undefined,
      })),
    );
  return rows.map((row) => ({
    value: Object.fromEntries(
      Object.entries(node.columns).map(([name, expression]) => [
        name,
        evaluateExpression(expression, row),
      ]),
    ),
    key: undefined,
  }));
}

function columnAggregate(node: ColumnAggregateNode, input: Stream, options: OracleOptions): Stream {
  const keyed = input.map(({ value }) => ({
    value,
    key: node.by.map((column) => (value as OracleRow)[column] ?? null),
  }));
  const groups =
    node.by.length === 0
      ? [{ key: [], values: keyed.map(({ value }) => value) }]
      : groupsOf(keyed, options.partitions(node));
  return groups.map(({ key, values }) => ({
    value: {
      ...Object.fromEntries(node.by.map((column, at) => [column, (key as unknown[])[at]])),
      ...aggregateColumns(node.aggregates, values as readonly OracleRow[]),
    },
    key: undefined,
  }));
}
