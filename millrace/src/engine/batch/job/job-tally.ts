/** Adds up what the events of a job say, into its summary. */
import type { Clock } from '../../../core/env.ts';
import type { JobEvent } from './job-events.ts';
import { hottestKey } from '../joins/hot-keys.ts';
import type { ExchangeSummary, StageSummary, Sums, TaskSummary } from './job-summary.ts';
import type { StageResults } from './schedule.ts';
import type { ExchangeOutput, StageGraph, TaskMetrics, TaskResult } from '../stage.ts';

interface StageTally {
  status: StageSummary['status'];
  startedMs: number;
  elapsedMs: number;
  retries: number;
  readonly tasks: (TaskSummary | undefined)[];
  /** Who runs each task at the moment. */
  readonly workers: number[];
}

export class JobTally {
  readonly counters: Record<string, number> = {};
  retries = 0;
  workersLost = 0;
  skippedRecords = 0;
  readonly #clock: Clock;
  #graph: StageGraph | undefined;
  #stages: StageTally[] = [];
  #exchanges: ExchangeSummary[] = [];

  constructor(clock: Clock, counters: readonly string[]) {
    this.#clock = clock;
    for (const name of counters) this.counters[name] = 0;
  }

  take(event: JobEvent): void {
    switch (event.kind) {
      case 'planned':
        this.#graph = event.graph;
        this.#stages = event.graph.stages.map(() => ({
          status: 'waiting',
          startedMs: 0,
          elapsedMs: 0,
          retries: 0,
          tasks: [],
          workers: [],
        }));
        break;
      case 'stageStarted':
        this.#with(event.stage, (stage) => {
          stage.status = 'running';
          stage.startedMs = this.#clock.monotonicMs();
        });
        break;
      case 'stageDone':
        this.#with(event.stage, (stage) => {
          stage.status = 'done';
          stage.elapsedMs = this.#clock.monotonicMs() - stage.startedMs;
        });
        break;
      case 'taskStarted':
        this.#with(event.stage, (stage) => {
          stage.workers[event.task] = event.worker;
        });
        break;
      case 'taskDone':
        this.#done(event.stage, event.task, event.attempt, event.result);
        break;
      case 'taskFailed':
        if (!event.retries) break;
        this.retries++;
        this.#with(event.stage, (stage) => {
          stage.retries++;
        });
        break;
      case 'workerLost':
        this.workersLost++;
        break;
      case 'taskProgress':
      case 'workerStarted':
      case 'committing':
      case 'ended':
      case 'built':
      case 'output':
        break;
    }
  }

  /** How the records were spread, once all is done. */
  takeExchanges(graph: StageGraph, results: StageResults): void {
    this.#exchanges = graph.exchanges.map((exchange) => {
      const bytes = Array.from({ length: exchange.partitions }, () => 0);
      const outputs: ExchangeOutput[] = [];
      let records = 0;
      for (const producer of new Set(exchange.producers)) {
        for (const result of results[producer] ?? []) {
          for (const output of result.exchanges) {
            if (output.exchange !== exchange.id) continue;
            records += output.records;
            outputs.push(output);
            for (const run of output.runs) {
              for (const [partition, segment] of run.segments.entries()) {
                bytes[partition] = (bytes[partition] ?? 0) + segment.bytes;
              }
            }
          }
        }
      }
      const isSampled = exchange.kind === 'hash' && !exchange.isCombined;
      const hottest = isSampled ? hottestKey(outputs, exchange.partitions) : undefined;
      return {
        exchange: exchange.id,
        name: exchange.name,
        kind: exchange.kind,
        partitions: exchange.partitions,
        records,
        bytes: bytes.reduce((sum, each) => sum + each, 0),
        skew: skewOf(bytes),
        ...(hottest === undefined ? {} : { hottestKey: hottest }),
      };
    });
  }

  get stages(): readonly StageSummary[] {
    return this.#stages.map((stage, index) => {
      const tasks = stage.tasks.filter((task) => task !== undefined);
      return {
        stage: index,
        label: this.#graph?.stages[index]?.label ?? '',
        status: stage.status,
        readsSource: (this.#graph?.stages[index]?.sources.length ?? 0) > 0,
        retries: stage.retries,
        elapsedMs: Math.round(stage.elapsedMs),
        ...sumOf(tasks),
        tasks,
      };
    });
  }

  get exchanges(): readonly ExchangeSummary[] {
    return this.#exchanges;
  }

  #done(stageId: number, task: number, attempt: number, result: TaskResult): void {
    this.skippedRecords += result.skipped.records;
    for (const [name, value] of Object.entries(result.counters)) {
      this.counters[name] = (this.counters[name] ?? 0) + value;
    }
    this.#with(stageId, (stage) => {
      const worker = stage.workers[task] ?? 0;
      stage.tasks[task] = { task, attempts: attempt + 1, worker, ...rounded(result.metrics) };
    });
  }

  #with(stage: number, change: (stage: StageTally) => void): void {
    const found = this.#stages[stage];
    if (found !== undefined) change(found);
  }
}

function rounded(metrics: TaskMetrics): TaskMetrics {
  return { ...metrics, elapsedMs: Math.round(metrics.elapsedMs) };
}

function sumOf(tasks: readonly TaskSummary[]): Sums {
  const sums = {
    recordsIn: 0,
    bytesIn: 0,
    recordsOut: 0,
    bytesOut: 0,
    spills: 0,
    spilledBytes: 0,
  };
  for (const task of tasks) {
    sums.recordsIn += task.recordsIn;
    sums.bytesIn += task.bytesIn;
    sums.recordsOut += task.recordsOut;
    sums.bytesOut += task.bytesOut;
    sums.spills += task.spills;
    sums.spilledBytes += task.spilledBytes;
  }
  return sums;
}

/** The largest over the median; over the mean where more than half are empty. */
export function skewOf(bytes: readonly number[]): number {
  const sorted = bytes.toSorted((a, b) => a - b);
  const largest = sorted.at(-1) ?? 0;
  if (largest === 0) return 1;
  const median = sorted[Math.floor((sorted.length - 1) / 2)] ?? 0;
  const mean = sorted.reduce((sum, each) => sum + each, 0) / sorted.length;
  return Math.round((largest / (median === 0 ? mean : median)) * 100) / 100;
}
