/** `millrace run` of a flow that reads topics: without end, until it is told to stop. */
import type { Env } from '../core/env.ts';
import { keepAlive } from '../core/keep-alive.ts';
import type { ProgramRef } from '../engine/batch/program/program.ts';
import { runFlow } from '../engine/stream/runner/run-flow.ts';
import type { FlowEvent, RunningFlow } from '../engine/stream/runner/flow-types.ts';
import type { Plan } from '../flow/plan.ts';
import type { HttpServer } from '../server/http/open-http.ts';
import { OutputClosed } from './io.ts';
import { columns, type ProgramProcess, reasonOf } from './program-process.ts';
import type { RunFlags } from './run-options.ts';
import type { StreamOptions } from './stream-options.ts';
import { StreamProgress, type StreamProgressOptions } from './stream-progress.ts';
import { brokersOf } from './brokers.ts';
import { openTopicLog } from './topic-log.ts';

export interface StreamRun {
  readonly env: Env;
  readonly plan: Plan;
  readonly program: ProgramRef;
  readonly options: StreamOptions;
  readonly flags: RunFlags;
  /** Absolute. */
  readonly dataDirectory: string;
  readonly process: ProgramProcess;
  /** Takes what erases the line of progress: before anything else is said. */
  readonly onProgress: (progress: StreamProgress) => void;
}

/**
 * Resolves when it was stopped: all is committed then, and the group left.
 * @throws {MillraceError} what stopped it before
 */
export async function runStream(run: StreamRun): Promise<void> {
  const { env, flags, options, plan, dataDirectory } = run;
  const stopping = new AbortController();
  const progress = new StreamProgress({
    env,
    flow: plan.name,
    where: brokersOf(flags.brokers) ?? dataDirectory,
    workers: options.workers,
    style: styleOf(flags),
    write: (text) => void process.stderr.write(text),
    columns,
    emit: (event) => {
      // Who reads the events has gone: then nobody wants to know, and the flow ends in order.
      run.process.stdout(`${JSON.stringify(event)}\n`).catch((error: unknown) => {
        stopping.abort(error);
      });
    },
  });
  run.onProgress(progress);
  const alive = keepAlive(env.timers);
  try {
    await runOn(run, progress, stopping.signal);
  } finally {
    alive.close();
  }
  const { reason } = stopping.signal;
  // Who reads the events has gone: that is no failure.
  if (reason !== undefined && !(reason instanceof OutputClosed)) throw reason;
}

async function runOn(
  run: StreamRun,
  progress: StreamProgress,
  stopping: AbortSignal,
): Promise<void> {
  const { env, flags, options, plan, dataDirectory } = run;
  const topics = await openTopicLog(env, {
    brokers: brokersOf(flags.brokers),
    dataDirectory,
    kafka: options.kafka,
    say: (line) => {
      progress.say(line);
    },
  });
  let http: HttpServer | undefined;
  try {
    if (options.kafka !== undefined)
      progress.say(`${plan.name}: Kafka clients connect to ${topics.brokers}`);
    http = await openViews(run);
    if (http !== undefined)
      progress.say(`${plan.name}: views are at http://${http.address}/flows/${plan.name}/views`);
    const flow = runFlow({
      ...(http === undefined ? {} : { address: http.address }),
      log: topics.log,
      plan,
      program: run.program,
      dataDirectory,
      workers: options.workers,
      connection: topics.connection,
      from: options.from,
      state: options.state,
      ...(options.commitIntervalMs === undefined
        ? {}
        : { commitIntervalMs: options.commitIntervalMs }),
      ...(options.partitions === undefined ? {} : { partitions: options.partitions }),
      onEvent: (event: FlowEvent) => {
        progress.take(event);
      },
    });
    http?.serve(topics.log, flow);
    progress.start(() => flow.metrics());
    await untilStopped(flow, [run.process.signal, stopping]);
    progress.stopped();
  } finally {
    progress.close();
    await http?.close();
    await topics.close();
  }
}

/** Loaded when it is wanted: most runs start without. */
async function openViews({ env, options }: StreamRun): Promise<HttpServer | undefined> {
  if (options.http === undefined) return undefined;
  const { openHttp } = await import('../server/http/open-http.ts');
  return openHttp({ env, ...options.http });
}

/** @throws {MillraceError} what the flow, or the program outside of it, has failed with */
async function untilStopped(flow: RunningFlow, signals: readonly AbortSignal[]): Promise<void> {
  const [program] = signals;
  const called = new Promise<void>((resolve) => {
    for (const signal of signals) {
      if (signal.aborted) resolve();
      signal.addEventListener('abort', () => {
        resolve();
      });
    }
  });
  await Promise.race([flow.done, called]);
  // An error of the program that nobody waited for: what it has done since the last commit must not count, and is not committed.
  const stray = program === undefined ? undefined : reasonOf(program);
  if (stray !== undefined) throw stray;
  await flow.stop();
  await flow.done;
}

function styleOf(flags: RunFlags): StreamProgressOptions['style'] {
  if (flags.json === true) return 'json';
  if (flags.quiet === true) return 'quiet';
  return process.stderr.isTTY ? 'terminal' : 'plain';
}
