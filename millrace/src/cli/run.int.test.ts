/** `millrace run` and `millrace job` as people and scripts meet them. */
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { builtMillrace, type Finished } from '../../test/start/built-millrace.ts';

const millrace = builtMillrace();
let directory: string;

beforeEach(async () => {
  directory = await millrace.directory();
});

function run(...args: readonly string[]): Promise<Finished> {
  return millrace.run(args, { cwd: directory });
}

/** For a program that is loaded once, and leaves nothing behind in its process. */
function runHosted(...args: readonly string[]): Promise<Finished> {
  return millrace.run(args, { cwd: directory, isHosted: true });
}

async function write(name: string, text: string): Promise<void> {
  await writeFile(join(directory, name), text);
}

function read(name: string): Promise<string> {
  return readFile(join(directory, name), 'utf8');
}

const IMPORT = `import { files, flow, skipTo } from 'millrace';\n`;

/** Upper case, into out.txt. */
const UPPER = `${IMPORT}
export default flow('upper', (f) => {
  const suffix = f.param('suffix', '');
  const seen = f.counter('seen');
  f.read(files.lines('in.txt'))
    .map((line: string) => {
      seen.add();
      return line.toUpperCase() + suffix;
    })
    .write(files.lines('out.txt'));
});
`;

async function prepare(program = UPPER): Promise<void> {
  await write('in.txt', 'a\nb\nc\n');
  await write('job.ts', program);
}

/** How many of the lines fail, more or less, what is expected of a good error. */
function expectError(finished: Finished, code: string, pattern: RegExp, exitCode = 1): void {
  expect(finished.stderr).toMatch(pattern);
  expect(finished.stderr).toContain(`(${code})`);
  expect(finished.stderr).toMatch(/^ {2}fix: \S/m);
  expect(finished.code).toBe(exitCode);
  expect(finished.stderr).not.toContain('node:internal');
  expect(finished.stderr).not.toContain('/dist/');
}

