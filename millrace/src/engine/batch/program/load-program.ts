/**
 * Loads a program: any module that exports a flow, without a build. Node strips the types; `millrace` means the running copy,
 * wherever the file is and whether or not anything is installed there.
 *
 * Whatever can be wrong with a program is told as ML_PROGRAM_INVALID with file, line and what to change; errors that already are
 * Millrace's (a flow that is built wrongly at import) stay what they are.
 */
import { registerHooks, stripTypeScriptTypes } from 'node:module';
import { extname } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { FileSystem } from '../../../core/env.ts';
import { MillraceError } from '../../../core/errors.ts';
import { readWholeFile } from '../../../core/files.ts';
import type { Flow } from '../../../flow/flow-types.ts';
import type { Plan } from '../../../flow/plan.ts';
import { ENTRY_FORMAT, entryUrl, PACKAGE_URL } from '../workers/entry-points.ts';
import { forbidExit } from './process-exit.ts';
import type { ProgramRef } from './program.ts';
import { syntaxPosition, userPosition, type SourcePosition } from './user-stack.ts';

const ENDINGS: ReadonlySet<string> = new Set(['.ts', '.mts', '.cts', '.js', '.mjs', '.cjs']);
const DECORATOR = /^\s*(?:export\s+(?:default\s+)?)?@[A-Za-z_$][\w$.]*(?:\(|\s|$)/;
const NO_BUILD =
  'Programs run without a build, so types are only left out: write `const Colour = { red: 0 } as const` for an enum, functions for a namespace, fields that the constructor sets for parameter properties, and a call instead of a decorator';

export interface LoadedProgram {
  readonly flow: Flow;
  /** Absolute paths of the program and of the user's modules that it has imported so far. */
  readonly modules: readonly string[];
}

/**
 * Imports the module and finds its flow.
 * @throws {MillraceError} ML_PROGRAM_INVALID, ML_PERMISSION, and whatever building the flow at import throws
 */
export async function loadProgram(ref: ProgramRef, fs: FileSystem): Promise<LoadedProgram> {
  checkFile(ref.path, fs);
  installHooks();
  let exported: Readonly<Record<string, unknown>>;
  try {
    exported = (await import(pathToFileURL(ref.path).href)) as Readonly<Record<string, unknown>>;
  } catch (error) {
    throw loadError(error, ref.path, fs);
  }
  return { flow: chooseFlow(exported, ref), modules: [...modules] };
}

/**
 * Builds the plan of a program.
 * @throws {MillraceError} ML_FLOW_INVALID, ML_PARAMETER_INVALID; ML_PROGRAM_INVALID when the user's code throws
 */
export function buildPlan(flow: Flow, settings: ProgramRef['settings']): Plan {
  try {
    return flow.plan(settings);
  } catch (error) {
    if (error instanceof MillraceError) throw error;
    const at = userPosition(error instanceof Error ? (error.stack ?? '') : '');
    throw invalid(
      `${place(at, flow.name)}: the program threw while its flow was built: ${describe(error)}`,
      'Correct the line',
      at === undefined ? {} : { path: at.path, line: at.line, column: at.column },
      error,
    );
  }
}

/** Modules that were loaded, or could not be, also by a program that failed: what a watcher has to look at. */
export function loadedModules(): readonly string[] {
  return [...modules];
}

const modules = new Set<string>();
let areHooksInstalled = false;

function installHooks(): void {
  if (areHooksInstalled) return;
  areHooksInstalled = true;
  forbidExit();
  registerHooks({
    resolve: (specifier, context, next) => {
      const url = entryUrl(specifier);
      if (url !== undefined) return { url, format: ENTRY_FORMAT, shortCircuit: true };
      try {
        return next(specifier, context);
      } catch (error) {
        const source = sourceSpecifier(specifier);
        if (source === undefined || errorCode(error) !== 'ERR_MODULE_NOT_FOUND') throw error;
        return next(source, context);
      }
    },
    load: (url, context, next) => {
      if (!isUserModule(url)) return next(url, context);
      modules.add(fileURLToPath(url));
      // A program is a module, whatever package.json happens to lie above it, and Node need not parse it twice to find out.
      const isTyped = /\.m?ts$/.test(new URL(url).pathname);
      return next(url, isTyped ? { ...context, format: 'module-typescript' } : context);
    },
  });
}

function isUserModule(url: string): boolean {
  return url.startsWith('file:') && !url.startsWith(PACKAGE_URL) && !url.includes('/node_modules/');
}

/** `./helper.js` as compilers want it, where only `./helper.ts` is there. */
function sourceSpecifier(specifier: string): string | undefined {
  return /^\.{1,2}\/.*\.m?js$/.test(specifier) ? `${specifier.slice(0, -2)}ts` : undefined;
}

function checkFile(path: string, fs: FileSystem): void {
  const stat = fs.stat(path);
  if (stat === undefined) {
    throw invalid(
      `there is no program ${path}`,
      'Check the path; a program is a file such as job.ts',
      {
        path,
      },
    );
  }
  if (stat.kind === 'directory') {
    throw invalid(`${path} is a directory`, 'Name the file that exports the flow', { path });
  }
  if (!ENDINGS.has(extname(path))) {
    throw invalid(
      `${path} is no TypeScript or JavaScript module`,
      'Its name must end in .ts, .mts, .js or .mjs',
      {
        path,
      },
    );
  }
  // One that may not be read says so here, in the words of files.
  fs.open(path, 'read').close();
}

function chooseFlow(exported: Readonly<Record<string, unknown>>, ref: ProgramRef): Flow {
  const flows = Object.entries(exported).filter((entry): entry is [string, Flow] =>
    isFlow(entry[1]),
  );
  const distinct = new Set(flows.map(([, flow]) => flow));
  const names = [...distinct].map((flow) => flow.name).join(', ');
  if (ref.flow !== undefined) {
    const wanted = flows.find(([name, flow]) => flow.name === ref.flow || name === ref.flow);
    if (wanted !== undefined) return wanted[1];
    throw invalid(
      `${ref.path} exports no flow '${ref.flow}'`,
      names === '' ? undefined : `It exports ${names}`,
      { path: ref.path },
    );
  }
  const only = distinct.size === 1 ? flows[0]?.[1] : undefined;
  const chosen = isFlow(exported['default']) ? exported['default'] : only;
  if (chosen !== undefined) return chosen;
  if (distinct.size === 0) {
    const has = Object.keys(exported).join(', ');
    throw invalid(
      `${ref.path} exports no flow${has === '' ? '' : ` (it exports ${has})`}`,
      undefined,
      { path: ref.path },
    );
  }
  throw invalid(`${ref.path} exports several flows: ${names}`, 'Choose one: --flow NAME', {
    path: ref.path,
  });
}

function isFlow(value: unknown): value is Flow {
  return (
    typeof value === 'object' &&
    value !== null &&
    'kind' in value &&
    value.kind === 'flow' &&
    'plan' in value &&
    typeof value.plan === 'function'
  );
}

function loadError(error: unknown, path: string, fs: FileSystem): MillraceError {
  if (error instanceof MillraceError) return error;
  const stack = error instanceof Error ? String(error.stack) : '';
  const message = error instanceof Error ? error.message : String(error);
  const code = errorCode(error);
  if (code === 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX') {
    const at = syntaxPosition(stack);
    return invalid(
      `${place(at, path)}: ${message}${excerpt(at)}`,
      NO_BUILD,
      fields(at, path),
      error,
    );
  }
  const decorator = error instanceof SyntaxError ? findDecorator(fs) : undefined;
  if (decorator !== undefined)
    return invalid(
      `${place(decorator, path)}: a decorator, which has to be translated${excerpt(decorator)}`,
      NO_BUILD,
      fields(decorator, path),
      error,
    );
  if (error instanceof SyntaxError) {
    const at = syntaxPosition(stack) ?? findSyntaxError(fs);
    return invalid(
      `${place(at, path)}: ${message}${excerpt(at)}`,
      'Correct the line',
      fields(at, path),
      error,
    );
  }
  if (code === 'ERR_MODULE_NOT_FOUND' || code === 'ERR_UNSUPPORTED_DIR_IMPORT') {
    const isFile = /^(?:Cannot find module|Directory import) /.test(message);
    return invalid(
      `${path} cannot be loaded: ${message}`,
      isFile
        ? "Imports name a file with its ending: './helper.ts'"
        : 'Install the package next to the program: `npm install NAME`',
      fields(undefined, path),
      error,
    );
  }
  const at = userPosition(stack);
  return invalid(
    `${place(at, path)}: the program threw while it was loaded: ${describe(error)}`,
    'Correct the line; a program should only describe its flow when it is loaded',
    fields(at, path),
    error,
  );
}

/** V8 does not say where in a JavaScript module an error of syntax is: the stripper of types does, which reads JavaScript, too. */
function findSyntaxError(fs: FileSystem): ReturnType<typeof syntaxPosition> {
  for (const module of [...modules].toReversed()) {
    const at = syntaxErrorIn(module, fs);
    if (at !== undefined) return at;
  }
  return undefined;
}

/** Neither the stripper of types nor V8 says where one is: the first line that begins with one, in a module that is correct otherwise. */
function findDecorator(fs: FileSystem): ReturnType<typeof syntaxPosition> {
  for (const path of [...modules].toReversed()) {
    if (syntaxErrorIn(path, fs) !== undefined) return undefined;
    const lines = readWholeFile(fs, path).toString('utf8').split('\n');
    const index = lines.findIndex((line) => DECORATOR.test(line));
    if (index >= 0) {
      const line = lines[index] ?? '';
      const column = line.indexOf('@') + 1;
      return { path, line: index + 1, column, excerpt: `${line}\n${' '.repeat(column - 1)}^` };
    }
  }
  return undefined;
}

function syntaxErrorIn(module: string, fs: FileSystem): ReturnType<typeof syntaxPosition> {
  let source: string;
  try {
    source = readWholeFile(fs, module).toString('utf8');
  } catch {
    // It was loaded a moment ago, and is gone: then it is not the one to show.
    return undefined;
  }
  try {
    stripTypeScriptTypes(source, { mode: 'strip', sourceUrl: pathToFileURL(module).href });
    return undefined;
  } catch (error) {
    return error instanceof Error ? syntaxPosition(String(error.stack)) : undefined;
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string'
    ? error.code
    : undefined;
}

function place(at: SourcePosition | undefined, path: string): string {
  if (at === undefined) return path;
  return `${at.path}:${at.line}${at.column > 0 ? `:${at.column}` : ''}`;
}

function excerpt(at: ReturnType<typeof syntaxPosition>): string {
  return at === undefined ? '' : `\n${at.excerpt}`;
}

function fields(
  at: SourcePosition | undefined,
  path: string,
): Readonly<Record<string, string | number>> {
  return at === undefined ? { path } : { path: at.path, line: at.line, column: at.column };
}

function invalid(
  message: string,
  hint: string | undefined,
  named: Readonly<Record<string, string | number>>,
  cause?: unknown,
): MillraceError {
  return new MillraceError('ML_PROGRAM_INVALID', message, {
    ...(hint === undefined ? {} : { hint }),
    cause,
    fields: named,
  });
}
