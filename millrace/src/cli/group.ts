/** `millrace group list|describe|reset`. */
import type { Admin } from '@platformatic/kafka';
import { MillraceError } from '../core/errors.ts';
import { realEnv } from '../core/real-env.ts';
import { withAdmin } from './cluster.ts';
import { formatTable, say, writeData, writeJson } from './io.ts';
import { offsetsAt, partitionsOf, rangesOf } from './offsets.ts';
import { parsePosition } from './positions.ts';

export interface GroupOptions {
  readonly brokers?: string;
  readonly json?: boolean;
}

export async function listGroups(options: GroupOptions): Promise<void> {
  await withAdmin(options.brokers, async (admin) => {
    const groups = [...(await admin.listGroups()).values()].toSorted((a, b) =>
      a.id.localeCompare(b.id),
    );
    if (options.json) {
      await writeJson(
        groups.map((group) => ({ group: group.id, state: group.state, type: group.groupType })),
      );
      return;
    }
    if (groups.length === 0) say('no consumer groups');
    else {
      await writeData(
        formatTable(
          ['group', 'state', 'protocol'],
          groups.map((group) => [group.id, group.state, group.protocolType]),
        ),
      );
    }
  });
}

interface Lag {
  readonly topic: string;
  readonly partition: number;
  /** undefined = nothing committed. */
  readonly committed: number | undefined;
  readonly end: number;
  readonly lag: number;
}

async function lagsOf(admin: Admin, group: string): Promise<Lag[]> {
  const [committed] = await admin.listConsumerGroupOffsets({ groups: [group] });
  const lags: Lag[] = [];
  for (const { name, partitions } of committed?.topics ?? []) {
    const ranges = await rangesOf(
      admin,
      name,
      partitions.map((each) => each.partitionIndex),
    );
    for (const { partitionIndex, committedOffset } of partitions) {
      const range = ranges.find((each) => each.partition === partitionIndex);
      const end = range?.end ?? 0;
      const at = committedOffset < 0n ? undefined : Number(committedOffset);
      lags.push({
        topic: name,
        partition: partitionIndex,
        committed: at,
        end,
        lag: end - (at ?? range?.beginning ?? 0),
      });
    }
  }
  return lags.toSorted((a, b) => a.topic.localeCompare(b.topic) || a.partition - b.partition);
}

export async function describeGroup(name: string, options: GroupOptions): Promise<void> {
  await withAdmin(options.brokers, async (admin) => {
    const group = (await admin.describeGroups({ groups: [name] })).get(name);
    const lags = await lagsOf(admin, name);
    if (group === undefined || (group.state === 'DEAD' && lags.length === 0)) {
      throw new MillraceError('ML_BROKER_REFUSED', `there is no consumer group ${name}`, {
        hint: 'See what there is with: millrace group list',
      });
    }
    const members = [...group.members.values()].map((member) => ({
      member: member.id,
      client: member.clientId,
      host: member.clientHost,
      assigned: [...(member.assignments?.values() ?? [])].map(
        (each) => `${each.topic}[${each.partitions.join(',')}]`,
      ),
    }));
    if (options.json) {
      await writeJson({
        group: name,
        state: group.state,
        assignor: group.protocol,
        members,
        offsets: lags,
      });
      return;
    }
    await writeData(
      `group     ${name}\nstate     ${group.state}\nassignor  ${group.protocol || '-'}\n`,
    );
    await writeData(
      `lag       ${lags.reduce((sum, each) => sum + each.lag, 0).toLocaleString('en-US')} records\n`,
    );
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
          lags.map((each) => [
            each.topic,
            each.partition,
            each.committed ?? '-',
            each.end,
            each.lag,
          ]),
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
  await withAdmin(options.brokers, async (admin) => {
    const partitions = await partitionsOf(admin, options.topic);
    if (partitions.length === 0) {
      throw new MillraceError('ML_BROKER_REFUSED', `there is no topic ${options.topic}`, {
        hint: 'See what there is with: millrace topic list',
      });
    }
    const ranges = await rangesOf(admin, options.topic, partitions);
    const offsets = await offsetsAt(admin, options.topic, ranges, position);
    if (!options.dryRun) {
      await admin.alterConsumerGroupOffsets({
        groupId: name,
        topics: [
          {
            name: options.topic,
            partitionOffsets: [...offsets].map(([partition, offset]) => ({
              partition,
              offset: BigInt(offset),
            })),
          },
        ],
      });
    }
    if (options.json) {
      await writeJson({
        group: name,
        topic: options.topic,
        offsets: Object.fromEntries(offsets),
        dryRun: options.dryRun ?? false,
      });
      return;
    }
    say(
      options.dryRun
        ? `would move group ${name} on ${options.topic} to:`
        : `moved group ${name} on ${options.topic} to:`,
    );
    await writeData(formatTable(['partition', 'offset'], [...offsets]));
  });
}
