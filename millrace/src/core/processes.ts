/**
 * Other processes of this machine: whether one still lives, and a reaper that ends some when this one is killed.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { errnoName } from './system-error.ts';

/** Names one process, also after its number has been given to another one. */
export interface ProcessIdentity {
  readonly pid: number;
  readonly host: string;
  /** When it started, in the words of the operating system; empty where that is not known. */
  readonly started: string;
}

/** This process. */
export function ownIdentity(): ProcessIdentity {
  return { pid: process.pid, host: hostname(), started: startOf(process.pid) };
}

/** False only when it has surely ended: a process of another machine counts as alive. */
export function isAlive(identity: ProcessIdentity): boolean {
  if (identity.host !== hostname()) return true;
  try {
    process.kill(identity.pid, 0);
  } catch (error) {
    // Others' processes may not be signalled, but are there.
    if (errnoName(error) !== 'EPERM') return false;
  }
  const started = startOf(identity.pid);
  return started === '' || identity.started === '' || started === identity.started;
}

/** Field 22 of /proc/PID/stat, behind the name, which may hold blanks and brackets. Source: proc(5). */
function startOf(pid: number): string {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    // A zombie has ended; only its parent has not looked yet.
    return fields[0] === 'Z' ? 'ended' : (fields[19] ?? '');
  } catch (error) {
    if (errnoName(error) === undefined) throw error;
    return '';
  }
}

export interface Reaper {
  /** Ends this process too, when ours is killed. */
  watch(pid: number): void;
  /** It has ended: its number may be given to another one. */
  forget(pid: number): void;
  /** Nothing is to be ended any more. */
  close(): void;
}

/**
 * Its arguments are the first process ids; it reads `+ PID` and `- PID`. At the end of its input, which is the end of this process,
 * those that are left are killed.
 */
const REAPER_SCRIPT = `trap '' INT TERM HUP; pids=" $* "
while read -r op pid; do case $op in
  +) pids="$pids$pid ";;
  -) pids="\${pids%%" $pid "*} \${pids#*" $pid "}";;
esac; done
kill -9 $pids 2>/dev/null`;

/**
 * Starts a reaper of these processes: a shell that waits for this process to end. Processes that look at a pipe notice by themselves when the other
 * side has gone, but not while they are stuck in a loop.
 */
export function startReaper(pids: readonly number[]): Reaper {
  // Windows has no such shell: there the pipe has to do.
  if (process.platform === 'win32') return { watch: () => {}, forget: () => {}, close: () => {} };
  const child = spawn('/bin/sh', ['-c', REAPER_SCRIPT, 'millrace-reaper', ...pids.map(String)], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  child.on('error', () => {});
  // Without descriptors left there is no shell, and no pipe to it.
  const stdin = child.stdin as typeof child.stdin | undefined;
  stdin?.on('error', () => {});
  child.unref();
  const tell = (line: string): void => {
    if (stdin?.destroyed === false) stdin.write(`${line}\n`);
  };
  return {
    watch: (pid) => {
      tell(`+ ${pid}`);
    },
    forget: (pid) => {
      tell(`- ${pid}`);
    },
    close: () => {
      // First, so that it does not take the end of its input for the end of this process.
      child.kill('SIGKILL');
      stdin?.destroy();
    },
  };
}

/**
 * Its arguments are the process that it watches, the seconds and the words. Its input ends with that process: then `cat` does, and so
 * does it. Ctrl-C reaches both; a second one does not wait.
 */
const STUCK_SCRIPT = `pid=$1; seconds=$2; words=$3; isAsked=
finish() { kill -0 $cat 2>/dev/null && echo "$words" >&2 && kill -9 $pid; exit; }
asked() { test "$isAsked" && finish; isAsked=1; sleep $seconds >/dev/null 2>&1 3<&-; finish; }
exec 3<&0
cat <&3 >/dev/null 2>&1 & cat=$!
trap asked INT TERM
wait $cat`;

/**
 * Ends this process when it was interrupted from the terminal and does not end by itself within `seconds`: a loop without an end keeps it from ever
 * hearing of the signal. For signals to the whole process group, which those of a terminal are.
 * @param words said on standard error when it comes to that
 */
export function endWhenStuck(seconds: number, words: string): { close(): void } {
  if (process.platform === 'win32') return { close: () => {} };
  const own = String(process.pid);
  const child = spawn(
    '/bin/sh',
    ['-c', STUCK_SCRIPT, 'millrace-stuck', own, String(seconds), words],
    {
      stdio: ['pipe', 'ignore', 'inherit'],
    },
  );
  child.on('error', () => {});
  const stdin = child.stdin as typeof child.stdin | undefined;
  stdin?.on('error', () => {});
  child.unref();
  return {
    close: () => {
      child.kill('SIGKILL');
      stdin?.destroy();
    },
  };
}
