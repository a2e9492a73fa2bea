/** What only the real machine can show: its own errors, its own processes, its own system calls. */
import type { ChildProcess } from 'node:child_process';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import * as nodeFs from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Connection } from './env.ts';
import { MillraceError } from './errors.ts';
import { realEnv } from './real-env.ts';
import { systemError } from './system-error.ts';

const REAL_ENV = fileURLToPath(new URL('./real-env.ts', import.meta.url));
const env = realEnv();
const isLinux = process.platform === 'linux';
let root: string;
let children: ChildProcess[] = [];

beforeEach(() => {
  root = nodeFs.mkdtempSync(join(tmpdir(), 'millrace-real-'));
});

afterEach(async () => {
  for (const child of children)
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
  children = [];
  nodeFs.rmSync(root, { recursive: true, force: true });
});

/** A process that runs `body` with `env` and `root`, up to its first line of output. */
async function start(body: string): Promise<{ child: ChildProcess; line: string }> {
  const program = `import { realEnv } from ${JSON.stringify(REAL_ENV)};
    const env = realEnv();
    const root = ${JSON.stringify(root)};
    ${body}`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return { child, line: line.toString().trim() };
}

function errorOf(work: () => unknown): MillraceError | undefined {
  try {
    work();
  } catch (error) {
    if (error instanceof MillraceError) return error;
    throw error;
  }
  return undefined;
}

test('data is for the user and group, outputs are for whom the umask says', () => {
  const modeOf = (path: string): number => nodeFs.statSync(join(root, path)).mode & 0o777;
  const before = process.umask(0o022);
  try {
    env.fs.makeDirectory(join(root, 'data'));
    env.fs.publishDirectory(join(root, 'out'));
    env.fs.open(join(root, 'data/segment'), 'create').close();
    env.fs.open(join(root, 'out/part'), 'publish').close();
  } finally {
    process.umask(before);
  }
  expect([modeOf('data'), modeOf('data/segment')]).toEqual([0o750, 0o640]);
  expect([modeOf('out'), modeOf('out/part')]).toEqual([0o755, 0o644]);
  expect(errorOf(() => env.fs.open(join(root, 'out/part'), 'publish'))?.code).toBe(
    'ML_FILE_EXISTS',
  );
});

test('the lock of a process that is killed is free, whatever lock.json says', async () => {
  const { child, line } = await start(`env.fs.lock(root); console.log('locked');
    setInterval(() => {}, 1000);`);
  expect(line).toBe('locked');
  const error = errorOf(() => env.fs.lock(root));
  expect(error?.code).toBe('ML_DIR_LOCKED');
  expect(error?.fields['pid']).toBe(child.pid);
  child.kill('SIGKILL');
  await once(child, 'exit');
  expect(env.fs.list(root)).toContain('lock.json');
  const lock = env.fs.lock(root);
  expect(errorOf(() => env.fs.lock(root))?.fields['pid']).toBe(process.pid);
  lock.release();
});

test('a lock whose holder has forgotten it is held all the same', async () => {
  const { child, line } = await start(`
    const v8 = await import('node:v8');
    const vm = await import('node:vm');
    v8.setFlagsFromString('--expose-gc');
    (() => { env.fs.lock(root); })();
    for (let count = 0; count < 3; count++) {
      vm.runInNewContext('gc')();
      await new Promise((resolve) => setImmediate(resolve));
    }
    console.log('locked');
    setInterval(() => {}, 1000);`);
  expect(line).toBe('locked');
  expect(errorOf(() => env.fs.lock(root))?.code).toBe('ML_DIR_LOCKED');
  child.kill('SIGKILL');
  await once(child, 'exit');
});

test('a lock is conflict enough when its holder is not described', () => {
  const lock = env.fs.lock(root);
  for (const content of ['', '{"pid":', '[]', '{"pid":"1"}', 'null']) {
    nodeFs.writeFileSync(`${root}/lock.json`, content);
    expect(errorOf(() => env.fs.lock(root))).toMatchObject({
      code: 'ML_DIR_LOCKED',
      message: `the data directory ${root} is in use by another process`,
    });
  }
  nodeFs.rmSync(`${root}/lock.json`);
  expect(errorOf(() => env.fs.lock(root))?.hint).toContain(`fuser -v ${root}/lock.db`);
  lock.release();
});

test('a damaged lock file is named, with the command that fixes it', () => {
  nodeFs.writeFileSync(`${root}/lock.db`, 'this is not what SQLite writes into its files, at all');
  expect(errorOf(() => env.fs.lock(root))).toMatchObject({
    code: 'ML_IO',
    hint: expect.stringContaining(`rm ${root}/lock.db`) as string,
  });
});

