/** Tells the nodes that this engine runs from those that only a run without end has: a bounded run has turned these into others. */
import { MillraceError } from '../../../core/errors.ts';
import { type BatchNode, isStreamNode, type PlanNode } from '../../../flow/plan.ts';

/** @throws {MillraceError} ML_ASSERT */
export function batchNode(node: PlanNode): BatchNode {
  if (!isStreamNode(node)) return node;
  throw new MillraceError('ML_ASSERT', `${node.name} was not made bounded`);
}
