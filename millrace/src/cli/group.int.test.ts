/** Consumer groups on the command line: `millrace consume --group` and `millrace group …`. */
import { beforeAll, expect, test } from 'vitest';
import { builtMillrace, type Broker, type Finished } from '../../test/start/built-millrace.ts';
import { createTopic } from '../../test/start/create-topic.ts';

const millrace = builtMillrace();
let broker: Broker;

beforeAll(async () => {
  broker = await millrace.start(await millrace.directory());
});

function run(args: readonly string[], input = ''): Promise<Finished> {
  return millrace.run(args, { input, env: { MILLRACE_BROKERS: broker.address } });
}

function lines(from: number, to: number): string {
  return Array.from({ length: to - from }, (_, index) => `line ${from + index}\n`).join('');
}

async function filled(topic: string, partitions: number, count: number): Promise<void> {
  await createTopic(broker.address, topic, partitions);
  const each = Math.ceil(count / partitions);
  for (let partition = 0; partition < partitions; partition++) {
    const some = lines(partition * each, Math.min(count, (partition + 1) * each));
    await run(['produce', topic, '--partition', String(partition)], some);
  }
}

interface Described {
  readonly state: string;
  readonly members: readonly { readonly assigned: readonly string[] }[];
  readonly offsets: readonly {
    readonly partition: number;
    readonly committed: number;
    readonly lag: number;
  }[];
}

async function described(group: string): Promise<Described> {
  const { stdout, stderr } = await run(['group', 'describe', group, '--json']);
  expect(stderr).toBe('');
  return JSON.parse(stdout) as Described;
}

test('a group goes on where it stopped', async () => {
  await filled('resumed', 1, 10);
  const read = (...args: readonly string[]) =>
    run(['consume', 'resumed', '--group', 'resuming', ...args]);
  expect((await read('--count', '4')).stdout).toBe(lines(0, 4));
  expect((await described('resuming')).offsets).toMatchObject([
    { partition: 0, committed: 4, lag: 6 },
  ]);
  expect((await read('--count', '3')).stdout).toBe(lines(4, 7));
  expect((await read('--until', 'end')).stdout).toBe(lines(7, 10));
  expect((await read('--until', 'end')).stdout).toBe('');
  expect((await described('resuming')).offsets).toMatchObject([{ committed: 10, lag: 0 }]);
});

test('Ctrl-C commits what was printed and leaves the group at once', async () => {
  await filled('interrupted', 1, 5);
  const args = ['consume', 'interrupted', '--group', 'interrupting', '--brokers', broker.address];
  const reader = millrace.launch(args);
  await reader.shows('stdout', /line 4\n/);
  expect(await described('interrupting')).toMatchObject({
    state: 'Stable',
    members: [{ assigned: ['interrupted[0]'] }],
  });
  expect(await reader.end('SIGINT')).toMatchObject({ code: 0, signal: null, stdout: lines(0, 5) });
  expect(await described('interrupting')).toMatchObject({
    state: 'Empty',
    members: [],
    offsets: [{ committed: 5, lag: 0 }],
  });
});

test('members share the partitions, and one takes over when another leaves', async () => {
  await createTopic(broker.address, 'shared', 4);
  const args = ['consume', 'shared', '--group', 'sharing', '--brokers', broker.address];
  const first = millrace.launch(args);
  await expect
    .poll(async () => (await described('sharing')).members.length, { timeout: 20_000 })
    .toBe(1);
  const second = millrace.launch(args);
  await expect
    .poll(
      async () =>
        (await described('sharing')).members.flatMap(({ assigned }) => assigned).toSorted(),
      {
        timeout: 20_000,
      },
    )
    .toEqual(['shared[0,1]', 'shared[2,3]']);
  for (let partition = 0; partition < 4; partition++)
    await run(['produce', 'shared', '-p', String(partition)], `to ${partition}\n`);
  const both = async (): Promise<string[]> =>
    `${first.stdout}${second.stdout}`.trimEnd().split('\n').toSorted();
  await expect.poll(both, { timeout: 20_000 }).toEqual(['to 0', 'to 1', 'to 2', 'to 3']);
  expect(first.stdout.length).toBe(second.stdout.length);
  expect(await first.end('SIGTERM')).toMatchObject({ code: 0 });
  await expect
    .poll(async () => (await described('sharing')).members.map(({ assigned }) => assigned), {
      timeout: 20_000,
    })
    .toEqual([['shared[0,1,2,3]']]);
  for (let partition = 0; partition < 4; partition++)
    await run(['produce', 'shared', '-p', String(partition)], `again ${partition}\n`);
  for (let partition = 0; partition < 4; partition++)
    await second.shows('stdout', new RegExp(`again ${partition}\n`));
  // Nothing twice: what the first had read was committed before the second went on.
  expect(second.stdout.match(/to \d/g)).toHaveLength(2);
  await second.end('SIGINT');
});

