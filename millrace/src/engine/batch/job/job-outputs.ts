/** Where the attempts of a job write, and what of it becomes the outputs. */
import type { Plan } from '../../../flow/plan.ts';
import type { Part, Sink } from '../../../flow/sink.ts';
import type { OutputCommit } from '../commit/commit.ts';
import type { JobDirectory } from './job-directory.ts';
import type { TaskPlan } from '../planning/plan-tasks.ts';
import type { StageResults } from './schedule.ts';
import type { StageGraph, TaskSpec } from '../stage.ts';

/** The sink of dead letters is an output like those of write nodes, under a number that no node has. */
function deadLetterNode(plan: Plan): number {
  return plan.nodes.length;
}

/** All sinks of a plan. */
export function outputsOf(plan: Plan): { readonly node: number; readonly sink: Sink }[] {
  const outputs = plan.nodes.flatMap((node) =>
    node.kind === 'write' ? [{ node: node.id, sink: node.sink }] : [],
  );
  if (plan.onError.kind === 'skip') {
    outputs.push({ node: deadLetterNode(plan), sink: plan.onError.sink });
  }
  return outputs;
}

export interface Attempt {
  readonly plan: Plan;
  readonly directory: JobDirectory;
  readonly commit: OutputCommit;
  readonly task: TaskPlan;
  readonly attempt: number;
  readonly skippedRecordsMax: number;
}

/** Gives an attempt directories that nobody else has. */
export function prepareAttempt(options: Attempt): TaskSpec {
  const { plan, directory, commit, task, attempt, skippedRecordsMax } = options;
  return {
    ...task,
    attempt,
    directory: directory.attemptDirectory(task.stage, task.task, attempt),
    writes: task.writes.map((write) => ({
      ...write,
      directory: commit.attemptDirectory(write.node, task.stage, write.task, attempt),
    })),
    skippedDirectory:
      plan.onError.kind === 'skip'
        ? commit.attemptDirectory(deadLetterNode(plan), task.stage, task.task, attempt)
        : undefined,
    skippedRecordsMax,
  };
}

/** The parts of each output, in the order of the output. */
export function collectParts(
  plan: Plan,
  graph: StageGraph,
  results: StageResults,
): ReadonlyMap<number, readonly Part[]> {
  const all = graph.stages.flatMap((stage) => results[stage.id] ?? []);
  const writes = all.flatMap((result) => result.writes).toSorted((a, b) => a.task - b.task);
  const parts = new Map<number, Part[]>();
  for (const { node } of outputsOf(plan)) parts.set(node, []);
  for (const write of writes) parts.get(write.node)?.push(...write.parts);
  if (plan.onError.kind === 'skip') {
    parts.set(
      deadLetterNode(plan),
      all.flatMap((result) => result.skipped.parts),
    );
  }
  return parts;
}
