/** `millrace topic create|list|describe|delete|config`. */
import type { Admin } from '@platformatic/kafka';
import { MillraceError } from '../core/errors.ts';
import { withAdmin } from './cluster.ts';
import { formatTable, say, writeData, writeJson } from './io.ts';
import { rangesOf } from './offsets.ts';

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
  const partitions = options.partitions === undefined ? -1 : Number(options.partitions);
  if (!Number.isInteger(partitions) || partitions === 0 || partitions < -1) {
    throw new MillraceError(
      'ML_USAGE',
      `--partitions takes a whole number from 1, not '${options.partitions}'`,
    );
  }
  const configs = (options.config ?? []).map(parseAssignment).map(({ name, value }) => ({
    name,
    value: value ?? null,
  }));
  await withAdmin(options.brokers, async (admin) => {
    // One call for both: -1 lets the broker choose the number of partitions.
    const [created] = await admin.createTopics({
      topics: [name],
      partitions,
      replicas: -1,
      configs,
    });
    if (options.json)
      await writeJson({ topic: name, id: created?.id, partitions: created?.partitions });
    else say(`created topic ${name} with ${created?.partitions ?? '?'} partitions`);
  });
}

export async function listTopics(options: TopicOptions & { internal?: boolean }): Promise<void> {
  await withAdmin(options.brokers, async (admin) => {
    const names = await admin.listTopics({ includeInternals: options.internal ?? false });
    names.sort();
    if (options.json) await writeJson(names);
    else await writeData(names.map((name) => `${name}\n`).join(''));
  });
}

async function requireTopic(
  admin: Admin,
  topic: string,
): Promise<{ id: string; partitions: number[] }> {
  const metadata = await admin.metadata({
    topics: [topic],
    autocreateTopics: false,
    forceUpdate: true,
  });
  const found = metadata.topics.get(topic);
  const count = found?.partitionsCount ?? 0;
  return { id: found?.id ?? '', partitions: Array.from({ length: count }, (_, index) => index) };
}

async function configsOf(
  admin: Admin,
  library: { ConfigResourceTypes: { TOPIC: 2 } },
  topic: string,
) {
  const [described] = await admin.describeConfigs({
    resources: [
      {
        resourceType: library.ConfigResourceTypes.TOPIC,
        resourceName: topic,
        configurationKeys: null,
      },
    ],
    includeDocumentation: true,
  });
  return (described?.configs ?? []).toSorted((a, b) => a.name.localeCompare(b.name));
}

/** NOTE: Kafka's config source 1: set on this topic (KIP-226). */
const SOURCE_TOPIC = 1;

export async function describeTopic(name: string, options: TopicOptions): Promise<void> {
  await withAdmin(options.brokers, async (admin, library) => {
    const { id, partitions } = await requireTopic(admin, name);
    const ranges = await rangesOf(admin, name, partitions);
    const changed = (await configsOf(admin, library, name)).filter(
      (config) => config.configSource === SOURCE_TOPIC,
    );
    if (options.json) {
      const configs = Object.fromEntries(changed.map((config) => [config.name, config.value]));
      await writeJson({ topic: name, id, partitions: ranges, configs });
      return;
    }
    const records = ranges.reduce((sum, range) => sum + range.end - range.beginning, 0);
    await writeData(`topic       ${name}\nid          ${id}\npartitions  ${partitions.length}\n`);
    await writeData(`offsets     ${records.toLocaleString('en-US')} in all\n`);
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
  await withAdmin(options.brokers, async (admin) => {
    await admin.deleteTopics({ topics: [...names] });
    for (const name of names) say(`deleted topic ${name}`);
  });
}

/** Shows a topic's configs; with assignments, changes them first. */
export async function configureTopic(
  name: string,
  assignments: readonly string[],
  options: TopicOptions & { all?: boolean },
): Promise<void> {
  const changes = assignments.map(parseAssignment);
  await withAdmin(options.brokers, async (admin, library) => {
    await requireTopic(admin, name);
    if (changes.length > 0) {
      const { SET, DELETE } = library.IncrementalAlterConfigOperationTypes;
      await admin.incrementalAlterConfigs({
        resources: [
          {
            resourceType: library.ConfigResourceTypes.TOPIC,
            resourceName: name,
            configs: changes.map(({ name, value }) =>
              value === undefined
                ? { name, configOperation: DELETE }
                : { name, configOperation: SET, value },
            ),
          },
        ],
      });
      say(`changed ${changes.map((change) => change.name).join(', ')} of topic ${name}`);
    }
    const configs = await configsOf(admin, library, name);
    if (options.json) {
      await writeJson(
        configs.map(({ name, value, configSource }) => ({
          name,
          value,
          changed: configSource === SOURCE_TOPIC,
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
