/** `millrace start` as a process: what it prints, when it refuses, how it ends. */
import { createSocket } from 'node:dgram';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { builtMillrace } from './built-millrace.ts';

const millrace = builtMillrace();

describe('a start', () => {
  test('prints what it is, where its data is and where clients connect, on stderr only', async () => {
    const data = join(await millrace.directory(), 'data');
    const broker = await millrace.start(data);
    await broker.shows('stderr', /try .*\n/);
    const banner = broker.stderr.split('\n').slice(-6, -1);
    expect(banner[0]).toMatch(/^millrace \d+\.\d+\.\d+ ready in \d+ ms$/);
    expect(banner[1]).toBe(`  data   ${data}`);
    expect(banner[2]).toBe(`  kafka  ${broker.address}`);
    expect(banner[3]).toMatch(/^ {2}amqp {3}amqp:\/\/127\.0\.0\.1:\d+$/);
    expect(banner[4]).toBe(`  try    kcat -b ${broker.address} -L`);
    const { code, stdout } = await broker.end('SIGTERM');
    expect(code).toBe(0);
    expect(stdout).toBe('');
  });

  test('answers as soon as the banner is there', async () => {
    const broker = await millrace.start(await millrace.directory());
    const listed = await millrace.run(['topic', 'list', '--brokers', broker.address]);
    expect(listed).toMatchObject({ code: 0, stdout: '' });
    await broker.end('SIGTERM');
  });

  test('logs JSON when nobody looks at a terminal, each line by itself', async () => {
    const data = await millrace.directory();
    const broker = millrace.launch(['start', '--data', data, '--kafka', '127.0.0.1:0']);
    const [, address = ''] = await broker.shows('stderr', /"message":"ready".*"kafka":"([^"]+)"/);
    await millrace.run(['topic', 'create', 'orders', '--brokers', address]);
    const { stderr, stdout } = await broker.end('SIGTERM');
    expect(stdout).toBe('');
    const lines = stderr
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>);
    for (const line of lines) {
      expect(Date.parse(String(line['time']))).not.toBeNaN();
      expect(['debug', 'info', 'warn', 'error']).toContain(line['level']);
      expect(line['message']).toEqual(expect.any(String));
    }
    const ready = lines.find(({ message }) => message === 'ready');
    expect(ready).toMatchObject({ level: 'info', data, kafka: address });
    expect(lines.find(({ topic }) => topic === 'orders')).toBeDefined();
    expect(lines.at(-1)).toMatchObject({ message: 'stopped' });
  });

  test('serves topics over HTTP, and receives metrics, where it is asked to', async () => {
    const data = await millrace.directory();
    const where = ['--kafka', '127.0.0.1:0', '--amqp', 'off', '--log-format', 'text'];
    const asked = ['--http', '0', '--statsd', '127.0.0.1:0/metrics'];
    const broker = millrace.launch(['start', '--data', data, ...where, ...asked]);
    const [, http = ''] = await broker.shows('stderr', /^ {2}http {3}http:\/\/(\S+)\/topics$/m);
    const [, port = ''] = await broker.shows('stderr', /^ {2}statsd 127\.0\.0\.1:(\d+)$/m);
    const sender = createSocket('udp4');
    sender.send('a:1|c', Number(port), '127.0.0.1');
    const body = '{"value":1}';
    const headers = { 'content-type': 'application/json' };
    const path = `http://${http}/topics/orders/records`;
    expect((await fetch(path, { method: 'POST', body, headers })).status).toBe(200);
    const answer = await fetch(`http://${http}/topics/metrics/events?from=beginning`);
    const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    while (!text.includes('"name":"a"')) text += (await reader?.read())?.value ?? '';
    await reader?.cancel();
    sender.close();
    expect((await broker.end('SIGTERM')).code).toBe(0);
    const { stderr, code } = await millrace.run(['start', '--data', data, '--http', '0.0.0.0:1']);
    expect([code, stderr]).toEqual([1, expect.stringContaining('ML_INSECURE_BIND')]);
  });

  test('goes on when nobody reads its log any more', async () => {
    const broker = await millrace.start(await millrace.directory());
    broker.child.stderr.destroy();
    for (const topic of ['a', 'b']) {
      const created = await millrace.run(['topic', 'create', topic, '--brokers', broker.address]);
      expect(created.code).toBe(0);
    }
    broker.child.kill('SIGTERM');
    await new Promise((resolve) => broker.child.once('exit', resolve));
    expect(broker.child.exitCode).toBe(0);
  });
});

