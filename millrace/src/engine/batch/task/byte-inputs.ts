/**
 * The ways past the operators of a stage: inputs that compute on bytes and write into the exchange, or the sink, themselves, or that filter bytes
 * and push rows behind the filters.
 */
import type { Plan } from '../../../flow/plan.ts';
import type { ReadContext, Source, Split } from '../../../flow/source.ts';
import { openColumnInput } from '../columns/column-input.ts';
import { openColumnRows } from '../columns/column-rows-input.ts';
import { isLineSort } from '../columns/find-line-sort.ts';
import { LineSortInput, LineSortOutput } from '../columns/line-sort.ts';
import type { MergeReader } from '../exchange.ts';
import type { TaskInput } from '../inputs/task-input.ts';
import type { Pipeline } from './pipeline.ts';
import type { Stage, StageGraph } from '../stage.ts';

export interface ByteInput extends TaskInput {
  /** Bytes held in memory now, besides those of exits. */
  readonly heldBytes: number;
}

export interface ByteInputOptions {
  readonly plan: Plan;
  readonly graph: StageGraph;
  readonly stage: Stage;
  readonly source: Source;
  readonly splits: readonly Split[];
  readonly context: ReadContext;
  readonly pipeline: Pipeline;
  /** Of an exit. */
  readonly exitBytes: number;
}

/** Where a stage only aggregates columns of a text, sorts its lines, or begins with conditions; undefined: its records are made. */
export function openByteInput(options: ByteInputOptions): ByteInput | undefined {
  const { plan, stage, splits, context, pipeline } = options;
  const { behind } = pipeline;
  return openExchangeInput(options) ?? openColumnRows(plan, stage, { splits, context, behind });
}

function openExchangeInput(options: ByteInputOptions): ByteInput | undefined {
  const { plan, graph, stage, source, splits, context, pipeline, exitBytes } = options;
  const [only, ...others] = pipeline.exits;
  const exchange = graph.exchanges[stage.exchangesOut[0] ?? -1];
  if (only === undefined || exchange === undefined || others.length > 0) return undefined;
  const { writer } = only.exit;
  if (isLineSort(plan, graph, exchange))
    return new LineSortInput({ source, splits, context, writer });
  const { partitions } = exchange;
  // The other half is the writer's.
  const memoryBytes = Math.floor(exitBytes / 2);
  return openColumnInput({ plan, stage, splits, context, writer, partitions, memoryBytes });
}

export interface LineOutputOptions {
  readonly plan: Plan;
  readonly graph: StageGraph;
  readonly stage: Stage;
  readonly sinks: Pipeline['sinks'];
  readonly open: () => MergeReader;
  /** The sink has to be waited for before the next call of `read`. */
  readonly paused: () => void;
}

/** Where a stage only writes lines that were sorted as bytes. */
export function openLineOutput(options: LineOutputOptions): LineSortOutput | undefined {
  const { plan, graph, stage, sinks, open, paused } = options;
  const exchange = graph.exchanges[stage.exchangesIn[0] ?? -1];
  const [sink] = sinks;
  if (exchange === undefined || sink === undefined) return undefined;
  if (!isLineSort(plan, graph, exchange)) return undefined;
  return new LineSortOutput(exchange.name, open(), (buffer, start, end) => {
    if (sink.exit.writeBytes(buffer, start, end)) return true;
    paused();
    return false;
  });
}
