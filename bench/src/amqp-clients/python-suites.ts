/**
 * Clients of Python. `amqp` and `kombu` bring their tests of a real broker in their source distributions; pika, aio-pika and Celery do
 * not, or only with much else: a program of ours uses them.
 */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  type BrokerAtHand,
  type ClientSuite,
  type LeftOut,
  mustRun,
  runProgram,
  runTool,
  type TestOutcome,
} from './client-suite.ts';

const PROGRAMS = fileURLToPath(new URL('programs', import.meta.url));
const TOOLS = { python3: 'Python 3.9 or later with venv (Debian: apt-get install python3-venv)' };
/** Without the plugin that runs a flaky test again: what fails has failed. */
const PYTEST = ['pytest==9.1.1', 'pytest-timeout==2.4.0'];
const TEST_TIMEOUT_S = 60;

const NEEDS_TLS = 'they need TLS, which Millrace has not, or another host';

export const pythonSuites: readonly ClientSuite[] = [
  distributed('amqp', '5.4.2', 't/integration/test_rmq.py', [
    {
      tests: ['tls'],
      why: NEEDS_TLS,
    },
  ]),
  distributed('kombu', '5.7.0', 't/integration/test_py_amqp.py', []),
  ours('pika', '1.4.4', []),
  ours('aio-pika', '10.2.1', []),
  ours('celery', '5.7.0', []),
];

function distributed(
  name: string,
  version: string,
  tests: string,
  leftOut: readonly LeftOut[],
): ClientSuite {
  const folderIn = (folder: string): string => join(folder, `${name}-${version}`);
  return {
    name: `py-${name}`,
    version,
    tools: TOOLS,
    leftOut,
    fetch: async (folder) => {
      const pip = await virtualEnvironment(folder, [...PYTEST, `${name}==${version}`]);
      const source = ['--no-deps', '--no-binary', ':all:', '-d', folder, `${name}==${version}`];
      await mustRun(pip, ['download', ...source]);
      await mustRun('tar', ['xzf', `${folderIn(folder)}.tar.gz`, '-C', folder]);
    },
    run: async (folder, { host, port }) => {
      const report = join(folder, 'report.xml');
      rmSync(report, { force: true });
      const names = leftOut.flatMap((left) => left.tests);
      const deselect =
        names.length === 0 ? [] : ['-k', names.map((one) => `not ${one}`).join(' and ')];
      const args = ['-m', 'pytest', tests, `--junitxml=${report}`, `--timeout=${TEST_TIMEOUT_S}`];
      const { code, said } = await runTool(
        join(folder, 'venv/bin/python'),
        [...args, ...deselect],
        {
          cwd: folderIn(folder),
          environment: { RABBITMQ_HOST: host, RABBITMQ_5672_TCP: String(port) },
        },
      );
      // 0: all passed, 1: some failed; otherwise pytest itself has not come to an end.
      if (code !== 0 && code !== 1) return [{ name: 'pytest', outcome: 'failed', said }];
      return outcomesOf(readFileSync(report, 'utf8'));
    },
  };
}

function ours(name: string, version: string, more: readonly string[]): ClientSuite {
  return {
    name,
    version,
    tools: TOOLS,
    leftOut: [],
    fetch: async (folder) => {
      await virtualEnvironment(folder, [`${name}==${version}`, ...more]);
    },
    run: (folder, broker: BrokerAtHand) =>
      runProgram(
        join(folder, 'venv/bin/python'),
        [join(PROGRAMS, `${name.replaceAll('-', '_')}_program.py`)],
        broker,
        // Nothing is left beside the programs.
        { environment: { PYTHONDONTWRITEBYTECODE: '1' } },
      ),
  };
}

/** @returns its pip */
async function virtualEnvironment(folder: string, packages: readonly string[]): Promise<string> {
  await mustRun('python3', ['-m', 'venv', join(folder, 'venv')]);
  const pip = join(folder, 'venv/bin/pip');
  await mustRun(pip, ['install', '-q', ...packages]);
  return pip;
}

/** From a report in the format of JUnit. */
export function outcomesOf(report: string): TestOutcome[] {
  const cases = report.matchAll(/<testcase ([^>]*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g);
  return [...cases].map(([, attributes = '', inside = '']) => ({
    name: ['classname', 'name'].map((key) => attribute(attributes, key)).join('.'),
    outcome: /<(failure|error)\b/.test(inside)
      ? 'failed'
      : inside.includes('<skipped')
        ? 'skipped'
        : 'passed',
    said: inside,
  }));
}

function attribute(attributes: string, key: string): string {
  return new RegExp(`\\b${key}="([^"]*)"`).exec(attributes)?.[1] ?? '';
}