test.runIf(isLinux)('a full device is ML_DISK_FULL, and worth another try', async () => {
  const full = env.fs.open('/dev/full', 'write');
  const expected = { code: 'ML_DISK_FULL', retriable: true, fields: { errno: 'ENOSPC' } };
  expect(errorOf(() => full.write(Buffer.from('x'), 0, 1, 0))).toMatchObject(expected);
  expect(errorOf(() => full.writeMany([Buffer.from('x')], 0))).toMatchObject(expected);
  await expect(full.writeManyAsync([Buffer.from('x')], 0)).rejects.toMatchObject(expected);
  full.close();
});

test('a failed sync is ML_FSYNC_FAILED whatever the system calls it', async () => {
  if (!isLinux) return;
  // A pipe cannot be synced: EINVAL.
  const child = spawn('mkfifo', [`${root}/pipe`]);
  await once(child, 'exit');
  const pipe = env.fs.open(`${root}/pipe`, 'write');
  await expect(pipe.sync()).rejects.toMatchObject({
    code: 'ML_FSYNC_FAILED',
    retriable: false,
    fields: { path: `${root}/pipe`, errno: 'EINVAL' },
  });
  pipe.close();
});

test('error names map to codes, and what is unknown to ML_IO', () => {
  const codeOf = (code: string): string =>
    systemError(Object.assign(new Error(code), { code }), 'do something').code;
  expect(
    ['ENOSPC', 'EDQUOT', 'EFBIG', 'EACCES', 'EPERM', 'EROFS', 'EMFILE', 'ENFILE'].map(codeOf),
  ).toEqual([
    'ML_DISK_FULL',
    'ML_DISK_FULL',
    'ML_DISK_FULL',
    'ML_PERMISSION',
    'ML_PERMISSION',
    'ML_READ_ONLY',
    'ML_TOO_MANY_FILES',
    'ML_TOO_MANY_FILES',
  ]);
  expect(['EIO', 'EXDEV', 'E_NEW'].map(codeOf)).toEqual(['ML_IO', 'ML_IO', 'ML_IO']);
  expect(codeOf('ERR_INVALID_ARG_TYPE')).toBe('ML_ASSERT');
  const original = new MillraceError('ML_ABORTED', 'stopped');
  expect(systemError(original, 'do something')).toBe(original);
  expect(systemError('odd', 'do something').message).toBe('cannot do something: odd');
});

test('a descriptor is not given away while a call still uses it', async () => {
  const closing = Array.from({ length: 20 }, async (_, index) => {
    const file = env.fs.open(`${root}/${index}`, 'create');
    const writes = Array.from({ length: 4 }, (_, part) =>
      file.writeManyAsync([Buffer.alloc(10_000, 65 + index)], part * 10_000),
    );
    file.close();
    await Promise.all(writes);
  });
  await Promise.all(closing);
  for (let index = 0; index < 20; index++) {
    const content = nodeFs.readFileSync(`${root}/${index}`);
    expect(content.equals(Buffer.alloc(40_000, 65 + index))).toBe(true);
  }
});

test('a timer does not keep a process alive, a sleep does', async () => {
  const timer = await start(`env.timers.after(60_000, () => {}); console.log('timer');`);
  await once(timer.child, 'exit');
  expect(timer.child.exitCode).toBe(0);
  const sleep = await start(
    `console.log('asleep'); await env.timers.sleep(100); process.exitCode = 7;`,
  );
  await once(sleep.child, 'exit');
  expect(sleep.child.exitCode).toBe(7);
});

test('a reset by the other side ends a connection with an error, once', async () => {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => socket.resetAndDestroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
  const connection: Connection = await env.net.connect({ host: '127.0.0.1', port });
  const errors: (Error | undefined)[] = [];
  await new Promise<void>((resolve) => {
    connection.start({
      data: () => {},
      drained: () => {},
      closed: (error) => {
        errors.push(error);
        resolve();
      },
    });
    connection.write([Buffer.from('x')]);
  });
  await env.timers.sleep(5);
  expect(errors).toHaveLength(1);
  expect(errors[0]).toMatchObject({ code: 'ML_CONNECTION_LOST', fields: { errno: 'ECONNRESET' } });
  expect(connection.bufferedBytes).toBe(0);
  server.close();
});

test.runIf(isLinux)('the limit of open files is the one that the process has', () => {
  const limited = (limit: number): string => {
    const program = `const { realEnv } = await import(${JSON.stringify(REAL_ENV)}); console.log(realEnv().fs.descriptorsMax)`;
    const run = `ulimit -n ${limit} && exec "$0" --input-type=module -e "$1"`;
    return execFileSync('sh', ['-c', run, process.execPath, program], { encoding: 'utf8' }).trim();
  };
  expect([limited(300), limited(400)]).toEqual(['300', '400']);
});
