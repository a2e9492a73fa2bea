/** `millrace topic …` against a running broker. */
import { beforeAll, describe, expect, test } from 'vitest';
import { builtMillrace, type Broker, type Finished } from '../../test/start/built-millrace.ts';

const millrace = builtMillrace();
let broker: Broker;

beforeAll(async () => {
  broker = await millrace.start(await millrace.directory());
});

function run(...args: readonly string[]): Promise<Finished> {
  return millrace.run(args, { env: { MILLRACE_BROKERS: broker.address } });
}

interface Described {
  readonly partitions: readonly { readonly beginning: number; readonly end: number }[];
  readonly configs: Readonly<Record<string, string>>;
}

async function described(topic: string): Promise<Described> {
  const { stdout } = await run('topic', 'describe', topic, '--json');
  return JSON.parse(stdout) as Described;
}

test('create says what it made, and describe shows it', async () => {
  const made = await run(
    'topic',
    'create',
    'a',
    '-p',
    '3',
    '-c',
    'retention.ms=1000',
    'max.message.bytes=2000',
  );
  expect(made).toMatchObject({
    code: 0,
    stdout: '',
    stderr: 'created topic a with 3 partitions\n',
  });
  const { partitions, configs } = await described('a');
  expect(partitions).toHaveLength(3);
  expect(configs).toEqual({ 'retention.ms': '1000', 'max.message.bytes': '2000' });
  const { stdout } = await run('topic', 'describe', 'a');
  expect(stdout).toMatch(/^partitions +3$/m);
  expect(stdout).toMatch(/^config +retention\.ms=1000$/m);
  expect(stdout).toMatch(/^ +2 +0 +0$/m);
});

test('create without a number of partitions leaves it to the broker', async () => {
  const { stdout, code } = await run('topic', 'create', 'default-partitions', '--json');
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ topic: 'default-partitions', partitions: 4 });
});

test('list shows one topic a line, internal ones only when asked', async () => {
  await run('topic', 'create', 'listed-2');
  await run('topic', 'create', 'listed-1');
  const { stdout } = await run('topic', 'list');
  const names = stdout.trimEnd().split('\n');
  expect(names.filter((name) => name.startsWith('listed'))).toEqual(['listed-1', 'listed-2']);
  expect(names).not.toContain('__consumer_offsets');
  const all = JSON.parse((await run('topic', 'list', '--internal', '--json')).stdout) as string[];
  expect(all).toContain('__consumer_offsets');
  expect(all).toContain('listed-1');
});

test('list says how to make a first topic, on stderr', async () => {
  const empty = await millrace.start(await millrace.directory());
  const { code, stdout, stderr } = await millrace.run([
    'topic',
    'list',
    '--brokers',
    empty.address,
  ]);
  expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
  expect(stderr).toContain('topic create');
  await empty.end('SIGTERM');
});

test('config sets, shows, and goes back to the default', async () => {
  await run('topic', 'create', 'configured');
  const set = await run(
    'topic',
    'config',
    'configured',
    'retention.ms=5000',
    'cleanup.policy=compact',
  );
  expect(set.code).toBe(0);
  expect(set.stderr).toBe('changed retention.ms, cleanup.policy of topic configured\n');
  expect(set.stdout).toMatch(/^retention\.ms +5000 +topic$/m);
  expect((await described('configured')).configs).toEqual({
    'retention.ms': '5000',
    'cleanup.policy': 'compact',
  });
  await run('topic', 'config', 'configured', 'retention.ms=');
  expect((await described('configured')).configs).toEqual({ 'cleanup.policy': 'compact' });
  const all = JSON.parse((await run('topic', 'config', 'configured', '--json')).stdout) as {
    readonly name: string;
    readonly value: string;
    readonly changed: boolean;
  }[];
  expect(all.find(({ name }) => name === 'retention.ms')).toMatchObject({
    value: '604800000',
    changed: false,
  });
});

test('delete deletes all that are named', async () => {
  await run('topic', 'create', 'gone-1');
  await run('topic', 'create', 'gone-2');
  expect(await run('topic', 'delete', 'gone-1', 'gone-2')).toMatchObject({
    code: 0,
    stdout: '',
    stderr: 'deleted topic gone-1\ndeleted topic gone-2\n',
  });
  expect((await run('topic', 'list')).stdout).not.toContain('gone');
});

describe('what cannot be done is said, with what to do, and exit code 1', () => {
  test.each([
    [['topic', 'describe', 'absent'], 'there is no topic absent (ML_TOPIC_MISSING)', 'topic list'],
    [['topic', 'config', 'absent'], 'there is no topic absent (ML_TOPIC_MISSING)', 'topic list'],
    [['topic', 'delete', 'absent'], 'UNKNOWN_TOPIC_OR_PARTITION', 'topic list'],
    [['topic', 'create', '../etc'], 'INVALID_TOPIC_EXCEPTION', '249'],
    [['topic', 'create', 'bad', '-c', 'no.such=1'], 'no.such', 'topic-configs.md'],
    [['topic', 'config', 'existing', 'retention.ms=soon'], 'retention.ms', 'topic-configs.md'],
    [['topic', 'create', 'existing'], 'TOPIC_ALREADY_EXISTS', 'topic list'],
  ])('%j', async (args, message, hint) => {
    await run('topic', 'create', 'existing');
    const { code, stdout, stderr } = await run(...args);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/^error: /);
    expect(stderr).toContain(message);
    expect(stderr).toMatch(/ML_BROKER_REFUSED|ML_TOPIC_MISSING/);
    expect(stderr.slice(stderr.indexOf('fix: '))).toContain(hint);
  });

  test('that no broker runs', async () => {
    const { code, stdout, stderr } = await run('topic', 'list', '--brokers', '127.0.0.1:1');
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain('no broker answers at 127.0.0.1:1');
    expect(stderr).toContain('ML_CONNECT_FAILED');
    expect(stderr).toContain('millrace start');
  });

  test('one of several brokers is enough', async () => {
    const { code } = await run('topic', 'list', '--brokers', `127.0.0.1:1,${broker.address}`);
    expect(code).toBe(0);
  });
});

test.each([
  [['topic', 'create', 'x', '-p', 'many'], '--partitions'],
  [['topic', 'create', 'x', '-p', '0'], '--partitions'],
  [['topic', 'create', 'x', '-c', 'retention.ms'], 'name=value'],
  [['topic', 'list', '--brokers', 'here'], 'host:port'],
])('%j is a mistake on the command line: exit code 2', async (args, message) => {
  const { code, stderr } = await run(...args);
  expect(code).toBe(2);
  expect(stderr).toContain(message);
});
