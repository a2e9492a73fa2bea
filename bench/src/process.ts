/**
 * Child processes of the benchmarks. Owns: starting them with their output in a file, measuring them through
 * /proc (Linux), and ending every one of them by its own process id, also when the benchmark itself is ended.
 *
 * Invariant: a process that was started here does not outlive the benchmark, and its CPU time is counted as ours.
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
  /** Of that what belongs to it alone, and is no part of a file, bytes: programs and libraries in memory are everybody's. */
  readonly ownBytes: number;
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

/** Takes a child into care: it is ended with the benchmark, and its CPU time is ours. Returns it. */
export function track<T extends ChildProcess>(child: T): T {
  running.add(child);
  const forget = (): void => void running.delete(child);
  child.once('error', forget);
  child.once('exit', forget);
  return child;
}

/** Starts a process; it is ended with the benchmark. */
export function start(options: SpawnOptions): Started {
  const log = openSync(options.logFile, 'a');
  const child = track(
    spawn(options.command, options.args, {
      stdio: ['ignore', log, log],
      env: { ...process.env, ...options.environment },
    }),
  );
  closeSync(log);
  const exited = new Promise<number | NodeJS.Signals>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(signal ?? code ?? 0));
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
function killAll(): void {
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
    return {
      residentBytes: parseResidentBytes(status),
      ownBytes: parseOwnBytes(status),
      cpuSeconds: parseCpuSeconds(stat),
    };
  } catch {
    return { residentBytes: 0, ownBytes: 0, cpuSeconds: 0 };
  }
}

/** The `VmRSS` line of /proc/PID/status, in bytes; 0 when there is none (a process that has ended). */
export function parseResidentBytes(status: string): number {
  return parseKilobytes(/^VmRSS:\s+(\d+) kB$/m, status);
}

/** The `RssAnon` line, likewise. */
export function parseOwnBytes(status: string): number {
  return parseKilobytes(/^RssAnon:\s+(\d+) kB$/m, status);
}

function parseKilobytes(line: RegExp, status: string): number {
  return Number(line.exec(status)?.[1] ?? 0) * 1024;
}

/** Fields 14 and 15 of /proc/PID/stat. The command name, field 2, may hold spaces and parentheses. */
export function parseCpuSeconds(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / TICKS_PER_SECOND;
}

/** Who kept the cores busy, on average over a time. */
export interface CoreUse {
  /** This process, its children and theirs. */
  readonly ours: number;
  /** All others, what the hypervisor took away included. */
  readonly others: number;
}

/** Starts to watch the machine; the result says who has used how many cores since. */
export function watchCores(): () => CoreUse {
  const startedMs = performance.now();
  const own = ownCpuSeconds();
  const machine = machineCpuSeconds();
  return () => {
    const seconds = (performance.now() - startedMs) / 1000;
    const ours = (ownCpuSeconds() - own) / seconds;
    return { ours, others: Math.max(0, (machineCpuSeconds() - machine) / seconds - ours) };
  };
}

/**
 * CPU time, seconds, of this process, of its living tracked children, and of all its children that have ended.
 */
function ownCpuSeconds(): number {
  let sum = 0;
  try {
    sum = parseCpuSecondsWithEnded(readFileSync('/proc/self/stat', 'utf8'));
  } catch {
    return 0;
  }
  for (const child of running) sum += usageOf(child.pid ?? 0).cpuSeconds;
  return sum;
}

/** CPU time, seconds, that the whole machine has spent on anything, what the hypervisor took away included. */
function machineCpuSeconds(): number {
  try {
    return parseBusySeconds(readFileSync('/proc/stat', 'utf8'));
  } catch {
    return 0;
  }
}

/** The first line of /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal. All but idle and iowait. */
export function parseBusySeconds(stat: string): number {
  const fields = stat.split('\n', 1)[0]?.trim().split(/\s+/).slice(1, 9).map(Number) ?? [];
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = fields;
  return (user + nice + system + irq + softirq + steal) / TICKS_PER_SECOND;
}

/** Fields 14 to 17 of /proc/PID/stat: the process's own time and that of its children that have ended. */
export function parseCpuSecondsWithEnded(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ended = Number(fields[13] ?? 0) + Number(fields[14] ?? 0);
  return parseCpuSeconds(stat) + ended / TICKS_PER_SECOND;
}

/** The last lines of a process's output, for an error message. */
export function tail(logFile: string, lineCount = 15): string {
  try {
    return readFileSync(logFile, 'utf8').trimEnd().split('\n').slice(-lineCount).join('\n');
  } catch {
    return '(no output)';
  }
}
