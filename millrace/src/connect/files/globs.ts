/**
 * Patterns of paths, as shells have them: `*` and `?` (not `/`, and not a `.` at the beginning of a name), `[a-z]`, `[!a-z]`,
 * `{a,b}` (may nest), and `**` as a whole segment for any number of directories, none included. `\` takes the next character as
 * it is. A pattern without these is a path.
 */
import type { FileSystem, FileStat } from '../../core/env.ts';

export interface GlobMatch {
  /** Absolute. */
  readonly path: string;
  /** undefined: the name is there, but it is a link that leads nowhere. */
  readonly stat: FileStat | undefined;
}

/** Directories below each other that `**` goes down, so that links that lead upwards come to an end. */
const DEPTH_MAX = 64;

export function isGlob(pattern: string): boolean {
  return /[*?[{]/.test(pattern);
}

/**
 * Files and directories that match an absolute pattern, each once, sorted by path (UTF-16 code units).
 * @throws {MillraceError} ML_PERMISSION for a directory that cannot be looked into
 */
export function expandGlob(fs: FileSystem, pattern: string): GlobMatch[] {
  const found = new Map<string, GlobMatch>();
  for (const alternative of expandBraces(pattern)) {
    const segments = alternative.split('/').filter((segment) => segment !== '');
    walk(fs, '', segments, found, 0);
  }
  return [...found.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Whether a name, without `/`, matches one segment of a pattern. For tests and for names that are at hand. */
export function matchesSegment(segment: string, name: string): boolean {
  return segmentExpression(segment).test(name);
}

/** `a{b,c}d` becomes `abd`, `acd`. Braces without a comma, or without their other end, stand for themselves. */
export function expandBraces(pattern: string): string[] {
  const braces = findBraces(pattern);
  if (braces === undefined) return [pattern];
  const { open, commas, close } = braces;
  const edges = [open, ...commas, close];
  const rests = expandBraces(pattern.slice(close + 1));
  return commas.length === 0
    ? expandBraces(pattern.slice(open + 1, close)).flatMap((inner) =>
        rests.map((rest) => `${pattern.slice(0, open)}{${inner}}${rest}`),
      )
    : edges.slice(1).flatMap((edge, index) => {
        const inner = pattern.slice((edges[index] ?? open) + 1, edge);
        return expandBraces(inner).flatMap((text) =>
          rests.map((rest) => pattern.slice(0, open) + text + rest),
        );
      });
}

/** The first pair of braces that is complete, and the commas right inside it. */
function findBraces(
  pattern: string,
): { readonly open: number; readonly commas: number[]; readonly close: number } | undefined {
  const opened: { at: number; commas: number[] }[] = [];
  for (let at = 0; at < pattern.length; at++) {
    const letter = pattern[at];
    const inner = opened.at(-1);
    if (letter === '\\') at++;
    else if (letter === '{') opened.push({ at, commas: [] });
    else if (letter === ',') inner?.commas.push(at);
    else if (letter === '}' && inner !== undefined) {
      opened.pop();
      if (opened.length === 0) return { open: inner.at, commas: inner.commas, close: at };
    }
  }
  // Braces that never close, with complete ones in them.
  const [first] = opened;
  if (first === undefined) return undefined;
  const rest = findBraces(pattern.slice(first.at + 1));
  const shift = first.at + 1;
  return rest === undefined
    ? undefined
    : {
        open: rest.open + shift,
        commas: rest.commas.map((comma) => comma + shift),
        close: rest.close + shift,
      };
}

function walk(
  fs: FileSystem,
  directory: string,
  segments: readonly string[],
  found: Map<string, GlobMatch>,
  depth: number,
): void {
  const [segment, ...rest] = segments;
  if (segment === undefined) {
    const path = directory === '' ? '/' : directory;
    const stat = fs.stat(path);
    if (stat !== undefined) found.set(path, { path, stat });
    return;
  }
  if (segment === '**') {
    walkAll(fs, directory, rest, found, depth);
    return;
  }
  if (!/[*?[\\]/.test(segment)) {
    walk(fs, `${directory}/${segment}`, rest, found, depth);
    return;
  }
  const expression = segmentExpression(segment);
  for (const name of list(fs, directory)) {
    if (!expression.test(name)) continue;
    const path = `${directory}/${name}`;
    if (rest.length === 0) found.set(path, { path, stat: fs.stat(path) });
    else walk(fs, path, rest, found, depth);
  }
}

/** `**`: the rest of the pattern here, and in every directory below. */
function walkAll(
  fs: FileSystem,
  directory: string,
  rest: readonly string[],
  found: Map<string, GlobMatch>,
  depth: number,
): void {
  if (rest.length > 0) walk(fs, directory, rest, found, depth);
  if (depth === DEPTH_MAX) return;
  for (const name of list(fs, directory)) {
    if (name.startsWith('.')) continue;
    const path = `${directory}/${name}`;
    const stat = fs.stat(path);
    if (stat?.kind === 'directory') walkAll(fs, path, rest, found, depth + 1);
    else if (rest.length === 0) found.set(path, { path, stat });
  }
}

/** Names in what may be no directory at all. */
function list(fs: FileSystem, directory: string): string[] {
  const path = directory === '' ? '/' : directory;
  return fs.stat(path)?.kind === 'directory' ? fs.list(path) : [];
}

function segmentExpression(segment: string): RegExp {
  let source = '';
  for (let at = 0; at < segment.length; at++) {
    const letter = segment.charAt(at);
    if (letter === '*') source += '[^/]*';
    else if (letter === '?') source += '[^/]';
    else if (letter === '\\' && at + 1 < segment.length) source += literal(segment.charAt(++at));
    else if (letter === '[') {
      const set = characterSet(segment, at);
      source += set?.source ?? '\\[';
      at = set?.end ?? at;
    } else source += literal(letter);
  }
  const hidden = /^[.\\]/.test(segment) ? '' : '(?!\\.)';
  return new RegExp(`^${hidden}${source}$`, 's');
}

/** `[a-z]` or `[!a-z]` at `open`; undefined when it does not end. `]` right at its beginning belongs to it. */
function characterSet(
  segment: string,
  open: number,
): { readonly source: string; readonly end: number } | undefined {
  const isNegated = segment[open + 1] === '!' || segment[open + 1] === '^';
  const first = isNegated ? open + 2 : open + 1;
  const end = segment.indexOf(']', first + 1);
  if (end < 0) return undefined;
  const members = segment.slice(first, end);
  let source = '';
  for (let at = 0; at < members.length; at++) {
    const to = members[at + 2];
    if (members[at + 1] !== '-' || to === undefined) source += literal(members.charAt(at));
    // A range the wrong way round holds nothing.
    else if (members.charAt(at) <= to) source += `${literal(members.charAt(at))}-${literal(to)}`;
    if (members[at + 1] === '-' && to !== undefined) at += 2;
  }
  if (source === '') return { source: isNegated ? '[^/]' : '(?!)', end };
  return { source: isNegated ? `[^/${source}]` : `(?!/)[${source}]`, end };
}

function literal(letter: string): string {
  return /[a-zA-Z0-9_]/.test(letter) || letter > '\x7f' ? letter : `\\${letter}`;
}