describe('a run', () => {
  test.each([[], ['--workers', '2'], ['--workers', '0']])(
    '%j writes the output',
    async (...args) => {
      await prepare();
      const { code, stdout, stderr } = await run('run', 'job.ts', '--set', 'suffix=!', ...args);
      expect({ code, stdout }, stderr).toEqual({ code: 0, stdout: '' });
      expect(await read('out.txt')).toBe('A!\nB!\nC!\n');
      expect(stderr).toMatch(/^upper: done in \d+\.\d\d s; read 3 records, 6 B/);
      expect(stderr).toMatch(/^STAGE +TASKS +RECORDS IN +OUT +BYTES IN +OUT +TIME$/m);
      expect(stderr).toMatch(/^0 read lines in.txt → .* +1 +3 +3 +6 B +9 B +\d+\.\d\d s$/m);
      expect(stderr).toMatch(/^output +\/.*\/out.txt {2}3 records, 9 B$/m);
      expect(stderr).toMatch(/^counter +seen {2}3$/m);
      expect(stderr).toMatch(/^memory +\d+\.\d MB resident at most/m);
    },
  );

  test('--quiet says nothing, and --json one document', async () => {
    await prepare();
    expect(await run('run', 'job.ts', '--quiet')).toMatchObject({
      code: 0,
      stdout: '',
      stderr: '',
    });
    const { code, stdout, stderr } = await run('run', 'job.ts', '--json', '--overwrite');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout.endsWith('}\n')).toBe(true);
    expect(JSON.parse(stdout)).toMatchObject({
      status: 'succeeded',
      flow: 'upper',
      parameters: { suffix: '' },
      counters: { seen: 3 },
      outputs: [{ path: join(directory, 'out.txt'), records: 3, bytes: 6, files: 1 }],
      stages: [{ recordsIn: 3, bytesIn: 6, tasks: [{ task: 0, attempts: 1, worker: 0 }] }],
      inputBytes: 6,
      retries: 0,
      error: null,
    });
  });

  test('stdin and stdout are files, too, and hold nothing else', async () => {
    await write(
      'job.ts',
      `${IMPORT}
      console.log('loading');
      export default flow('copy', (f) => {
        f.read(files.lines('-')).tap((line) => console.log('saw ' + line)).write(files.lines('-'));
      });`,
    );
    for (const workers of [[], ['--workers', '1']]) {
      const { code, stdout, stderr } = await millrace.run(['run', 'job.ts', ...workers], {
        cwd: directory,
        input: 'x\ny\n',
      });
      expect({ code, stdout }, stderr).toEqual({ code: 0, stdout: 'x\ny\n' });
      expect(stderr).toContain(workers.length === 0 ? 'saw x' : '[worker 1] saw x');
      expect(stderr).toMatch(/^output +stdout {2}2 records, 4 B$/m);
    }
    const json = await millrace.run(['run', 'job.ts', '--json'], { cwd: directory, input: 'x\n' });
    expect(json.stdout).toBe('x\n');
    expect(json.stderr).toContain('"status":"succeeded"');
  });

  test('a reader of stdout that has enough is no failure of the data', async () => {
    await write(
      'job.ts',
      `${IMPORT}
      export default flow('copy', (f) => {
        f.read(files.lines('-')).write(files.lines('-'));
      });`,
    );
    const job = millrace.launch(['run', 'job.ts'], { cwd: directory });
    job.child.stdout.destroy();
    job.child.stdin.end('line\n'.repeat(1_000_000));
    const { stderr, code } = await job.ended;
    expect(stderr).not.toContain('EPIPE');
    expect(code).toBe(0);
  });

  test('what exists is refused, and replaced with --overwrite', async () => {
    await prepare();
    await write('out.txt', 'old');
    expectError(await runHosted('run', 'job.ts'), 'ML_OUTPUT_EXISTS', /out\.txt/);
    expect(await read('out.txt')).toBe('old');
    expect((await runHosted('run', 'job.ts', '--overwrite')).code).toBe(0);
    expect(await read('out.txt')).toBe('A\nB\nC\n');
  });

  test('a broker may use the same directory', async () => {
    await prepare();
    const data = join(directory, 'millrace-data');
    const broker = await millrace.start(data);
    expect((await run('run', 'job.ts', '--data', data)).code).toBe(0);
    await broker.end('SIGTERM');
    expect((await millrace.start(data)).stderr).toContain('ready');
  });

  test('temporary files and records are where --data and MILLRACE_DATA say', async () => {
    await prepare();
    const environment = { MILLRACE_DATA: 'from-environment' };
    await millrace.run(['run', 'job.ts'], { cwd: directory, env: environment, isHosted: true });
    expect(await readdir(join(directory, 'from-environment/jobs'))).toHaveLength(1);
    await millrace.run(['run', 'job.ts', '--overwrite', '-d', 'flag'], {
      cwd: directory,
      env: environment,
      isHosted: true,
    });
    expect(await readdir(join(directory, 'flag/jobs'))).toHaveLength(1);
    expect(existsSync(join(directory, 'millrace-data'))).toBe(false);
  });
});

