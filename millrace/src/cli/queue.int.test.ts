/** `millrace queue`, `user` and `vhost` against a running broker. */
import { beforeAll, expect, test } from 'vitest';
import { builtMillrace, type Finished } from '../../test/start/built-millrace.ts';

const millrace = builtMillrace();
let amqp = '';
let kafka = '';

beforeAll(async () => {
  const broker = await millrace.start(await millrace.directory(), ['--amqp', '127.0.0.1:0']);
  [, amqp = ''] = await broker.shows('stderr', /^ {2}amqp +amqp:\/\/(\S+:\d+)$/m);
  kafka = broker.address;
});

interface How {
  readonly input?: string;
  /** Another address, or user. */
  readonly at?: string;
}

function run(args: readonly string[], { input = '', at = amqp }: How = {}): Promise<Finished> {
  return millrace.run(args, { input, env: { MILLRACE_AMQP: at, MILLRACE_BROKERS: kafka } });
}

async function jsonOf(...args: readonly string[]): Promise<unknown> {
  const { stdout, stderr, code } = await run([...args, '--json']);
  expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout);
}

test('a queue is declared, shown, used and deleted', async () => {
  const none = await run(['queue', 'list']);
  expect(none).toMatchObject({ code: 0, stdout: '' });
  expect(none.stderr).toContain('millrace queue declare NAME');
  const made = await run([
    'queue',
    'declare',
    'jobs',
    '--dead-letters',
    'jobs.dead',
    '-a',
    'x-max-priority=5',
  ]);
  expect(made).toMatchObject({ code: 0, stdout: '', stderr: 'queue jobs is there\n' });
  const sent = await run(['queue', 'publish', 'jobs', '-H', 'via=cli', '--key', 'k'], {
    input: 'one\ntwo\nthree\n',
  });
  expect(sent).toMatchObject({ code: 0, stderr: expect.stringMatching(/^published 3 records/) });
  await run(['queue', 'publish', 'jobs', '-m', 'first', '--priority', '5']);
  await run(['queue', 'publish', 'jobs', '-m', 'later', '--delay', '1h']);
  const { stdout: list } = await run(['queue', 'list']);
  expect(list).toMatch(/^queue +type +ready +unacked +delayed +consumers +bytes$/m);
  expect(list).toMatch(/^jobs +classic +4 +0 +1 +0 +16$/m);
  const { stdout: shown } = await run(['queue', 'show', 'jobs']);
  expect(shown).toMatch(/^topic +queue\.jobs$/m);
  expect(shown).toMatch(/^argument +x-max-priority=5$/m);
  expect(shown).toMatch(/^ready +4 messages, 16 B$/m);
  expect(shown).toMatch(/^published +5$/m);
  // A look changes nothing, however often.
  for (let look = 0; look < 2; look++) {
    const { stdout } = await run(['queue', 'get', 'jobs', '-n', '2', '--keep', '--json']);
    const seen = stdout.trimEnd().split('\n');
    expect(seen.map((line) => JSON.parse(line) as unknown)).toMatchObject([
      { body: 'first', priority: 5, deliveryCount: 0, redelivered: false },
      { body: 'one', key: 'k', headers: { via: 'cli' }, contentType: 'text/plain' },
    ]);
  }
  expect(await run(['queue', 'get', 'jobs', '-n', '3'])).toMatchObject({
    code: 0,
    stdout: 'first\none\ntwo\n',
    stderr: '',
  });
  expect(await run(['queue', 'purge', 'jobs'])).toMatchObject({
    code: 0,
    stderr: 'dropped 1 message of queue jobs\n',
  });
  const empty = await run(['queue', 'get', 'jobs']);
  expect(empty).toMatchObject({ code: 0, stdout: '' });
  expect(empty.stderr).toContain('no message that is ready');
  expect(await run(['queue', 'delete', 'jobs', 'jobs.dead'])).toMatchObject({
    code: 0,
    stdout: '',
    stderr: expect.stringMatching(
      /^deleted queue jobs with \d messages?\ndeleted queue jobs.dead with 0 messages\n$/,
    ),
  });
  expect(await jsonOf('queue', 'list')).toEqual([]);
});

test('messages are moved, all or some', async () => {
  await run(['queue', 'declare', 'from']);
  await run(['queue', 'declare', 'to']);
  await run(['queue', 'publish', 'from'], { input: 'a\nb\nc\nd\n' });
  expect(await run(['queue', 'move', 'from', 'to', '-n', '1'])).toMatchObject({
    code: 0,
    stderr: 'moved 1 message from from to to\n',
  });
  expect(await jsonOf('queue', 'move', 'from', 'to')).toEqual({
    from: 'from',
    to: 'to',
    moved: 3,
    skipped: 0,
  });
  expect((await run(['queue', 'get', 'to', '-n', '9'])).stdout).toBe('a\nb\nc\nd\n');
});

