/** A Millrace in a process of its own, from its sources, as a user would start it: what suites about a broker have in common. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url));

export interface Launched<Ready> {
  readonly child: ChildProcess;
  readonly ready: Ready;
}

/**
 * `millrace start` on a directory, until it is ready.
 * @param args behind the directory
 * @param readyIn what the banner says, or undefined while it is not there
 * @param under a command, with its arguments, that runs the process
 */
export function launchMillrace<Ready>(
  dir: string,
  args: readonly string[],
  readyIn: (said: string) => Ready | undefined,
  under: readonly string[] = [],
): Promise<Launched<Ready>> {
  const all = [...under, process.execPath, MAIN, 'start', '--data', dir, '--log-format', 'text'];
  const [command = process.execPath, ...rest] = [...all, ...args];
  const child = spawn(command, rest, { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  return new Promise((resolve, reject) => {
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said += text;
      const ready = readyIn(said);
      if (ready !== undefined) resolve({ child, ready });
      if (process.env['MILLRACE_TEST_LOG'] !== undefined) process.stderr.write(text);
    });
    child.once('exit', (code, signal) =>
      reject(new Error(`millrace start ended (${code ?? signal}):\n${said}`)),
    );
  });
}

export async function endChild(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill(signal);
  await ended;
}

let names = 0;

/** A name that no other test, and no earlier run, has used. */
export function uniqueName(prefix: string): string {
  return `${prefix}-${process.pid}-${Date.now().toString(36)}-${names++}`;
}
