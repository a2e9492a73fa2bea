/** Stacks as the author of a program wants to see them: their own frames, with paths instead of URLs. */
import { fileURLToPath } from 'node:url';
import { PACKAGE_URL } from '../workers/entry-points.ts';

const FRAME = /^\s+at /;
/** The place at the end of a frame; paths may hold blanks. */
const POSITION = /(?:\(|^at (?:async )?|^)((?:file:\/\/|\/).*?):(\d+)(?::(\d+))?\)?$/;

/** A place in a source file. */
export interface SourcePosition {
  readonly path: string;
  /** From 1. */
  readonly line: number;
  /** From 1; 0 when it is not known. */
  readonly column: number;
}

/** The frames of a stack that lie in the files of the user, one a line; empty when there are none. */
export function userFrames(stack: string): string[] {
  return stack
    .split('\n')
    .filter((line) => FRAME.test(line) && isUserFrame(line))
    .map((line) => line.trim().replaceAll(/file:\/\/[^\s():?]+(?:\?\w+=\w+)?/g, toPath));
}

/** The place of the first frame of the user. */
export function userPosition(stack: string): SourcePosition | undefined {
  for (const frame of userFrames(stack)) {
    const position = parsePosition(frame);
    if (position !== undefined) return position;
  }
  return undefined;
}

/** What Node puts before the message of a syntax error: `file:///a/b.ts:2`, the line, and a mark below it. */
export function syntaxPosition(
  stack: string,
): (SourcePosition & { readonly excerpt: string }) | undefined {
  const [first = '', text = '', ...rest] = stack.split('\n');
  const position = /^(?:file:\/\/|\/)/.test(first) ? parsePosition(first) : undefined;
  if (position === undefined) return undefined;
  // Above the mark stand as many lines as the construct has, and those before the line in question.
  const mark = rest.findIndex((line) => /^\s*\^+\s*$/.test(line));
  const excerpt = [text, ...rest.slice(0, mark + 1)].join('\n');
  const column = mark < 0 ? 0 : (rest[mark] ?? '').indexOf('^') + 1;
  return { ...position, column, excerpt };
}

function parsePosition(text: string): SourcePosition | undefined {
  const match = POSITION.exec(text.trim());
  if (match === null) return undefined;
  const [, path = '', line = '0', column = '0'] = match;
  return { path: toPath(path), line: Number(line), column: Number(column) };
}

function isUserFrame(line: string): boolean {
  return (
    !line.includes('node:') &&
    !line.includes('<anonymous>') &&
    !line.includes(`${PACKAGE_URL}src/`) &&
    !line.includes(`${PACKAGE_URL}dist/`) &&
    !line.includes('/node_modules/') &&
    /file:\/\/|\(\/|at \/|at async \//.test(line)
  );
}

function toPath(url: string): string {
  const [plain = url] = url.split('?');
  try {
    return plain.startsWith('file://') ? fileURLToPath(plain) : plain;
  } catch {
    return plain;
  }
}
