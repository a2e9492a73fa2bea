/** How many partitions the topics of a program have, as far as that can be found out without making anything. */
import { connectKafka } from '../client/kafka/kafka-log.ts';
import type { Log } from '../client/log.ts';
import type { Env } from '../core/env.ts';
import { MillraceError } from '../core/errors.ts';
import { sinkTopics, sourceTopics } from '../engine/stream/runner/prepare-flow.ts';
import type { Plan } from '../flow/plan.ts';
import { say } from './io.ts';
import { LOOPBACK, openTopicLog, type TopicLog } from './topic-log.ts';

/** What every log of Millrace has in its directory. */
const LOG_DIRECTORY = 'journal';

/** Whether a log has been made there. */
export function hasLog(env: Env, dataDirectory: string): boolean {
  return env.fs.stat(`${dataDirectory}/${LOG_DIRECTORY}`) !== undefined;
}

/** The log of the topics; undefined: no brokers are named, and the directory has none. */
export async function openKnownLog(
  env: Env,
  brokers: string | undefined,
  dataDirectory: string,
): Promise<TopicLog | undefined> {
  if (brokers === undefined && !hasLog(env, dataDirectory)) return undefined;
  try {
    return await openTopicLog(env, { brokers, dataDirectory, kafka: LOOPBACK, say });
  } catch (error) {
    const kafka = error instanceof MillraceError ? error.fields['kafka'] : undefined;
    if (typeof kafka !== 'string') throw error;
    // A broker has the directory: it can be asked.
    const log = await connectKafka(env, { brokers: kafka });
    return {
      log,
      brokers: kafka,
      connection: { kind: 'brokers', brokers: kafka },
      close: () => log.close(),
    };
  }
}

export interface KnownTopics {
  readonly partitions: ReadonlyMap<string, number>;
  /** What was assumed, for people. */
  readonly notes: readonly string[];
}

/** @param assumed partitions of topics that are read and do not exist */
export async function findPartitions(
  plan: Plan,
  log: Log | undefined,
  assumed: number,
): Promise<KnownTopics> {
  const read = sourceTopics(plan);
  const found = (await log?.topics([...new Set([...read, ...sinkTopics(plan)])])) ?? new Map();
  const partitions = new Map<string, number>();
  for (const [name, topic] of found) partitions.set(name, topic.partitions);
  const missing = read.filter((name) => !partitions.has(name));
  for (const name of missing) partitions.set(name, assumed);
  const where = log === undefined ? 'there is no log yet' : `not on ${log.label}`;
  const notes = missing.map(
    (name) =>
      `note: topic ${name} does not exist (${where}): taken to have ${assumed === 1 ? '1 partition' : `${assumed} partitions`}`,
  );
  return { partitions, notes };
}
