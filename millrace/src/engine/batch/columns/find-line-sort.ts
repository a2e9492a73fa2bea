/** Which exchanges sort whole lines that are written as lines again: nothing on their way needs a string. */
import { LANE_LINE_BYTES_MAX } from '../../../core/limits.ts';
import { lineOfRow, rowOfLine } from '../../../flow/functions.ts';
import type { Plan, PlanNode } from '../../../flow/plan.ts';
import type { Exchange, StageGraph } from '../stage.ts';
import { chainOf } from './find-lane.ts';

/**
 * Whether the records of an exchange are lines: producers and consumer decide by the same plan and graph, so they agree. Such records
 * have the encoded line as key, and nothing else, unless the line is no UTF-8: then its bytes are the value.
 */
export function isLineSort(plan: Plan, graph: StageGraph, exchange: Exchange): boolean {
  const sort = plan.nodes[exchange.node];
  if (sort?.kind !== 'sort' || sort.column !== 'line' || sort.order.descending) return false;
  return stagesAre(exchange.producers, isProducer) && stagesAre(exchange.consumers, isConsumer);

  function stagesAre(
    ids: readonly number[],
    accepts: (nodes: readonly PlanNode[]) => boolean,
  ): boolean {
    return ids.every((id) => {
      const stage = graph.stages[id];
      return stage !== undefined && accepts(chainOf(plan, stage));
    });
  }
}

function isProducer([source, toRows, sort, ...others]: readonly PlanNode[]): boolean {
  return (
    source?.kind === 'source' &&
    source.source.columns?.kind === 'line' &&
    source.source.columns.lineBytesMax <= LANE_LINE_BYTES_MAX &&
    source.source.openBytes !== undefined &&
    toRows?.kind === 'map' &&
    toRows.fn === rowOfLine &&
    sort?.kind === 'sort' &&
    others.length === 0
  );
}

function isConsumer([sort, toLines, write, ...others]: readonly PlanNode[]): boolean {
  return (
    sort?.kind === 'sort' &&
    toLines?.kind === 'map' &&
    toLines.fn === lineOfRow &&
    write?.kind === 'write' &&
    write.sink.format === 'lines' &&
    others.length === 0
  );
}
