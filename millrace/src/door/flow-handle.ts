/** Flows that run in a program: without end, or up to a place. */
import { realLauncher } from '../core/child-process.ts';
import type { Env } from '../core/env.ts';
import { MillraceError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import { checkOptionNames, type OptionNames } from '../core/option-names.ts';
import { STREAM_COMMIT_INTERVAL_MS_MAX } from '../core/stream-limits.ts';
import type { Log } from '../client/log.ts';
import { runJob } from '../engine/batch/job/driver.ts';
import type { JobSummary } from '../engine/batch/job/job-summary.ts';
import { buildPlan } from '../engine/batch/program/load-program.ts';
import type {
  FlowEvent,
  FlowMetrics,
  RunningFlow,
  ThreadConnection,
} from '../engine/stream/runner/flow-types.ts';
import { runFlow } from '../engine/stream/runner/run-flow.ts';
import { FlowViews } from '../engine/stream/views/flow-views.ts';
import type { Duration } from '../flow/durations.ts';
import type { Flow } from '../flow/flow-types.ts';
import { parameterTexts, type ParameterValues } from '../flow/parameters.ts';
import type { Until } from '../flow/source.ts';
import { hasTopics } from '../flow/stream-faults.ts';
import { commitIntervalMs } from './commit-interval.ts';

const COMMIT_BOUNDS = { minMs: 1, maxMs: STREAM_COMMIT_INTERVAL_MS_MAX };

export interface FlowRunOptions {
  /** Values of parameters of the flow, by name: what `f.param` gives. */
  readonly parameters?: ParameterValues;
  /** Threads, 0 to 256; 0: everything in this thread. Default 0. */
  readonly workers?: number;
  /** The module that exports the flow, as an absolute path: threads import it. Needed when `workers` is not 0. */
  readonly program?: string;
  /** Where a topic is read from of which nothing is committed; a time: with the first record that is not older. Default `beginning`. */
  readonly from?: 'beginning' | 'latest' | Date;
  /** Between commits, that is until others see results: 1 ms to 10 s. Default 100 ms. */
  readonly commitInterval?: Duration;
  /** Where state is while the flow runs. In memory it is read anew from the log at each start. Default `disk`. */
  readonly state?: 'disk' | 'memory';
  /** Partitions of topics between stages, and of topics that are made. Default: as many as the input has. */
  readonly partitions?: number;
  /** Waits for topics that do not exist yet; false: they are ML_TOPIC_MISSING. Default true. */
  readonly waitForTopics?: boolean;
  /** Told of what happens. Must not throw. */
  readonly onEvent?: (event: FlowEvent) => void;
}

const RUN_OPTIONS: OptionNames<FlowRunOptions> = {
  parameters: true,
  workers: true,
  program: true,
  from: true,
  commitInterval: true,
  state: true,
  partitions: true,
  waitForTopics: true,
  onEvent: true,
};

/** A flow that runs. */
export interface FlowHandle extends AsyncDisposable {
  readonly name: string;
  /** Resolves when all its tasks process; rejects with what stopped it before. */
  readonly ready: Promise<void>;
  /** Resolves after `stop`. @throws {MillraceError} what stopped the flow */
  readonly done: Promise<void>;
  /** Commits, leaves, closes. Resolves when all is done; never rejects: `done` does. Idempotent. */
  stop(): Promise<void>;
  /** As of the last half second. */
  metrics(): FlowMetrics;
  /**
   * The tables and windows of the flow, by the names that the program gives them: by key, by range, and change by change; what is committed,
   * wherever the tasks run.
   * @example
   * const { rows } = await running.views.get('totals', 'ann');
   * for (const { key, value } of (await running.views.range('totals', { prefix: 'a' })).rows) process.stdout.write(`${key} ${value}\n`);
   */
  readonly views: Views;
}

/** What a running flow remembers, to be read. */
export type Views = Pick<FlowViews, 'list' | 'info' | 'get' | 'range' | 'changes'>;

export interface RunUntilOptions {
  /** Where it ends: at the end that topics have now, before the first record that is not older than a time, or before offsets, by topic and
   * partition. Default `now`. */
  readonly until?: 'now' | Date | Readonly<Record<string, Readonly<Record<number, number>>>>;
  /** Values of parameters of the flow, by name: what `f.param` gives. */
  readonly parameters?: ParameterValues;
  /** Replaces files that exist. Default false. */
  readonly overwrite?: boolean;
  /** Directory that relative paths start from. Default: the working directory of the process. */
  readonly directory?: string;
  /** Cancels it. */
  readonly signal?: AbortSignal;
}

const RUN_UNTIL_OPTIONS: OptionNames<RunUntilOptions> = {
  until: true,
  parameters: true,
  overwrite: true,
  directory: true,
  signal: true,
};

/** Serves views over HTTP. */
export interface ViewServer {
  /** `host:port`, where other processes of a flow reach it, too. */
  readonly address: string;
  /** Serves those of a flow until it ends. */
  serve(log: Log, running: RunningFlow): FlowViews;
  close(): Promise<void>;
}

/** What flows run on. */
export interface FlowGround {
  readonly log: Log;
  /** Absolute. */
  readonly dataDirectory: string;
  readonly connection: ThreadConnection;
  /** The machine, and the brokers in it, as batch jobs in this process reach the log. */
  readonly batch: { readonly env: Env; readonly brokers: string };
  /** Where the views of flows are served; undefined: nowhere. */
  readonly http: ViewServer | undefined;
  readonly logger: Logger;
}

/** @throws {MillraceError} ML_FLOW_INVALID, ML_PARAMETER_INVALID, ML_CONFIG_INVALID */
export function startFlow(
  ground: FlowGround,
  flow: Flow,
  options: FlowRunOptions,
  onEnd: () => void,
): FlowHandle {
  const { log, dataDirectory, connection, logger, http } = ground;
  const address = http?.address;
  checkOptionNames('run', options, RUN_OPTIONS);
  const { parameters, program, workers, from, commitInterval, partitions, waitForTopics } = options;
  const settings = parameterTexts(parameters);
  const plan = buildPlan(flow, settings);
  if (!hasTopics(plan))
    throw new MillraceError(
      'ML_FLOW_INVALID',
      `flow '${plan.name}' reads no topic: it has an end`,
      {
        fields: { flow: plan.name },
        hint: 'Run it with runUntil',
      },
    );
  const running = runFlow({
    log,
    plan,
    dataDirectory,
    connection,
    ...(address === undefined ? {} : { address }),
    ...(program === undefined ? {} : { program: { path: program, flow: plan.name, settings } }),
    ...(workers === undefined ? {} : { workers }),
    ...(from === undefined ? {} : { from: startOf(from) }),
    ...(commitInterval === undefined
      ? {}
      : { commitIntervalMs: commitIntervalMs(commitInterval, COMMIT_BOUNDS) }),
    ...(options.state === undefined ? {} : { state: options.state }),
    ...(partitions === undefined ? {} : { partitions }),
    ...(waitForTopics === undefined ? {} : { waitForTopics }),
    ...(options.onEvent === undefined ? {} : { onEvent: options.onEvent }),
  });
  const views = http?.serve(log, running) ?? new FlowViews({ log, running });
  running.done.then(onEnd, (error: unknown) => {
    // Perhaps nobody waits for it.
    logger.error('a flow has stopped', { flow: plan.name, error });
    onEnd();
  });
  return handleOf(running, views);
}

function handleOf(running: RunningFlow, views: FlowViews): FlowHandle {
  return {
    name: running.name,
    ready: running.ready,
    done: running.done,
    stop: () => running.stop(),
    metrics: () => running.metrics(),
    views,
    [Symbol.asyncDispose]: () => running.stop(),
  };
}

/** @throws {MillraceError} what the job has failed with */
export async function runFlowUntil(
  ground: FlowGround,
  flow: Flow,
  options: RunUntilOptions,
): Promise<JobSummary> {
  checkOptionNames('runUntil', options, RUN_UNTIL_OPTIONS);
  const { until = 'now', parameters, overwrite, directory, signal } = options;
  return runJob({
    env: ground.batch.env,
    launcher: realLauncher,
    program: { flow, settings: parameterTexts(parameters) },
    directory: directory ?? process.cwd(),
    dataDirectory: ground.dataDirectory,
    workers: 0,
    cores: 1,
    overwrite,
    brokers: ground.batch.brokers,
    until: untilOf(until),
    node: process.execPath,
    environment: process.env,
    writeStdout: (bytes) =>
      new Promise((resolve, reject) => {
        process.stdout.write(bytes, (error) => {
          if (error === null || error === undefined) resolve();
          else reject(error);
        });
      }),
    signal,
  });
}

function untilOf(until: NonNullable<RunUntilOptions['until']>): Until {
  if (until === 'now') return { kind: 'now' };
  if (until instanceof Date) return { kind: 'time', ms: timeOf('until', until) };
  return { kind: 'offsets', offsets: until };
}

function startOf(from: NonNullable<FlowRunOptions['from']>) {
  return from instanceof Date ? { timestamp: timeOf('from', from) } : from;
}

function timeOf(option: string, date: Date): number {
  const ms = date.getTime();
  if (ms >= 0) return ms;
  throw new MillraceError('ML_USAGE', `${option} is the time ${String(date)}`, {
    hint: 'Give a Date from 1970 on',
  });
}
