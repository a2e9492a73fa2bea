/**
 * `millrace`: the language of flows. A program exports a flow, which `millrace run` runs; or it opens a Millrace, and runs its flows itself.
 */
export { files } from './connect/files/files.ts';
export { avro } from './connect/topics/avro-serde.ts';
export { msgpack } from './connect/topics/msgpack-serde.ts';
export { protobuf, type ProtobufType } from './connect/topics/protobuf-serde.ts';
export { bytes, json, string } from './connect/topics/serdes.ts';
export type { MessageHeader, MessageOptions } from './connect/queues/message-options.ts';
export type { QueueOptions } from './connect/queues/queue-options.ts';
export type {
  DeadLetters,
  DeadMessage,
  Enqueued,
  Handler,
  HandlerContext,
  NewMessage,
  Queue,
  QueueStats,
  QueueWorker,
  Redriven,
  WorkerStats,
  WorkFailure,
  WorkOptions,
} from './door/queues/queue.ts';
export { DoNotRetry, type Failure, type RetryOptions } from './door/queues/retry.ts';
export {
  queue,
  type QueuePlace,
  type QueuePlaceOptions,
  type TakenMessage,
} from './connect/queues/queue.ts';
export type { StatsdMetric } from './connect/statsd/statsd-line.ts';
export type { StatsdReceiver, StatsdStats } from './connect/statsd/statsd-receiver.ts';
export type { Delivery, DeliveryStats } from './connect/webhooks/webhook-delivery.ts';
export {
  webhook,
  type WebhookContext,
  type WebhookHandler,
} from './connect/webhooks/webhook-handler.ts';
export type { DeliverOptions, EndpointOptions } from './connect/webhooks/webhook-options.ts';
export type { WebhookEndpointOptions, WebhookEndpoints } from './server/http/incoming-webhooks.ts';
export {
  topic,
  type Topic,
  type TopicCreation,
  type TopicOptions,
  type TopicTime,
} from './connect/topics/topic.ts';
export type { Logger, LogFields } from './core/log.ts';
export { desc, type Descending, type Key, type SortKey } from './core/key-order.ts';
export { type ErrorCode, MillraceError } from './core/errors.ts';
export type { ConsumeFrom, ConsumeOptions, Consumption } from './door/consumption.ts';
export type { FlowHandle, FlowRunOptions, RunUntilOptions, Views } from './door/flow-handle.ts';
export type { Millrace } from './door/millrace.ts';
export type {
  ConsumedRecord,
  NewRecord,
  RecordHeaderField,
  RecordPlace,
  TopicGiven,
} from './door/records.ts';
export type { Admin, PartitionDetails, TopicDetails } from './door/topic-admin.ts';
export type { JobSummary } from './engine/batch/job/job-summary.ts';
export type { FlowEvent, FlowMetrics } from './engine/stream/runner/flow-types.ts';
export type { TaskStatus, WorkerEvent, WorkerStatus } from './engine/stream/worker/worker-types.ts';
export type { AsOf } from './engine/stream/views/as-of.ts';
export type {
  ChangesOptions as ViewChangesOptions,
  RangeAnswer as ViewRangeAnswer,
  RangeOptions as ViewRangeOptions,
  RowOptions as ViewRowOptions,
  ViewAnswer,
  ViewInfo,
} from './engine/stream/views/flow-views.ts';
export type { ViewEvent } from './engine/stream/views/view-changes.ts';
export type { ViewChange, ViewKind, ViewRow } from './engine/stream/views/view-row.ts';
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
export { duration, type Duration } from './flow/durations.ts';
export { flow, type FlowOptions, skipTo } from './flow/flow.ts';
export type { Flow } from './flow/flow-types.ts';
export { type EmitPair, mapReduce, type MapReduceOptions } from './flow/map-reduce.ts';
export type { ParameterValues } from './flow/parameters.ts';
export type { DeadLetter, ErrorPolicy, JoinStrategy } from './flow/plan.ts';
export type { Lines, RowGroups, Rows } from './flow/rows.ts';
export type { Serde } from './flow/serde.ts';
export type { OptionalKey, Sink, Writable } from './flow/sink.ts';
export type { Readable, Source } from './flow/source.ts';
export { pattern } from './flow/pattern-builder.ts';
export type {
  Matched,
  MatchedInPart,
  Pattern,
  PatternEnd,
  SkipTo,
  StepCondition,
} from './flow/pattern-types.ts';
export type { ProcessContext } from './flow/stream-nodes.ts';
export type {
  Aggregation,
  AsyncCall,
  AsyncOptions,
  Broadcast,
  Emit,
  Entry,
  GlobalTable,
  JoinFunction,
  JoinOptions,
  MergedAggregation,
  ProcessFunctions,
  SampleOptions,
  TableAggregation,
  TableOptions,
  WindowEmit,
} from './flow/stream-options.ts';
export type {
  Grouped,
  GroupedTable,
  KeyedStream,
  MatchedStream,
  SessionWindowedStream,
  Stream,
  Table,
  WindowedStream,
  WindowedTable,
} from './flow/streams.ts';
export {
  hopping,
  type HoppingOptions,
  type HoppingWindow,
  session,
  type SessionWindow,
  sliding,
  type SlidingWindow,
  tumbling,
  type TumblingWindow,
  type WindowOptions,
} from './flow/window-specs.ts';
export type { Windowed, WindowSpec } from './flow/windows.ts';
export {
  connectMillrace,
  type ConnectMillraceOptions,
  openMillrace,
  type OpenMillraceOptions,
} from './open-millrace.ts';
export type { Document } from './connect/files/read-documents.ts';
export {
  openTable,
  type OpenTableOptions,
  type RangeOptions,
  type TableEntry,
  type TableReader,
} from './connect/files/table-reader.ts';
