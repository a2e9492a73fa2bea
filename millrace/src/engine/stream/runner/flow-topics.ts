/** The topics of a flow: waits for those it reads, makes those it writes and its own, and watches that they stay what they were. */
import type { Log, TopicDescription } from '../../../client/log.ts';
import { MillraceError } from '../../../core/errors.ts';
import { STREAM_TOPIC_WAIT_MS } from '../../../core/stream-limits.ts';
import type { Topology } from '../topology.ts';

/**
 * Descriptions of the topics; waits until all are there.
 * @param onMissing called once, with what it waits for; undefined: it does not wait
 * @throws {MillraceError} ML_TOPIC_MISSING, ML_ABORTED
 */
export async function findTopics(
  log: Log,
  names: readonly string[],
  onMissing: ((missing: readonly string[]) => void) | undefined,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, TopicDescription>> {
  let hasTold = false;
  for (;;) {
    const found = await log.topics(names);
    const missing = names.filter((name) => !found.has(name));
    if (missing.length === 0) return found;
    if (onMissing === undefined) {
      const [topic = ''] = missing;
      throw new MillraceError(
        'ML_TOPIC_MISSING',
        `the flow reads ${missing.map((name) => `topic ${name}`).join(', ')}, which ${missing.length > 1 ? 'do' : 'does'} not exist on ${log.label}`,
        { fields: { topic } },
      );
    }
    if (!hasTold) onMissing(missing);
    hasTold = true;
    await log.env.timers.sleep(STREAM_TOPIC_WAIT_MS, signal);
  }
}

/**
 * Makes what is missing of the topics that the flow writes and of its own.
 * @throws {MillraceError} ML_FLOW_CHANGED: one of its own has another number of partitions than the flow needs
 */
export async function createFlowTopics(log: Log, topology: Topology): Promise<void> {
  const { internalTopics, outputTopics } = topology;
  await log.createTopics([...internalTopics, ...outputTopics]);
  const found = await log.topics(internalTopics.map(({ name }) => name));
  for (const { name, partitions } of internalTopics) {
    const has = found.get(name)?.partitions;
    if (has === undefined || partitions === undefined || has === partitions) continue;
    throw new MillraceError(
      'ML_FLOW_CHANGED',
      `the repartition topic ${name} has ${has} partitions, and the flow needs ${partitions}`,
      { fields: { topic: name, partitions: has, wanted: partitions } },
    );
  }
}

/** @throws {MillraceError} ML_TOPIC_MISSING, ML_TOPIC_CHANGED when the topics are not what they were */
export async function checkTopics(
  log: Log,
  known: ReadonlyMap<string, TopicDescription>,
): Promise<void> {
  const found = await log.topics([...known.keys()]);
  for (const [name, was] of known) {
    const now = found.get(name);
    if (now === undefined) {
      throw new MillraceError(
        'ML_TOPIC_MISSING',
        `topic ${name} was deleted while the flow read it`,
        { fields: { topic: name } },
      );
    }
    if (now.id !== was.id) {
      throw new MillraceError(
        'ML_TOPIC_CHANGED',
        `topic ${name} was deleted and made anew while the flow read it`,
        { fields: { topic: name } },
      );
    }
    if (now.partitions !== was.partitions) {
      throw new MillraceError(
        'ML_TOPIC_CHANGED',
        `topic ${name} has ${now.partitions} partitions now, ${was.partitions} when the flow started: keys are in other partitions than their state`,
        { fields: { topic: name, partitions: now.partitions, before: was.partitions } },
      );
    }
  }
}