describe('a stop', () => {
  test.each(['SIGTERM', 'SIGINT'] as const)(
    'by %s is graceful: exit code 0, and the next start has nothing to recover',
    async (signal) => {
      const data = await millrace.directory();
      const first = await millrace.start(data);
      const input = 'one\ntwo\n';
      await millrace.run(['produce', 'orders', '--brokers', first.address], { input });
      const stopped = await first.end(signal);
      expect(stopped).toMatchObject({ code: 0, signal: null });
      expect(stopped.stderr).toMatch(new RegExp(`stopping.*${signal}`));
      expect(stopped.stderr).toMatch(/stopped\n$/);
      const second = await millrace.start(data);
      expect(second.stderr).not.toMatch(/warn|error|recover/);
      const read = ['consume', 'orders', '--until', 'end', '--brokers', second.address];
      expect((await millrace.run(read)).stdout).toBe(input);
      await second.end('SIGTERM');
    },
  );

  test('by a signal that comes twice, as through npm, is graceful all the same', async () => {
    const broker = await millrace.start(await millrace.directory());
    broker.child.kill('SIGINT');
    await broker.shows('stderr', /stopping/);
    const stopped = await broker.end('SIGINT');
    expect(stopped).toMatchObject({ code: 0, signal: null });
    expect(stopped.stderr).toMatch(/stopped\n$/);
  });

  test('in the middle of a read answers it', async () => {
    const broker = await millrace.start(await millrace.directory());
    await millrace.run(['topic', 'create', 'orders', '--brokers', broker.address]);
    const reader = millrace.launch(['consume', 'orders', '--brokers', broker.address]);
    const produce = ['produce', 'orders', '--brokers', broker.address];
    await millrace.run(produce, { input: 'hello\n' });
    await reader.shows('stdout', /hello/);
    expect(await broker.end('SIGTERM')).toMatchObject({ code: 0 });
    await reader.end('SIGKILL');
  });

  test('by kill -9 keeps what was acknowledged', async () => {
    const data = await millrace.directory();
    const first = await millrace.start(data);
    const input = Array.from({ length: 5000 }, (_, index) => `line ${index}\n`).join('');
    const produce = ['produce', 'orders', '--partition', '0', '--brokers', first.address];
    expect(await millrace.run(produce, { input })).toMatchObject({ code: 0 });
    await first.end('SIGKILL');
    const second = await millrace.start(data);
    const read = ['consume', 'orders', '--until', 'end', '--brokers', second.address];
    expect((await millrace.run(read)).stdout).toBe(input);
    await second.end('SIGTERM');
  });
});