test('list and describe show groups to people', async () => {
  await filled('seen', 2, 6);
  await run(['consume', 'seen', '--group', 'seeing', '--count', '1']);
  const list = await run(['group', 'list']);
  expect(list.stdout).toMatch(/^group +state +protocol$/m);
  expect(list.stdout).toMatch(/^seeing +Empty +consumer$/m);
  const { stdout, code } = await run(['group', 'describe', 'seeing']);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^state +Empty$/m);
  expect(stdout).toMatch(/^seen +\d +1 +3 +2$/m);
});

test('reset moves a group to where it is told', async () => {
  await filled('moved', 2, 20);
  await run(['consume', 'moved', '--group', 'moving', '--until', 'end']);
  const reset = async (to: string, ...args: readonly string[]): Promise<(readonly number[])[]> => {
    const command = ['group', 'reset', 'moving', '--topic', 'moved', '--to', to, ...args];
    expect(await run(command)).toMatchObject({ code: 0 });
    const { offsets } = await described('moving');
    return offsets.map(({ partition, committed }) => [partition, committed]);
  };
  expect(await reset('beginning')).toEqual([
    [0, 0],
    [1, 0],
  ]);
  expect(await reset('7')).toEqual([
    [0, 7],
    [1, 7],
  ]);
  expect(await reset('end', '--dry-run')).toEqual([
    [0, 7],
    [1, 7],
  ]);
  expect(await reset('-1d')).toEqual([
    [0, 0],
    [1, 0],
  ]);
  expect(await reset('end')).toEqual([
    [0, 10],
    [1, 10],
  ]);
  const { stdout } = await run(['group', 'reset', 'moving', '-t', 'moved', '--to', '2', '--json']);
  expect(JSON.parse(stdout)).toEqual({
    group: 'moving',
    topic: 'moved',
    offsets: [
      { partition: 0, offset: 2 },
      { partition: 1, offset: 2 },
    ],
    dryRun: false,
  });
});

test('reset is refused while the group has members, and says what to do', async () => {
  await filled('busy', 1, 3);
  const reader = millrace.launch([
    'consume',
    'busy',
    '--group',
    'busying',
    '--brokers',
    broker.address,
  ]);
  await reader.shows('stdout', /line 2\n/);
  const { code, stdout, stderr } = await run([
    'group',
    'reset',
    'busying',
    '-t',
    'busy',
    '--to',
    'beginning',
  ]);
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toContain('UNKNOWN_MEMBER_ID');
  expect(stderr).toMatch(/fix: Stop the consumers of the group first/);
  await reader.end('SIGINT');
  expect((await described('busying')).offsets).toMatchObject([{ committed: 3 }]);
});

test('a group whose records were deleted begins with the first that is left', async () => {
  await run(['topic', 'create', 'again']);
  await run(['produce', 'again', '-p', '0'], lines(0, 9));
  await run(['consume', 'again', '--group', 'staying', '--until', 'end']);
  await run(['topic', 'delete', 'again']);
  await filled('again', 1, 3);
  const read = await run(['consume', 'again', '--group', 'staying', '--until', 'end']);
  expect(read).toMatchObject({ code: 0, stdout: lines(0, 3) });
});

test.each([
  [['group', 'describe', 'nobody'], 1, 'there is no consumer group nobody'],
  [['group', 'reset', 'nobody', '-t', 'no-topic', '--to', 'end'], 1, 'there is no topic no-topic'],
  [['group', 'reset', 'nobody', '-t', 'x', '--to', 'later'], 2, '--to'],
])('%j ends with exit code %i', async (args, code, message) => {
  const finished = await run(args);
  expect(finished).toMatchObject({ code, stdout: '' });
  expect(finished.stderr).toContain(message);
  expect(finished.stderr).toContain('fix: ');
});

test('without groups, list says so on stderr', async () => {
  const empty = await millrace.start(await millrace.directory());
  const { code, stdout, stderr } = await millrace.run([
    'group',
    'list',
    '--brokers',
    empty.address,
  ]);
  expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: '', stderr: 'no consumer groups\n' });
  await empty.end('SIGTERM');
});