describe('programs that are wrong', () => {
  const cases: readonly (readonly [string, string, RegExp])[] = [
    [
      'an error of syntax',
      'const a: number = 1;\nconst b = = 2;\n',
      /job\.ts:2:11: Expression expected/,
    ],
    [
      'an enum',
      'export const x = 1;\nenum Colour { red }\n',
      /job\.ts:2:1: TypeScript enum is not supported/,
    ],
    [
      'a throw at import',
      'const x: unknown = 1;\n\nfunction f() { throw new Error("boom"); }\nf();\n',
      /job\.ts:3:22: the program threw while it was loaded: Error: boom[^]* {4}at f \(.*job\.ts:3:22\)/,
    ],
    ['no flow', 'export const x = 1;\n', /exports no flow \(it exports x\)/],
    ['nothing at all', '', /exports no flow/],
    [
      'several flows',
      `${IMPORT}export const a = flow('one', () => {});\nexport const b = flow('two', () => {});`,
      /exports several flows: one, two/,
    ],
    [
      'a module that is not there',
      "import './nothing.ts';\n",
      /Cannot find module '.*nothing\.ts'/,
    ],
    [
      'a package that is not there',
      "import 'no-such-package';\n",
      /Cannot find package 'no-such-package'/,
    ],
    [
      'an export that is not there',
      "import { nix } from 'millrace';\n",
      /job\.ts:1:10: .* does not provide an export named 'nix'/,
    ],
  ];

  test.each(cases)('%s', async (_name, program, pattern) => {
    await write('job.ts', program);
    expectError(await runHosted('run', 'job.ts'), 'ML_PROGRAM_INVALID', pattern);
    expect(existsSync(join(directory, 'millrace-data'))).toBe(false);
  });

  test('a promise for ever', async () => {
    await write('job.ts', 'await new Promise(() => {});\n');
    const finished = await run('run', 'job.ts');
    expectError(finished, 'ML_PROGRAM_INVALID', /waits for something that never happens/);
    expect(existsSync(join(directory, 'millrace-data'))).toBe(false);
  });

  test('an error of syntax in JavaScript, and in a module that is imported', async () => {
    await write('job.js', "import './helper.js';\n");
    await write('helper.js', 'export const a = 1;\n\nexport const b = = 2;\n');
    expectError(
      await run('run', 'job.js'),
      'ML_PROGRAM_INVALID',
      /helper\.js:3:18: Unexpected token/,
    );
  });

  test('files that are none', async () => {
    await mkdir(join(directory, 'folder'));
    await write('data.csv', 'a,b\n');
    expectError(
      await runHosted('run', 'nothing.ts'),
      'ML_PROGRAM_INVALID',
      /there is no program .*nothing\.ts/,
    );
    expectError(await runHosted('run', 'folder'), 'ML_PROGRAM_INVALID', /is a directory/);
    expectError(
      await runHosted('run', 'data.csv'),
      'ML_PROGRAM_INVALID',
      /no TypeScript or JavaScript/,
    );
  });

  test('one of several flows is chosen by its name, or that of its export', async () => {
    await write('in.txt', 'x\n');
    await write(
      'job.ts',
      `${IMPORT}
      const copy = (name: string) => flow(name, (f) => { f.read(files.lines('in.txt')).write(files.lines(name + '.txt')); });
      export const a = copy('one');
      export const b = copy('two');`,
    );
    expect((await runHosted('run', 'job.ts', '--flow', 'two')).code).toBe(0);
    expect((await runHosted('run', 'job.ts', '--flow', 'a')).code).toBe(0);
    expect([await read('one.txt'), await read('two.txt')]).toEqual(['x\n', 'x\n']);
    expectError(
      await runHosted('run', 'job.ts', '--flow', 'c'),
      'ML_PROGRAM_INVALID',
      /exports no flow 'c'/,
    );
  });

  test('modules are found from the file, also as compilers name them, wherever it is', async () => {
    await write('in.txt', 'x\n');
    await write('package.json', '{ "name": "mine", "type": "commonjs" }');
    await write('twice.ts', 'export const twice = (text: string): string => text + text;\n');
    await mkdir(join(directory, 'node_modules/pad'), { recursive: true });
    await write('node_modules/pad/package.json', '{ "name": "pad", "main": "index.js" }');
    await write('node_modules/pad/index.js', 'exports.pad = (text) => `<${text}>`;\n');
    await write(
      'job.ts',
      `${IMPORT}
      import { twice } from './twice.js';
      import { pad } from 'pad';
      export default flow('job', (f) => {
        f.read(files.lines('in.txt')).map((line) => pad(twice(line))).write(files.lines('out.txt'));
      });`,
    );
    expect(await run('run', 'job.ts', '--workers', '1')).toMatchObject({ code: 0 });
    expect(await read('out.txt')).toBe('<xx>\n');
  });

  test('a flow that is another one in a worker', async () => {
    await prepare(UPPER.replace("flow('upper'", "flow('upper' + process.pid"));
    expectError(
      await runHosted('run', 'job.ts', '--workers', '1'),
      'ML_PROGRAM_INVALID',
      /describes another flow in a worker than in the driver/,
    );
    expect(existsSync(join(directory, 'out.txt'))).toBe(false);
  });
});

