/**
 * What the flow's state was made by and of, in a compacted topic of its own, `<flow>-state`, so that it is where the state is: with the
 * log. A member that starts compares, and refuses to touch state that does not fit.
 *
 *   node:<name>   the fingerprint of what has state there
 *   source:<name> the id of a topic that is read: another one under its name has other offsets
 *   topic:<name>  a topic that is the flow's own, to be deleted with it
 */
import type { Log, LogRecords, TopicDescription } from '../../../client/log.ts';
import { visibleBatches } from '../../../client/kafka/fetched-records.ts';
import { MillraceError } from '../../../core/errors.ts';
import { STREAM_IDLE_MS } from '../../../core/stream-limits.ts';

const NODE = 'node:';
const SOURCE = 'source:';
const TOPIC = 'topic:';
/** What brokers say that do not know of topic ids: sixteen zeros. */
const NO_ID = 'AAAAAAAAAAAAAAAAAAAAAA';

export interface SavedState {
  readonly nodes: ReadonlyMap<string, string>;
  readonly sources: ReadonlyMap<string, string>;
  readonly topics: ReadonlySet<string>;
}

export function stateTopic(flow: string): string {
  return `${flow}-state`;
}

/** undefined: nothing was saved under this name. */
export async function readSavedState(log: Log, flow: string): Promise<SavedState | undefined> {
  const topic = stateTopic(flow);
  if (!(await log.topics([topic])).has(topic)) return undefined;
  const at = { topic, partition: 0 };
  const [beginning] = await log.offsets([at], 'beginning');
  const [end] = await log.offsets([at], 'stable');
  const entries = new Map<string, string>();
  const reader = log.reader({ uncommitted: false });
  try {
    let next = beginning ?? 0;
    reader.assign([{ ...at, offset: next }]);
    while (next < (end ?? 0)) {
      for (const records of await reader.poll(STREAM_IDLE_MS)) {
        collect(records, entries);
        next = records.next;
      }
    }
  } finally {
    reader.close();
  }
  const withPrefix = (prefix: string): Map<string, string> =>
    new Map(
      [...entries]
        .filter(([key]) => key.startsWith(prefix))
        .map(([key, value]) => [key.slice(prefix.length), value]),
    );
  return {
    nodes: withPrefix(NODE),
    sources: withPrefix(SOURCE),
    topics: new Set(withPrefix(TOPIC).keys()),
  };
}

/**
 * @param fingerprints of the flow that is to run
 * @throws {MillraceError} ML_FLOW_CHANGED, naming the nodes; ML_TOPIC_CHANGED, naming the topic
 */
export function checkSavedState(
  flow: string,
  saved: SavedState,
  fingerprints: Readonly<Record<string, string>>,
  sources: ReadonlyMap<string, TopicDescription>,
): void {
  const changed: string[] = [];
  for (const [node, fingerprint] of saved.nodes) {
    const now = fingerprints[node];
    if (now === undefined) changed.push(`'${node}' is not there any more`);
    else if (now !== fingerprint) changed.push(`'${node}' has changed`);
  }
  if (changed.length > 0) {
    throw new MillraceError(
      'ML_FLOW_CHANGED',
      `the state that is saved for flow '${flow}' does not fit: ${changed.join(', ')}`,
      { fields: { flow, changed: changed.length } },
    );
  }
  for (const [name, id] of saved.sources) {
    const now = sources.get(name)?.id;
    if (now === undefined || now === id || now === NO_ID) continue;
    throw new MillraceError(
      'ML_TOPIC_CHANGED',
      `topic ${name} was deleted and made anew since flow '${flow}' read it: its state was made of records that are gone`,
      {
        hint: 'Begin anew with `millrace reset PROGRAM`, or give the flow another name',
        fields: { flow, topic: name },
      },
    );
  }
}

/** Writes what is not there yet. */
export async function saveState(
  log: Log,
  flow: string,
  saved: SavedState | undefined,
  now: {
    readonly nodes: Readonly<Record<string, string>>;
    readonly sources: ReadonlyMap<string, TopicDescription>;
    readonly topics: readonly string[];
  },
): Promise<void> {
  const entries: [string, string][] = [];
  for (const [node, fingerprint] of Object.entries(now.nodes))
    if (saved?.nodes.get(node) !== fingerprint) entries.push([NODE + node, fingerprint]);
  for (const [name, { id }] of now.sources)
    if (saved?.sources.get(name) !== id && id !== NO_ID) entries.push([SOURCE + name, id]);
  for (const name of now.topics)
    if (saved?.topics.has(name) !== true) entries.push([TOPIC + name, name]);
  await writeEntries(log, flow, entries);
}

/** Notes topics as the flow's own, before they are made. */
export async function recordTopics(
  log: Log,
  flow: string,
  topics: readonly string[],
): Promise<void> {
  await writeEntries(
    log,
    flow,
    topics.map((name) => [TOPIC + name, name]),
  );
}

async function writeEntries(
  log: Log,
  flow: string,
  entries: readonly (readonly [string, string])[],
): Promise<void> {
  if (entries.length === 0) return;
  const topic = stateTopic(flow);
  await log.createTopics([
    { name: topic, partitions: 1, configs: { 'cleanup.policy': 'compact' } },
  ]);
  const producer = await log.producer({});
  try {
    const nowMs = log.env.clock.nowMs();
    for (const [key, value] of entries)
      producer.append(topic, 0, nowMs, Buffer.from(key), Buffer.from(value));
    await producer.flush();
  } finally {
    await producer.close();
  }
}

function collect(records: LogRecords, entries: Map<string, string>): void {
  for (const reader of visibleBatches(records)) {
    while (reader.next()) {
      if (reader.offset < records.from || reader.keyStart < 0) continue;
      const key = reader.data.toString('utf8', reader.keyStart, reader.keyEnd);
      if (reader.valueStart < 0) entries.delete(key);
      else entries.set(key, reader.data.toString('utf8', reader.valueStart, reader.valueEnd));
    }
  }
}
