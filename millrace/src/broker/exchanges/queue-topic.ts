/** The topic of a queue: its name, and how it is configured. */
import { createHash } from 'node:crypto';
import { definedSettings, parseQueueDefinition } from './queue-definition.ts';

/** NOTE: persistent. The configuration of a topic that makes it a queue. */
export const QUEUE_CONFIG = 'millrace.queue';

const PREFIX = 'queue.';
const DEFAULT_VHOST = '/';
/** Of a topic, in Kafka. */
const NAME_CHARACTERS_MAX = 249;
const SEGMENT_BYTES = 32 * 1024 * 1024;

/**
 * Names that a queue's topic may have, the best first: `queue.<name>`, when that says which queue it is; else with what a topic cannot
 * have replaced and 8 digits of a hash. NOTE: others find the topic of a queue by this rule.
 */
export function queueTopicNames(vhost: string, name: string): readonly string[] {
  const legal = name.replaceAll(/[^a-zA-Z0-9._-]/gu, '-');
  const hash = createHash('sha256').update(`${vhost}\0${name}`).digest('hex').slice(0, 8);
  const room = NAME_CHARACTERS_MAX - PREFIX.length - hash.length - 1;
  const hashed = `${PREFIX}${legal.slice(0, room)}-${hash}`;
  const plain = `${PREFIX}${name}`;
  return vhost === DEFAULT_VHOST && legal === name && plain.length <= NAME_CHARACTERS_MAX
    ? [plain, hashed]
    : [hashed];
}

/**
 * What a topic with these overrides is configured with: of a queue nothing goes by age or size, since it says itself what is done with; of
 * a stream what its arguments say. What is given is left as it is.
 */
export function withQueueDefaults(
  overrides: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const text = overrides[QUEUE_CONFIG];
  const definition = text === undefined ? undefined : parseQueueDefinition(text);
  const settings = definition === undefined ? undefined : definedSettings(definition);
  if (settings?.ok !== true) return overrides;
  const { type, maxAgeMs, maxLengthBytes, segmentBytes } = settings.value;
  const isStream = type === 'stream';
  return {
    'cleanup.policy': 'delete',
    'retention.ms': String((isStream ? maxAgeMs : undefined) ?? -1),
    'retention.bytes': String((isStream ? maxLengthBytes : undefined) ?? -1),
    'segment.bytes': String(Math.max(1_024, segmentBytes ?? SEGMENT_BYTES)),
    // Delays and expirations count from when a message came, whatever event time a flow gives it, and whatever a clock elsewhere says.
    'message.timestamp.type': 'LogAppendTime',
    ...overrides,
  };
}

/** Why a topic cannot be a queue with this many partitions and these overrides; undefined when it can, or is to be none. */
export function queueTopicFault(
  partitions: number,
  overrides: Readonly<Record<string, string>>,
): string | undefined {
  const text = overrides[QUEUE_CONFIG];
  if (text === undefined || text === '') return undefined;
  if (partitions !== 1) return `a topic with ${QUEUE_CONFIG} has 1 partition, not ${partitions}`;
  return (overrides['cleanup.policy'] ?? 'delete').includes('compact')
    ? `a topic with ${QUEUE_CONFIG} cannot be compacted`
    : undefined;
}
