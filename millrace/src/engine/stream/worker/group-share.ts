/**
 * A worker's membership in the group of its flow: which tasks it has, and who has the others.
 *
 * A static member that comes back is given what it had, without a word to the leader. So what it is given may have been dealt out
 * for another version of the flow, or tell the others an address that it no longer has: then it joins once more, and the leader deals
 * out anew.
 */
import type { GroupIdentity, GroupMembership } from '../../../client/log.ts';
import { MillraceError } from '../../../core/errors.ts';
import { STREAM_JOINS_MAX } from '../../../core/stream-limits.ts';
import type { TaskId } from '../topology.ts';
import {
  type AssignmentData,
  dealOut,
  decodeAssignment,
  decodeMember,
  encodeAssignment,
  encodeMember,
  inputTopics,
  layoutOf,
  taskInputs,
  TASKS_PROTOCOL,
} from './member-data.ts';
import type { WorkerOptions } from './worker-types.ts';

export interface Share {
  readonly generation: number;
  readonly tasks: readonly TaskId[];
  readonly data: AssignmentData;
  /** Nobody else can have had a task that this member had, and has again. */
  readonly mayKeep: boolean;
}

export class GroupShare {
  readonly #options: WorkerOptions;
  readonly #layout: string;
  readonly #membership: GroupMembership;
  #data: AssignmentData | undefined;
  #generation = -1;

  constructor(
    options: WorkerOptions,
    hooks: { readonly tasks: () => readonly TaskId[]; readonly onRebalance: () => void },
  ) {
    const { log, topology, label, address, sessionMs } = options;
    this.#options = options;
    this.#layout = layoutOf(topology);
    const topics = inputTopics(topology);
    this.#membership = log.member({
      group: topology.plan.name,
      instanceId: label,
      sessionMs,
      protocols: [TASKS_PROTOCOL],
      topics: () => topics,
      userData: () => encodeMember({ label, address, layout: this.#layout, tasks: hooks.tasks() }),
      assign: (members) => {
        const { data, tasks } = dealOut(
          topology,
          members.map(({ memberId, userData }) => ({ memberId, data: decodeMember(userData) })),
        );
        const userData = encodeAssignment(data);
        return Promise.resolve(
          new Map(
            [...tasks].map(([memberId, list]) => [
              memberId,
              { partitions: list.flatMap((task) => taskInputs(topology, task)), userData },
            ]),
          ),
        );
      },
      onRebalance: hooks.onRebalance,
    });
  }

  get identity(): GroupIdentity {
    return this.#membership.identity;
  }

  get isRebalancing(): boolean {
    return this.#membership.isRebalancing;
  }

  /** @throws {MillraceError} ML_FLOW_CHANGED, ML_GROUP_FENCED */
  async join(): Promise<Share> {
    const { topology, label } = this.#options;
    const flow = topology.plan.name;
    for (let joins = 1; ; joins++) {
      const { userData } = await this.#membership.join();
      const data = decodeAssignment(userData, flow);
      const own = data.members.find((member) => member.label === label);
      if (this.#isUpToDate(data, own)) {
        const generation = this.#membership.identity.generation;
        // A generation that has refused this member has given its tasks to others.
        const mayKeep = joins === 1 && generation - this.#generation <= 1;
        this.#generation = generation;
        this.#data = data;
        return { generation, tasks: own?.tasks ?? [], data, mayKeep };
      }
      if (joins < STREAM_JOINS_MAX) continue;
      throw new MillraceError(
        'ML_FLOW_CHANGED',
        `the members of the group '${flow}' run another version of the flow, or another flow of that name: stages, state, outputs or partitions are not the same`,
        {
          hint: 'Stop all of them before such a version is started; give two flows two names',
          fields: { flow },
        },
      );
    }
  }

  /** Never rejects. Who is alone keeps the place, so that a restart need not wait; otherwise the others take over at once. */
  async leave(): Promise<void> {
    const { label } = this.#options;
    const instance = instanceOf(label);
    const isAlone = this.#data?.members.every((member) => instanceOf(member.label) === instance);
    await this.#membership.leave(isAlone === true ? 'keep' : undefined);
  }

  #isUpToDate(data: AssignmentData, own: AssignmentData['members'][number] | undefined): boolean {
    return (
      data.layout === this.#layout && own !== undefined && own.address === this.#options.address
    );
  }
}

/** The process of a worker. */
export function instanceOf(label: string): string {
  return label.slice(0, label.lastIndexOf('-'));
}