describe('records that are wrong', () => {
  const THROWS = UPPER.replace(
    'return line',
    `if (line === 'b') throw new RangeError('no b');\n      return line`,
  );

  test.each(['0', '1'])(
    'a function that throws, with %s workers: place, frames, fix',
    async (workers) => {
      await prepare(THROWS);
      const finished = await runHosted('run', 'job.ts', '--workers', workers);
      expectError(finished, 'ML_USER_FUNCTION', /RangeError: no b.*in\.txt:2/);
      expect(finished.stderr).toMatch(/^ {4}at .*job\.ts:9:\d+\)$/m);
      expect(existsSync(join(directory, 'out.txt'))).toBe(false);
      const shown = JSON.parse((await run('job', 'show', 'last', '--json')).stdout) as unknown;
      expect(shown).toMatchObject({
        status: 'failed',
        retries: 0,
        error: { code: 'ML_USER_FUNCTION' },
      });
    },
  );

  test('--json says so, too', async () => {
    await prepare(THROWS);
    const { code, stdout } = await run('run', 'job.ts', '--json');
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      status: 'failed',
      error: { code: 'ML_USER_FUNCTION' },
    });
    await write('job.ts', 'export {};\n');
    const unloaded = await run('run', 'job.ts', '--json');
    expect(JSON.parse(unloaded.stdout)).toMatchObject({
      status: 'failed',
      error: { code: 'ML_PROGRAM_INVALID' },
    });
  });

  test('records that are skipped go to the dead letters', async () => {
    await prepare(
      THROWS.replace(
        "flow('upper', ",
        "flow('upper', { onError: skipTo(files.ndjson('bad.ndjson')) }, ",
      ),
    );
    const { code, stderr } = await runHosted('run', 'job.ts');
    expect(code, stderr).toBe(0);
    expect(await read('out.txt')).toBe('A\nC\n');
    expect(await read('bad.ndjson')).toMatch(/"position":"in\.txt:2"|"position":".*in\.txt:2"/);
    expect(stderr).toMatch(/^skipped +1 record/m);
  });

  test('a function that fails for a reason that passes is tried again', async () => {
    await prepare(
      UPPER.replace(
        'return line',
        `if (line === 'b' && !existsSync('tried')) {
        writeFileSync('tried', '');
        throw Object.assign(new Error('busy'), { retriable: true });
      }
      return line`,
      ).replace(IMPORT, `${IMPORT}import { existsSync, writeFileSync } from 'node:fs';\n`),
    );
    const { code, stderr } = await runHosted('run', 'job.ts', '--workers', '1');
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/^warning: task 0 of '.*' is tried again: .*busy/m);
    expect(stderr).toMatch(/^counter +seen {2}3$/m);
    expect(await read('out.txt')).toBe('A\nB\nC\n');
  });

  test.each(['0', '1'])(
    'a promise that nobody waits for fails the job, with %s workers',
    async (workers) => {
      await prepare(
        UPPER.replace(
          'return line',
          "if (line === 'b') void Promise.reject(new Error('stray'));\n      return line",
        ).replace('.map((line: string) =>', '.map(async (line: string) =>'),
      );
      expectError(
        await run('run', 'job.ts', '--workers', workers),
        'ML_USER_FUNCTION',
        /Error: stray/,
      );
    },
  );

  test.each(['0', '1'])(
    'a function that calls process.exit has failed, with %s workers',
    async (workers) => {
      await prepare(
        UPPER.replace('return line', "if (line === 'b') process.exit(3);\n      return line"),
      );
      expectError(
        await run('run', 'job.ts', '--workers', workers),
        'ML_USER_FUNCTION',
        /process\.exit\(3\) was called.*at in\.txt:2/,
      );
      expect((await readdir(directory)).toSorted()).toEqual(['in.txt', 'job.ts', 'millrace-data']);
    },
  );

  test('a program that ends its process otherwise costs the job, and says how', async () => {
    await prepare(
      UPPER.replace('return line', "if (line === 'b') process.reallyExit(3);\n      return line"),
    );
    const finished = await run('run', 'job.ts', '--workers', '1');
    expectError(
      finished,
      'ML_TASK_FAILED',
      /failed 4 times; the last time: worker 4 .* ended with exit code 3/,
    );
  });

  test('inputs that are missing', async () => {
    await write('job.ts', UPPER);
    expectError(await runHosted('run', 'job.ts'), 'ML_INPUT_MISSING', /in\.txt/);
  });
});

describe('command lines that are wrong', () => {
  test.each([
    [['--workers', 'many'], /--workers takes a whole number/],
    [['--workers', '1000'], /at most 256/],
    [['--memory', '1MB'], /--memory takes at least 16\.0 MB/],
    [['--memory', 'lots'], /--memory takes a size such as 256MB/],
    [['--set', 'x'], /--set takes name=value/],
    [['--partitions', '0'], /whole number from 1/],
  ])('%j', async (args, pattern) => {
    await prepare();
    expectError(await runHosted('run', ...args, 'job.ts'), 'ML_USAGE', pattern, 2);
  });

  test('a parameter that the program does not have', async () => {
    await prepare();
    expectError(
      await runHosted('run', 'job.ts', '--set', 'sufix=x'),
      'ML_PARAMETER_INVALID',
      /sufix/,
    );
  });
});

