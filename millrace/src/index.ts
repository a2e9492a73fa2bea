/**
 * `millrace`: the language of flows. A program exports a flow; `millrace run` runs it.
 */
export { files } from './connect/files/files.ts';
export { bytes, json, string } from './connect/topics/serdes.ts';
export { topic, type TopicOptions } from './connect/topics/topic-source.ts';
export { desc, type Descending, type Key, type SortKey } from './core/key-order.ts';
export { type ErrorCode, MillraceError } from './core/errors.ts';
export type { Counter, FlowBuilder, IterateOptions } from './flow/builder.ts';
export type { ColumnValue } from './flow/columns.ts';
export {
  type AggregateExpression,
  avg,
  col,
  type ColumnExpression,
  count,
  countDistinct,
  max,
  min,
  sum,
  words,
  type WordsExpression,
} from './flow/expressions.ts';
export { flow, type FlowOptions, skipTo } from './flow/flow.ts';
export type { Flow } from './flow/flow-types.ts';
export { type EmitPair, mapReduce, type MapReduceOptions } from './flow/map-reduce.ts';
export type { DeadLetter, ErrorPolicy, JoinStrategy } from './flow/plan.ts';
export type { Lines, RowGroups, Rows } from './flow/rows.ts';
export type { Serde } from './flow/serde.ts';
export type { Sink, Writable } from './flow/sink.ts';
export type { Readable, Source } from './flow/source.ts';
export type {
  Aggregation,
  Broadcast,
  Emit,
  Entry,
  Grouped,
  JoinOptions,
  KeyedStream,
  SampleOptions,
  Stream,
  Table,
} from './flow/streams.ts';
export type { Document } from './connect/files/read-documents.ts';
export {
  openTable,
  type OpenTableOptions,
  type RangeOptions,
  type TableEntry,
  type TableReader,
} from './connect/files/table-reader.ts';
