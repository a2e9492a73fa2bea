/** `millrace reset`: a flow forgets what it has read and remembered, and begins anew. */
import { resolve } from 'node:path';
import { createInterface } from 'node:readline/promises';
import type { Log } from '../client/log.ts';
import type { Env } from '../core/env.ts';
import { MillraceError } from '../core/errors.ts';
import { realEnv } from '../core/real-env.ts';
import { buildPlan, loadProgram } from '../engine/batch/program/load-program.ts';
import { exitProcess } from '../engine/batch/program/process-exit.ts';
import { flowDirectory } from '../engine/stream/runner/flow-instance.ts';
import { planFlow } from '../engine/stream/runner/prepare-flow.ts';
import { resetFlow } from '../engine/stream/runner/reset-flow.ts';
import { readSavedState, stateTopic } from '../engine/stream/runner/saved-state.ts';
import type { Topology } from '../engine/stream/topology.ts';
import type { Plan } from '../flow/plan.ts';
import { dataDirectory } from './data-directory.ts';
import { EXIT, say, writeJson } from './io.ts';
import { formatJobError } from './job-report.ts';
import { findPartitions, hasLog } from './known-topics.ts';
import { parseParameters, type RunFlags } from './run-options.ts';
import { type Begin, parseBegin } from './stream-options.ts';
import { brokersOf } from './brokers.ts';
import { openTopicLog } from './topic-log.ts';

export type ResetFlags = Pick<RunFlags, 'set' | 'flow' | 'brokers' | 'data' | 'json'> & {
  readonly to?: string;
  readonly yes?: boolean;
};

interface Asked {
  readonly env: Env;
  readonly flags: ResetFlags;
  readonly to: Begin;
  /** Absolute. */
  readonly dataDirectory: string;
}

/** Sets the exit code. @throws {MillraceError} ML_USAGE */
export async function reset(program: string, flags: ResetFlags): Promise<void> {
  const env = realEnv();
  const settings = parseParameters(flags.set ?? []);
  const to = parseBegin('--to', flags.to ?? 'beginning', env.clock);
  try {
    const path = resolve(program);
    const { flow } = await loadProgram({ path, flow: flags.flow, settings }, env.fs);
    const built = buildPlan(flow, settings);
    await resetPlan(built, { env, flags, to, dataDirectory: dataDirectory(flags.data) });
  } catch (error) {
    if (!(error instanceof MillraceError) || error.code === 'ML_USAGE') throw error;
    say(formatJobError(error));
    process.exitCode = EXIT.failed;
  }
  exitProcess();
}

async function resetPlan(plan: Plan, asked: Asked): Promise<void> {
  const { env, flags, to } = asked;
  const brokers = brokersOf(flags.brokers);
  if (brokers === undefined && !hasLog(env, asked.dataDirectory))
    throw new MillraceError('ML_USAGE', `there is no log in ${asked.dataDirectory}`, {
      hint: 'Name the directory of the log with --data, or its broker with --brokers',
    });
  const topics = await openTopicLog(env, {
    brokers,
    dataDirectory: asked.dataDirectory,
    kafka: undefined,
    say,
  });
  try {
    const { log } = topics;
    const { partitions } = await findPartitions(plan, log, 1);
    const topology = planFlow(plan, partitions, undefined);
    const mayGoOn = await isWanted(log, topology, asked);
    if (!mayGoOn) {
      say('nothing was changed');
      process.exitCode = EXIT.failed;
      return;
    }
    const done = await resetFlow(log, topology, asked.dataDirectory, {
      to: to === 'latest' ? 'end' : to,
    });
    if (flags.json === true) await writeJson({ flow: plan.name, ...done });
    else say(`${plan.name}: reset; the next run begins ${beginText(to)}`);
  } finally {
    await topics.close();
  }
}

/** Says what is going to be deleted, and asks. @throws {MillraceError} ML_USAGE when there is nobody to ask */
async function isWanted(log: Log, topology: Topology, asked: Asked): Promise<boolean> {
  const { env, flags, to } = asked;
  const flow = topology.plan.name;
  if (flags.yes === true && flags.json === true) return true;
  const directory = flowDirectory(asked.dataDirectory, flow);
  const own = await ownTopics(log, topology);
  say(`reset of flow '${flow}' on ${log.label}:`);
  say(`  forgets   the offsets of group ${flow}; the next run begins ${beginText(to)}`);
  if (own.length > 0) say(`  deletes   ${own.map((name) => `topic ${name}`).join(', ')}`);
  if (env.fs.stat(directory) !== undefined) say(`  deletes   ${directory}`);
  say('  keeps     what the flow has written: read again, it may be written again');
  if (flags.yes === true) return true;
  if (!process.stdin.isTTY || !process.stderr.isTTY)
    throw new MillraceError(
      'ML_USAGE',
      'reset deletes what is listed above, and nobody can be asked',
      {
        hint: 'Say --yes when it is to be done',
      },
    );
  const prompt = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(?:es)?$/i.test((await prompt.question('Go on? [y/N] ')).trim());
  } finally {
    prompt.close();
  }
}

async function ownTopics(log: Log, topology: Topology): Promise<string[]> {
  const flow = topology.plan.name;
  const saved = await readSavedState(log, flow);
  const names = new Set([
    ...(saved?.topics ?? []),
    ...topology.internalTopics.map(({ name }) => name),
    stateTopic(flow),
  ]);
  return [...(await log.topics([...names])).keys()].toSorted();
}

function beginText(to: Begin): string {
  if (to === 'beginning') return 'at the beginning of its topics';
  if (to === 'latest') return 'at their ends';
  return `with the records since ${new Date(to.timestamp).toISOString()}`;
}
