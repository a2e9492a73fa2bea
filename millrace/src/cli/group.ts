/** `millrace group list|describe|reset`. */
import { MillraceError } from '../core/errors.ts';
import { realEnv } from '../core/real-env.ts';
import { consumerProtocolAssignment } from '../wire/kafka/internal/consumer-protocol.ts';
import { messages } from '../wire/kafka/registry.ts';
import type { Infer } from '../wire/kafka/schema.ts';
import { decodeVersioned } from '../wire/kafka/versioned.ts';
import { withCluster } from './brokers.ts';
import { formatTable, say, writeData, writeJson } from './io.ts';
import type { Cluster } from '../client/kafka/cluster.ts';
import { accept, missesTopic } from '../client/kafka/refusal.ts';
import { formatCount } from './numbers.ts';
import { partitionsOf, rangesOf, type PartitionRange } from '../client/kafka/offset-ranges.ts';
import { offsetsAt } from './offsets.ts';
import { parsePosition } from './positions.ts';

export interface GroupOptions {
  readonly brokers?: string;
  readonly json?: boolean;
}

type Group = Infer<(typeof messages)[15]['response']>['groups'][number];

/** What a broker says of a group that does not exist. */
const DEAD = 'Dead';
/** A group without members in which an offset may be committed by anybody. */
const NO_GENERATION = -1;

export async function listGroups(options: GroupOptions): Promise<void> {
  await withCluster(options.brokers, async (cluster) => {
    const groups = new Map<string, { readonly state: string; readonly protocol: string }>();
    for (const node of await cluster.nodes()) {
      const answer = await cluster.callOn(node, messages[16], {});
      accept(answer.errorCode);
      for (const { groupId, groupState, protocolType } of answer.groups)
        groups.set(groupId, { state: groupState, protocol: protocolType });
    }
    const sorted = [...groups].toSorted(([a], [b]) => (a < b ? -1 : 1));
    if (options.json)
      await writeJson(sorted.map(([group, { state, protocol }]) => ({ group, state, protocol })));
    else if (sorted.length === 0) say('no consumer groups');
    else {
      await writeData(
        formatTable(
          ['group', 'state', 'protocol'],
          sorted.map(([group, { state, protocol }]) => [group, state, protocol || '-']),
        ),
      );
    }
  });
}

interface Lag {
  readonly topic: string;
  readonly partition: number;
  readonly committed: number;
  readonly end: number;
  readonly lag: number;
}

/** Every committed offset of the group, and how far behind the end it is. */
async function lagsOf(cluster: Cluster, group: string): Promise<Lag[]> {
  const answer = await cluster.retrying(async () => {
    const node = await cluster.coordinator(group);
    const found = await cluster.callOn(node, messages[9], { groupId: group, topics: null });
    accept(found.errorCode);
    return found;
  });
  const lags: Lag[] = [];
  for (const { name, partitions } of answer.topics) {
    const indexes = partitions.map((each) => each.partitionIndex);
    const ranges = await rangesIfThere(cluster, name, indexes);
    for (const { partitionIndex, committedOffset } of partitions) {
      if (committedOffset < 0) continue;
      const end = ranges.find(({ partition }) => partition === partitionIndex)?.end ?? 0;
      const lag = Math.max(0, end - committedOffset);
      lags.push({ topic: name, partition: partitionIndex, committed: committedOffset, end, lag });
    }
  }
  return lags.toSorted((a, b) =>
    a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1,
  );
}

/** Nothing for a topic that was deleted: its offsets are forgotten a little later. */
async function rangesIfThere(
  cluster: Cluster,
  name: string,
  partitions: readonly number[],
): Promise<PartitionRange[]> {
  try {
    const topic = await cluster.topic(name);
    return await rangesOf(cluster, { topic, partitions, uncommitted: true });
  } catch (error) {
    if (missesTopic(error)) return [];
    throw error;
  }
}

