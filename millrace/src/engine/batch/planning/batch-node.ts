/** Tells the nodes that this engine runs from those that only a run without end has: a bounded run has turned these into others. */
import { MillraceError } from '../../../core/errors.ts';
import type { BatchNode, PlanNode } from '../../../flow/plan.ts';
import type { StreamNode } from '../../../flow/stream-nodes.ts';

const STREAM_KINDS: Readonly<Record<StreamNode['kind'], true>> = {
  table: true,
  toStream: true,
  windowAggregate: true,
  tableAggregate: true,
  windowJoin: true,
  tableJoin: true,
  foreignJoin: true,
  globalJoin: true,
  process: true,
  asyncMap: true,
  pattern: true,
  dedupe: true,
  sideOutput: true,
};

/** @throws {MillraceError} ML_ASSERT */
export function batchNode(node: PlanNode): BatchNode {
  if (!isStreamNode(node)) return node;
  throw new MillraceError('ML_ASSERT', `${node.name} was not made bounded`);
}

export function isStreamNode(node: PlanNode): node is StreamNode {
  return node.kind in STREAM_KINDS;
}
