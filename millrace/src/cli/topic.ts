/** `millrace topic create|list|describe|delete|config`. */
import { MillraceError } from '../core/errors.ts';
import { messages } from '../wire/kafka/registry.ts';
import type { Infer } from '../wire/kafka/schema.ts';
import { withCluster } from './brokers.ts';
import { formatTable, say, writeData, writeJson } from './io.ts';
import type { Cluster } from '../client/kafka/cluster.ts';
import { accept } from '../client/kafka/refusal.ts';
import { formatCount, wholeNumber } from './numbers.ts';
import { partitionsOf, rangesOf } from '../client/kafka/offset-ranges.ts';

export interface TopicOptions {
  readonly brokers?: string;
  readonly json?: boolean;
}

export interface CreateOptions extends TopicOptions {
  readonly partitions?: string;
  readonly config?: readonly string[];
}

interface Assignment {
  readonly name: string;
  /** undefined = back to the default. */
  readonly value: string | undefined;
}

/** How long a broker may take to create or delete a topic. */
const TIMEOUT_MS = 30_000;
/** Lets the broker choose: the number of partitions, or of replicas. */
const BROKER_DEFAULT = -1;
/** NOTE: Kafka's config resource type: a topic. */
const TOPIC_RESOURCE = 2;
/** NOTE: Kafka's config source: set on this topic (KIP-226). */
const SOURCE_TOPIC = 1;
/** NOTE: Kafka's config operations (KIP-339). */
const SET = 0;
const DELETE = 1;

type Config = Infer<(typeof messages)[32]['response']>['results'][number]['configs'][number];

/** `retention.ms=1000` sets; `retention.ms=` goes back to the default. */
function parseAssignment(text: string): Assignment {
  const at = text.indexOf('=');
  if (at <= 0) {
    throw new MillraceError('ML_USAGE', `'${text}' is not name=value`, {
      hint: 'Write for example retention.ms=86400000, or retention.ms= to go back to the default',
    });
  }
  const value = text.slice(at + 1);
  return { name: text.slice(0, at), value: value === '' ? undefined : value };
}

export async function createTopic(name: string, options: CreateOptions): Promise<void> {
  const partitions =
    options.partitions === undefined
      ? BROKER_DEFAULT
      : wholeNumber('--partitions', options.partitions, 1);
  const configs = (options.config ?? []).map((text) => {
    const assignment = parseAssignment(text);
    return { name: assignment.name, value: assignment.value ?? '' };
  });
  await withCluster(options.brokers, async (cluster) => {
    const { topics } = await cluster.call(messages[19], {
      topics: [
        {
          name,
          numPartitions: partitions,
          replicationFactor: BROKER_DEFAULT,
          assignments: [],
          configs,
        },
      ],
      timeoutMs: TIMEOUT_MS,
    });
    for (const each of topics) accept(each.errorCode, each.errorMessage);
    const topic = await cluster.topic(name);
    const count = topic.leaders.length;
    if (options.json) await writeJson({ topic: name, id: topic.id, partitions: count });
    else say(`created topic ${name} with ${formatCount(count, 'partition')}`);
  });
}

export async function listTopics(options: TopicOptions & { internal?: boolean }): Promise<void> {
  await withCluster(options.brokers, async (cluster) => {
    const topics = (await cluster.topics()).filter(
      ({ isInternal }) => options.internal === true || !isInternal,
    );
    if (options.json) await writeJson(topics.map(({ name }) => name));
    else if (topics.length === 0) say('no topics; millrace topic create NAME makes one');
    else await writeData(topics.map(({ name }) => `${name}\n`).join(''));
  });
}

async function configsOf(cluster: Cluster, topic: string): Promise<Config[]> {
  const { results } = await cluster.call(messages[32], {
    resources: [{ resourceType: TOPIC_RESOURCE, resourceName: topic, configurationKeys: null }],
  });
  for (const each of results) accept(each.errorCode, each.errorMessage);
  return (results[0]?.configs ?? []).toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

export async function describeTopic(name: string, options: TopicOptions): Promise<void> {
  await withCluster(options.brokers, async (cluster) => {
    const topic = await cluster.topic(name);
    const partitions = partitionsOf(topic);
    const ranges = await rangesOf(cluster, { topic, partitions, uncommitted: true });
    const changed = (await configsOf(cluster, name)).filter(
      (config) => config.configSource === SOURCE_TOPIC,
    );
    if (options.json) {
      const configs = Object.fromEntries(changed.map((config) => [config.name, config.value]));
      await writeJson({ topic: name, id: topic.id, partitions: ranges, configs });
      return;
    }
    const offsets = ranges.reduce((sum, range) => sum + range.end - range.beginning, 0);
    await writeData(`topic       ${name}\nid          ${topic.id}\npartitions  ${ranges.length}\n`);
    await writeData(`offsets     ${offsets.toLocaleString('en-US')} in all\n`);
    for (const config of changed)
      await writeData(`config      ${config.name}=${config.value ?? ''}\n`);
    await writeData('\n');
    await writeData(
      formatTable(
        ['partition', 'beginning', 'end'],
        ranges.map((range) => [range.partition, range.beginning, range.end]),
      ),
    );
  });
}

export async function deleteTopics(names: readonly string[], options: TopicOptions): Promise<void> {
  await withCluster(options.brokers, async (cluster) => {
    // One by one: of several the first that fails stops it, and what was deleted has been said.
    for (const name of names) {
      const { responses } = await cluster.call(messages[20], {
        topicNames: [name],
        timeoutMs: TIMEOUT_MS,
      });
      for (const each of responses) accept(each.errorCode, each.errorMessage);
      say(`deleted topic ${name}`);
    }
  });
}

/** Shows a topic's configs; with assignments, changes them first. */
export async function configureTopic(
  name: string,
  assignments: readonly string[],
  options: TopicOptions,
): Promise<void> {
  const changes = assignments.map(parseAssignment);
  await withCluster(options.brokers, async (cluster) => {
    await cluster.topic(name);
    if (changes.length > 0) {
      const { responses } = await cluster.call(messages[44], {
        resources: [
          {
            resourceType: TOPIC_RESOURCE,
            resourceName: name,
            configs: changes.map((change) => ({
              name: change.name,
              configOperation: change.value === undefined ? DELETE : SET,
              value: change.value ?? null,
            })),
          },
        ],
        validateOnly: false,
      });
      for (const each of responses) accept(each.errorCode, each.errorMessage);
      say(`changed ${changes.map((change) => change.name).join(', ')} of topic ${name}`);
    }
    const configs = await configsOf(cluster, name);
    if (options.json) {
      await writeJson(
        configs.map((config) => ({
          name: config.name,
          value: config.value,
          changed: config.configSource === SOURCE_TOPIC,
        })),
      );
      return;
    }
    await writeData(
      formatTable(
        ['config', 'value', 'set by'],
        configs.map((config) => [
          config.name,
          config.value ?? '',
          config.configSource === SOURCE_TOPIC ? 'topic' : 'default',
        ]),
      ),
    );
  });
}
