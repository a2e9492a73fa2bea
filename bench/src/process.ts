/**
 * Child processes of the benchmarks. Owns: starting them with their output in a file, measuring them through
 * /proc (Linux), and ending every one of them by its own process id, also when the benchmark itself is ended.
 *
 * Invariant: a process that was started here does not outlive the benchmark.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';

export interface SpawnOptions {
  readonly command: string;
  readonly args: readonly string[];
  /** Both standard output and standard error go here. */
  readonly logFile: string;
  readonly environment?: Readonly<Record<string, string>>;
}

/** What a process has used since it started. */
export interface Usage {
  /** Resident memory, bytes; 0 once the process is gone. */
  readonly residentBytes: number;
  /** CPU time, user and system, seconds. */
  readonly cpuSeconds: number;
}

export interface Started {
  readonly pid: number;
  readonly logFile: string;
  /** Resolves with the exit code, or with the signal's name. */
  readonly exited: Promise<number | NodeJS.Signals>;
  hasExited(): boolean;
  usage(): Usage;
  /** SIGTERM, then SIGKILL after `graceMs`. Resolves when the process is gone. Idempotent. */
  stop(graceMs?: number): Promise<void>;
}

/** The kernel reports CPU time in ticks of 1/100 s on every Linux that Node supports. */
const TICKS_PER_SECOND = 100;
const STOP_GRACE_MS = 15_000;

const running = new Set<ChildProcess>();

/** Starts a process; it is ended with the benchmark. */
export function start(options: SpawnOptions): Started {
  const log = openSync(options.logFile, 'a');
  const child = spawn(options.command, options.args, {
    stdio: ['ignore', log, log],
    env: { ...process.env, ...options.environment },
  });
  closeSync(log);
  running.add(child);
  const exited = new Promise<number | NodeJS.Signals>((resolve, reject) => {
    child.once('error', (error) => {
      running.delete(child);
      reject(error);
    });
    child.once('exit', (code, signal) => {
      running.delete(child);
      resolve(signal ?? code ?? 0);
    });
  });
  // A failure to start is seen by whoever awaits `exited`; nobody has to.
  exited.catch(() => undefined);
  const pid = child.pid ?? 0;
  const hasExited = (): boolean =>
    child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
  return {
    pid,
    logFile: options.logFile,
    exited,
    hasExited,
    usage: () => usageOf(pid),
    stop: async (graceMs = STOP_GRACE_MS) => {
      if (hasExited()) return;
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
      await exited.catch(() => undefined);
      clearTimeout(timer);
    },
  };
}

/** Ends all that was started, at once; for the end of the benchmark only. */
export function killAll(): void {
  for (const child of running) child.kill('SIGKILL');
}

/** Ends the children together with the benchmark, whatever ends it. */
export function stopChildrenOnExit(): void {
  process.once('exit', killAll);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      killAll();
      process.exit(128 + (signal === 'SIGINT' ? 2 : signal === 'SIGTERM' ? 15 : 1));
    });
  }
}

/** Memory and CPU time of a process; zeros when it is gone or the system has no /proc. */
export function usageOf(pid: number): Usage {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return { residentBytes: parseResidentBytes(status), cpuSeconds: parseCpuSeconds(stat) };
  } catch {
    return { residentBytes: 0, cpuSeconds: 0 };
  }
}

/** The `VmRSS` line of /proc/PID/status, in bytes; 0 when there is none (a process that has ended). */
export function parseResidentBytes(status: string): number {
  const match = /^VmRSS:\s+(\d+) kB$/m.exec(status);
  return match === null ? 0 : Number(match[1]) * 1024;
}

/** Fields 14 and 15 of /proc/PID/stat. The command name, field 2, may hold spaces and parentheses. */
export function parseCpuSeconds(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / TICKS_PER_SECOND;
}

/** The last lines of a process's output, for an error message. */
export function tail(logFile: string, lineCount = 15): string {
  try {
    return readFileSync(logFile, 'utf8').trimEnd().split('\n').slice(-lineCount).join('\n');
  } catch {
    return '(no output)';
  }
}
