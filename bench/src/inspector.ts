/**
 * V8's profiler in another process, over the inspector protocol: so that a profile covers the load and nothing else.
 *
 * Source: https://chromedevtools.github.io/devtools-protocol/tot/Profiler/
 */
import { readFileSync } from 'node:fs';
import type { CpuProfile } from './cpu-profile.ts';
import { BenchFailure } from './failure.ts';

/** Option of Node that opens the inspector on a free loopback port. */
export const INSPECT_OPTION = '--inspect=127.0.0.1:0';

/** The address that a Node started with INSPECT_OPTION has written to its log; undefined when it did not. */
export function inspectorUrl(log: string): string | undefined {
  return /Debugger listening on (ws:\/\/\S+)/.exec(log)?.[1];
}

/** Profiles the main thread of the process behind `logFile` while `work` runs. */
export async function profileWhile<T>(
  logFile: string,
  intervalUs: number,
  work: () => Promise<T>,
): Promise<{ readonly result: T; readonly profile: CpuProfile }> {
  const url = inspectorUrl(readFileSync(logFile, 'utf8'));
  if (url === undefined) throw new BenchFailure('Millrace did not open the inspector');
  const socket = new WebSocket(url);
  try {
    await new Promise<void>((resolve, reject) => {
      socket.addEventListener('open', () => resolve(), { once: true });
      socket.addEventListener('error', () => reject(new BenchFailure(`no inspector at ${url}`)), {
        once: true,
      });
    });
    await call(socket, 1, 'Profiler.enable');
    await call(socket, 2, 'Profiler.setSamplingInterval', { interval: intervalUs });
    await call(socket, 3, 'Profiler.start');
    const result = await work();
    const stopped = await call(socket, 4, 'Profiler.stop');
    return { result, profile: (stopped as { readonly profile: CpuProfile }).profile };
  } finally {
    socket.close();
  }
}

/** One request and its answer; nobody else uses the socket meanwhile. */
function call(
  socket: WebSocket,
  id: number,
  method: string,
  params: object = {},
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const listen = (event: MessageEvent): void => {
      const message = JSON.parse(String(event.data)) as {
        readonly id?: number;
        readonly result?: unknown;
        readonly error?: { readonly message: string };
      };
      if (message.id !== id) return;
      socket.removeEventListener('message', listen);
      if (message.error === undefined) resolve(message.result);
      else reject(new BenchFailure(`${method}: ${message.error.message}`));
    };
    socket.addEventListener('message', listen);
    socket.addEventListener('close', () => reject(new BenchFailure('the inspector went away')), {
      once: true,
    });
    socket.send(JSON.stringify({ id, method, params }));
  });
}