async function describedGroup(cluster: Cluster, name: string): Promise<Group> {
  return cluster.retrying(async () => {
    const node = await cluster.coordinator(name);
    const [group] = (await cluster.callOn(node, messages[15], { groups: [name] })).groups;
    if (group === undefined || group.groupState === DEAD) throw noSuchGroup(name);
    accept(group.errorCode, group.errorMessage);
    return group;
  });
}

function noSuchGroup(name: string): MillraceError {
  return new MillraceError('ML_BROKER_REFUSED', `there is no consumer group ${name}`, {
    hint: 'See what there is with: millrace group list',
  });
}

function assignedTo(member: Group['members'][number]): string[] {
  if (member.memberAssignment.length === 0) return [];
  const { value } = decodeVersioned(consumerProtocolAssignment, member.memberAssignment, {
    leftover: 'ignore',
  });
  return value.assignedPartitions.map(
    ({ topic, partitions }) => `${topic}[${partitions.join(',')}]`,
  );
}

export async function describeGroup(name: string, options: GroupOptions): Promise<void> {
  await withCluster(options.brokers, async (cluster) => {
    const group = await describedGroup(cluster, name);
    const lags = await lagsOf(cluster, name);
    const members = group.members.map((member) => ({
      member: member.memberId,
      client: member.clientId,
      host: member.clientHost,
      assigned: assignedTo(member),
    }));
    const { groupState: state, protocolData: assignor } = group;
    if (options.json) {
      await writeJson({ group: name, state, assignor, members, offsets: lags });
      return;
    }
    const lag = lags.reduce((sum, each) => sum + each.lag, 0);
    await writeData(`group     ${name}\nstate     ${state}\nassignor  ${assignor || '-'}\n`);
    await writeData(`lag       ${formatCount(lag, 'record')}\n`);
    if (members.length > 0) {
      await writeData('\n');
      await writeData(
        formatTable(
          ['member', 'client', 'host', 'assigned'],
          members.map((each) => [each.member, each.client, each.host, each.assigned.join(' ')]),
        ),
      );
    }
    if (lags.length > 0) {
      await writeData('\n');
      await writeData(
        formatTable(
          ['topic', 'partition', 'committed', 'end', 'lag'],
          lags.map((each) => [each.topic, each.partition, each.committed, each.end, each.lag]),
        ),
      );
    }
  });
}

export async function resetGroup(
  name: string,
  options: GroupOptions & { topic: string; to: string; dryRun?: boolean },
): Promise<void> {
  const position = parsePosition('--to', options.to, realEnv().clock);
  await withCluster(options.brokers, async (cluster) => {
    const topic = await cluster.topic(options.topic);
    const reading = { topic, partitions: partitionsOf(topic), uncommitted: true };
    const ranges = await rangesOf(cluster, reading);
    const offsets = await offsetsAt(cluster, reading, ranges, position);
    if (options.dryRun !== true) await moveGroup(cluster, name, { topic: options.topic, offsets });
    if (options.json) {
      await writeJson({
        group: name,
        topic: options.topic,
        offsets: [...offsets].map(([partition, offset]) => ({ partition, offset })),
        dryRun: options.dryRun ?? false,
      });
      return;
    }
    const moved = options.dryRun === true ? 'would move' : 'moved';
    say(`${moved} group ${name} on ${options.topic} to:`);
    await writeData(formatTable(['partition', 'offset'], [...offsets]));
  });
}

async function moveGroup(
  cluster: Cluster,
  group: string,
  to: { readonly topic: string; readonly offsets: ReadonlyMap<number, number> },
): Promise<void> {
  await cluster.retrying(async () => {
    const node = await cluster.coordinator(group);
    const answer = await cluster.callOn(node, messages[8], {
      groupId: group,
      generationIdOrMemberEpoch: NO_GENERATION,
      memberId: '',
      topics: [
        {
          name: to.topic,
          partitions: [...to.offsets].map(([partitionIndex, committedOffset]) => ({
            partitionIndex,
            committedOffset,
            committedMetadata: '',
          })),
        },
      ],
    });
    for (const each of answer.topics[0]?.partitions ?? []) accept(each.errorCode);
  });
}
