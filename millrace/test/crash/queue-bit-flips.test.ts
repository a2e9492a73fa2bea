/**
 * One bit of one file rots while the broker is down: of a log, of the state of queues, of a journal, of anything. The broker refuses to
 * start, or reports what it cannot read, or has not needed it: it never gives out a message that is another one, or loses one, and says
 * nothing.
 */
import { expect, test } from 'vitest';
import type { Env, FileSystem } from '../../src/core/env.ts';
import { MillraceError } from '../../src/core/errors.ts';
import { CollectingLogger } from '../../src/core/log.ts';
import { SimMachine, SimStuck } from '../../src/core/sim/sim-machine.ts';
import { SimRandom } from '../../src/core/sim/sim-random.ts';
import { runs } from '../runs.ts';
import { PLANTED_ENV, withFaults } from './faulty-env.ts';
import { QueueChecker } from './queue-checker.ts';
import type { QueueAnomaly } from './queue-history.ts';
import { DEAD_LETTERS, QueueLife } from './queue-life.ts';
import { openSmallBroker } from './sim-queues.ts';

type Outcome = 'refused' | 'reported' | 'untouched' | 'silent';

interface Flip {
  readonly outcome: Outcome;
  readonly path: string;
  readonly anomalies: readonly QueueAnomaly[];
  readonly said: readonly string[];
}

async function flip(seed: number, wrapEnv = (env: Env): Env => env): Promise<Flip> {
  const machine = new SimMachine(seed);
  const random = new SimRandom(seed * 3 + 1);
  const checker = new QueueChecker({ deadLetters: DEAD_LETTERS, unordered: ['ranked'] });
  const names = { message: 0, consumer: 0 };
  const life = (env: Env, isLast: boolean): QueueLife =>
    new QueueLife({
      env,
      random,
      names,
      operations: isLast ? 0 : 120,
      isLast,
      record: (event) => checker.observe({ ...event, atMs: machine.wallMs() }),
    });
  const before = machine.boot();
  await machine.run(liveOnce(before, life(before, false), new CollectingLogger()));
  const path = pick(random, files(before.fs, '/data/broker'));
  machine.kill();
  checker.observe({ kind: 'crash', power: false, atMs: machine.wallMs() });
  const env = machine.boot();
  machine.flipBit(path, random.below(env.fs.stat(path)?.sizeBytes ?? 0) * 8 + random.below(8));
  const logger = new CollectingLogger();
  const said = (): string[] =>
    logger.lines
      .filter(({ level }) => level === 'warn' || level === 'error')
      .map(({ message }) => message);
  try {
    await machine.run(liveOnce(wrapEnv(env), life(env, true), logger), { withinMs: 600_000 });
  } catch (error) {
    if (error instanceof MillraceError)
      return { outcome: 'refused', path, anomalies: [], said: [error.message] };
    // A queue waits for what it cannot read: that has to be told.
    if (!(error instanceof SimStuck)) throw error;
  }
  const { anomalies } = checker.report();
  const wrong = anomalies.some(({ name }) => name === 'damaged' || name === 'unexpected');
  const outcome = wrong
    ? 'silent'
    : said().length > 0
      ? 'reported'
      : anomalies.length > 0
        ? 'silent'
        : 'untouched';
  return { outcome, path, anomalies, said: said() };
}

async function liveOnce(env: Env, life: QueueLife, logger: CollectingLogger): Promise<void> {
  const broker = await openSmallBroker(env, logger);
  await life.run(broker);
  await broker.close();
}

/** All files below a directory that have bytes. */
function files(fs: FileSystem, directory: string): string[] {
  return fs.list(directory).flatMap((name) => {
    const path = `${directory}/${name}`;
    const found = fs.stat(path);
    if (found === undefined) return [];
    if (found.kind === 'directory') return files(fs, path);
    return found.sizeBytes > 0 ? [path] : [];
  });
}

function pick(random: SimRandom, paths: readonly string[]): string {
  return paths[random.below(paths.length)] ?? '';
}

test('a broker that believes whatever it reads is caught', async () => {
  const faults = PLANTED_ENV['takes a torn batch for a whole one'];
  if (faults === undefined) throw new Error('the fault has another name');
  let caught = 0;
  for (let seed = 1; seed <= 60 && caught === 0; seed++) {
    const { outcome } = await flip(seed, (env) => withFaults(env, faults));
    if (outcome === 'silent') caught++;
  }
  expect(caught).toBeGreaterThan(0);
});

test('a bit that rots is refused, reported, or harmless', async () => {
  const outcomes: Record<Outcome, number> = { refused: 0, reported: 0, untouched: 0, silent: 0 };
  const silent: Flip[] = [];
  for (let seed = 1; seed <= runs(40); seed++) {
    const result = await flip(seed);
    outcomes[result.outcome]++;
    if (result.outcome === 'silent') silent.push(result);
  }
  process.stdout.write(`bits that rot under queues: ${JSON.stringify(outcomes)}\n`);
  expect(silent).toEqual([]);
  expect(outcomes.reported + outcomes.refused).toBeGreaterThan(3);
});
