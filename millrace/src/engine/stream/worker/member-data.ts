/**
 * What the members of a flow's group tell each other: each of them the leader what it is and has; the leader all of them who runs what.
 * JSON, so that a stranger who looks at the group can read it. What does not parse comes from another program: ML_FLOW_CHANGED.
 */
import { createHash } from 'node:crypto';
import { MillraceError } from '../../../core/errors.ts';
import type { TopicPartition } from '../../../client/log.ts';
import type { TaskId, Topology } from '../topology.ts';
import { assignTasks } from './assign-tasks.ts';

/** NOTE: the name of the assignment protocol; another format is another number. */
export const TASKS_PROTOCOL = 'millrace-tasks-1';
const LAYOUT_CHARS = 16;

export interface MemberData {
  /** `<instance>-<worker>`: the same after a restart. */
  readonly label: string;
  /** `host:port` where its views are served; undefined: nowhere. */
  readonly address: string | undefined;
  /** What stages and tasks mean to it: only members that agree can share the work. */
  readonly layout: string;
  readonly tasks: readonly TaskId[];
}

export interface AssignmentData {
  readonly layout: string;
  readonly members: readonly Omit<MemberData, 'layout'>[];
  /** Labels of those that run another version of the flow, and get nothing. */
  readonly refused: readonly string[];
}

/** Two topologies with the same layout cut the flow into the same tasks, with the same inputs, outputs and state. */
export function layoutOf(topology: Topology): string {
  const stages = topology.stages.map(({ id, partitions, inputs, globals }) => [
    id,
    partitions,
    inputs.map(({ topic }) => topic),
    globals.map(({ topic }) => topic),
  ]);
  const outputs = topology.outputTopics.map(({ name }) => name).toSorted();
  const state = Object.entries(topology.stateFingerprint).sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash('sha256')
    .update(JSON.stringify([stages, outputs, state]))
    .digest('hex')
    .slice(0, LAYOUT_CHARS);
}

/** Topics that the members read by their partitions: sources and repartition topics. */
export function inputTopics(topology: Topology): string[] {
  const names = topology.stages.flatMap(({ inputs }) => inputs.map(({ topic }) => topic));
  return [...new Set(names)].toSorted();
}

export function taskInputs(topology: Topology, { stage, partition }: TaskId): TopicPartition[] {
  const topics = new Set(topology.stages[stage]?.inputs.map(({ topic }) => topic));
  return [...topics].map((topic) => ({ topic, partition }));
}

/**
 * Deals out the tasks, as the leader. Who runs another version of the flow is refused: what those have that already had tasks is
 * right, else what the leader has.
 */
export function dealOut(
  topology: Topology,
  members: readonly { readonly memberId: string; readonly data: MemberData | undefined }[],
): { readonly data: AssignmentData; readonly tasks: ReadonlyMap<string, readonly TaskId[]> } {
  const own = layoutOf(topology);
  const known = members.flatMap(({ data }) => (data === undefined ? [] : [data]));
  const running = known.filter(({ tasks }) => tasks.length > 0);
  const layout =
    running.length === 0 || running.some((data) => data.layout === own)
      ? own
      : (running[0]?.layout ?? own);
  // A leader that is itself the one who differs knows nothing of the tasks of the others: it gives them what they had.
  const fitting = known.filter((data) => data.layout === layout);
  const assigned =
    layout === own
      ? assignTasks(topology.stages, fitting)
      : new Map(fitting.map(({ label, tasks }) => [label, [...tasks]]));
  const tasks = new Map<string, readonly TaskId[]>();
  for (const { memberId, data } of members) {
    tasks.set(memberId, (data === undefined ? undefined : assigned.get(data.label)) ?? []);
  }
  return {
    tasks,
    data: {
      layout,
      members: fitting.map(({ label, address }) => ({
        label,
        address,
        tasks: assigned.get(label) ?? [],
      })),
      refused: members
        .filter(({ data }) => data === undefined || data.layout !== layout)
        .map(({ memberId, data }) => data?.label ?? memberId),
    },
  };
}

export function encodeMember(data: MemberData): Buffer {
  return Buffer.from(JSON.stringify({ ...data, tasks: pack(data.tasks) }));
}

/** undefined: it was not written by this version of Millrace. */
export function decodeMember(bytes: Buffer): MemberData | undefined {
  const value = parse(bytes);
  if (value === undefined) return undefined;
  const { label, address, layout, tasks } = value;
  const list = unpack(tasks);
  if (typeof label !== 'string' || typeof layout !== 'string' || list === undefined)
    return undefined;
  if (address !== undefined && typeof address !== 'string') return undefined;
  return { label, address, layout, tasks: list };
}

export function encodeAssignment(data: AssignmentData): Buffer {
  const members = data.members.map((member) => ({ ...member, tasks: pack(member.tasks) }));
  return Buffer.from(JSON.stringify({ ...data, members }));
}

/** @throws {MillraceError} ML_FLOW_CHANGED */
export function decodeAssignment(bytes: Buffer, flow: string): AssignmentData {
  const value = parse(bytes);
  const members = Array.isArray(value?.['members']) ? value['members'].map(decodeShare) : [];
  const refused: unknown = value?.['refused'];
  const layout = value?.['layout'];
  const isWhole =
    typeof layout === 'string' &&
    Array.isArray(value?.['members']) &&
    Array.isArray(refused) &&
    refused.every((label) => typeof label === 'string');
  const shares = members.flatMap((share) => (share === undefined ? [] : [share]));
  if (!isWhole || shares.length < members.length) {
    throw new MillraceError(
      'ML_FLOW_CHANGED',
      `the group '${flow}' is led by another program or another version of Millrace`,
      { hint: 'Give the flow another name, or stop the other members', fields: { flow } },
    );
  }
  return { layout, members: shares, refused };
}

function decodeShare(value: unknown): AssignmentData['members'][number] | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { label, address, tasks } = value as Partial<Record<string, unknown>>;
  const list = unpack(tasks);
  if (typeof label !== 'string' || list === undefined) return undefined;
  if (address !== undefined && typeof address !== 'string') return undefined;
  return { label, address, tasks: list };
}

/** By stage: groups with thousands of tasks have small messages. */
function pack(tasks: readonly TaskId[]): Record<string, number[]> {
  const byStage: Record<string, number[]> = {};
  for (const { stage, partition } of tasks) (byStage[stage] ??= []).push(partition);
  return byStage;
}

function unpack(value: unknown): TaskId[] | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const tasks: TaskId[] = [];
  for (const [stage, partitions] of Object.entries(value)) {
    if (!/^\d{1,9}$/.test(stage) || !Array.isArray(partitions)) return undefined;
    for (const partition of partitions as readonly unknown[]) {
      if (typeof partition !== 'number' || !Number.isSafeInteger(partition) || partition < 0)
        return undefined;
      tasks.push({ stage: Number(stage), partition });
    }
  }
  return tasks;
}

function parse(bytes: Buffer): Partial<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'));
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
