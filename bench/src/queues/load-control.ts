/** Starts processes that make load, and hears what they have to tell. */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { BenchFailure } from '../failure.ts';
import { track } from '../process.ts';
import type {
  ConsumeFigures,
  ConsumeTask,
  LoadReport,
  LoadTask,
  PublishFigures,
  PublishTask,
} from './load-tasks.ts';

const PROGRAM = fileURLToPath(new URL('load-process.ts', import.meta.url));

export interface RunningConsume {
  /** Says after how many messages it ends, and resolves with what it has seen. */
  end(count: number): Promise<ConsumeFigures>;
}

export async function publish(task: PublishTask): Promise<PublishFigures> {
  const report = await new LoadProcess(task).next();
  if (report.kind !== 'published') throw new BenchFailure(`a publisher says ${report.kind}`);
  return report;
}

/** Resolves when it consumes. */
export async function startConsume(task: ConsumeTask): Promise<RunningConsume> {
  const load = new LoadProcess(task);
  await load.next();
  return {
    end: async (count) => {
      load.tell({ kind: 'end', count });
      const report = await load.next();
      if (report.kind !== 'consumed') throw new BenchFailure(`a consumer says ${report.kind}`);
      return report;
    },
  };
}

class LoadProcess {
  private readonly child: ChildProcess;
  private readonly reports: LoadReport[] = [];
  private wake: (() => void) | undefined;
  private ending: string | undefined;

  constructor(task: LoadTask) {
    // As JSON a latency of which there is none would be 0.
    const options = { serialization: 'advanced' } as const;
    this.child = track(
      fork(PROGRAM, [], { ...options, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] }),
    );
    this.child.on('message', (report) => {
      this.reports.push(report as LoadReport);
      this.wake?.();
    });
    this.child.once('exit', (code, signal) => {
      this.ending = `a process that makes load ended with ${code ?? signal ?? 'nothing'}`;
      this.wake?.();
    });
    this.child.send(task);
  }

  tell(task: LoadTask): void {
    this.child.send(task);
  }

  async next(): Promise<LoadReport> {
    for (;;) {
      const report = this.reports.shift();
      if (report?.kind === 'failed') throw new BenchFailure(report.message);
      if (report !== undefined) return report;
      if (this.ending !== undefined) throw new BenchFailure(this.ending);
      await new Promise<void>((resolve) => (this.wake = resolve));
    }
  }
}
