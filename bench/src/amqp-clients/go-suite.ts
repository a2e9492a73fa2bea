/** `github.com/rabbitmq/amqp091-go`: the module holds its integration tests. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Address } from '../clients/receiving-socket.ts';
import { type ClientSuite, mustRun, runTool, type TestOutcome } from './client-suite.ts';
import { droppableConnections } from './droppable-connections.ts';

const MODULE = 'github.com/rabbitmq/amqp091-go';
const VERSION = 'v1.16.0';
const TIMEOUT = '300s';
/** The module is a dependency of one of ours, so that the cache of modules, which nobody may write to, is where its tests run. */
const ENVIRONMENT = { GOTOOLCHAIN: 'local', GOFLAGS: '-mod=mod' };

export const goSuite: ClientSuite = {
  name: 'amqp091-go',
  version: VERSION,
  tools: { go: 'Go 1.21 or later (https://go.dev, Debian: apt-get install golang-go)' },
  // The one test that needs rabbitmqctl skips itself.
  leftOut: [],
  fetch: async (folder) => {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'go.mod'), 'module clients\n\ngo 1.21\n');
    await mustRun('go', ['get', '-t', `${MODULE}@${VERSION}`], {
      cwd: folder,
      environment: ENVIRONMENT,
    });
  },
  run: async (folder, broker) => {
    const connections = await droppableConnections(broker);
    try {
      return await goTest(folder, connections);
    } finally {
      connections.close();
    }
  },
};

async function goTest(folder: string, { host, port }: Address): Promise<TestOutcome[]> {
  const leftOut = goSuite.leftOut.flatMap(({ tests }) => tests);
  const skip = leftOut.length === 0 ? [] : ['-skip', `^(${leftOut.join('|')})$`];
  const { stdout, said } = await runTool(
    'go',
    ['test', '-json', '-count=1', '-tags=integration', `-timeout=${TIMEOUT}`, ...skip, MODULE],
    {
      cwd: folder,
      environment: { ...ENVIRONMENT, AMQP_URL: `amqp://guest:guest@${host}:${port}/` },
    },
  );
  const outcomes = outcomesOf(stdout);
  return outcomes.length > 0 ? outcomes : [{ name: 'go test', outcome: 'failed', said }];
}

interface GoEvent {
  readonly Action: string;
  readonly Test?: string;
  readonly Output?: string;
}

/** From `go test -json`. A test that has not ended when the process does is the one that failed. */
export function outcomesOf(stdout: string): TestOutcome[] {
  const said = new Map<string, string>();
  const ended = new Map<string, TestOutcome['outcome']>();
  for (const line of stdout.split('\n')) {
    if (!line.startsWith('{')) continue;
    const { Action, Test = 'the package', Output = '' } = JSON.parse(line) as GoEvent;
    said.set(Test, (said.get(Test) ?? '') + Output);
    if (Action === 'pass') ended.set(Test, 'passed');
    else if (Action === 'fail') ended.set(Test, 'failed');
    else if (Action === 'skip') ended.set(Test, 'skipped');
  }
  if (ended.get('the package') === 'passed') ended.delete('the package');
  return [...ended].map(([name, outcome]) => ({ name, outcome, said: said.get(name) ?? '' }));
}
