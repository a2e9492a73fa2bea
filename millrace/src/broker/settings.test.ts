import { expect, test } from 'vitest';
import { stalePage } from '../../scripts/generate-docs.ts';
import { MillraceError } from '../core/errors.ts';
import { UNLIMITED } from './config-table.ts';
import { defaultSettings, parseSettings, SETTINGS } from './settings.ts';
import { logConfig, TOPIC_CONFIG_DEFAULTS, TOPIC_CONFIGS, topicConfig } from './topic-config.ts';

function fault(values: Readonly<Record<string, unknown>>): MillraceError {
  try {
    parseSettings(values);
  } catch (error) {
    if (error instanceof MillraceError) return error;
    throw error;
  }
  throw new Error('was accepted');
}

test('texts, numbers and booleans become values, what is absent has its default', () => {
  const settings = parseSettings({
    'num.partitions': ' 12 ',
    'auto.create.topics.enable': false,
    'fetch.max.bytes': 2048,
  });
  expect(settings.numPartitions).toBe(12);
  expect(settings.autoCreateTopics).toBe(false);
  expect(settings.fetchMaxBytes).toBe(2048);
  expect(settings.groupMaxSize).toBe(SETTINGS.groupMaxSize.default);
  expect([...settings.given.keys()]).toEqual([
    'num.partitions',
    'auto.create.topics.enable',
    'fetch.max.bytes',
  ]);
});

test('a setting of the broker is the default of the topic configuration that it is the synonym of', () => {
  const settings = parseSettings({ 'log.retention.ms': '1000', 'message.max.bytes': 500 });
  expect(settings.topicDefaults.retentionMs).toBe(1000);
  const parsed = topicConfig(settings.topicDefaults, { 'retention.ms': '7' });
  expect(parsed.ok && parsed.config.retentionMs).toBe(7);
  expect(parsed.ok && parsed.config.maxMessageBytes).toBe(500);
});

test.each([
  ['num.partitions', '0', '1 to 10000'],
  ['num.partitions', 'many', '1 to 10000'],
  ['num.partitions', '1.5', '1 to 10000'],
  ['auto.create.topics.enable', 'yes', 'true or false'],
  ['log.cleanup.policy', 'shred', 'a list of delete or compact'],
  ['millrace.flush', 'never', 'commit, interval or os'],
  ['num.partitions', { deep: 1 }, '1 to 10000'],
])('refuses %s = %o and says what is allowed', (name, value, allowed) => {
  const error = fault({ [name]: value });
  expect(error.code).toBe('ML_CONFIG_INVALID');
  expect(error.message).toContain(name);
  expect(error.message).toContain(allowed);
});

test('an unknown name is refused with the name that was probably meant', () => {
  const error = fault({ 'num.partition': 3 });
  expect(error.code).toBe('ML_CONFIG_INVALID');
  expect(error.hint).toContain("'num.partitions'");
  expect(fault(Object.fromEntries([['__proto__', 1]])).message).toContain('__proto__');
});

test('the shortest session timeout cannot be above the longest', () => {
  const values = { 'group.min.session.timeout.ms': 10, 'group.max.session.timeout.ms': 5 };
  expect(fault(values).message).toContain('group.min.session.timeout.ms');
});

test('every default is a value that its own key allows and prints', () => {
  const keys = [...Object.values(SETTINGS), ...Object.values(TOPIC_CONFIGS)];
  for (const key of keys)
    expect([key.name, key.parse(key.format(key.default as never))]).toEqual([
      key.name,
      key.default,
    ]);
});

test('names of one table are unique and sorted as Kafka and its readers expect', () => {
  for (const table of [SETTINGS, TOPIC_CONFIGS]) {
    const names = Object.values(table).map((key) => key.name);
    expect(new Set(names).size).toBe(names.length);
    expect(names).toEqual(names.toSorted());
  }
});

test("Kafka's largest long means without limit, there and back", () => {
  const key = TOPIC_CONFIGS.flushMessages;
  expect(key.parse('9223372036854775807')).toBe(UNLIMITED);
  expect(key.format(UNLIMITED)).toBe('9223372036854775807');
  expect(key.parse('99999999999999999999')).toBeUndefined();
});

test('topic configurations are checked by name and by value', () => {
  const defaults = defaultSettings().topicDefaults;
  expect(defaults).toEqual(TOPIC_CONFIG_DEFAULTS);
  const unknown = topicConfig(defaults, { 'no.such': '1' });
  expect(unknown).toMatchObject({ ok: false, error: 'INVALID_CONFIG' });
  const proto = topicConfig(defaults, Object.fromEntries([['__proto__', '1']]));
  expect(proto).toMatchObject({ ok: false, error: 'INVALID_CONFIG' });
  const wrong = topicConfig(defaults, { 'segment.bytes': '-5' });
  expect(!wrong.ok && wrong.message).toContain('1024 to 2147483647');
});

test('a topic configuration means the same to its logs', () => {
  const parsed = topicConfig(TOPIC_CONFIG_DEFAULTS, {
    'cleanup.policy': 'compact, delete',
    'message.timestamp.type': 'LogAppendTime',
    'min.cleanable.dirty.ratio': '0.25',
    'millrace.flush': 'interval',
    'flush.ms': '50',
  });
  expect(parsed.ok && logConfig(parsed.config)).toMatchObject({
    cleanupCompact: true,
    cleanupDelete: true,
    appendTime: true,
    minCleanableDirtyRatio: 0.25,
    flush: 'interval',
    flushMs: 50,
    retentionBytes: -1,
  });
});

test.each(['docs/reference/settings.md', 'docs/reference/topic-configs.md'])(
  '%s is up to date',
  (page) => expect(stalePage(page)).toBeUndefined(),
);
