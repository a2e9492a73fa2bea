/**
 * Progress of a job: one line that rewrites itself on a terminal, a plain line now and then elsewhere. Everything else that is said
 * while it runs goes through here, so that it does not get mixed up with the line.
 */
import type { Env, Timer } from '../core/env.ts';
import type { JobEvent } from '../engine/batch/job/job-events.ts';
import type { StageGraph } from '../engine/batch/stage.ts';
import { formatBytes, formatDuration } from './numbers.ts';

const TERMINAL_INTERVAL_MS = 100;
const PLAIN_INTERVAL_MS = 10_000;
/** Before that nothing can be said about how long it is going to take. */
const ESTIMATE_AFTER_MS = 1_000;
const BAR_CELLS = 20;

export interface ProgressOptions {
  readonly env: Env;
  readonly write: (text: string) => void;
  readonly isTerminal: boolean;
  readonly hasColour: boolean;
  /** Cells of a line of the terminal, as it is now. */
  readonly columns: () => number;
  /** No progress; what else is said still is. */
  readonly isQuiet: boolean;
}

interface RunningStage {
  readonly id: number;
  readonly tasks: number;
  readonly bytes: number;
  readonly startedMs: number;
  doneTasks: number;
  doneBytes: number;
  doneRecords: number;
  /** Of the attempts that run, by task. */
  readonly running: Map<number, { readonly bytes: number; readonly records: number }>;
}

export class RunProgress {
  readonly #options: ProgressOptions;
  #graph: StageGraph | undefined;
  readonly #stages = new Map<number, RunningStage>();
  #isCommitting = false;
  #timer: Timer | undefined;
  #shown = '';

  constructor(options: ProgressOptions) {
    this.#options = options;
  }

  take(event: JobEvent): void {
    switch (event.kind) {
      case 'planned':
        this.#graph = event.graph;
        this.#schedule();
        break;
      case 'stageStarted':
        this.#stages.set(event.stage, {
          id: event.stage,
          tasks: event.tasks,
          bytes: event.bytes,
          startedMs: this.#options.env.clock.monotonicMs(),
          doneTasks: 0,
          doneBytes: 0,
          doneRecords: 0,
          running: new Map(),
        });
        break;
      case 'stageDone':
        this.#stages.delete(event.stage);
        break;
      case 'taskProgress':
        this.#stages
          .get(event.stage)
          ?.running.set(event.task, { bytes: event.bytesIn, records: event.recordsIn });
        break;
      case 'taskDone':
        this.#taskDone(event.stage, event.task, event.result.metrics);
        break;
      case 'taskFailed':
        this.#stages.get(event.stage)?.running.delete(event.task);
        if (event.retries) this.#sayRetry(event);
        break;
      case 'output':
        this.say(`[worker ${event.worker}] ${event.line}`);
        break;
      case 'committing':
        this.#isCommitting = true;
        break;
      case 'ended':
        this.stop();
        break;
      case 'built':
      case 'taskStarted':
      case 'workerStarted':
      case 'workerLost':
        break;
    }
  }

  /** A line for the person, above the progress. */
  say(line: string): void {
    this.#erase();
    this.#options.write(`${line}\n`);
  }

  /** Idempotent. Nothing is drawn any more. */
  stop(): void {
    this.#timer?.cancel();
    this.#erase();
  }

  /** The line as it would be drawn now. */
  line(): string {
    const graph = this.#graph;
    if (graph === undefined) return '';
    if (this.#isCommitting) return 'writing the outputs';
    // The first one that runs: others wait for it, as a rule.
    const [stage] = [...this.#stages.values()].toSorted((a, b) => a.id - b.id);
    if (stage === undefined) return '';
    return this.#stageLine(stage, graph);
  }

  #stageLine(stage: RunningStage, graph: StageGraph): string {
    const { env, isTerminal } = this.#options;
    let bytes = stage.doneBytes;
    let records = stage.doneRecords;
    for (const running of stage.running.values()) {
      bytes += running.bytes;
      records += running.records;
    }
    const fraction =
      stage.bytes > 0 ? Math.min(1, bytes / stage.bytes) : stage.doneTasks / stage.tasks;
    const elapsedMs = env.clock.monotonicMs() - stage.startedMs;
    const seconds = Math.max(0.001, elapsedMs / 1000);
    const parts = [`${String(Math.floor(fraction * 100)).padStart(3)} %`];
    if (elapsedMs >= ESTIMATE_AFTER_MS) {
      parts.push(`${Math.round(records / seconds).toLocaleString('en-US')} records/s`);
      parts.push(`${formatBytes(bytes / seconds)}/s`);
      if (fraction > 0.01) {
        parts.push(`${formatDuration(Math.round(elapsedMs * (1 / fraction - 1)))} left`);
      }
    }
    const number = `stage ${stage.id + 1}/${graph.stages.length}`;
    const label = graph.stages[stage.id]?.label ?? '';
    return isTerminal
      ? [number, this.#bar(fraction), ...parts, label].join('  ')
      : [`${number} (${label})`, `task ${stage.doneTasks}/${stage.tasks}`, ...parts].join(', ');
  }

  #bar(fraction: number): string {
    const cells = Math.round(fraction * BAR_CELLS);
    return `${'█'.repeat(cells)}${'░'.repeat(BAR_CELLS - cells)}`;
  }

  #taskDone(
    stageId: number,
    task: number,
    metrics: { readonly bytesIn: number; readonly recordsIn: number },
  ): void {
    const stage = this.#stages.get(stageId);
    if (stage === undefined) return;
    stage.running.delete(task);
    stage.doneTasks++;
    stage.doneBytes += metrics.bytesIn;
    stage.doneRecords += metrics.recordsIn;
  }

  #sayRetry(event: JobEvent & { readonly kind: 'taskFailed' }): void {
    const label = this.#graph?.stages[event.stage]?.label ?? event.stage;
    const reason = event.error instanceof Error ? event.error.message : String(event.error);
    this.say(`warning: task ${event.task} of '${label}' is tried again: ${reason}`);
  }

  #schedule(): void {
    const { env, isTerminal, isQuiet } = this.#options;
    if (isQuiet) return;
    this.#timer = env.timers.after(isTerminal ? TERMINAL_INTERVAL_MS : PLAIN_INTERVAL_MS, () => {
      this.#draw();
      this.#schedule();
    });
  }

  #draw(): void {
    const line = this.line();
    if (line === '') return;
    if (!this.#options.isTerminal) {
      this.#options.write(`${line}\n`);
      return;
    }
    const cut = cutText(line, this.#options.columns() - 1);
    if (cut === this.#shown) return;
    this.#options.write(`\r\x1b[K${this.#options.hasColour ? colourBar(cut) : cut}`);
    this.#shown = cut;
  }

  #erase(): void {
    if (this.#shown === '') return;
    this.#options.write('\r\x1b[K');
    this.#shown = '';
  }
}

function colourBar(line: string): string {
  return line.replace(/█+/, (bar) => `\x1b[32m${bar}\x1b[39m`);
}

/** At most `cells` characters, the last of them an ellipsis where some are left out. */
export function cutText(text: string, cells: number): string {
  const characters = Array.from(text);
  if (characters.length <= cells) return text;
  return `${characters.slice(0, Math.max(0, cells - 1)).join('')}…`;
}
