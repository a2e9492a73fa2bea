/**
 * Who runs which task. A pure function of the members of the group, run by the one that leads it.
 *
 * Total: every task has exactly one member. Balanced: of each stage, and of all, no member has two more than another, so that heavy
 * stages spread. Sticky: within that, tasks stay with the member that had them, where their state is; and when nothing
 * changed, nothing moves.
 */
import type { TaskId } from '../topology.ts';

export interface TaskMember {
  /** Unique in the group; the same after a restart. */
  readonly label: string;
  /** What it ran until now. */
  readonly tasks: readonly TaskId[];
}

export interface StageSize {
  readonly id: number;
  readonly partitions: number;
}

/** `2-7`: stage and partition. */
export function taskName(task: TaskId): string {
  return `${task.stage}-${task.partition}`;
}

/** @returns for each member its tasks, by stage and partition */
export function assignTasks(
  stages: readonly StageSize[],
  members: readonly TaskMember[],
): Map<string, TaskId[]> {
  const circle = [...members].sort((a, b) => (a.label < b.label ? -1 : 1));
  const assigned = new Map(circle.map(({ label }) => [label, [] as TaskId[]]));
  if (circle.length === 0) return assigned;
  // Members that have got one more than others in some stage: the next stage begins with those that have not.
  const extras = new Map(circle.map(({ label }) => [label, 0]));
  for (const stage of stages) {
    const had = previousOwners(stage, circle);
    const quotas = quotasOf(stage, circle, had, extras);
    for (const [partition, label] of dealOut(stage, circle, had, quotas).entries()) {
      assigned.get(label)?.push({ stage: stage.id, partition });
    }
  }
  return assigned;
}

/** For each partition of a stage the member that had it; of two that say so (one is not up to date) the first. */
function previousOwners(stage: StageSize, circle: readonly TaskMember[]): (string | undefined)[] {
  const owners = Array.from<undefined, string | undefined>(
    { length: stage.partitions },
    () => undefined,
  );
  for (const { label, tasks } of circle) {
    for (const task of tasks) {
      const isKnown = task.stage === stage.id && task.partition < stage.partitions;
      if (isKnown) owners[task.partition] ??= label;
    }
  }
  return owners;
}

/** How many tasks of the stage each member gets. One more goes to those with the fewest of such extras, among them to who had most. */
function quotasOf(
  stage: StageSize,
  circle: readonly TaskMember[],
  had: readonly (string | undefined)[],
  extras: Map<string, number>,
): Map<string, number> {
  const each = Math.floor(stage.partitions / circle.length);
  const over = stage.partitions % circle.length;
  const counts = new Map(circle.map(({ label }) => [label, 0]));
  for (const label of had) if (label !== undefined) add(counts, label);
  const order = circle
    .map(({ label }) => label)
    .sort(
      (a, b) =>
        (extras.get(a) ?? 0) - (extras.get(b) ?? 0) || (counts.get(b) ?? 0) - (counts.get(a) ?? 0),
    );
  const quotas = new Map(circle.map(({ label }) => [label, each]));
  for (const label of order.slice(0, over)) {
    add(quotas, label);
    add(extras, label);
  }
  return quotas;
}

function dealOut(
  stage: StageSize,
  circle: readonly TaskMember[],
  had: readonly (string | undefined)[],
  quotas: Map<string, number>,
): string[] {
  const owners = had.map((label) => {
    const left = label === undefined ? 0 : (quotas.get(label) ?? 0);
    if (label === undefined || left === 0) return undefined;
    quotas.set(label, left - 1);
    return label;
  });
  // The partitions that are left go round, so that neighbours spread. The stage shifts the beginning.
  let turn = stage.id;
  return owners.map((owner) => {
    if (owner !== undefined) return owner;
    for (;;) {
      const label = circle[turn++ % circle.length]?.label ?? '';
      const left = quotas.get(label) ?? 0;
      if (left === 0) continue;
      quotas.set(label, left - 1);
      return label;
    }
  });
}

function add(counts: Map<string, number>, label: string): void {
  counts.set(label, (counts.get(label) ?? 0) + 1);
}