test('dead letters go back to where they came from', async () => {
  await run(['queue', 'declare', 'short', '--dead-letters', 'short.dead', '-a', 'x-message-ttl=1']);
  await run(['queue', 'publish', 'short', '-m', 'late']);
  let dead = '';
  while (dead === '')
    ({ stdout: dead } = await run(['queue', 'get', 'short.dead', '--keep', '--json']));
  expect(JSON.parse(dead)).toMatchObject({ body: 'late', reason: 'expired', queue: 'short' });
  expect(await run(['queue', 'redrive', 'short.dead'])).toMatchObject({
    code: 0,
    stderr: 'moved 1 message of short.dead to where they came from\n',
  });
});

test('what cannot be done is said with what to do', async () => {
  const missing = await run(['queue', 'show', 'nothing']);
  expect(missing.code).toBe(1);
  expect(missing.stderr).toMatch(/no queue nothing.*ML_QUEUE_MISSING/);
  expect(missing.stderr).toContain('millrace queue list');
  expect((await run(['queue', 'publish', 'nothing', '-m', 'x'])).stderr).toMatch(
    /no queue nothing/,
  );
  expect((await run(['queue', 'get', 'nothing'])).stderr).toMatch(/ML_QUEUE_MISSING/);
  expect((await run(['queue', 'delete', 'nothing'])).stderr).toMatch(/ML_QUEUE_MISSING/);
  await run(['queue', 'declare', 'as-it-is']);
  const differs = await run(['queue', 'declare', 'as-it-is', '-a', 'x-max-length=1']);
  expect(differs.stderr).toMatch(/x-max-length.*ML_QUEUE_DIFFERS/);
  const usage = await run(['queue', 'declare', 'x', '-a', 'nonsense']);
  expect({ code: usage.code, hint: usage.stderr }).toEqual({
    code: 2,
    hint: expect.stringContaining('x-max-length=1000'),
  });
  const nobody = await run(['queue', 'list'], { at: '127.0.0.1:1' });
  expect(nobody.stderr).toMatch(/ML_CONNECT_FAILED/);
  const wrong = await run(['queue', 'list', '--user', 'guest', '--password', 'wrong']);
  expect(wrong.code).toBe(1);
  expect(wrong.stderr).toMatch(/ML_AMQP_REFUSED/);
  expect(wrong.stderr).toContain('--user');
});

test('users and virtual hosts are made, permitted and taken away', async () => {
  const needs = await run(['user', 'set', 'ann']);
  expect(needs.stderr).toMatch(/ann is new, and needs a password/);
  expect(
    await run(['user', 'set', 'ann', '--new-password', '-'], { input: 'secret\n' }),
  ).toMatchObject({ code: 0, stderr: expect.stringContaining('made user ann\n') });
  const [, port = ''] = amqp.split(':');
  const ann = `amqp://ann:secret@127.0.0.1:${port}`;
  expect((await run(['queue', 'list'], { at: ann })).code).toBe(1);
  expect(await run(['vhost', 'create', 'shop'])).toMatchObject({ code: 0 });
  expect(
    await run(['user', 'permit', 'ann', '--on', 'shop', '--configure', '^ann-', '--read', '^ann-']),
  ).toMatchObject({ code: 0, stderr: 'user ann may use virtual host shop\n' });
  const shop = `${ann}/shop`;
  expect((await run(['queue', 'declare', 'ann-jobs'], { at: shop })).code).toBe(0);
  const refused = await run(['queue', 'declare', 'bobs'], { at: shop });
  expect(refused.stderr).toMatch(/ACCESS_REFUSED/);
  expect(refused.stderr).toContain('millrace user permit ann');
  expect((await run(['user', 'list'], { at: shop })).stderr).toContain('administrator');
  expect((await run(['user', 'list'])).stdout).toMatch(/^ann +- +shop +\^ann- +\.\* +\^ann-$/m);
  expect(await jsonOf('vhost', 'list')).toEqual([
    { name: '/', queues: expect.any(Number) },
    { name: 'shop', queues: 1 },
  ]);
  expect(await run(['user', 'permit', 'ann', '--on', 'shop', '--nothing'])).toMatchObject({
    code: 0,
  });
  expect((await run(['queue', 'list'], { at: shop })).code).toBe(1);
  expect((await run(['vhost', 'delete', 'shop'])).stderr).toBe(
    'deleted virtual host shop with 1 queue\n',
  );
  expect(await run(['user', 'delete', 'ann'])).toMatchObject({
    code: 0,
    stderr: 'deleted user ann\n',
  });
  expect((await run(['user', 'delete', 'ann'])).code).toBe(1);
});
