/**
 * Child processes with a pipe of their own: file descriptor 3 of the child, in both directions, apart from its standard output, to
 * which anything may be written by anybody. The interface is what engines know; `realLauncher` is the operating system.
 */
import { spawn } from 'node:child_process';
import { Socket } from 'node:net';
import { systemError } from './system-error.ts';

/** Where a child finds the pipe to its parent. */
const CHANNEL_DESCRIPTOR = 3;

export interface LaunchOptions {
  /** Program and arguments. */
  readonly command: readonly [string, ...string[]];
  readonly directory: string;
  /** The whole environment of the child. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Where its standard output and error go: to the handlers, or where those of this process go. Its input is empty. */
  readonly output: 'handlers' | 'inherit';
}

export interface ChildHandlers {
  /** Bytes from the child's end of the pipe. */
  data(chunk: Buffer): void;
  /** What the child, or what runs in it, wrote to its standard output or error. */
  output(stream: 'stdout' | 'stderr', chunk: Buffer): void;
  /** Exactly once, last: the child has ended and all that it wrote was delivered. */
  closed(exit: ChildExit): void;
}

export interface ChildExit {
  /** undefined when a signal ended it, or when it could not be started. */
  readonly code: number | undefined;
  readonly signal: string | undefined;
  /** It could not be started. */
  readonly error: Error | undefined;
}

export interface ChildProcess {
  /** undefined when it could not be started. */
  readonly pid: number | undefined;
  /** Queues bytes for the child. Nothing happens once it has ended. */
  write(chunk: Uint8Array): void;
  /** Asks the child to end (SIGINT). */
  interrupt(): void;
  /** Ends the child now (SIGKILL). Idempotent. */
  kill(): void;
}

export interface ProcessLauncher {
  /** Starts a process. Whatever fails is told to `closed`. */
  launch(options: LaunchOptions, handlers: ChildHandlers): ChildProcess;
}

export const realLauncher: ProcessLauncher = {
  launch: (options, handlers) => new RealChild(options, handlers),
};

class RealChild implements ChildProcess {
  readonly pid: number | undefined;
  readonly #channel: Socket;
  readonly #signal: (signal: NodeJS.Signals) => void;
  #error: Error | undefined;

  constructor(options: LaunchOptions, handlers: ChildHandlers) {
    const [program, ...args] = options.command;
    const output = options.output === 'inherit' ? 'inherit' : 'pipe';
    const child = spawn(program, args, {
      cwd: options.directory,
      env: options.environment,
      stdio: ['ignore', output, output, 'pipe'],
      // A group of its own: Ctrl-C at the terminal is the parent's business.
      detached: true,
    });
    this.pid = child.pid;
    this.#signal = (signal) => {
      child.kill(signal);
    };
    // Without descriptors left Node makes no pipes, and tells of no end.
    const pipes = child.stdio as typeof child.stdio | undefined;
    const channel = pipes?.[CHANNEL_DESCRIPTOR];
    this.#channel = channel instanceof Socket ? channel : new Socket();
    this.#channel.on('data', (chunk: Buffer) => {
      handlers.data(chunk);
    });
    // A write that meets a child that has ended: `closed` follows, and says how.
    this.#channel.on('error', () => {});
    for (const name of ['stdout', 'stderr'] as const) {
      child[name]?.on('data', (chunk: Buffer) => {
        handlers.output(name, chunk);
      });
    }
    child.on('error', (error) => {
      this.#error = systemError(error, `start ${program}`);
      if (pipes === undefined)
        handlers.closed({ code: undefined, signal: undefined, error: this.#error });
    });
    child.on('close', (code, signal) => {
      handlers.closed({
        code: code ?? undefined,
        signal: signal ?? undefined,
        error: this.#error,
      });
    });
  }

  write(chunk: Uint8Array): void {
    if (!this.#channel.destroyed) this.#channel.write(chunk);
  }

  interrupt(): void {
    this.#signal('SIGINT');
  }

  kill(): void {
    this.#signal('SIGKILL');
  }
}

export interface ParentPipe {
  write(chunk: Uint8Array): void;
  /** Sends what is queued and a last chunk; resolves when the system has taken it. */
  end(chunk: Uint8Array): Promise<void>;
}

/**
 * The child's end of the pipe.
 * @param onData bytes from the parent
 * @param onClosed the parent has closed it, or has ended, however it did
 */
export function openParentPipe(onData: (chunk: Buffer) => void, onClosed: () => void): ParentPipe {
  const socket = new Socket({ fd: CHANNEL_DESCRIPTOR, readable: true, writable: true });
  let isClosed = false;
  const close = (): void => {
    if (isClosed) return;
    isClosed = true;
    onClosed();
  };
  socket.on('data', onData);
  socket.on('error', close);
  socket.on('end', close);
  socket.on('close', close);
  return {
    write: (chunk) => {
      if (!isClosed) socket.write(chunk);
    },
    end: (chunk) =>
      new Promise((resolve) => {
        if (isClosed) resolve();
        isClosed = true;
        socket.end(chunk, resolve);
      }),
  };
}
