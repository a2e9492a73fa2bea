/**
 * Runs commands one after the other in one process, from the bundle, for `builtMillrace`: a process of its own for each spends most of its
 * time loading the same modules. What a command leaves in the process is taken away again, and its output is kept apart.
 *
 *     node command-host.ts <url of dist/cli.js>, with an IPC channel
 */
import { Readable } from 'node:stream';

export interface HostedCommand {
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Base64. */
  readonly input: string;
}

export interface HostedResult {
  /** The command has ended in the middle of something, and this process, too. */
  readonly isSpent: boolean;
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

type Main = (argv: readonly string[]) => Promise<void>;
type Write = typeof process.stdout.write;

const PIPE_BYTES = 65_536;
const EMITTERS = [process, process.stdout, process.stderr] as const;

/** Puts something in the place of what is there; the function that is returned puts that back. */
function replace(object: object, name: string, value: unknown): () => void {
  const old = Object.getOwnPropertyDescriptor(object, name);
  Object.defineProperty(object, name, { value, configurable: true, writable: true });
  return () => {
    if (old === undefined) Reflect.deleteProperty(object, name);
    else Object.defineProperty(object, name, old);
  };
}

/** Takes what is written; its callback comes later, as that of a pipe does. */
function keeper(pieces: Buffer[]): Write {
  return (chunk: string | Uint8Array, ...rest: readonly unknown[]) => {
    const encoding = typeof rest[0] === 'string' ? (rest[0] as BufferEncoding) : 'utf8';
    pieces.push(typeof chunk === 'string' ? Buffer.from(chunk, encoding) : Buffer.from(chunk));
    const done = rest.find((each): each is () => void => typeof each === 'function');
    if (done !== undefined) process.nextTick(done);
    return true;
  };
}

/** What listens now; the function that is returned takes away what has come since. */
function rememberListeners(): () => void {
  const known = EMITTERS.map(
    (emitter) =>
      new Map(emitter.eventNames().map((name) => [name, new Set(emitter.rawListeners(name))])),
  );
  return () => {
    for (const [index, emitter] of EMITTERS.entries())
      for (const name of emitter.eventNames())
        for (const listener of emitter.rawListeners(name))
          if (known[index]?.get(name)?.has(listener) !== true)
            emitter.off(name, listener as () => void);
  };
}

/** As pieces, as a pipe would give it. */
function stdinOf(input: Buffer): Readable {
  const pieces: Buffer[] = [];
  for (let at = 0; at < input.length; at += PIPE_BYTES)
    pieces.push(input.subarray(at, at + PIPE_BYTES));
  return Readable.from(pieces);
}

function setEnvironment(env: Readonly<Record<string, string>>): void {
  for (const name of Object.keys(process.env)) if (!(name in env)) delete process.env[name];
  Object.assign(process.env, env);
}

function exitCode(): number {
  return Number(process.exitCode ?? 0);
}

async function runCommand(main: Main, command: HostedCommand): Promise<HostedResult> {
  const forget = rememberListeners();
  const [out, err]: [Buffer[], Buffer[]] = [[], []];
  process.chdir(command.cwd);
  setEnvironment(command.env);
  process.exitCode = undefined;
  const restore = [
    replace(process.stdout, 'write', keeper(out)),
    replace(process.stderr, 'write', keeper(err)),
    replace(process, 'stdin', stdinOf(Buffer.from(command.input, 'base64'))),
    // A command that runs a program takes it away from the program.
    replace(globalThis, 'console', console),
  ];
  let isSpent: boolean;
  try {
    // No await of the command: stacks of programs would show this file.
    isSpent = await new Promise((resolve, reject) => {
      onExit = () => resolve(true);
      main(command.args).then(() => resolve(false), reject);
    });
  } finally {
    for (const each of restore) each();
    forget();
  }
  return {
    isSpent,
    code: exitCode(),
    stdout: Buffer.concat(out).toString('utf8'),
    stderr: Buffer.concat(err).toString('utf8'),
  };
}

let onExit = (): void => {};
const endProcess = process.exit.bind(process);
// A command that runs a program ends its process when it is done: then it has returned by the next turn.
process.exit = ((code?: number) => {
  if (code !== undefined) process.exitCode = code;
  setImmediate(onExit);
}) as typeof process.exit;
const { main } = (await import(process.argv[2] ?? '')) as { readonly main: Main };
process.on('message', (command) => {
  // Whatever goes wrong here ends the process, and the test with it.
  void runCommand(main, command as HostedCommand).then((result) => {
    process.send?.(result, () => {
      if (result.isSpent) endProcess();
    });
  });
});