describe('the history', () => {
  test('lists jobs, newest first, and shows each', async () => {
    await prepare();
    expect((await run('job', 'list')).stderr).toContain('no job has been run');
    expectError(await run('job', 'show', 'last'), 'ML_JOB_UNKNOWN', /no job has been run/);
    await runHosted('run', 'job.ts');
    await runHosted('run', 'job.ts');
    const list = await run('job', 'list');
    const rows = list.stdout.trimEnd().split('\n');
    expect(rows).toHaveLength(3);
    expect(rows[0]).toMatch(/^JOB +STATUS +FLOW +STARTED \(UTC\) +TIME +INPUT$/);
    expect(rows[1]).toMatch(/ failed +upper /);
    expect(rows[2]).toMatch(/ succeeded +upper /);
    const jobs = JSON.parse((await run('job', 'list', '--json')).stdout) as {
      id: string;
      status: string;
    }[];
    expect(jobs.map(({ status }) => status)).toEqual(['failed', 'succeeded']);
    const shown = await run('job', 'show', jobs[1]?.id ?? '');
    expect(shown.stdout).toMatch(/^upper: done in /);
    expect(shown.stdout).toContain('parameter suffix = ');
    expect((await run('job', 'show', 'last')).stdout).toContain('(ML_OUTPUT_EXISTS)');
  });
});

test('--watch runs again when the program or a module of it changes, also after errors', async () => {
  await write('in.txt', 'x\n');
  await write('helper.ts', "export const suffix = '1';\n");
  await write(
    'job.ts',
    `${IMPORT}
    import { suffix } from './helper.ts';
    export default flow('job', (f) => {
      f.read(files.lines('in.txt')).map((line) => line + suffix).write(files.lines('out.txt'));
    });`,
  );
  const watch = millrace.launch(['run', 'job.ts', '--watch'], { cwd: directory, input: '' });
  await watch.shows('stderr', /watching 2 files/);
  expect(await read('out.txt')).toBe('x1\n');
  await write('helper.ts', "export const suffix = = '22';\n");
  await watch.shows('stderr', /helper\.ts has changed[^]*Expression expected[^]*watching 2 files/);
  await write('helper.ts', "export const suffix = '333';\n");
  await watch.shows(
    'stderr',
    /Expression expected[^]*helper\.ts has changed[^]*job: done[^]*watching 2 files/,
  );
  expect(await read('out.txt')).toBe('x333\n');
  // One that does not end is given up.
  await write('helper.ts', 'export const suffix = (() => { for (;;); })();\n');
  await watch.shows(
    'stderr',
    /watching 2 files[^]*watching 2 files[^]*watching 2 files[^]*helper\.ts has changed/,
  );
  await write('helper.ts', "export const suffix = '4444';\n");
  await watch.shows('stderr', /(?:[^]*watching \d files){4}/);
  expect(await read('out.txt')).toBe('x4444\n');
  const { code } = await watch.end('SIGINT');
  expect(code).toBe(0);
});

describe('a plan', () => {
  test('shows operators and stages, and reads nothing', async () => {
    await write('job.ts', UPPER);
    const { code, stdout, stderr } = await runHosted('plan', 'job.ts', '--set', 'suffix=!');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^upper\n {2}suffix = "!"\n {2}read-0 +read +lines in\.txt\n/);
    expect(stdout).toMatch(/^stage 0 {2}read lines in\.txt → .*write lines out\.txt$/m);
    expect(stderr).toMatch(/^note: the size of lines in\.txt is not known: /);
    await write('in.txt', 'a\n');
    expect((await runHosted('plan', 'job.ts')).stderr).toBe('');
    expect(await readdir(directory)).toEqual(['in.txt', 'job.ts']);
  });

  test('is data with --json', async () => {
    await prepare();
    const { stdout } = await runHosted('plan', 'job.ts', '--json');
    expect(JSON.parse(stdout)).toMatchObject({
      flow: 'upper',
      parameters: { suffix: '' },
      nodes: [{ id: 0, kind: 'source' }, { kind: 'map' }, { kind: 'write' }],
      stages: [{ id: 0, writes: [2] }],
      exchanges: [],
    });
  });

  test('of a program that is wrong is an error as for run', async () => {
    await write('job.ts', 'export const x = 1;\n');
    expectError(await run('plan', 'job.ts'), 'ML_PROGRAM_INVALID', /exports no flow/);
    expectError(await run('plan', 'job.ts', '--memory', 'x'), 'ML_USAGE', /--memory/, 2);
  });
});
