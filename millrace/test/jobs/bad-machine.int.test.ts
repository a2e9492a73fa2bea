/**
 * What the machine refuses, through the real command: full disks, files that may not be read or written, descriptors and memory that run out,
 * interrupts. Outputs stay as they were, nothing is left behind, and the run works once there is room.
 *
 * Each run is a script of a shell in namespaces of its own: what it mounts is gone with it.
 */
import { execFileSync, spawn } from 'node:child_process';
import { chmod, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { builtMillrace, type Finished } from '../start/built-millrace.ts';
import { everythingIn, expectError, IMPORT, through, writeAll } from './failing-runs.ts';

const millrace = builtMillrace();

const LINES = Array.from(
  { length: 20_000 },
  (_, index) => `${(index * 7_919) % 20_000} ${'x'.repeat(90)}`,
);
const SORT = `${IMPORT}export default flow('job', (f) => {
  f.read(files.lines('in.txt')).sort('by', (x) => x).write(files.lines(f.param('out', 'out.txt')));
});`;

function can(command: string, ...args: string[]): boolean {
  try {
    execFileSync(command, args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

const canMount = can('unshare', '-rm', 'sh', '-c', 'mount -t tmpfs tmpfs /mnt');
const AS_NOBODY = ['--reuid', '65534', '--regid', '65534', '--clear-groups'] as const;
/** Who may also read the package. */
const canBeNobody =
  process.getuid?.() === 0 &&
  can('setpriv', ...AS_NOBODY, 'test', '-r', fileURLToPath(import.meta.url));

/** `$MILLRACE` runs the command. */
function shell(script: string, cwd: string, wrap: readonly string[] = []): Promise<Finished> {
  const child = spawn('env', [...wrap, 'sh', '-c', script], {
    cwd,
    env: { ...process.env, MILLRACE: `${process.execPath} ${millrace.bin}` },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  return new Promise((resolve) => {
    child.once('close', (code, signal) => {
      resolve({ code, signal, stdout, stderr });
    });
  });
}

async function prepared(program = SORT): Promise<string> {
  const directory = await millrace.directory();
  await writeAll(directory, { 'in.txt': `${LINES.join('\n')}\n`, 'job.ts': program });
  return directory;
}

function mounted(script: string, cwd: string): Promise<Finished> {
  return shell(script, cwd, ['unshare', '-rm']);
}

describe.runIf(canMount)('a full disk', () => {
  test.concurrent.each([
    ['out.txt', '0'],
    ['out.txt', '2'],
    ['parts', '1'],
  ])('below the output %s, with %s workers, then there is room', async (out, workers) => {
    const directory = await prepared();
    const run = `$MILLRACE run job.ts --set out=small/${out} --workers ${workers}`;
    const finished = await mounted(
      `mkdir small && mount -t tmpfs -o size=1m tmpfs small && echo old > small/kept
      ${run} -q; echo "exit $?"; find small | sort
      mount -o remount,size=20m small && ${run} -q; echo "exit $?"; cat small/${out} small/${out}/part* 2>/dev/null | tail -n 1`,
      directory,
    );
    expectError(finished, { code: 'ML_DISK_FULL', says: ['/small/', 'No output was changed'] });
    const last = LINES.toSorted().at(-1);
    expect(finished.stdout).toBe(`exit 1\nsmall\nsmall/kept\nexit 0\n${last}\n`);
  });

  test.concurrent('below --data', async () => {
    const directory = await prepared();
    const finished = await mounted(
      `mkdir small && mount -t tmpfs -o size=1m tmpfs small
      $MILLRACE run job.ts --data small/data --workers 1; echo "exit $?"; find small -type f; ls`,
      directory,
    );
    expectError(finished, { code: 'ML_DISK_FULL', says: ['/small/data/jobs/', '--data'] });
    expect(finished.stdout).toMatch(
      /^exit 1\nsmall\/data\/jobs\/[^/]+\/job\.json\nin\.txt\njob\.ts\nsmall\n$/,
    );
  });

  test.concurrent('that is mounted read-only', async () => {
    const directory = await prepared();
    const finished = await mounted(
      `mkdir small && mount -t tmpfs -o ro tmpfs small
      $MILLRACE run job.ts --set out=small/deep/out.txt; echo "exit $?"; ls small`,
      directory,
    );
    expectError(finished, { code: 'ML_READ_ONLY', says: ['/small/deep'] });
    expect(finished.stdout).toBe('exit 1\n');
  });
});

test.concurrent('a file that may not grow, in the process and in a worker', async () => {
  const directory = await prepared();
  for (const workers of ['0', '1']) {
    const finished = await shell(
      `ulimit -f 1000; $MILLRACE run job.ts --workers ${workers}; echo "exit $?"; ls`,
      directory,
    );
    expectError(finished, { code: 'ML_DISK_FULL', says: ['EFBIG'] });
    expect(finished.stdout).toBe('exit 1\nin.txt\njob.ts\nmillrace-data\n');
  }
});

test.concurrent('no descriptors left for workers', async () => {
  const directory = await prepared();
  const before = await everythingIn(directory);
  const finished = await shell('ulimit -n 30; $MILLRACE run job.ts --workers 4', directory);
  expect(finished.code, finished.stderr).toBe(1);
  expectError(finished, { code: 'ML_WORKER_LOST', says: ['could not be started', 'ulimit -n'] });
  expect(await everythingIn(directory)).toEqual(before);
});

test.concurrent('stdout that is full', async () => {
  const directory = await prepared();
  const finished = await shell('$MILLRACE run job.ts --set out=- > /dev/full', directory);
  expect(finished.code).toBe(1);
  expectError(finished, { code: 'ML_DISK_FULL', says: ['write to stdout', 'where stdout leads'] });
});

describe.runIf(canBeNobody)('what the user may not', () => {
  beforeAll(() => chmod(join(dirname(millrace.bin), '..'), 0o755));

  test.concurrent.each([
    ['read the input', 'chmod 0 in.txt', 'job.ts', '/in.txt'],
    ['look into a directory', 'chmod 0 deep', 'deep.ts', 'list', '/deep'],
    ['look into a directory of a pattern', 'chmod 0 deep', 'pattern.ts', 'list', '/deep'],
    ['read the program', 'chmod 0 job.ts', 'job.ts', '/job.ts'],
    ['write the output', 'mkdir place; chmod 555 place', 'place.ts', '/place/'],
    ['write records', 'mkdir place; chmod 555 place', 'job.ts --data place/data', '/place/data'],
  ])('%s', async (_name, deny, command, ...says) => {
    const directory = await prepared();
    await writeAll(directory, {
      'deep/in.txt': 'a\n',
      'deep.ts': IMPORT + through('', "files.lines('deep')"),
      'pattern.ts': IMPORT + through('', "files.lines('deep/*.txt')"),
      'place.ts': IMPORT + through('', undefined, "files.lines('place/out.txt')"),
    });
    await chmod(directory, 0o777);
    const finished = await shell(
      `${deny}; exec setpriv ${AS_NOBODY.join(' ')} $MILLRACE run ${command}`,
      directory,
    );
    expect(finished.code, finished.stderr).toBe(1);
    expectError(finished, { code: 'ML_PERMISSION', says: [...says, '`ls -ld`'] });
    expect(finished.stderr).not.toContain('_manifest');
  });
});

test.concurrent('a function that takes all memory: workers are lost, the job says so', async () => {
  const hungry = `.map((x) => { const all: unknown[] = []; for (;;) all.push(new Array(1_000_000).fill(0.5)); return x; })`;
  const directory = await prepared(IMPORT + through(hungry));
  const before = await everythingIn(directory);
  const args = ['run', 'job.ts', '--workers', '1', '--memory', '17MB'];
  const finished = await millrace.run(args, { cwd: directory });
  expect(finished.code, finished.stderr).toBe(1);
  expectError(finished, {
    code: 'ML_TASK_FAILED',
    says: ['failed 4 times; the last time: worker 4', 'ran out of memory', 'raise --memory'],
  });
  expect(finished.stderr).not.toContain('Last few GCs');
  expect(await everythingIn(directory)).toEqual(before);
});

test.concurrent('a cancelled job that waits for a promise leaves nothing, without workers too', async () => {
  const waiting = `.map(async (x) => { console.log('here'); await new Promise((done) => setTimeout(done, 600_000)); return x; })`;
  for (const workers of ['0', '1']) {
    const directory = await prepared(IMPORT + through(waiting));
    const before = await everythingIn(directory);
    const job = millrace.launch(['run', 'job.ts', '--workers', workers], {
      cwd: directory,
      input: '',
    });
    await job.shows('stderr', /here/);
    const { code, stderr } = await job.end('SIGINT');
    expect([code, stderr.endsWith('cancelled; no output was changed\n')]).toEqual([130, true]);
    expect(await everythingIn(directory)).toEqual(before);
  }
});

test.concurrent('a job is cancelled while its program is loaded', async () => {
  const directory = await prepared(
    `console.log('here'); await new Promise((done) => setTimeout(done, 600_000));`,
  );
  const before = await everythingIn(directory);
  const job = millrace.launch(['run', 'job.ts'], { cwd: directory, input: '' });
  await job.shows('stderr', /here/);
  const { code, stderr } = await job.end('SIGINT');
  expect({ code, stderr }).toEqual({
    code: 130,
    stderr: 'here\ncancelled; no output was changed\n',
  });
  expect(await everythingIn(directory)).toEqual(before);
});

const canTalk = can('script', '-qec', 'true', '/dev/null');

test
  .runIf(canTalk)
  .concurrent(
    'Ctrl-C at a terminal ends a program in a loop, and the next run removes what is left',
    async () => {
      const directory = await prepared(`${IMPORT}export default flow('job', (f) => {
      const isLoop = f.param('loop', false);
      f.read(files.lines('in.txt'))
        .tap(() => {
          if (isLoop) console.log('here');
          while (isLoop);
        })
        .write(files.lines('out.txt'));
    });`);
      const script = spawn(
        'script',
        ['-qec', `${process.execPath} ${millrace.bin} run job.ts --set loop=true`, '/dev/null'],
        { cwd: directory, stdio: ['pipe', 'pipe', 'inherit'] },
      );
      let text = '';
      const closed = new Promise((resolve) => script.once('close', resolve));
      script.stdout.setEncoding('utf8').on('data', (chunk: string) => {
        // What Ctrl-C sends goes to the group that the terminal belongs to; the second one does not wait.
        if (!text.includes('here') && (text + chunk).includes('here')) script.stdin.write('\x03');
        if (!text.includes('^C') && (text + chunk).includes('^C')) script.stdin.write('\x03');
        text += chunk;
      });
      await closed;
      expect(text).toContain('cancelled: the program was in the middle of something');
      const again = await millrace.run(['run', 'job.ts'], { cwd: directory });
      expect(again.code, again.stderr).toBe(0);
      expect(await readFile(join(directory, 'out.txt'), 'utf8')).toBe(`${LINES.join('\n')}\n`);
      expect(await everythingIn(directory)).toEqual([
        expect.stringMatching(/^in\.txt /),
        expect.stringMatching(/^job\.ts /),
        expect.stringMatching(/^out\.txt /),
      ]);
    },
  );
