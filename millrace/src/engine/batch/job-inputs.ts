/** What a job is going to read: the splits of all its sources. */
import { SOURCE_TASKS, SPLIT_BYTES, SPLIT_UNIT_BYTES, TASK_BYTES_MIN } from '../../core/limits.ts';
import type { Plan } from '../../flow/plan.ts';
import type { PlanContext, Split } from '../../flow/source.ts';

export interface PlannedInputs {
  /** By node id. */
  readonly splits: Readonly<Record<number, readonly Split[]>>;
  readonly sourceBytes: Readonly<Record<number, number>>;
  /** Absolute paths of all files. */
  readonly files: readonly string[];
  readonly bytes: number;
  readonly splitCount: number;
}

/** @throws {MillraceError} ML_INPUT_MISSING and whatever else sources find before they read */
export async function planInputs(plan: Plan, context: PlanContext): Promise<PlannedInputs> {
  const splits: Record<number, readonly Split[]> = {};
  const sourceBytes: Record<number, number> = {};
  const files: string[] = [];
  let bytes = 0;
  let splitCount = 0;
  for (const node of plan.nodes) {
    if (node.kind !== 'source') continue;
    // One after the other: what is reported of several missing inputs is always the first.
    const planned = await node.source.plan(context);
    const nodeBytes = planned.splits.reduce((sum, split) => sum + split.bytes, 0);
    splits[node.id] = planned.splits;
    sourceBytes[node.id] = nodeBytes;
    for (const file of planned.files) files.push(file);
    bytes += nodeBytes;
    splitCount += planned.splits.length;
  }
  return { splits, sourceBytes, files, bytes, splitCount };
}

/** What sources are asked for: small pieces that can be packed evenly, unless somebody wants it otherwise. */
export function splitBytes(wanted: number | undefined): number {
  return wanted ?? SPLIT_UNIT_BYTES;
}

/**
 * How much a task reads. It follows from the input alone: outputs that are directories have a part for each task, and must not depend
 * on how many workers there were.
 */
export function packBytes(wanted: number | undefined, inputBytes: number): number {
  if (wanted !== undefined) return wanted;
  const even = Math.ceil(inputBytes / SOURCE_TASKS);
  return Math.min(Math.max(even, TASK_BYTES_MIN), SPLIT_BYTES);
}