describe('a refusal', () => {
  test('of damaged files says how to go on, and that way keeps what is good', async () => {
    const data = await millrace.directory();
    const first = await millrace.start(data);
    const produce = ['produce', 'orders', '--partition', '0', '--brokers', first.address];
    await millrace.run(produce, { input: 'kept\n' });
    await first.end('SIGTERM');
    for (const copy of ['a', 'b']) await writeFile(join(data, `checkpoint.${copy}`), 'rotten');
    const start = ['start', '--data', data, '--kafka', '127.0.0.1:0', '--log-format', 'text'];
    const refused = await millrace.run(start);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('ML_CHECKPOINT_DAMAGED');
    expect(refused.stderr).toContain('--repair');
    const second = await millrace.start(data, ['--repair']);
    const read = ['consume', 'orders', '--until', 'end', '--brokers', second.address];
    expect((await millrace.run(read)).stdout).toBe('kept\n');
    await second.end('SIGTERM');
  });

  test('of a directory that is in use names the process that uses it', async () => {
    const data = await millrace.directory();
    const first = await millrace.start(data);
    const second = await millrace.run(['start', '--data', data, '--kafka', '127.0.0.1:0']);
    expect(second.code).toBe(1);
    expect(second.stderr).toContain('ML_DIR_LOCKED');
    expect(second.stderr).toContain(String(first.child.pid));
    expect(second.stderr).toContain('fix: ');
    // The first one is unharmed.
    const listed = await millrace.run(['topic', 'list', '--brokers', first.address]);
    expect(listed.code).toBe(0);
    await first.end('SIGTERM');
  });

  test('of a port that is taken leaves the directory free', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as AddressInfo;
    const data = await millrace.directory();
    const refused = await millrace.run(['start', '--data', data, '--kafka', `127.0.0.1:${port}`]);
    other.close();
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('ML_ADDRESS_IN_USE');
    expect(refused.stderr).toContain(String(port));
    const started = await millrace.start(data);
    await started.end('SIGTERM');
  });

  test('of an address that others can reach, unless told that it is meant', async () => {
    const data = join(await millrace.directory(), 'data');
    const refused = await millrace.run(['start', '--data', data, '--kafka', '0.0.0.0:0']);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('ML_INSECURE_BIND');
    expect(refused.stderr).toContain('--insecure');
    expect(existsSync(data)).toBe(false);
    const broker = await millrace.start(data, ['--kafka', '0.0.0.0:0', '--insecure']);
    const port = broker.address.split(':').at(-1);
    const listed = await millrace.run(['topic', 'list', '--brokers', `127.0.0.1:${port}`]);
    expect(listed.code).toBe(0);
    await broker.end('SIGTERM');
  });

  test.each([
    [['--set', 'num.partition=3'], 'num.partition'],
    [['--set', 'num.partitions=many'], 'num.partitions'],
    [['--set', 'num.partitions'], '--set'],
    [['--kafka', 'here'], '--kafka'],
    [['--log-level', 'loud'], '--log-level'],
    [['--config', '/does/not/exist.conf'], '/does/not/exist.conf'],
    [['--sett', 'a=b'], '--sett'],
  ])('of %j says which name is wrong and what is right', async (args, name) => {
    const data = join(await millrace.directory(), 'data');
    const { code, stdout, stderr } = await millrace.run(['start', '--data', data, ...args]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(name);
    expect(stderr).toMatch(/fix: |Allowed|choices|--help|Usage/);
    expect(existsSync(data)).toBe(false);
  });

  test('of a directory that cannot be made says so', async () => {
    const file = join(await millrace.directory(), 'file');
    await writeFile(file, '');
    const { code, stderr } = await millrace.run([
      'start',
      '--data',
      file,
      '--kafka',
      '127.0.0.1:0',
    ]);
    expect(code).toBe(1);
    expect(stderr).toContain(file);
    expect(stderr).toContain('fix: ');
  });
});

describe('settings', () => {
  const partitionsOf = async (address: string): Promise<number> => {
    const made = ['topic', 'create', 'orders', '--json', '--brokers', address];
    const { stdout } = await millrace.run(made);
    return (JSON.parse(stdout) as { readonly partitions: number }).partitions;
  };

  test('come from the file, over it the environment, over that the command line', async () => {
    const directory = await millrace.directory();
    const file = join(directory, 'millrace.conf');
    await writeFile(file, `# a comment\n\ndata = ${join(directory, 'data')}\nnum.partitions = 2\n`);
    const begin = async (args: readonly string[], env: Readonly<Record<string, string>>) => {
      const broker = millrace.launch(
        ['start', '--config', file, '--kafka', '127.0.0.1:0', '--log-format', 'text', ...args],
        { env },
      );
      const [, address = ''] = await broker.shows('stderr', /^ {2}kafka +(\S+)$/m);
      expect(broker.stderr).toContain(join(directory, 'data'));
      const partitions = await partitionsOf(address);
      await millrace.run(['topic', 'delete', 'orders', '--brokers', address]);
      await broker.end('SIGTERM');
      return partitions;
    };
    expect(await begin([], {})).toBe(2);
    expect(await begin([], { MILLRACE_NUM_PARTITIONS: '5' })).toBe(5);
    expect(await begin(['--set', 'num.partitions=7'], { MILLRACE_NUM_PARTITIONS: '5' })).toBe(7);
  });

  test('all of it can come from the environment', async () => {
    const data = await millrace.directory();
    const broker = millrace.launch(['start'], {
      env: {
        MILLRACE_DATA: data,
        MILLRACE_KAFKA: '127.0.0.1:0',
        MILLRACE_LOG_FORMAT: 'text',
        MILLRACE_NUM_PARTITION: '3',
      },
    });
    await broker.shows('stderr', new RegExp(`data +${data}\n`));
    expect(broker.stderr).toMatch(/warn .*MILLRACE_NUM_PARTITION\b/);
    await broker.end('SIGTERM');
  });

  test('without any, the data is below the working directory', async () => {
    const cwd = await millrace.directory();
    const broker = millrace.launch(['start', '--kafka', '127.0.0.1:0', '--log-format', 'text'], {
      cwd,
    });
    await broker.shows('stderr', /data +\S+millrace-data\n/);
    expect(existsSync(join(cwd, 'millrace-data'))).toBe(true);
    await broker.end('SIGTERM');
  });
});
